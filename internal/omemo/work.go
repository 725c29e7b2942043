package omemo

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"jetsend/internal/jid"
	"jetsend/internal/percontact"
)

// The work for the envelopes of a contact, in messages, offers and requests alike,
// is charged before it is done: by how much it is, not by how many envelopes there
// are. The unit is about a microsecond of a small machine of today.
const (
	// chainWork is one key further in a chain.
	chainWork = 1
	// keyWork is one key that is kept for a message that was skipped: derived, and
	// written with the session's record.
	keyWork = 10
	// commitWork is what is written, and synced, because somebody says so.
	commitWork = 5000
	// agreementWork is one key agreement: each state of a session takes one for a
	// ratchet key that it does not know, and so do the checks of a key.
	agreementWork = 100
	// beginWork is what a prekey message costs that begins a session: four
	// agreements, a prekey to make, and a bundle to publish anew.
	beginWork = 10_000
	// introductionWork is what a device costs whose key is not known: a list and a
	// bundle of its server are asked for, read and stored.
	introductionWork = 20_000
	// recordBytes is how many bytes of a session's record are read, or written, for one unit. A
	// contact whose numbers jump ahead makes it grow to maxRecordBytes.
	recordBytes = 64
	// contactWork is the work for one contact a second, and contactWorkAtOnce that
	// after a quiet time: a fortieth of a processor, and a quarter of a second of it.
	// An envelope of somebody honest is 200 to 300; one that begins a session or is
	// 2000 ahead is less than a twentieth of what may come at once.
	contactWork       = rate.Limit(25_000)
	contactWorkAtOnce = 250_000
	// maxAccounts bounds the contacts whose work is remembered. The contacts
	// beyond it share one account.
	maxAccounts = 1000
)

// work keeps an account of what is done for each contact, so that one who makes
// us work keeps nobody waiting but himself. The zero value is ready.
type work struct {
	of percontact.Table[rate.Limiter]
}

// account returns that of a contact.
func (w *work) account(of jid.JID, now time.Time) *rate.Limiter {
	return w.of.Account(of, maxAccounts, func() *rate.Limiter { return rate.NewLimiter(contactWork, contactWorkAtOnce) },
		func(l *rate.Limiter) bool { return l.TokensAt(now) >= contactWorkAtOnce })
}

// charge takes the price of work that is about to be done for a contact, or says
// why it is not done.
type charge func(ctx context.Context, price int) error

// refusing is the charge for what may be passed over: ErrTooMany.
func (a *Account) refusing(of jid.JID) charge {
	return func(_ context.Context, price int) error {
		now := a.cfg.Now()
		if !a.work.account(of, now).AllowN(now, min(price, contactWorkAtOnce)) {
			return ErrTooMany
		}
		return nil
	}
}

// waiting is the charge for what somebody waits for: it comes when it is paid for.
func (a *Account) waiting(of jid.JID) charge {
	return func(ctx context.Context, price int) error {
		now := a.cfg.Now()
		r := a.work.account(of, now).ReserveN(now, min(price, contactWorkAtOnce))
		delay := r.DelayFrom(now)
		if delay == 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			r.CancelAt(a.cfg.Now())
			return context.Cause(ctx)
		}
	}
}
