package acquaint

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
)

// welcome lets somebody in who proves to hold a link, and confirms.
func (p *Party) welcome(ctx context.Context, c coming) error {
	who, self := c.redeem.From.Bare(), p.Account.JID().Bare()
	if who == self { // a server may say so, and a key of our own account is nobody's to add
		return invite.ErrProof
	}
	i, err := p.Book.Get(ctx, c.redeem.ID)
	if errors.Is(err, ErrUnknown) {
		p.unknown(c.from)
		return nil
	}
	if err != nil {
		return err
	}
	if err := i.letter(self).Check(i.keys, c.redeem); err != nil {
		return err
	}
	done, err := p.Book.Redeem(ctx, c.redeem, p.Keys)
	if err != nil {
		return err
	}
	if done.Fresh {
		p.Report(event.Acquainted{Peer: who.String(), Invitation: Name(i.ID), Devices: len(c.redeem.Devices), Verified: true})
		p.mind(ctx, who)
	}
	if done.Accept {
		if err := p.accept(ctx, who); err != nil {
			return err
		}
	}
	return p.tell(ctx, c.redeem.From, c.redeem.Confirm(i.keys, invite.NewNonce(), done.Verdict).Element())
}

// mind says which devices of somebody are refused from now on that have taken part in transfers:
// whoever may use a link that is for anybody, nobody could say before.
func (p *Party) mind(ctx context.Context, who jid.JID) {
	all, err := p.Keys.Devices(ctx, who)
	if err != nil {
		p.Log.Warn("devices", "of", who, "error", err)
	}
	for _, d := range all {
		if d.Trust == omemo.Undecided && d.Active && !d.LastUsed.IsZero() {
			p.Report(event.Warning{Text: fmt.Sprintf("device %d of %s is refused from now on, until its key is verified", d.ID, clean.Text(who.String()))})
		}
	}
}

// letIn accepts who shows a token, where the invitation says so. It verifies nothing: both
// servers have seen the token.
func (p *Party) letIn(ctx context.Context, c coming) error {
	done, err := p.Book.LetIn(ctx, *c.token, c.from)
	if errors.Is(err, ErrUnknown) { // a request like any other
		return nil
	}
	if err != nil || !done.Accept {
		return err
	}
	if done.Fresh {
		p.Report(event.Acquainted{Peer: c.from.String(), Invitation: Name(*c.token)})
	}
	return p.accept(ctx, c.from)
}

// accept lets somebody see us and asks to see them. Until they have asked there may be nothing
// to accept: then they come again.
func (p *Party) accept(ctx context.Context, who jid.JID) error {
	for _, do := range []func() error{
		func() error { return p.Account.Approve(ctx, who) },
		func() error { return p.Account.Subscribe(ctx, who) },
		func() error { return p.Account.RefreshRoster(ctx) },
	} {
		if err := do(); err != nil {
			return fmt.Errorf("accept %s: %w", who, err)
		}
	}
	if session.SeesUs(p.Account.Subscription(who)) {
		return p.Book.Accepted(ctx, who)
	}
	return nil
}

// unknown tells of an invitation that this state directory has not issued: another one of
// the account may have.
func (p *Party) unknown(from jid.JID) {
	if p.strange.Allow() {
		p.Report(event.Warning{Text: clean.Text(from.Bare().String()) +
			" shows an invitation that was not made on this machine; if you made it on another one, run `jetsend receive` there"})
	}
}
