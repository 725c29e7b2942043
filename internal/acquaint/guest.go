package acquaint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
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
}

// Error says it for people.
func (e *VerdictError) Error() string {
	return fmt.Sprintf("the invitation of %s %s", clean.Text(e.Issuer.String()), verdicts[e.Verdict])
}

// The paces at which what was taken is said again: while somebody waits, and else, depending
// on how long it has waited.
const (
	sayAgain   = 2 * time.Second
	sayLater   = time.Minute
	sayLatest  = 30 * time.Minute
	maxAsked   = 8 // clients that are told one by one
	answerTime = 10 * time.Second
)

// Redeem redeems a link that was taken, and returns when it is answered: nil when both ends
// have verified each other, a [*VerdictError], or the cause of ctx.
func (p *Party) Redeem(ctx context.Context, t *Taken) error {
	for {
		if err := p.say(ctx, t); err != nil {
			return err
		}
		for next := time.After(sayAgain); next != nil; {
			select {
			case c := <-p.waiting:
				err := p.answer(ctx, c)
				if c.confirm != nil && c.confirm.ID == t.ID && p.said[t.ID] == nil {
					return err
				}
				p.logged(ctx, c, err)
			case <-next:
				next = nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// sayAll says all that was taken, and returns when to say it again.
func (p *Party) sayAll(ctx context.Context) (pause time.Duration) {
	all, err := p.Book.Taken(ctx)
	pause = sayLatest
	for i := range all {
		pause = min(pause, max(sayLater, p.Book.now().Sub(all[i].Made)/10))
		err = errors.Join(err, p.say(ctx, &all[i]))
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Warn("redeem", "error", clean.Error(err))
		pause = sayLater
	}
	return pause
}

// say redeems a link: with the request to see the issuer, which is kept for them while they are
// away but may lose what it carries; with a greeting, which all their clients get that are
// online; and to each client that we see.
func (p *Party) say(ctx context.Context, t *Taken) error {
	names, err := Names(ctx, p.Keys)
	if err != nil {
		return err
	}
	r := t.Redeem(t.keys, p.Account.JID(), t.nonce, names)
	p.said[t.ID] = r
	if err := p.Account.SubscribeWith(ctx, t.Issuer, t.Preauth(), r.Element()); err != nil {
		return err
	}
	if err := p.Account.Greet(ctx, t.Issuer, r.Element()); err != nil {
		return err
	}
	seen := p.Account.Resources(t.Issuer)
	for _, to := range seen[:min(len(seen), maxAsked)] {
		if err := p.tell(ctx, to.JID, r.Element()); err != nil {
			return err
		}
	}
	return nil
}

// tell says something to one client. Its answer says nothing, see iq, and so does none.
func (p *Party) tell(ctx context.Context, to jid.JID, e *xmltree.Element) error {
	wait, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := p.Account.IQ(wait, to, stanza.Set, e)
	var answer *stanza.Error
	if errors.As(err, &answer) || wait.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// confirmed takes an answer to what we have said. With a yes the issuer's keys that the link
// names are verified, and the issuer may see us.
func (p *Party) confirmed(ctx context.Context, c coming) error {
	r := p.said[c.confirm.ID]
	if r == nil {
		return nil
	}
	all, err := p.Book.Taken(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(t Taken) bool { return t.ID == c.confirm.ID })
	if at < 0 {
		return nil
	}
	t := &all[at]
	if err := r.Check(t.keys, c.confirm); err != nil {
		return err
	}
	yes := c.confirm.Verdict == invite.Accepted
	if yes {
		if err := p.Account.Approve(ctx, t.Issuer); err != nil {
			return err
		}
	}
	settled, err := p.Book.Settle(ctx, t, func(ctx context.Context, tx *sql.Tx) error {
		if !yes {
			return nil
		}
		return p.Keys.Vouch(ctx, tx, t.Issuer, keysOf(t.Names))
	})
	if err != nil || !settled {
		return err
	}
	delete(p.said, t.ID)
	if !yes {
		return &VerdictError{t.Issuer, c.confirm.Verdict}
	}
	p.Report(event.Acquainted{Peer: t.Issuer.String(), Invitation: Name(t.ID), Devices: len(t.Names), Verified: true})
	return nil
}
