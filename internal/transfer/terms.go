package transfer

import (
	"context"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
)

// terms are what a receiver goes by: its options, and whose keys were verified, as both
// were at one moment. They never change. Whatever is decided takes them once, at its
// start, and goes by them to its end: an offer or request from the first look on the
// stream's dispatcher to the last byte, a look of the keeper with the requests that come
// of it. So a reload in the middle lets nothing in that neither the old options would
// have taken, as a whole, nor the new ones.
type terms struct {
	ReceiveOptions
	verified map[jid.JID]bool // contacts with a verified key
	people   policy.People
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

// rules say whose files are taken.
func (t *terms) rules() policy.Rules {
	return policy.Rules{Choice: policy.Choice{Accept: t.Accept, From: t.From, Trust: t.Trust}, People: t.people, Verified: t.verified}
}

// people are the contacts of the account.
func (e *core) people() policy.People { return policy.People{Account: e.sess, Keys: e.omemo} }

// learn takes note of the keys that were verified or given up meanwhile. They are kept up
// to date for the policy only that goes by them.
func (r *receiver) learn(ctx context.Context, t *terms) {
	if t.Accept != policy.Verified {
		return
	}
	verified, err := t.people.Verified(ctx)
	if err != nil {
		r.e.log.Warn("verified keys", "error", err)
		return
	}
	t.verified = verified
}

// change puts new options in force.
func (r *receiver) change(ctx context.Context, c Change) {
	next := c.Options
	r.renew(func(t *terms) {
		next.Dir, next.Once, next.Stop, next.Changes = t.Dir, t.Once, t.Stop, t.Changes
		t.ReceiveOptions = next
		r.learn(ctx, t)
	})
	r.e.LimitRate(next.LimitRate)
	if err := r.e.advertise(ctx, &next); err != nil { // the next login does it
		r.e.log.Debug("advertise the transports", "error", err)
	}
	close(c.Applied)
	r.look()
	r.e.upkeep.Newcomer() // other contacts may be worth priming now
}

// prime makes our sessions known to those contacts whose files would be taken.
func (r *receiver) prime(ctx context.Context) {
	contacts := func(ctx context.Context) ([]jid.JID, error) { return r.terms().rules().Contacts(ctx) }
	r.e.upkeep.Prime(ctx, func() bool { return r.terms().Prime }, contacts)
}

// turnedAway tells that an offer of a contact did not get past the accept policy, which
// looks to the contact as if nobody were there. Strangers are not worth a line: there
// may be as many as somebody likes. It is called on the stream's dispatcher.
func (r *receiver) turnedAway(t *terms, from jid.JID) {
	if t.rules().Admits(from) || !r.e.people().IsContact(from.Bare()) { // it is not the policy
		r.e.log.Debug("offer turned away", "peer", from)
		return
	}
	if !r.away.Due(from.Bare(), time.Now()) {
		return
	}
	f := t.rules().TurnedAway(from.Bare())
	r.e.upkeep.Chore("tell of an offer that was turned away", func(context.Context) error {
		r.e.cfg.Report(event.FailedEarly{Direction: event.Receive, Peer: from.String(), Code: int(f.Code), Reason: clean.Error(f), Hints: f.Hints})
		return nil
	})
}
