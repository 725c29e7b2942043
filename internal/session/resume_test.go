package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// lasting starts a Session that reconnects, quickly. Its changes come by the channel.
func (f *fake) lasting(t testing.TB, setup ...func(*Session)) (*Session, <-chan State) {
	t.Helper()
	s, states := f.dormant(t, setup...)
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	if f.sm != nil && !f.sm.off {
		managed(t, s)
	}
	return s, states
}

// managed waits until stream management is granted, which comes after the roster, or s has ended.
func managed(t testing.TB, s *Session) {
	t.Helper()
	for ctx := testContext(t); !s.Management().Enabled; {
		select {
		case <-s.Done():
			return
		default:
		}
		if err := backoff.Wait(ctx, time.Millisecond); err != nil {
			t.Fatal("no stream management")
		}
	}
}

// dormant is lasting without the Start.
func (f *fake) dormant(t testing.TB, setup ...func(*Session)) (*Session, <-chan State) {
	cfg := f.config()
	states := make(chan State, 100)
	cfg.Reconnect = true
	cfg.State = func(st State) { states <- st }
	s := New(cfg)
	s.backoff = backoff.Backoff{First: 2 * time.Millisecond, Last: 20 * time.Millisecond}
	for _, fn := range setup {
		fn(s)
	}
	t.Cleanup(func() { closeSession(t, s) })
	return s, states
}

// expect waits for the next change to being up, and compares it.
func expect(t testing.TB, states <-chan State, want State) {
	t.Helper()
	if got := nextUp(t, states); got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
}

func nextUp(t testing.TB, states <-chan State) State {
	t.Helper()
	for {
		select {
		case got := <-states:
			if !got.Up {
				if got.Err == nil || got.RetryIn <= 0 {
					t.Errorf("down: %+v", got)
				}
				continue
			}
			return got
		case <-time.After(20 * time.Second):
			t.Fatal("no change of state")
		}
	}
}

func isOpen(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// TestResume cuts the connection under a request, which is answered after the
// resumption, and under one that waits to be sent.
func TestResume(t *testing.T) {
	f := &fake{sm: &fakeSM{}}
	asked := make(chan string, 10)
	f.session = func(c *fakeConn) {
		for iq := c.hear(); iq != nil; iq = c.hear() {
			asked <- iq.Attr("id")
			if c.n == 0 {
				c.raw.Close()
				return
			}
			c.stanza(resultOf(iq))
		}
	}
	s, states := f.start(t).lasting(t)
	lost := s.Lost()
	answered := make(chan error, 1)
	if _, err := s.BeginIQ(testContext(t), romeo, xmltree.New("urn:x", "x"), func(err error) { answered <- err }); err != nil {
		t.Fatal(err)
	}
	first := receive(t, asked)
	expect(t, states, State{Up: true})
	// The cut came before the answer: the request was received, and is not sent again.
	if _, err := s.IQ(testContext(t), romeo, stanza.Get, xmltree.New("urn:x", "y")); err != nil {
		t.Errorf("after the resumption: %v", err)
	}
	if id := receive(t, asked); id == first {
		t.Error("the request was sent twice")
	}
	if !isOpen(lost) || !isOpen(s.Lost()) {
		t.Error("a resumed stream counts as lost")
	}
	if err := s.WaitOnline(testContext(t)); err != nil {
		t.Error(err)
	}
	if n := f.sm.granted(); n != 1 {
		t.Errorf("%d resumptions", n)
	}
	select {
	case err := <-answered:
		t.Errorf("the first request was answered: %v", err)
	default:
	}
	closeSession(t, s)
	if err := receive(t, answered); !errors.Is(err, ErrSessionLost) {
		t.Error(err)
	}
	if isOpen(lost) || isOpen(s.Lost()) {
		t.Error("Lost is open after Close")
	}
	if err := s.WaitOnline(testContext(t)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestResumeRefused: what depended on the stream is told that it is lost, and
// what the server tells at a login is told anew.
func TestResumeRefused(t *testing.T) {
	f := &fake{sm: &fakeSM{refuse: true}}
	cut := make(chan bool)
	f.session = func(c *fakeConn) {
		if c.n == 0 {
			c.stanza("<presence from='romeo@jet.test/orchard'/><presence from='carol@jet.test' type='subscribe'/>")
			c.hear()
			<-cut
			c.raw.Close()
			return
		}
		c.idle()
	}
	seen := make(chan stanza.Presence, 10)
	s, states := f.start(t).lasting(t, func(s *Session) {
		s.HandlePresence(func(_ context.Context, p stanza.Presence) { seen <- p })
	})
	receive(t, seen)
	receive(t, seen)
	if len(s.Resources(romeo)) != 1 || len(s.SubscriptionRequests()) != 1 {
		t.Fatal("the server's presence is not in the cache")
	}
	lost, changed := s.Lost(), s.PresenceChanged()
	answered := make(chan error, 1)
	if _, err := s.BeginIQ(testContext(t), romeo, xmltree.New("urn:x", "x"), func(err error) { answered <- err }); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.boundJID = "juliet@jet.test/other"
	f.mu.Unlock()
	cut <- true
	if err := receive(t, answered); !errors.Is(err, ErrSessionLost) {
		t.Errorf("pending request: %v", err)
	}
	receive(t, lost)
	receive(t, changed)
	expect(t, states, State{Up: true, Fresh: true}) // the request had arrived, says <failed/>
	if len(s.Resources(romeo)) != 0 || len(s.SubscriptionRequests()) != 0 {
		t.Error("the cache knows more than the new stream has told")
	}
	if got := s.JID().Resource(); got != "other" {
		t.Errorf("resource %s", got)
	}
	if !isOpen(s.Lost()) {
		t.Error("the new stream is lost already")
	}
	if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
		t.Error(err)
	}
}

// TestDeaf has a server resume a stream and then take nothing of it: that is
// noticed, though it goes on to send.
func TestDeaf(t *testing.T) {
	f := &fake{sm: &fakeSM{deaf: true}}
	f.session = func(c *fakeConn) {
		if c.n > 0 {
			c.stanza("<message from='romeo@jet.test/orchard'/>")
			c.idle()
		}
	}
	s, states := f.start(t).lasting(t, func(s *Session) { s.proveTime = 50 * time.Millisecond })
	lost := s.Lost()
	if got := nextUp(t, states); !got.Fresh {
		t.Errorf("%+v", got)
	}
	if isOpen(lost) || f.sm.granted() != 1 {
		t.Errorf("lost %v, %d resumptions", !isOpen(lost), f.sm.granted())
	}
}

// TestUnacked loses stanzas for good, which is told.
func TestUnacked(t *testing.T) {
	f := &fake{sm: &fakeSM{refuse: true, mute: true}}
	got := make(chan bool, 10)
	f.session = func(c *fakeConn) {
		if c.n > 0 {
			c.idle()
			return
		}
		f.sm.mu.Lock()
		f.sm.on = nil // so that the h of <failed/> knows nothing of them
		f.sm.mu.Unlock()
		for range 3 {
			for el := c.hear(); el != nil && el.Name.Local != "message"; el = c.hear() {
				// asks for an acknowledgement, after a while
			}
			got <- true
		}
	}
	s, states := f.start(t).lasting(t)
	for range 3 {
		if err := s.Send(testContext(t), stanza.Message{To: romeo}); err != nil {
			t.Fatal(err)
		}
		receive(t, got)
	}
	expect(t, states, State{Up: true, Fresh: true, Unacked: 3})
}

// TestLies has servers acknowledge what was never sent, while resuming and at
// any time, or resume another stream. The stream ends, with the reason where
// XEP-0198 has one, and a login follows.
func TestLies(t *testing.T) {
	for name, tt := range map[string]struct {
		sm     *fakeSM
		say    string
		reason bool
	}{
		"resumed":       {&fakeSM{lie: 1000}, "", true},
		"resumed what":  {&fakeSM{other: "sm77"}, "", false},
		"too high":      {&fakeSM{}, "<a xmlns='urn:xmpp:sm:3' h='1000'/>", true},
		"backwards":     {&fakeSM{}, "<a xmlns='urn:xmpp:sm:3' h='4294967295'/>", true},
		"no number":     {&fakeSM{}, "<a xmlns='urn:xmpp:sm:3' h='x'/>", false},
		"silly enabled": {&fakeSM{}, "<enabled xmlns='urn:xmpp:sm:3' id='other' resume='true'/><failed xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='77'/>", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{sm: tt.sm}
			complaint := make(chan *xmltree.Element, 1)
			f.script = map[string]func(*fakeConn) bool{"bind": func(c *fakeConn) bool {
				if !c.bind() {
					return true
				}
				if tt.sm.resumed(c) { // the lie is told
					complaint <- c.hear()
					return true
				}
				return false
			}}
			f.session = func(c *fakeConn) {
				if c.n > 0 {
					c.idle()
					return
				}
				if tt.say == "" {
					return
				}
				c.say(tt.say)
				complaint <- c.hear()
			}
			_, states := f.start(t).lasting(t)
			el := receive(t, complaint)
			if told := el != nil && el.Name.Local == "error" && el.Child(nsSM, "handled-count-too-high") != nil; told != tt.reason || el != nil && !told {
				t.Errorf("the server was told %v", el)
			}
			if got := nextUp(t, states); !got.Fresh {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestEnableRefused and servers that acknowledge but do not resume.
func TestEnableRefused(t *testing.T) {
	f := &fake{sm: &fakeSM{off: true}}
	cut := make(chan bool)
	f.session = func(c *fakeConn) {
		if c.n == 0 {
			<-cut
			return
		}
		c.idle()
	}
	s, states := f.start(t).lasting(t)
	lost := s.Lost()
	cut <- true
	receive(t, lost)
	expect(t, states, State{Up: true, Fresh: true})
	if f.saw("resume") {
		t.Error("asked to resume what the server never enabled")
	}
}

// TestFullLanes: with nothing acknowledged the application is held back.
func TestFullLanes(t *testing.T) {
	f := &fake{sm: &fakeSM{mute: true}}
	s, _ := f.start(t).lasting(t)
	ctx, cancel := context.WithTimeout(testContext(t), 2*time.Second)
	defer cancel()
	n := 0
	var err error
	for ; err == nil && n < 2*maxUnacked; n++ {
		err = s.Send(ctx, stanza.Message{To: romeo})
	}
	if !errors.Is(err, context.DeadlineExceeded) || n > maxUnacked+controlLane+1 {
		t.Errorf("%d were queued: %v", n, err)
	}
}

// TestFloodOfRequests has more requests ahead of the acknowledgement than may
// be unacknowledged: reader and writer must not wait for each other.
func TestFloodOfRequests(t *testing.T) {
	const n = 3 * (maxUnacked + controlLane + inboxStanzas)
	f := &fake{sm: &fakeSM{mute: true}}
	done := make(chan bool, 1)
	f.session = func(c *fakeConn) {
		c.f.wg.Go(func() {
			for i := range n {
				c.say(fmt.Sprintf("<iq type='get' id='%d' from='romeo@jet.test/orchard'><ping xmlns='urn:xmpp:ping'/></iq>", i))
			}
		})
		for i := range n {
			if el := c.hear(); el == nil || el.Attr("id") != fmt.Sprint(i) {
				t.Errorf("answer %d: %v", i, el)
				return
			}
		}
		done <- true
		_, _ = io.Copy(io.Discard, c)
	}
	s, _ := f.start(t).dormant(t)
	s.ackPatience = 10 * time.Millisecond
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	receive(t, done)
}

// TestLossWhileFull loses a stream when a flood of requests has filled all that
// is bounded: what is not acknowledged, the lane, the inbox. Reader, dispatcher
// and supervisor must not wait for each other, and each request is answered once.
func TestLossWhileFull(t *testing.T) {
	const n = maxUnacked + controlLane + inboxStanzas + 100 // the rest waits in the connection
	f := &fake{sm: &fakeSM{mute: true}}
	done := make(chan bool)
	next := 0
	f.sm.counted = func(el *xmltree.Element) {
		if el.Attr("type") != typeResult {
			return
		}
		if el.Attr("id") != strconv.Itoa(next) {
			t.Errorf("answer %d: %v", next, el)
		}
		if next++; next == n {
			close(done)
		}
	}
	f.session = func(c *fakeConn) {
		if c.n == 0 {
			var flood strings.Builder
			f.sm.mu.Lock()
			for i := range n {
				iq := fmt.Sprintf("<iq type='get' id='%d' from='romeo@jet.test/orchard'><ping xmlns='urn:xmpp:ping'/></iq>", i)
				f.sm.out = append(f.sm.out, iq)
				flood.WriteString(iq)
			}
			f.sm.mu.Unlock()
			c.f.wg.Go(func() { c.say(flood.String()) })
		}
		c.idle()
	}
	s, states := f.start(t).lasting(t, func(s *Session) { s.ackPatience = time.Hour })
	s.mu.Lock()
	st := s.stream
	s.mu.Unlock()
	waitUntil(t, func() bool {
		f.sm.mu.Lock()
		defer f.sm.mu.Unlock()
		// Unlike a server, the fake does not read while it writes what it has kept: it has to
		// have something to acknowledge when it resumes, or each waits for the other.
		return len(st.b.control) == controlLane && len(s.inbox) == inboxStanzas && f.sm.h >= maxUnacked
	})
	f.sm.mu.Lock()
	f.sm.mute = false
	f.sm.mu.Unlock()
	st.fail(ErrSilent) // as the watch does: nobody reads the connection, to notice its end
	expect(t, states, State{Up: true})
	receive(t, done)
}
