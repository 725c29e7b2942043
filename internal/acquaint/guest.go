package acquaint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// ErrOwn means that a link is one of the account itself.
var ErrOwn = errors.New("this invitation is your own")

// VerdictError is what an issuer has said for certain, other than yes.
type VerdictError struct {
	Issuer  jid.JID
	Verdict invite.Verdict
}

// verdicts say what has become of an invitation.
var verdicts = map[invite.Verdict]string{
	invite.Used: "has been used already", invite.Expired: "has expired", invite.Revoked: "was taken back", invite.Other: "is for another address",
	invite.Known: "is for new contacts, and keys of yours are verified there already: ask for one that is made for your address",
}

// Error says it for people.
func (e *VerdictError) Error() string {
	return fmt.Sprintf("the invitation of %s %s", clean.Text(e.Issuer.String()), verdicts[e.Verdict])
}

// The paces at which what was taken is said again: while somebody waits, and else, depending
// on how long it has waited. The issuer is asked to be seen once in a while only, for their
// clients may tell them each time.
const (
	sayAgain  = 2 * time.Second
	sayLater  = time.Minute
	sayLatest = 30 * time.Minute
	askAgain  = time.Hour
	maxAsked  = 8 // clients that are told one by one
)

// Redeem redeems a link that was taken, and returns when it is answered: nil when both ends
// have verified each other, a [*VerdictError], or why there was no answer.
func (p *Party) Redeem(ctx context.Context, t *Taken) error {
	p.mu.Lock()
	delete(p.said, t.ID) // the issuer is asked again
	p.mu.Unlock()
	for {
		if err := p.say(ctx, t); err != nil {
			return err
		}
		for next := time.After(sayAgain); next != nil; {
			select {
			case c := <-p.waiting:
				err := p.answer(ctx, c)
				if c.confirm != nil && c.confirm.ID == t.ID && p.saying(t.ID) == nil {
					return err
				}
				p.logged(ctx, c, err)
			case <-next:
				next = nil
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-p.Account.Done():
				return p.Account.Err()
			}
		}
	}
}

// sayAll says what was taken and is due.
func (p *Party) sayAll(ctx context.Context) {
	all, err := p.Book.Taken(ctx)
	now := p.Book.now()
	for i := range all {
		if s := p.saying(all[i].ID); s == nil || !now.Before(s.due) {
			err = errors.Join(err, p.say(ctx, &all[i]))
		}
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Warn("redeem", "error", clean.Error(err))
	}
}

// say redeems a link: with the request to see the issuer, which is kept for them while they are
// away but may lose what it carries; with a greeting, which all their clients get that are
// online; and to each client that we see.
func (p *Party) say(ctx context.Context, t *Taken) error {
	now, s := p.Book.now(), &saying{taken: t, redeem: t.Redeem(t.keys, p.Account.JID(), t.nonce, t.own)}
	if before := p.saying(t.ID); before != nil {
		s.asked = before.asked
	}
	s.due = now.Add(min(max(sayLater, now.Sub(t.Made)/10), sayLatest))
	ask := now.Sub(s.asked) >= askAgain
	if ask {
		s.asked = now
	}
	p.mu.Lock()
	p.said[t.ID] = s
	p.mu.Unlock()
	if ask {
		if err := p.Account.SubscribeWith(ctx, t.Issuer, t.Preauth(), s.redeem.Element()); err != nil {
			return err
		}
	}
	if err := p.Account.Greet(ctx, t.Issuer, s.redeem.Element()); err != nil {
		return err
	}
	seen := p.Account.Resources(t.Issuer)
	for _, to := range seen[:min(len(seen), maxAsked)] {
		if err := p.tell(ctx, to.JID, s.redeem.Element()); err != nil {
			return err
		}
	}
	return nil
}

// tell says something to one client. Its answer says nothing, see iq, and is not waited for.
func (p *Party) tell(ctx context.Context, to jid.JID, e *xmltree.Element) error {
	forget, err := p.Account.BeginIQ(ctx, to, e, func(error) {})
	if err == nil {
		forget()
	}
	return err
}

// confirmed takes an answer to what we have said. With a yes the issuer's keys that the link
// names are verified, and the issuer may see us.
func (p *Party) confirmed(ctx context.Context, c coming) error {
	s := p.saying(c.confirm.ID)
	if s == nil {
		return nil
	}
	t := s.taken
	if err := s.redeem.Check(t.keys, c.confirm); err != nil {
		return err
	}
	yes := c.confirm.Verdict == invite.Accepted
	settled, err := p.Book.Settle(ctx, t, func(ctx context.Context, tx *sql.Tx) error {
		if !yes {
			return nil
		}
		return p.Keys.Vouch(ctx, tx, t.Issuer, devicesOf(t.Names))
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	delete(p.said, t.ID)
	p.mu.Unlock()
	if !yes {
		return &VerdictError{t.Issuer, c.confirm.Verdict}
	}
	if !settled { // by another process of the account, or the issuer was removed meanwhile
		return nil
	}
	p.Report(event.Acquainted{Peer: t.Issuer.String(), Invitation: Name(t.ID), Devices: len(t.Names), Verified: true})
	p.mind(ctx, t.Issuer)
	if err := p.Account.Approve(ctx, t.Issuer); err != nil {
		return err
	}
	if s := p.Account.Subscription(t.Issuer); s == "to" || s == "both" {
		return nil
	}
	return p.Account.Subscribe(ctx, t.Issuer) // the first request may be lost; who sees us already does nothing
}
