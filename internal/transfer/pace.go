package transfer

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
	// files of an honest batch come one by one and no faster. What is more is not
	// refused but waits, and counts among the sessions of the contact, which are
	// bounded (jingle.DefaultMaxPerContact).
	contactOffers = rate.Limit(10)
	contactBurst  = 100
	// maxPaces bounds the contacts whose pace is remembered. Who is beyond it
	// shares one.
	maxPaces = 1000
)

// paces holds back the offers of each contact. The zero value is ready.
type paces struct {
	of percontact.Table[rate.Limiter]
}

// wait returns when an offer of the contact may be looked at, or an error when
// ctx has ended.
func (p *paces) wait(ctx context.Context, bare jid.JID) error {
	if err := p.limiter(bare).Wait(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err // the deadline of ctx would come first
	}
	return nil
}

func (p *paces) limiter(bare jid.JID) *rate.Limiter {
	return p.of.Account(bare, maxPaces, func() *rate.Limiter { return rate.NewLimiter(contactOffers, contactBurst) }, nil)
}
