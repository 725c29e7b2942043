package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// streamErr is a stream error as a server says it.
func streamErr(condition, text string) string {
	return "<stream:error><" + condition + " xmlns='" + nsStreamErrors + "'>" + text + "</" + condition + "></stream:error></stream:stream>"
}

// TestReconnect has streams end in all ways that are not for good.
func TestReconnect(t *testing.T) {
	for name, end := range map[string]func(*fakeConn){
		"cleanly":    func(c *fakeConn) { c.say("</stream:stream>"); c.hear() },
		"rudely":     func(c *fakeConn) { c.raw.Close() },
		"reset":      func(c *fakeConn) { _ = c.raw.(*net.TCPConn).SetLinger(0); c.raw.Close() },
		"garbage":    func(c *fakeConn) { c.say("<<<<") },
		"restricted": func(c *fakeConn) { c.say("<!-- -->") },
		"error":      func(c *fakeConn) { c.say(streamErr("connection-timeout", "")) },
		"endless":    func(c *fakeConn) { c.say(strings.Repeat(" ", maxStanza)); c.hear() },
	} {
		for _, sm := range []*fakeSM{nil, {}} {
			if sm != nil && (name == "rudely" || name == "reset") {
				continue // these are resumed: TestResume
			}
			t.Run(name, func(t *testing.T) {
				f := &fake{sm: sm}
				f.session = func(c *fakeConn) {
					if c.n == 0 {
						c.hear()
						end(c)
						return
					}
					c.idle()
				}
				s, states := f.start(t).lasting(t)
				lost, online := s.Lost(), s.PresenceChanged()
				_, err := s.IQ(testContext(t), romeo, stanza.Get, xmltree.New("urn:x", "x"))
				if !errors.Is(err, ErrSessionLost) {
					t.Errorf("pending request: %v", err)
				}
				if got := nextUp(t, states); !got.Fresh {
					t.Errorf("%+v", got)
				}
				receive(t, lost)
				receive(t, online)
				if err := s.WaitOnline(testContext(t)); err != nil {
					t.Error(err)
				}
				if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
					t.Error(err)
				}
				if s.Err() != nil {
					t.Error(s.Err())
				}
			})
		}
	}
}

// TestForGood has the server say what makes going on senseless.
func TestForGood(t *testing.T) {
	refuse := func(condition string) func(*fake) {
		return func(f *fake) {
			f.script["sasl"] = func(c *fakeConn) bool {
				if c.n == 0 {
					return !c.sasl()
				}
				c.hear()
				c.fail(condition)
				return true
			}
		}
	}
	for name, tt := range map[string]struct {
		change func(*fake)
		say    string
		is     func(error) bool
	}{
		"replaced":       {nil, streamErr("conflict", ""), isStream("conflict")},
		"domain gone":    {nil, streamErr("host-gone", ""), isStream("host-gone")},
		"no such domain": {nil, streamErr("host-unknown", ""), isStream("host-unknown")},
		"wrong password": {refuse("not-authorized"), "", isAuth("not-authorized")},
		"disabled":       {refuse("account-disabled"), "", isAuth("account-disabled")},
		"worse mechanism": {func(f *fake) {
			f.script["features"] = func(c *fakeConn) bool {
				list := f.mechanismList()
				if c.n > 0 {
					list = strings.Replace(list, "<mechanism>SCRAM-SHA-256</mechanism>", "", 1)
				}
				return !c.header(list)
			}
		}, "", func(err error) bool { return errors.Is(err, ErrDowngrade) }},
		"not served at the login": {func(f *fake) {
			f.script["features"] = func(c *fakeConn) bool {
				if c.n == 0 {
					return !c.header(f.mechanismList())
				}
				return c.sayError("host-unknown", "")
			}
		}, "", isStream("host-unknown")},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{script: map[string]func(*fakeConn) bool{}, sm: &fakeSM{}}
			if tt.change != nil {
				tt.change(f)
			}
			f.session = func(c *fakeConn) {
				if tt.say != "" {
					c.say(tt.say)
				}
			}
			s, _ := f.start(t).lasting(t)
			lost := s.Lost()
			receive(t, s.Done())
			receive(t, lost)
			if err := s.Err(); !tt.is(err) || !errors.Is(err, ErrSessionLost) {
				t.Errorf("%v", err)
			}
			if err := s.WaitOnline(testContext(t)); !tt.is(err) {
				t.Errorf("WaitOnline: %v", err)
			}
			if _, err := s.IQ(testContext(t), romeo, stanza.Get, nil); !errors.Is(err, ErrSessionLost) || !tt.is(err) {
				t.Errorf("IQ: %v", err)
			}
		})
	}
}

func isStream(condition string) func(error) bool {
	return func(err error) bool {
		var se *StreamError
		return errors.As(err, &se) && se.Condition == condition
	}
}

func isAuth(condition string) func(error) bool {
	return func(err error) bool {
		var ae *AuthError
		return errors.As(err, &ae) && ae.Condition == condition
	}
}

// TestBackoff: a server that restarts is not to be met at its door at once.
func TestBackoff(t *testing.T) {
	s := New(Config{})
	var last time.Duration
	for i, ceiling := 0, backoffFirst; i < 20; i++ {
		d := s.retryIn(ErrSilent)
		if d < ceiling/2 || d > ceiling {
			t.Errorf("pause %d: %v, not within %v", i, d, ceiling)
		}
		ceiling = min(2*ceiling, backoffMost)
		last = max(last, d)
	}
	if last < backoffMost/2 {
		t.Errorf("the longest of 20 pauses is %v", last)
	}
	s.backoff.Reset()
	if d := s.retryIn(&StreamError{Condition: "system-shutdown"}); d < backoffShutdown || d > 2*backoffShutdown {
		t.Errorf("after a shutdown: %v", d)
	}
	s.backoff.Reset()
	if d := s.retryIn(fmt.Errorf("login: %w", &CertificateError{})); d < backoffMost/2 || d > backoffMost {
		t.Errorf("after a certificate: %v", d)
	}
}

// TestOffline checks what can be done while no stream is up, and that Close
// does not wait for the next attempt.
func TestOffline(t *testing.T) {
	f := &fake{session: func(c *fakeConn) { c.say(streamErr("system-shutdown", "")) }}
	s, states := f.start(t).dormant(t)
	s.backoff = backoff.Backoff{First: 2 * time.Hour, Last: 2 * time.Hour}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	st := receive(t, states)
	if st.Up || st.RetryIn < time.Hour || !isStream("system-shutdown")(st.Err) {
		t.Errorf("%+v", st)
	}
	if isOpen(s.Lost()) || !isOpen(s.Done()) {
		t.Error("Lost is open, or Done closed")
	}
	if _, err := s.IQ(testContext(t), romeo, stanza.Get, nil); !errors.Is(err, ErrSessionLost) {
		t.Errorf("IQ: %v", err)
	}
	if err := s.Send(testContext(t), stanza.Message{To: romeo}); !errors.Is(err, ErrSessionLost) {
		t.Errorf("Send: %v", err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, errors.New("enough"))
	defer cancel()
	if err := s.WaitOnline(ctx); err == nil || err.Error() != "enough" {
		t.Errorf("WaitOnline: %v", err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- s.WaitOnline(context.Background()) }()
	closeSession(t, s)
	if err := receive(t, waiting); !errors.Is(err, ErrClosed) {
		t.Errorf("WaitOnline: %v", err)
	}
	if s.Err() != nil {
		t.Error(s.Err())
	}
}

// TestQueuedWhileResuming: requests made while the stream is down go out by the
// next one, and the lanes bound them.
func TestQueuedWhileResuming(t *testing.T) {
	f := &fake{sm: &fakeSM{}}
	f.session = func(c *fakeConn) {
		if c.n > 0 {
			c.idle()
		}
	}
	s, states := f.start(t).dormant(t)
	s.backoff = backoff.Backoff{First: 400 * time.Millisecond, Last: 400 * time.Millisecond}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	receive(t, states) // down
	if !isOpen(s.Lost()) {
		t.Error("lost, while it can be resumed")
	}
	answers := make(chan error, controlLane)
	for range 10 {
		go func() {
			_, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil)
			answers <- err
		}()
	}
	for range 10 {
		if err := receive(t, answers); err != nil {
			t.Error(err)
		}
	}
	expect(t, states, State{Up: true})
}

// TestExpired has the server say for how short a time it keeps a stream.
func TestExpired(t *testing.T) {
	f := &fake{sm: &fakeSM{max: 1}, session: func(*fakeConn) {}}
	s, states := f.start(t).dormant(t)
	s.backoff = backoff.Backoff{First: 2 * time.Hour, Last: 2 * time.Hour}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	_, err := s.IQ(testContext(t), romeo, stanza.Get, nil)
	if !errors.Is(err, ErrSessionLost) {
		t.Error(err)
	}
	if got := nextUp(t, states); !got.Fresh {
		t.Errorf("%+v", got)
	}
	if f.saw("resume") {
		t.Error("asked to resume what has expired")
	}
}
