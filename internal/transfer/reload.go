package transfer

import (
	"context"
	"errors"
)

// change puts new options in force.
func (r *receiver) change(ctx context.Context, c Change) {
	next := c.Options
	r.renew(func(t *terms) {
		next.Dir, next.Once, next.Stop, next.Changes = t.Dir, t.Once, t.Stop, t.Changes
		t.ReceiveOptions = next
		if next.Accept == AcceptVerified { // kept up to date for this policy only
			t.learnVerified(ctx)
		}
	})
	r.e.limitRate(next.LimitRate)
	if err := r.e.advertise(ctx, next.Route); err != nil { // the next login does it
		r.e.log.Debug("advertise the transports", "error", err)
	}
	close(c.Applied)
	r.look()
	r.e.upkeep.Newcomer() // other contacts may be worth priming now
}

// look has the keeper look at once.
func (r *receiver) look() {
	select {
	case r.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// errNoReceiver: there is no run of Receive that could be alive.
var errNoReceiver = errors.New("not receiving")

// Alive returns nil when the run of Receive is at work: when its keeper has
// been through a whole look, which needs the locks of the run and the database.
// It does not need the server. It waits for that until ctx ends.
func (e *Endpoint) Alive(ctx context.Context) error {
	r := e.receiver.Load()
	if r == nil {
		return errNoReceiver
	}
	looked := make(chan struct{})
	select {
	case r.alive <- looked:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
