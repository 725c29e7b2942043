package backoff

import (
	"context"
	"time"
)

// MaxRestarts bounds how often one run begins again at 0 because the receiver has lost
// what it had, or has other bytes than the sender.
const MaxRestarts = 2

// Attempts counts those of one run to bring something over, piece by piece. It is not for
// several goroutines.
type Attempts struct {
	// Retries is how many attempts in a row may bring nothing before the run gives up; 0
	// gives up at the first that fails.
	Retries int
	// For is how long the run goes on trying after an attempt that failed.
	For    time.Duration
	Pauses Backoff // between attempts
	// Farthest is how many bytes are there for good, of all attempts.
	Farthest int64

	failed int       // in a row, without a byte of progress
	since  time.Time // of the first of them
	lost   int       // how often the receiver had fewer than Farthest again
}

// progress forgets the failures: the transfer came on.
func (r *Attempts) progress() {
	r.failed, r.since = 0, time.Time{}
	r.Pauses.Reset()
}

// Advance reports whether a session that began behind byte from and left so many
// durable bytes brought the transfer on, and then forgets the failures. Bytes that
// a receiver has lost count anew when they come again, but only MaxRestarts times:
// a peer that loses them every time would keep the run going for ever.
func (r *Attempts) Advance(from, durable int64) bool {
	if from < r.Farthest && r.lost < MaxRestarts {
		r.Farthest = from
		r.lost++
	}
	if durable <= r.Farthest {
		return false
	}
	r.Farthest = durable
	r.progress()
	return true
}

// Next says how long to wait before the attempt after one that failed, and whether
// there is one. One that does not count is bounded by For alone.
func (r *Attempts) Next(now time.Time, counts bool) (time.Duration, bool) {
	if r.since.IsZero() {
		r.since = now
	}
	if counts {
		r.failed++
	}
	if r.Retries == 0 || r.failed > r.Retries || now.Sub(r.since) >= r.For {
		return 0, false
	}
	return r.Pauses.Next(), true
}

// Left is how long the run may go on trying.
func (r *Attempts) Left(now time.Time) time.Duration {
	if r.since.IsZero() {
		return r.For
	}
	return r.For - now.Sub(r.since)
}

// Wait waits, unless ctx ends before: then it returns the cause.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
