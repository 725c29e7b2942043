package session

import (
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
)

// TestHidden: a session that is told to shows no presence before Appear, and then
// one, however often that is called.
func TestHidden(t *testing.T) {
	f := (&fake{script: map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		c.idle() // no presence is waited for
		return true
	}}}).start(t)
	s := f.online(t, func(s *Session) { s.cfg.Hidden = true })
	ask := func() { // whatever was sent before has been seen by then
		t.Helper()
		if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if f.saw("presence") {
		t.Fatal("shown before Appear")
	}
	for range 2 {
		if err := s.Appear(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	f.mu.Lock()
	n := 0
	for _, name := range f.seen {
		if name == "presence" {
			n++
		}
	}
	f.mu.Unlock()
	if n != 1 {
		t.Errorf("%d presences", n)
	}
}
