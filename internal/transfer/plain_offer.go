package transfer

import (
	"fmt"

	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
)

// errNotEncrypted: there is no envelope anywhere in an offer.
var errNotEncrypted = fmt.Errorf("%w: the offer is not encrypted", errDeclined)

// takesPlaintext reports whether an offer or request without an envelope, from whom
// the policy admits, may be looked at further. Where keys must be verified it may
// not, for it has none.
func (t *terms) takesPlaintext(senders string) bool {
	return t.InsecurePlaintext && t.Accept != AcceptVerified && senders == jingle.SenderInitiator
}

// openPlaintext is open for an offer without an envelope: there is no device to
// judge, and nothing that binds the offer to anybody.
func (in *incoming) openPlaintext() {
	in.held = content{encryption: NotEncrypted}
	sum := newPlainSum(in.sess.Content().Description.Child("", "file"))
	sum.add("sha-1") // Conversations announces no hash, and tells this one
	in.talk.insecurely(sum)
	in.held.ts = in.talk.ts
	in.dev = omemo.Device{IdentityKey: journal.NoKey()}
}

// devices are those that wrapped the offer: the one, or none of a plain offer.
func (in *incoming) devices() []omemo.Device {
	if in.form == formInsecurePlaintext {
		return nil
	}
	return []omemo.Device{in.dev}
}
