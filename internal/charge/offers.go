package charge

import (
	"context"

	"golang.org/x/time/rate"

	"jetsend/internal/jid"
	"jetsend/internal/percontact"
)

const (
	// contactOffers is how many offers of one contact a receiver looks at per
	// second, once contactBurst came at once: 600 a minute. To look at one means
	// to open an OMEMO envelope, which is a synced transaction of some
	// milliseconds, so that a contact gets a small share of the machine. The
	// files of an honest batch come one by one and no faster. An offer beyond
	// that is not refused but waits, and counts among the sessions of the
	// contact, which are bounded (jingle.DefaultMaxPerContact).
	contactOffers = rate.Limit(10)
	contactBurst  = 100
	// maxPaces bounds the contacts whose pace is remembered. The contacts
	// beyond it share one.
	maxPaces = 1000
	// strangerOffers and strangersAtOnce bound how often somebody who is neither
	// a contact nor named may make us open an envelope, all of them together.
	strangerOffers  = rate.Limit(1)
	strangersAtOnce = 30
)

// Strangers bounds the offers of all strangers together.
func Strangers() *rate.Limiter { return rate.NewLimiter(strangerOffers, strangersAtOnce) }

// Offers holds back the offers of each contact. The zero value is ready.
type Offers struct {
	of percontact.Table[rate.Limiter]
}

// Wait returns when an offer of the contact may be looked at, or the cause of the end of
// ctx.
func (p *Offers) Wait(ctx context.Context, bare jid.JID) error {
	return paid(ctx, p.limiter(bare).Wait(ctx))
}

// paid is what waiting for a limiter came to, with the cause when ctx ended it.
func paid(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err // or the deadline of ctx would come first
}

func (p *Offers) limiter(bare jid.JID) *rate.Limiter {
	return p.of.Account(bare, maxPaces, func() *rate.Limiter { return rate.NewLimiter(contactOffers, contactBurst) }, nil)
}
