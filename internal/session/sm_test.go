package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// TestAckPolicy checks when acknowledgements are asked for and given.
func TestAckPolicy(t *testing.T) {
	m := management{wake: make(chan struct{}, 1)}
	m.push([]byte("before enable"))
	m.enable()
	if got := m.appendOwed(nil, true); got != nil {
		t.Errorf("%s before the server has agreed", got)
	}
	m.push([]byte("x"))
	sm := func(s string) {
		t.Helper()
		el, err := xmltree.Parse([]byte(strings.Replace(s, " ", " xmlns='urn:xmpp:sm:3' ", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.element(el); err != nil {
			t.Fatal(err)
		}
	}
	sm("<enabled id='a' resume='1' max='60' location='h:1'/>")
	if m.resumeFor() != time.Minute || m.place() != "h:1" || !m.resumable() {
		t.Errorf("%v %q %v", m.resumeFor(), m.place(), m.resumable())
	}
	want := func(what, want string, settled bool) {
		t.Helper()
		if got := string(m.appendOwed(nil, settled)); got != want {
			t.Errorf("%s: %q", what, got)
		}
	}
	const r = "<r xmlns='urn:xmpp:sm:3'/>"
	want("sent before the server agreed", r, false)
	want("nothing new", "", true)
	m.push([]byte("x"))
	want("one stanza", "", false)
	want("one stanza, a while ago", r, true)
	for range askStanzas {
		m.push([]byte("x"))
	}
	want("many stanzas", r, false)
	m.push(make([]byte, askBytes))
	want("many bytes", r, false)
	for range 3 {
		m.received()
	}
	sm("<r />")
	want("asked", "<a xmlns='urn:xmpp:sm:3' h='3'/>", false)
	want("not asked", "", false)
	if !m.request() {
		t.Error("no acknowledgement can be had")
	}
	want("liveness", r, false)
	if got := string(m.appendLast(nil)); got != "<a xmlns='urn:xmpp:sm:3' h='3'/>" {
		t.Errorf("last: %q", got)
	}
	sm("<a h='5'/>")
	if n := m.unacked(); n != askStanzas-2 {
		t.Errorf("%d not acknowledged", n)
	}
}

// TestCounterWraps lets both counters pass 2^32.
func TestCounterWraps(t *testing.T) {
	m := management{wake: make(chan struct{}, 1), asked: true, on: true, keep: true, id: "a"}
	m.sent, m.acked, m.handled = 1<<32-3, 1<<32-3, 1<<32-1
	for i := range 10 {
		m.push([]byte{byte(i)})
	}
	m.received()
	if m.handled != 0 {
		t.Errorf("handled %d", m.handled)
	}
	again, _, err := m.resumed(xmltree.New(nsSM, "resumed").Set("previd", "a").Set("h", "4"))
	if err != nil || len(again) != 3 || again[0][0] != 7 || m.size != 3 {
		t.Errorf("%v %v", again, err)
	}
	if err := m.element(xmltree.New(nsSM, "a").Set("h", "8")); !errors.Is(err, errAckTooHigh) {
		t.Error(err)
	}
	if err := m.element(xmltree.New(nsSM, "a").Set("h", "3")); !errors.Is(err, errAckTooHigh) {
		t.Errorf("backwards: %v", err)
	}
}

// TestUnackedIsBounded has a server that acknowledges nothing: at first
// nothing more is sent, and then without the chance to resume.
func TestUnackedIsBounded(t *testing.T) {
	for name, big := range map[string]bool{"stanzas": false, "bytes": true} {
		t.Run(name, func(t *testing.T) {
			m := management{wake: make(chan struct{}, 1), asked: true, on: true, keep: true, id: "a"}
			size, most := 10, maxUnacked
			if big {
				size, most = 256<<10, maxUnackedBytes/(256<<10)
			}
			n := 0
			for ok := true; ok && n <= most; ok, _ = m.room(time.Hour) {
				m.push(make([]byte, size))
				n++
			}
			if n != most {
				t.Errorf("%d fit, want %d", n, most)
			}
			if ok, wait := m.room(time.Hour); ok || wait > time.Hour {
				t.Errorf("%v %v", ok, wait)
			}
			if ok, _ := m.room(0); !ok || m.resumable() || m.queue != nil {
				t.Error("still waiting for the server")
			}
			if m.unacked() != most {
				t.Errorf("%d not acknowledged", m.unacked())
			}
		})
	}
}

// FuzzManagement has a server answer what we send with anything: what is kept
// is always exactly what was sent and not acknowledged.
func FuzzManagement(f *testing.F) {
	f.Add([]byte("sssa\x02rs"), uint32(0))
	f.Add([]byte("ssssa\x04R\x02ss"), uint32(1<<32-3))
	f.Add([]byte("sFsa\x09"), uint32(7))
	f.Add([]byte("ssW\x01"), uint32(0))
	f.Fuzz(func(t *testing.T, ops []byte, start uint32) {
		m := management{wake: make(chan struct{}, 1), sent: start, acked: start}
		m.enable()
		if err := m.element(xmltree.New(nsSM, "enabled").Set("id", "a").Set("resume", "true")); err != nil {
			t.Fatal(err)
		}
		for len(ops) > 0 {
			op := ops[0]
			h := "x"
			if ops = ops[1:]; len(ops) > 0 {
				h = strconv.FormatUint(uint64(start+uint32(ops[0])), 10)
			}
			before := m.unacked()
			var err error
			switch op {
			case 's':
				m.push([]byte("stanza"))
			case 'a':
				err = m.element(xmltree.New(nsSM, "a").Set("h", h))
			case 'R':
				var again [][]byte
				if again, _, err = m.resumed(xmltree.New(nsSM, "resumed").Set("previd", "a").Set("h", h)); err == nil && len(again) != m.unacked() {
					t.Errorf("%d to be sent again, %d not acknowledged", len(again), m.unacked())
				}
			case 'W':
				if _, _, err = m.resumed(xmltree.New(nsSM, "resumed").Set("previd", "other").Set("h", h)); err == nil || m.resumable() || len(m.queue) > 0 {
					t.Errorf("another stream was resumed: %v, %d stanzas kept", err, len(m.queue))
				}
			case 'F':
				m.refused(xmltree.New(nsSM, "failed").Set("h", h))
			default:
				err = m.element(xmltree.New(nsSM, string(rune(op))).Set("h", h))
			}
			if op != 's' && m.unacked() > before {
				t.Errorf("%q: %d not acknowledged, %d before", op, m.unacked(), before)
			}
			if m.keep && (len(m.queue) != m.unacked() || m.size != len("stanza")*len(m.queue)) {
				t.Errorf("%d stanzas of %d bytes kept, %d not acknowledged", len(m.queue), m.size, m.unacked())
			}
			m.appendOwed(nil, op%2 == 0)
			if err != nil {
				return
			}
		}
	})
}

// TestLastAcknowledgement: what the end leaves in the inbox is not acknowledged,
// so that the server finds another way for it.
func TestLastAcknowledgement(t *testing.T) {
	const n = 5
	for _, unhandled := range []bool{false, true} {
		f := &fake{sm: &fakeSM{}}
		ended := make(chan bool)
		f.session = func(c *fakeConn) {
			for i := range n {
				c.stanza(fmt.Sprintf("<message from='romeo@jet.test/orchard' id='%d'><x xmlns='urn:x'/></message>", i))
			}
			c.idle()
			close(ended)
		}
		go1, handled := make(chan bool), make(chan bool, n)
		s, _ := f.start(t).lasting(t, patientClose, func(s *Session) {
			s.HandleMessage("urn:x", "x", func(context.Context, stanza.Message) { <-go1; handled <- true })
		})
		if unhandled {
			waitUntil(t, func() bool { return len(s.inbox) == n-1 })
		} else {
			close(go1)
			for range n {
				receive(t, handled)
			}
			waitUntil(t, func() bool { // the reader may count the last one later than it is handled
				f.sm.mu.Lock()
				said := f.sm.acked + uint32(len(f.sm.out))
				f.sm.mu.Unlock()
				m := &s.bound.sm
				m.mu.Lock()
				defer m.mu.Unlock()
				return m.waiting == 0 && m.handled == said
			})
		}
		closed := make(chan error, 1)
		go func() { closed <- s.Close(testContext(t)) }()
		receive(t, ended)
		if unhandled {
			close(go1)
		}
		if err := receive(t, closed); err != nil {
			t.Error(err)
		}
		f.sm.mu.Lock()
		left := len(f.sm.out)
		f.sm.mu.Unlock()
		if unhandled && left < n-1 || !unhandled && left > 0 {
			t.Errorf("unhandled %v: the server still holds %d stanzas", unhandled, left)
		}
	}
}

// waitUntil looks again and again, far longer than it takes.
func waitUntil(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came")
		}
	}
}

// lateLoss is a context that is looked at when queue waits for room in a lane:
// the binding is lost at that moment.
type lateLoss struct {
	context.Context
	b *binding
}

func (l lateLoss) Done() <-chan struct{} {
	l.b.fail(ErrSilent)
	return nil
}

// TestQueueOfLost: what is queued while the binding is lost is told as lost, not
// left in a lane that nobody reads.
func TestQueueOfLost(t *testing.T) {
	for range 100 { // which of two ready channels is taken is drawn
		b := newBinding(nil)
		if err := b.queue(lateLoss{t.Context(), b}, []byte("x"), controlPriority); !errors.Is(err, ErrSessionLost) || !errors.Is(err, ErrSilent) {
			t.Fatal(err)
		}
	}
}
