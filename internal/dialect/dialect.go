package dialect

import (
	"context"
	"io"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// ContentName is the name of the one content of the sessions that we open.
const ContentName = "file"

// Dialect is one session in one form: the transport secret and what the session says of
// the file, is answered, and is told behind the bytes. [New] is for a session that we
// open, [NewSet] for one that carries a set, [Clear.Open] and [Clear.OpenPlaintext] for one
// that a contact opened. In a session of a set, whose [Dialect.Sealed] has one, the bytes go
// through Records, and Out, In, Checksum and Verify are errors. A dialect sends
// nothing by itself, and is used by one goroutine at a time.
type Dialect interface {
	// Form is that of the offer or request, once its envelope is open.
	Form() Form
	// Secret is the transport secret of the session, which its owner wipes. Without
	// encryption it is of no suite, so that every use of it is an error.
	Secret() *crypto.Secret
	// Sealed is what the offer or request says under the seal of the envelope. In forms
	// without a seal it is empty, and never nil.
	Sealed() *profile.Offer
	// File is the file as its sender describes it.
	File() *jingle.File
	// Transfer is the id of the transfer that a contact at that address offers. An offer
	// without one has that of its secret, so that an offer which comes again has the
	// same one; without encryption it is a new one with every call.
	Transfer(from jid.JID) string
	// Libervia reports whether the other end is known to be one, which counts the blocks
	// of an in-band stream in a way of its own.
	Libervia() bool

	// Write completes the session-initiate that we send in content, which has its
	// transport: the description, and round the secret an envelope for the devices of the
	// contact, which it returns. Nothing has been sent then.
	Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error)
	// ReadAccept reads the session-accept of what was written, for a file of so many
	// bytes of which a session carries at most limit.
	ReadAccept(accepted jingle.Content, size, limit int64) (Accepted, error)

	// Span is the part that answers the offer, or request, in content when the receiver
	// has the first from bytes: all of the file, where nothing can be resumed.
	Span(content jingle.Content, from, size, limit int64) profile.Span
	// Accept makes content the session-accept for the span, of which the receiver has the
	// bytes before it.
	Accept(content *jingle.Content, s profile.Span, a Answer) error

	// Out brings size bytes of src to conn, in the way of [stream.Out].
	Out(ctx context.Context, conn stream.Conn, src io.Reader, size int64, o stream.Outgoing) error
	// In brings the span from conn to dst, in the way of [stream.In]. The sender is held to
	// ending the stream behind it when o.Ends allows that and the form has senders do so.
	In(ctx context.Context, conn stream.Conn, dst io.Writer, s profile.Span, o stream.Incoming) error

	// Records are both directions of a session that carries a set, once it is accepted,
	// over the bytestream of that sid, which is rw. The session of a file has none.
	Records(rw io.ReadWriter, bytestream string) (*crypto.RecordWriter, *crypto.RecordReader, error)

	// Trailer is the checksum that is told right behind the bytes, while the path stands,
	// nil for none. A receiver that has left by then does without.
	Trailer() *xmltree.Element
	// Checksum is the sealed one of a file that the span completes, whose SHA-256 is sum,
	// in hex; nil for none.
	Checksum(s profile.Span, sum string) (*xmltree.Element, error)
	// Verify holds what came, of which the last span has come, against the checksums that
	// the sender tells. sum is the SHA-256 of the file, nil when it was not computed. When
	// it returns an error nothing may be released.
	Verify(ctx context.Context, await Await, s profile.Span, sum []byte) (Proof, error)

	// Receipt is the word of the receiver in a session of that content.
	Receipt(content jingle.Content, r profile.Receipt) (*xmltree.Element, error)
	// ReadReceipt reads a session-info that the receiver sent; nil when it is no receipt,
	// or one that proves nothing. It has to be about this transfer and say the Size and
	// Stored of want, and its SHA256 where that is not empty.
	ReadReceipt(info *xmltree.Element, want profile.Receipt) (*profile.Receipt, error)

	// Reason is a word to add to the <reason-detail/> of that name, with which the end
	// called by, jingle.SenderInitiator or jingle.SenderResponder, proves that it says so;
	// nil where nothing is sealed.
	Reason(detail, by string) (*xmltree.Element, error)
	// Proves reports whether that word is among said.
	Proves(detail, by string, said []*xmltree.Element) bool
}

// Await gives the session-infos that come within patience, or for 0 that have come, to
// look, until that has found what it looks for or fails. late is the error when nothing
// is found in time. The end of the session is another one, but not before all that came
// has been looked at.
type Await func(patience time.Duration, late error, look func(info *xmltree.Element) (found bool, err error)) error

// Wrapper puts secrets into envelopes for the devices of a contact: an *omemo.Account.
type Wrapper interface {
	WrapKey(ctx context.Context, p omemo.PEP, to jid.JID, ts *crypto.Secret, in omemo.Sessions) (*omemo.Envelope, error)
	WrapPayload(ctx context.Context, p omemo.PEP, to jid.JID, payload []byte, in omemo.Sessions) (*omemo.Envelope, error)
}

// Terms are what a session that we open is about.
type Terms struct {
	// Offer is what a jetsend is told under seal: Transfer, SID, Initiator, Responder,
	// Device, File, and what is of interest of the rest. Content, Senders, Cipher and
	// Digest are filled in. Others are told the name, size, date and description of its
	// File for all to see.
	Offer profile.Offer
	// Offset is how many bytes are here of what is asked for; 0 for an offer.
	Offset int64
	// Limit is how many bytes a session carries at most.
	Limit int64
}

// Accepted is what the other end has said yes to.
type Accepted struct {
	profile.Span
	Answer
}

// Answer is what an accept says under its seal beside the span. Without a seal it is empty.
type Answer struct {
	Prefix string         // SHA-256 in hex of what the receiver has before the span, or ""
	Device uint32         // of who accepts, by its own word
	Punch  *profile.Punch // where it can be met; nil for nowhere
}

// Proof is what came of verifying a file beside its tag.
type Proof struct {
	SHA256 []byte   // of the file, nil when it was not computed
	Hashes []string // without encryption: the algorithms by which it is what the sender says
}

// New makes the dialect of a session that we open with a client of that kind, and a fresh
// secret. cipher is the one that the user asks for, or "".
func New(f Form, cipher string, to Software) Dialect {
	b := foreign{form: f, ts: crypto.NewSecret(f.Suite(cipher)), software: to, file: &jingle.File{}}
	switch f {
	case FormPlaintext:
		sum := newPlainSum(nil)
		sum.libervia = to == Libervia
		return &plain{b, sum}
	case FormConversations:
		return &conversations{b}
	case FormDraft:
		return &draft{b}
	case FormEncryptedFile:
		return &encryptedFile{b, newWireSum(&jingle.File{})}
	case FormJetsend:
		return &jetsend{b}
	}
	return &jet{b}
}
