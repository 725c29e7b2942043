package transfer

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/backoff"
)

// retry counts the attempts of one transfer in one run.
type retry struct {
	opt    RetryOptions
	pauses backoff.Backoff
	failed int       // in a row, without a byte of progress
	since  time.Time // of the first of them

	farthest int64 // durable bytes, of all sessions
	lost     int   // how often the receiver had fewer than that again
}

// progress forgets the failures: the transfer came on.
func (r *retry) progress() {
	r.failed, r.since = 0, time.Time{}
	r.pauses.Reset()
}

// advance tells whether a session that began behind byte from and left so many
// durable bytes brought the transfer on, and then forgets the failures. What a
// receiver has lost counts anew when it comes again, but only maxRestarts times: a
// peer that loses it every time would keep the run going for ever.
func (r *retry) advance(from, durable int64) bool {
	if from < r.farthest && r.lost < maxRestarts {
		r.farthest = from
		r.lost++
	}
	if durable <= r.farthest {
		return false
	}
	r.farthest = durable
	r.progress()
	return true
}

// next says how long to wait before the attempt after one that failed, and whether
// there is one. Those that met the contact's own session for the transfer do not
// count: it may hang for longer than the retries last, until the contact notices.
func (r *retry) next(now time.Time, err error) (time.Duration, bool) {
	if r.since.IsZero() {
		r.since = now
	}
	if !errors.Is(err, errInUse) {
		r.failed++
	}
	if r.opt.Retries == 0 || r.failed > r.opt.Retries || now.Sub(r.since) >= r.opt.For {
		return 0, false
	}
	return r.pauses.Next(), true
}

// left is how long the run may go on trying.
func (r *retry) left(now time.Time) time.Duration {
	if r.since.IsZero() {
		return r.opt.For
	}
	return r.opt.For - now.Sub(r.since)
}

// sleep waits, unless ctx or the endpoint ends before.
func (e *Endpoint) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.sess.Done():
		return errStreamLost
	}
}

// waitFor waits, unless ctx ends before: then it returns the cause.
func waitFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
