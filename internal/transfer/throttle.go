package transfer

import (
	"context"
	"sync"
	"time"
)

// burstTime is how much of a rate limit may go at once, by all transfers
// together: enough for a steady stream, too little to be seen.
const burstTime = time.Second / 4

// throttle is the rate limit of an endpoint in one direction. All its transfers
// share it, also those that the contact asked for and those that are resumed. The
// zero value is no limit.
type throttle struct {
	mu   sync.Mutex
	rate int64     // bytes per second; 0: no limit
	paid time.Time // when all that was let through so far is within the rate
}

// set changes the limit, also for what runs. 0 is none.
func (t *throttle) set(bytesPerSecond int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate = max(bytesPerSecond, 0)
}

// unit is how many bytes are moved at once: it shrinks with the rate, so that a
// slow limit is a steady trickle.
func (t *throttle) unit() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unitNow()
}

func (t *throttle) unitNow() int {
	if t.rate == 0 {
		return chunk
	}
	return int(min(max(int64(burstTime.Seconds()*float64(t.rate)), 1), chunk))
}

// wait returns when n bytes more are within the rate, or with the cause of the end
// of ctx. n is at most a unit; more, because the rate was lowered in between, counts
// as one, so that the other end need not wait for minutes.
func (t *throttle) wait(ctx context.Context, n int) error {
	pause := t.charge(n)
	if pause <= 0 {
		return context.Cause(ctx)
	}
	return waitFor(ctx, pause)
}

// charge takes n bytes out of the bucket and returns how long to wait for them.
func (t *throttle) charge(n int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rate == 0 {
		return 0
	}
	now := time.Now()
	if full := now.Add(-burstTime); t.paid.Before(full) {
		t.paid = full
	}
	seconds := float64(min(n, t.unitNow())) / float64(t.rate)
	t.paid = t.paid.Add(time.Duration(seconds * float64(time.Second)))
	return t.paid.Sub(now)
}

// limitRate is the rate of both directions, each for itself.
func (e *Endpoint) limitRate(bytesPerSecond int64) {
	e.sending.set(bytesPerSecond)
	e.receiving.set(bytesPerSecond)
}
