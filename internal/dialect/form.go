// Package dialect is how a file is offered in each form that a client may know: how the
// offer is written and read, what the bytes go through, and how their receipt is confirmed
// (docs/protocol.md). A [Form] says what holds for every session of it, a [Dialect] is one
// session.
package dialect

import (
	"math"

	"jetsend/internal/crypto"
	"jetsend/internal/fault"
	"jetsend/internal/profile"
)

// Form is a way to put an offer of a file. Larger is better.
type Form int

// The forms.
const (
	FormNone          Form = iota
	FormPlaintext          // without encryption
	FormConversations      // <encrypted/> in a <file/>, as Conversations before 2.5.8 has it
	FormDraft              // the JET draft of 2017-09
	FormEncryptedFile      // the encrypted file element of the ProtoXEP of 2015
	FormJET                // XEP-0396 as the live clients do it
	FormJetsend            // our profile
)

// The words for the forms, in events and plans.
const (
	WordNone          = "none" // no form, or nothing that protects the file
	WordDraft         = "jet-draft"
	WordEncryptedFile = "encrypted-file"
	WordJET           = "jet"
	WordJetsend       = "jetsend:1"
)

// Word is what events call the envelope of the form, which that of our profile shares
// with JET.
func (f Form) Word() string {
	switch f {
	case FormPlaintext:
		return WordNone
	case FormDraft:
		return WordDraft
	case FormEncryptedFile, FormConversations:
		return WordEncryptedFile
	}
	return WordJET
}

// Name is what plans and reports call the form.
func (f Form) Name() string {
	switch f {
	case FormNone:
		return WordNone
	case FormJetsend:
		return WordJetsend
	}
	return f.Word()
}

// Suite is what encrypts the file in the form. cipher is the one that the user asks
// for, or "": the draft alone has a choice.
func (f Form) Suite(cipher string) crypto.Suite {
	switch {
	case f == FormPlaintext:
		return 0 // none: a secret of it refuses every use
	case f == FormJetsend, f == FormDraft && cipher != crypto.AES128GCM.Name():
		return crypto.AES256GCM
	}
	return crypto.AES128GCM // all that an OMEMO key transport can carry
}

// Seals reports whether both ends seal what they say to each other, as in our profile
// alone. Then the other end is a jetsend, a transfer outlives its session, and a receipt
// is proof; in the other forms a session that ends with success is all the word there is.
func (f Form) Seals() bool { return f == FormJetsend }

// Misfit is the error of an answer that does not fit the offer: where all is sealed the
// answer was changed on its way, and elsewhere the client is strange.
func (f Form) Misfit() error {
	if f.Seals() {
		return profile.ErrSealed
	}
	return fault.ErrUnfit
}

// HoldsTag reports whether the tag is held back for a while from the receiver.
// Conversations that could not open the envelope takes what comes for the file, ends at
// <size/> bytes and says success: before the tag that is known to be false. One that
// decrypts waits for the tag.
func (f Form) HoldsTag() bool { return !f.Seals() && f != FormPlaintext }

// WritesBack reports whether a receiver of that kind may write something back over the
// path, as Dino writes the tag of an empty message. Clients built on Dino
// have names of their own; Conversations is known not to.
func (f Form) WritesBack(of Software) bool {
	return (f == FormJET || f == FormDraft) && of != Conversations && of != Conversations1
}

// First says whether the in-band transport, or SOCKS5, has to be offered first for a file
// of that size, and why; "" when any may be. Conversations before 2.5.3 answers an in-band
// offer with SOCKS5, and takes in-band only after that has failed; Libervia does not see
// the end of an empty file over SOCKS5, and leaves the session open.
func (f Form) First(to Software, size int64) (inband bool, why string) {
	switch {
	case f == FormConversations:
		return false, "Conversations before 2.5.8 takes in-band only after SOCKS5 has failed"
	case to == Libervia && size == 0:
		return true, "Libervia takes an empty file in-band alone"
	}
	return false, ""
}

// Software is what a client claims to be, where that matters.
type Software int

// The clients that are told from others.
const (
	OtherClient Software = iota
	Dino
	Libervia
	Conversations
	Conversations1 // before 2.0
	ATalk
	Smack
	Jetsend
)

// The largest sizes of those who cannot count further or not safely.
const (
	maxDino    = 1<<32 - 1 // shows and counts 32 bits
	maxJavaInt = 1<<31 - 1
	maxOther   = 64<<30 - 32
)

// Limit is the largest file, in bytes, that a client takes in the form.
func (f Form) Limit(of Software) int64 {
	switch {
	case f == FormJetsend:
		return math.MaxInt64 // in as many sessions as it takes
	case of == Dino:
		return maxDino
	case of == Conversations1 && f != FormPlaintext:
		return maxJavaInt - crypto.TagSize // it is told, and counts, what encrypts the file
	case of == Conversations1, of == ATalk, of == Smack:
		return maxJavaInt
	}
	return maxOther
}

// Choice is a choice of form (`send --encryption`).
type Choice string

// The choices.
const (
	ChooseBest Choice = ""    // the best that the contact's client has
	ChooseJET  Choice = "jet" // XEP-0396 as other clients do it, also where our profile would do
	// ChooseDraft is the JET draft of 2017-09.
	ChooseDraft Choice = "jet-draft"
	// ChooseEncryptedFile is the encrypted file element of the ProtoXEP of 2015, or
	// where Conversations before 2.5.8 puts it.
	ChooseEncryptedFile Choice = "encrypted-file"
	// ChoosePlaintext is none: everybody on the way can read and change the files.
	// Nothing but the user's own word may choose it.
	ChoosePlaintext Choice = "insecure-plaintext"
	// ChooseOther is any form of other clients: for a file whose transfer began in one.
	ChooseOther Choice = "other"
)

// Forms are those that the choice allows, the best first.
func (c Choice) Forms() []Form {
	switch c {
	case ChooseJET:
		return []Form{FormJET}
	case ChooseDraft:
		return []Form{FormDraft}
	case ChooseEncryptedFile:
		return []Form{FormEncryptedFile, FormConversations}
	case ChoosePlaintext:
		return []Form{FormPlaintext}
	case ChooseOther:
		return []Form{FormJET, FormEncryptedFile, FormConversations}
	}
	return []Form{FormJetsend, FormJET, FormEncryptedFile}
}
