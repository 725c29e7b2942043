package transfer

import (
	"errors"
	"testing"

	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
)

// busy is an actor whose session belongs to a key, and a way to tell it of another session
// of the contact.
func busy(t *testing.T, key []byte) (v *visits, tell func(key []byte) *incoming) {
	t.Helper()
	r := &receiver{e: &unconnected().core}
	id := journal.Key{ID: "x", Direction: journal.Receive}
	r.actors.Tell(id, &notice{}, func(b *mailbox) func() {
		v = &visits{r: r, box: b, begun: true, keys: [][]byte{key}}
		return func() {}
	})
	v.box.Hear()
	return v, func(key []byte) *incoming {
		in := &incoming{r: r, e: r.e, sess: new(jingle.Session), head: event.Head{Transfer: "x"}, looked: func() {}, ended: make(chan struct{})}
		in.dev.IdentityKey = key
		r.actors.Tell(id, in, nil)
		return in
	}
}

func isEnded(in *incoming) bool {
	select {
	case <-in.ended:
		return true
	default:
		return false
	}
}

// TestForeignSessionIsOver: a session of another key for a transfer that is under way is
// over at once, and does not disturb that. A user who stops the run does not wait for it.
func TestForeignSessionIsOver(t *testing.T) {
	v, tell := busy(t, []byte("romeo's"))
	in := tell([]byte("another's"))
	if err := v.woken(); err != nil || len(v.next) > 0 {
		t.Errorf("disturbed: %v", err)
	}
	if !isEnded(in) || !errors.Is(in.no, journal.ErrForeign) {
		t.Errorf("ended: %t, %v", isEnded(in), in.no)
	}
}

// TestNewestSession: of the sessions that come while one is under way the last one takes
// its place, and those before it are over.
func TestNewestSession(t *testing.T) {
	v, tell := busy(t, []byte("romeo's"))
	older, newest := tell([]byte("romeo's")), tell([]byte("romeo's"))
	if err := v.woken(); !errors.Is(err, fault.ErrSuperseded) || len(v.next) != 1 || v.next[0] != newest {
		t.Errorf("%v, %d wait", err, len(v.next))
	}
	if !isEnded(older) || isEnded(newest) {
		t.Error("the wrong one is over")
	}
}
