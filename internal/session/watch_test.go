package session

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
)

// TestDeadInTime: the promise of 90 s is kept by the constants.
func TestDeadInTime(t *testing.T) {
	const promised = 90 * time.Second
	if latest := idleTimeout + pingTimeout + 2*watchTick; latest > promised {
		t.Errorf("a dead server may go unnoticed for %v", latest)
	}
	if s := New(Config{}); s.idle != idleTimeout || s.patient != pingTimeout || s.tick != watchTick {
		t.Errorf("a session waits %v, %v and looks every %v", s.idle, s.patient, s.tick)
	}
}

// TestWake lets the clock on the wall jump: a dead stream is noticed and a
// pause ended, both long before their time.
func TestWake(t *testing.T) {
	var mu sync.Mutex
	var ahead time.Duration
	f := &fake{sm: &fakeSM{}}
	f.session = func(c *fakeConn) {
		if c.n == 0 {
			c.silent()
			return
		}
		c.idle()
	}
	s, states := f.start(t).dormant(t, func(s *Session) {
		s.tick, s.patient = 5*time.Millisecond, 50*time.Millisecond
		s.backoff = backoff.Backoff{First: 2 * time.Hour, Last: 2 * time.Hour}
		s.wall = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Round(0).Add(ahead)
		}
	})
	sleep := func() {
		mu.Lock()
		defer mu.Unlock()
		ahead += 8 * time.Hour
	}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	next := func() State { // the watch and the pause may begin only after a jump
		for {
			sleep()
			select {
			case st := <-states:
				return st
			case <-time.After(300 * time.Millisecond):
			}
		}
	}
	if st := next(); st.Up || !errors.Is(st.Err, ErrSilent) {
		t.Errorf("%+v", st)
	}
	if st := next(); st != (State{Up: true}) {
		t.Errorf("%+v", st)
	}
}

// TestAwakeAndAlive: a server that lives is kept, however long the sleep.
func TestAwakeAndAlive(t *testing.T) {
	for _, sm := range []*fakeSM{nil, {}} {
		f := &fake{sm: sm}
		probes := make(chan bool, 100)
		f.session = func(c *fakeConn) {
			for el := c.hear(); el != nil; el = c.hear() {
				if el.Name.Local == "iq" {
					c.stanza(resultOf(el))
					probes <- true
				}
			}
		}
		var mu sync.Mutex
		hours := 0
		s, states := f.start(t).lasting(t, func(s *Session) {
			s.tick = 5 * time.Millisecond
			s.wall = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				if hours++; hours > 5 {
					return time.Now().Round(0).Add(5 * time.Hour)
				}
				return time.Now().Round(0).Add(time.Duration(hours) * time.Hour)
			}
		})
		if sm == nil {
			receive(t, probes)
		} else {
			for asked := 0; asked == 0; time.Sleep(time.Millisecond) {
				sm.mu.Lock()
				asked = sm.asked
				sm.mu.Unlock()
			}
		}
		if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
			t.Error(err)
		}
		select {
		case st := <-states:
			t.Errorf("%+v", st)
		default:
		}
	}
}

// TestManyRounds connects and closes a thousand times: no goroutine and no
// descriptor may be left.
func TestManyRounds(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 50
	}
	f := (&fake{mechanisms: []string{mechPlain}, sm: &fakeSM{}}).start(t)
	cfg := f.config()
	cfg.AllowPlain, cfg.Reconnect = true, true
	round := func() {
		s := New(cfg)
		if err := s.Start(testContext(t)); err != nil {
			t.Fatal(err)
		}
		closeSession(t, s)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for range rounds {
		round()
		f.mu.Lock()
		f.open = f.open[:0]
		f.mu.Unlock()
	}
	settle(t, goroutines, files)
}

// settle waits until no more goroutines and descriptors are there than before:
// the server may not have seen its latest clients go.
func settle(t *testing.T, goroutines, files int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		g, d := runtime.NumGoroutine(), descriptors(t)
		if g <= goroutines && d <= files {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before; %d descriptors, %d before", g, goroutines, d, files)
		}
	}
}

// TestManyCuts resumes a stream over and over.
func TestManyCuts(t *testing.T) {
	const cuts = 100
	f := &fake{mechanisms: []string{mechPlain}, sm: &fakeSM{}}
	f.session = func(c *fakeConn) {
		for el := c.hear(); el != nil; el = c.hear() {
			if el.Name.Local == "message" {
				c.raw.Close()
			}
		}
	}
	s, states := f.start(t).lasting(t, func(s *Session) { s.cfg.AllowPlain = true })
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for range cuts {
		if err := s.Send(testContext(t), stanza.Message{To: romeo}); err != nil {
			t.Fatal(err)
		}
		expect(t, states, State{Up: true})
	}
	settle(t, goroutines, files)
}

// TestCloseAnyTime closes at any moment of a login, a cut and a resumption:
// it never hangs, and leaves nothing behind.
func TestCloseAnyTime(t *testing.T) {
	f := &fake{mechanisms: []string{mechPlain}, sm: &fakeSM{}}
	f.session = func(c *fakeConn) {
		if c.n%2 == 0 {
			c.idle()
		}
	}
	cfg := f.start(t).config()
	cfg.AllowPlain, cfg.Reconnect = true, true
	for i := range 200 {
		s := New(cfg)
		s.backoff = backoff.Backoff{First: 2 * time.Millisecond, Last: 2 * time.Millisecond}
		started := make(chan error, 1)
		go func() { started <- s.Start(testContext(t)) }()
		time.Sleep(time.Duration(i) * 100 * time.Microsecond)
		closeSession(t, s)
		if err := receive(t, started); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrSessionLost) {
			t.Error(err)
		}
		receive(t, s.Done())
		if s.Err() != nil {
			t.Error(s.Err())
		}
	}
}

// descriptors counts the open files of the process, where the system tells.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(d)
}
