package stream

import (
	"context"
	"sync"
	"time"
)

// burstTime is how much of a rate limit may go at once, by all transfers
// together: enough for a steady stream, too little to be seen.
const burstTime = time.Second / 4

// Rate is a limit that streams of one direction share, so that all of them together
// keep to it. The zero value, and nil, is no limit. Its methods may be called from
// any goroutine.
type Rate struct {
	mu   sync.Mutex
	rate int64         // bytes per second; 0: no limit
	paid time.Time     // when all that was let through so far is within the rate
	held chan struct{} // closed when bytes may move again; nil: they may
}

// Hold stops what runs, after the bytes that are on their way, until it is called with
// false. Who waits here keeps its connection, as long as the other end is patient: see
// [Idle].
func (r *Rate) Hold(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case on && r.held == nil:
		r.held = make(chan struct{})
	case !on && r.held != nil:
		close(r.held)
		r.held = nil
	}
}

// hold returns what is closed when bytes may move; nil means now.
func (r *Rate) hold() <-chan struct{} {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// Set changes the limit, also for what runs. 0 is none.
func (r *Rate) Set(bytesPerSecond int64) {
	if bytesPerSecond < 0 { // as it is
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rate = max(bytesPerSecond, 0)
}

// Limit returns the limit in bytes per second; 0 is none.
func (r *Rate) Limit() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rate
}

// unit is how many bytes are moved at once: it shrinks with the rate, so that a
// slow limit is a steady trickle.
func (r *Rate) unit() int {
	if r == nil {
		return Chunk
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unitNow()
}

func (r *Rate) unitNow() int {
	if r.rate == 0 {
		return Chunk
	}
	return int(min(max(int64(burstTime.Seconds()*float64(r.rate)), 1), Chunk))
}

// wait returns when n bytes more are within the rate, or with the cause of the end
// of ctx. n is at most a unit; more, because the rate was lowered in between, counts
// as one, so that the other end need not wait for minutes.
func (r *Rate) wait(ctx context.Context, n int) error {
	for held := r.hold(); held != nil; held = r.hold() {
		select {
		case <-held:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	pause := r.charge(n)
	if pause <= 0 {
		return context.Cause(ctx)
	}
	paid := time.NewTimer(pause)
	defer paid.Stop()
	select {
	case <-paid.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// charge takes n bytes out of the bucket and returns how long to wait for them.
func (r *Rate) charge(n int) time.Duration {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rate == 0 {
		return 0
	}
	now := time.Now()
	if full := now.Add(-burstTime); r.paid.Before(full) {
		r.paid = full
	}
	seconds := float64(min(n, r.unitNow())) / float64(r.rate)
	r.paid = r.paid.Add(time.Duration(seconds * float64(time.Second)))
	return r.paid.Sub(now)
}
