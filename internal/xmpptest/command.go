package xmpptest

import "context"

// command is what a relay was told to do with what it carries from now on.
type command struct {
	stalled chan struct{} // closed when healed; nil while bytes pass
	refuse  bool
	flips   int
	marks   []mark
}

// mark is a count of bytes that somebody waits for.
type mark struct {
	at      int64
	reached chan struct{}
}

// flipped is what [Relay.FlipNext] does to a byte.
const flipped = 0x10

// Stall lets no byte and no end pass, either way, on the open connections and on
// new ones, until [Relay.Heal]. Bytes that the ends write meanwhile wait here.
func (r *Relay) Stall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.command.stalled == nil {
		r.command.stalled = make(chan struct{})
	}
}

// Refuse resets the open connections and, until [Relay.Heal], every new one.
func (r *Relay) Refuse() {
	r.mu.Lock()
	r.command.refuse = true
	r.mu.Unlock()
	r.Cut()
}

// Heal ends what [Relay.Stall] and [Relay.Refuse] began.
func (r *Relay) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command.refuse = false
	if r.command.stalled != nil {
		close(r.command.stalled)
		r.command.stalled = nil
	}
}

// FlipNext inverts a bit of the next byte that comes in, whichever way it goes.
func (r *Relay) FlipNext() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command.flips++
}

// Reached returns a channel that is closed as soon as the relay has taken in so
// many bytes since its start, both ways and all connections together.
func (r *Relay) Reached(bytes int64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := mark{bytes, make(chan struct{})}
	r.command.marks = append(r.command.marks, m)
	r.mark()
	return m.reached
}

// mark closes what was reached. The caller holds mu.
func (r *Relay) mark() {
	total := r.carried.UpCount + r.carried.DownCount
	rest := r.command.marks[:0]
	for _, m := range r.command.marks {
		if m.at <= total {
			close(m.reached)
		} else {
			rest = append(rest, m)
		}
	}
	r.command.marks = rest
}

func (r *Relay) refuses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.command.refuse
}

// obey waits while the relay is stalled and damages p. It returns false when the
// connection ended meanwhile.
func (r *Relay) obey(ctx context.Context, p []byte) bool {
	if !r.wait(ctx) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; i < len(p) && r.command.flips > 0; i++ {
		p[i] ^= flipped
		r.command.flips--
	}
	return true
}

// wait returns when bytes may pass, false when the connection ended before.
func (r *Relay) wait(ctx context.Context) bool {
	for {
		r.mu.Lock()
		stalled := r.command.stalled
		r.mu.Unlock()
		if stalled == nil {
			return ctx.Err() == nil
		}
		select {
		case <-stalled:
		case <-ctx.Done():
			return false
		}
	}
}
