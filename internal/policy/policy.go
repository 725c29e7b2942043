// Package policy decides whose files a receiver takes: by what the user chose, by the
// contacts of the account and by the keys that were verified.
package policy

import (
	"context"
	"fmt"
	"slices"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// Accept says whose offers are taken.
type Accept string

// The policies (design of `receive --accept`).
const (
	Ask      Accept = "ask"
	Contacts Accept = "contacts"
	Verified Accept = "verified"
	All      Accept = "all"
	// From is --from without --accept: the named JIDs with a usable key.
	From Accept = "from"
)

// Choice is what the user chose.
type Choice struct {
	Accept Accept
	From   []jid.JID // bare or full; empty: anybody that Accept takes
	// Trust may be stricter than that of the account.
	Trust omemo.TrustMode
}

// Rules are a choice, for the contacts of an account.
type Rules struct {
	Choice
	People People
	// Verified are the contacts with a verified key: see [People.Verified].
	Verified map[jid.JID]bool
}

// Admits reports whether files of somebody who is no stranger are taken.
func (r Rules) Admits(from jid.JID) bool {
	bare := from.Bare()
	if len(r.From) > 0 && !slices.Contains(r.From, bare) && (from.IsBare() || !slices.Contains(r.From, from)) {
		return from.IsBare() && r.Names(bare)
	}
	switch r.Accept {
	case From, Ask, Contacts, All:
		return r.Known(bare)
	case Verified:
		return r.Verified[bare]
	}
	return false
}

// AdmitsStranger reports whether files of somebody are taken who may be a stranger.
func (r Rules) AdmitsStranger(bare jid.JID) bool { return r.Accept == All && r.Names(bare) }

// Known reports whether somebody is a contact or was named by the user.
func (r Rules) Known(bare jid.JID) bool {
	if r.Accept == From {
		return r.named(bare)
	}
	return r.People.IsContact(bare)
}

// Names reports whether --from, when given, names the contact.
func (r Rules) Names(bare jid.JID) bool { return len(r.From) == 0 || r.named(bare) }

func (r Rules) named(bare jid.JID) bool {
	return slices.ContainsFunc(r.From, func(j jid.JID) bool { return j.Bare() == bare })
}

// Judge is the refusal of a device whose key is not verified, where it has to be: of
// whoever offers a file by the policy, of whoever asks for one by the trust mode alone.
func (r Rules) Judge(d omemo.Device, offers bool) error {
	if d.Trust == omemo.Verified || r.Trust != omemo.VerifiedMode && (!offers || r.Accept != Verified) {
		return nil
	}
	return &omemo.TrustError{JID: d.JID, Device: d.ID, Fingerprint: d.Fingerprint, Kind: omemo.Unverified}
}

// Crowd is whose interrupted transfers are counted together. The server
// says who is a contact: where no strangers are let in, its word must not make one crowd of them all, and
// have what is here of their files thrown away.
func (r Rules) Crowd(who jid.JID) jid.JID {
	if r.Accept == All && !r.Known(who) {
		return jid.JID{}
	}
	return who
}

// Contacts are those whose files would be taken, as bare addresses.
func (r Rules) Contacts(ctx context.Context) (out []jid.JID, err error) {
	all := r.From
	if r.Accept != From {
		if all, err = r.People.seen(ctx); err != nil {
			return nil, err
		}
	}
	for _, j := range all {
		if bare := j.Bare(); r.Names(bare) && (r.Accept != Verified || r.People.hasVerified(ctx, bare)) {
			out = append(out, bare)
		}
	}
	return out, nil
}

// TurnedAway says why offers of a contact are not admitted.
func (r Rules) TurnedAway(bare jid.JID) *fault.Failure {
	who := clean.Text(bare.String())
	f := &fault.Failure{Code: exitcode.Declined, Reason: fmt.Sprintf("an offer was turned away: %s is not among those named with --from", who)}
	if r.Accept == Verified && r.Names(bare) {
		f.Reason = fmt.Sprintf("an offer was turned away: no key of %s is verified", who)
		f.Hints = fault.TrustHints(&omemo.TrustError{JID: bare, Kind: omemo.Unverified})
	}
	return f
}
