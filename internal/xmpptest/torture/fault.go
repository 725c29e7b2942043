package main

import (
	"context"
	"sync"

	"jetsend/internal/xmpptest"
)

// misfortune waits for the moment of a fault and lets it happen. The moment may
// never come. base is what the carriers had passed when the attempt began.
func (r *round) misfortune(ctx context.Context, f fault, base map[*xmpptest.Relay]int64, said <-chan struct{}) {
	if !r.await(ctx, f.when, base, said) {
		return
	}
	r.happen(ctx, f)
}

// await returns true when the moment has come, false when the attempt ended
// before.
func (r *round) await(ctx context.Context, m moment, base map[*xmpptest.Relay]int64, said <-chan struct{}) bool {
	switch {
	case m.share > 0:
		var watchers sync.WaitGroup
		defer watchers.Wait()
		wait, cancel := context.WithCancel(ctx)
		defer cancel()
		passed := make(chan struct{}, len(base))
		for relay, from := range base {
			reached := relay.Reached(from + r.onWire(m.share))
			watchers.Go(func() {
				select {
				case <-reached:
					passed <- struct{}{}
				case <-wait.Done():
				}
			})
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return false
		}
	case m.event != "":
		select {
		case <-said:
		case <-ctx.Done():
			return false
		}
	}
	sleep(ctx, m.after)
	return ctx.Err() == nil
}

// onWire is about how many bytes a share of the file takes on the carriers.
func (r *round) onWire(share float64) int64 {
	n := share * float64(r.plan.onWire())
	switch r.plan.route {
	case proxy:
		n *= 2 // there and on
	case inBand:
		n = n*inBandGrowth + inBandLogin
	}
	return int64(n)
}

const (
	// inBandGrowth is what base64, stanzas and TLS make of a byte.
	inBandGrowth = 1.45
	// inBandLogin is about what a login takes before the first byte.
	inBandLogin = 20 << 10
)

// happen does what the fault says, for as long as it says, unless there is nobody
// to do it to.
func (r *round) happen(ctx context.Context, f fault) {
	switch f.kind {
	case kill, interrupt, terminate:
		a, k := r.victim(f.end)
		if a == nil || a.Gone() {
			return
		}
		r.fire(f)
		if k != nil {
			k.holdOff(f.hold)
		}
		a.strike(f.kind)
	case killServer:
		r.fire(f)
		// The server comes back whatever happens: other rounds use it.
		if err := r.world.bounce(context.WithoutCancel(ctx), func() { sleep(ctx, f.hold) }); err != nil {
			r.blame("%v", err)
		}
		r.story.add("FAULT", "the server is back")
	default:
		r.fire(f)
		r.damage(ctx, f)
	}
}

// damage does what the fault says to the wires that it is about.
func (r *round) damage(ctx context.Context, f fault) {
	relays := r.wires.carriers()
	if f.kind == cutStream || f.kind == stallStream {
		relays = []*xmpptest.Relay{r.wires.stream[f.end]}
	}
	for _, relay := range relays {
		switch f.kind {
		case cutPath, cutStream:
			relay.Cut()
		case stallPath, stallStream:
			relay.Stall()
		case refusePath:
			relay.Refuse()
		case flipPath:
			relay.FlipNext()
		}
	}
	switch f.kind {
	case stallPath, stallStream, refusePath:
		sleep(ctx, f.hold)
		for _, relay := range relays {
			relay.Heal()
		}
		r.story.add("FAULT", "%s is over", f.kind)
	}
}

// fire remembers that a fault has happened, before it does.
func (r *round) fire(f fault) {
	r.story.add("FAULT", "%s", f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fired[f.kind] = true
	r.faults = append(r.faults, f)
}

// victim is the process of an end that works on the transfer: the command, if it
// has one at the moment, or its daemon with its keeper.
func (r *round) victim(e end) (*actor, *keeper) {
	r.mu.Lock()
	front, k := r.front, r.daemons[e]
	r.mu.Unlock()
	if front != nil && front.end == e && !front.Gone() {
		return front, nil
	}
	if k == nil {
		return nil, nil
	}
	a, _ := k.get()
	return a, k
}
