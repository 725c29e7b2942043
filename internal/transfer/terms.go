package transfer

import (
	"context"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
)

// terms are what a receiver goes by: its options, and whose keys were verified, as both
// were at one moment. They never change. Whatever is decided takes them once, at its
// start, and goes by them to its end: an offer or request from the first look on the
// stream's dispatcher to the last byte, a look of the keeper with the requests that come
// of it. So a reload in the middle lets nothing in that neither the old options would
// have taken, as a whole, nor the new ones.
type terms struct {
	ReceiveOptions
	e        *core
	verified map[jid.JID]bool // contacts with a verified key
}

// terms are those in force. Only what begins a decision asks for them.
func (r *receiver) terms() *terms { return r.inForce.Load() }

// renew puts terms in force that differ from those of the moment by change.
func (r *receiver) renew(change func(*terms)) {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	t := *r.terms()
	change(&t)
	r.inForce.Store(&t)
}

// admits reports whether files of somebody who is no stranger are taken.
func (t *terms) admits(from jid.JID) bool {
	bare := from.Bare()
	if len(t.From) > 0 && !slices.Contains(t.From, bare) && (from.IsBare() || !slices.Contains(t.From, from)) {
		return from.IsBare() && t.names(bare)
	}
	switch t.Accept {
	case AcceptFrom, AcceptAsk, AcceptContacts, AcceptAll:
		return t.known(bare)
	case AcceptVerified:
		return t.verified[bare]
	}
	return false
}

// known reports whether somebody is a contact or was named by the user.
func (t *terms) known(bare jid.JID) bool {
	if t.Accept == AcceptFrom {
		return slices.ContainsFunc(t.From, func(j jid.JID) bool { return j.Bare() == bare })
	}
	return t.e.isContact(bare)
}

// names reports whether --from, when given, names the contact.
func (t *terms) names(bare jid.JID) bool {
	return len(t.From) == 0 || slices.ContainsFunc(t.From, func(j jid.JID) bool { return j.Bare() == bare })
}

// judge is the refusal of a device whose key is not verified, where it has to be: of
// whoever offers a file by the policy, of whoever asks for one by the trust mode alone.
func (t *terms) judge(d omemo.Device, offers bool) error {
	if d.Trust == omemo.Verified || t.Trust != omemo.VerifiedMode && (!offers || t.Accept != AcceptVerified) {
		return nil
	}
	return &omemo.TrustError{JID: d.JID, Device: d.ID, Fingerprint: d.Fingerprint, Kind: omemo.Unverified}
}

// learnVerified takes note of the keys that were verified or given up meanwhile.
func (t *terms) learnVerified(ctx context.Context) {
	verified, err := t.e.verifiedContacts(ctx)
	if err != nil {
		t.e.log.Warn("verified keys", "error", err)
		return
	}
	t.verified = verified
}

// crowd is whose interrupted transfers are counted together. Who is a contact the server
// says: where no strangers are let in, its word must not make one crowd of them all, and
// have what is here of their files thrown away.
func (t *terms) crowd(who jid.JID) jid.JID {
	if t.Accept == AcceptAll && !t.known(who) {
		return jid.JID{}
	}
	return who
}

// prime makes our sessions known to those contacts whose files would be taken.
func (r *receiver) prime(ctx context.Context) {
	on := func() bool { return r.terms().Prime }
	r.e.upkeep.Prime(ctx, on, func(ctx context.Context) ([]jid.JID, error) { return r.terms().contacts(ctx) })
}

// contacts are those whose files would be taken, as bare addresses.
func (t *terms) contacts(ctx context.Context) (out []jid.JID, err error) {
	all := t.From
	if t.Accept != AcceptFrom {
		if all, err = t.seen(ctx); err != nil {
			return nil, err
		}
	}
	for _, j := range all {
		if bare := j.Bare(); t.names(bare) && t.verifiedEnough(ctx, bare) {
			out = append(out, bare)
		}
	}
	return out, nil
}

// seen are those who see us online, with ourselves.
func (t *terms) seen(ctx context.Context) ([]jid.JID, error) {
	items, err := t.e.sess.Roster(ctx)
	if err != nil {
		return nil, err
	}
	all := []jid.JID{t.e.sess.JID().Bare()}
	for _, it := range items {
		if session.SeesUs(it.Subscription) {
			all = append(all, it.JID)
		}
	}
	return all, nil
}

// verifiedEnough reports whether the terms could take anything from the contact's devices.
func (t *terms) verifiedEnough(ctx context.Context, bare jid.JID) bool {
	if t.Accept != AcceptVerified {
		return true
	}
	devices, err := t.e.omemo.Devices(ctx, bare)
	return err == nil && slices.ContainsFunc(devices, func(d omemo.Device) bool { return d.Trust == omemo.Verified })
}
