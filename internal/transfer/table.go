package transfer

import (
	"sync"

	"jetsend/internal/journal"
)

// table holds the actors of a run of Receive, by the transfer that each is. The zero
// value has none, and takes some until close.
type table struct {
	mu     sync.Mutex
	of     map[journal.Key]*visits
	closed bool
	actors sync.WaitGroup
}

// input is what an actor of a run of Receive is told.
type input interface{ isInput() }

// hand tells the actor of a transfer something. Without one it has begin make one, unless
// that is nil; whether there was one to be told is reported.
func (t *table) hand(key journal.Key, in input, begin func() *visits) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.of[key]
	if v == nil {
		if begin == nil || t.closed {
			return false
		}
		if t.of == nil {
			t.of = map[journal.Key]*visits{}
		}
		v = begin()
		t.of[key] = v
		t.actors.Go(func() { v.run() })
	}
	v.told = append(v.told, in)
	select {
	case v.wake <- struct{}{}:
	default: // it looks anyway
	}
	return true
}

// heard takes the oldest thing that an actor was told, nil for nothing.
func (t *table) heard(v *visits) input {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(v.told) == 0 {
		return nil
	}
	in := v.told[0]
	v.told = v.told[1:]
	if len(v.told) > 0 {
		select {
		case v.wake <- struct{}{}:
		default: // it looks anyway
		}
	}
	return in
}

// leave takes an actor out, unless it has been told something. It ends then.
func (t *table) leave(v *visits) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(v.told) > 0 {
		return false
	}
	delete(t.of, v.key)
	return true
}

// close waits for the actors, after the end of the run; there is none from then on.
func (t *table) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.actors.Wait()
}
