package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

var romeo = jid.MustParse("romeo@jet.test/orchard")

// talk is a server that sends text once online, then answers with idle.
func talk(text string) *fake {
	return &fake{session: func(c *fakeConn) { c.say(text); c.idle() }}
}

// collect registers a handler of messages with <x xmlns='urn:x'/>.
func collect(got chan<- stanza.Message) func(*Session) {
	return func(s *Session) {
		s.HandleMessage("urn:x", "x", func(_ context.Context, m stanza.Message) { got <- m })
	}
}

const last = "<message from='romeo@jet.test/last'><x xmlns='urn:x'/></message>"

// TestHostileStanzas sends what stopped or fooled the stock library.
func TestHostileStanzas(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want []string // senders of the messages that arrive before the last
	}{
		"spoofed attributes": {
			"<message xmlns:e='urn:e' e:from='carol@jet.test/x' e:type='error' from='romeo@jet.test/orchard'><x xmlns='urn:x'/></message>" +
				"<message from='romeo@jet.test/orchard' xmlns:e='urn:e' e:from='carol@jet.test/x'><x xmlns='urn:x'/></message>",
			[]string{"romeo@jet.test/orchard", "romeo@jet.test/orchard"},
		},
		"prefix without a namespace": {"<message xmlns:e='' e:from='carol@jet.test/x' from='romeo@jet.test/orchard'><x xmlns='urn:x'/></message>", nil},
		"nested stanza": {
			"<message from='romeo@jet.test/orchard'><y xmlns='urn:y'><message xmlns='jabber:client' from='carol@jet.test'><x xmlns='urn:x'/></message></y></message>" +
				"<message from='romeo@jet.test/orchard'><message><x xmlns='urn:x'/></message><iq/><presence/></message>",
			nil,
		},
		"priority 500":     {"<presence from='romeo@jet.test/orchard'><priority>500</priority></presence><presence from='romeo@jet.test/b'><priority>x</priority></presence>", nil},
		"bad addresses":    {"<message from='@@/'><x xmlns='urn:x'/></message><presence from='a@b/' /><iq type='get' id='1' from=''><x xmlns='urn:x'/></iq>", nil},
		"no sender":        {"<message><x xmlns='urn:x'/></message>", []string{"juliet@jet.test"}},
		"unknown nonzas":   {"<a xmlns='urn:xmpp:sm:3' h='1'/><r xmlns='urn:xmpp:sm:3'/><failed xmlns='urn:xmpp:sm:3'><item-not-found/></failed><stream:features/><x/>", nil},
		"odd iqs":          {"<iq/><iq type='get'/><iq type='x' id='1'/><iq type='result' id='nobody'/><iq type='error' id='nobody'/>", nil},
		"error message":    {"<message type='error' from='romeo@jet.test/orchard'><x xmlns='urn:x'/><error/></message>", nil},
		"too big":          {"<message from='romeo@jet.test/orchard'><x xmlns='urn:x'>" + strings.Repeat("x", maxStanza) + "</x></message>", nil},
		"too deep":         {"<message from='romeo@jet.test/orchard'><x xmlns='urn:x'/>" + strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200) + "</message>", nil},
		"two sender names": {"<message from='romeo@jet.test/orchard' from='carol@jet.test'><x xmlns='urn:x'/></message>", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan stanza.Message, 10)
			s := talk(tt.in+last).start(t).online(t, collect(got))
			for _, want := range append(tt.want, "romeo@jet.test/last") {
				if m := receive(t, got); m.From.String() != want {
					t.Errorf("from %s, want %s", m.From, want)
				}
			}
			if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
				t.Errorf("the stream is gone: %v", err)
			}
		})
	}
}

// receive waits for a value, far longer than it takes.
func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived")
		panic("unreachable")
	}
}

func TestOrder(t *testing.T) {
	const n = 3000
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<message id='%d' from='romeo@jet.test/orchard'><x xmlns='urn:x'/></message>", i)
	}
	got := make(chan stanza.Message, n)
	talk(b.String()).start(t).online(t, collect(got))
	for i := range n {
		if m := receive(t, got); m.ID != fmt.Sprint(i) {
			t.Fatalf("message %s in place of %d", m.ID, i)
		}
	}
}

func TestPanickingHandler(t *testing.T) {
	answers := make(chan *xmltree.Element, 1)
	f := &fake{session: func(c *fakeConn) {
		c.say("<message from='romeo@jet.test/a'><bang xmlns='urn:x'/></message><presence from='romeo@jet.test/a'/>" +
			"<iq type='get' id='1' from='romeo@jet.test/a'><bang xmlns='urn:x'/></iq>")
		answers <- c.hear()
		c.idle()
	}}
	f.start(t).online(t, func(s *Session) {
		s.HandleMessage("urn:x", "bang", func(context.Context, stanza.Message) { panic("message") })
		s.HandlePresence(func(context.Context, stanza.Presence) { panic("presence") })
		s.HandleIQ("urn:x", func(context.Context, stanza.IQ) (*xmltree.Element, error) { panic("iq") })
	})
	e := stanza.ParseError(receive(t, answers).Child("", "error"), jid.JID{})
	if e.Condition != conditionInternal {
		t.Error(e)
	}
}

func TestClosedByServer(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*fakeConn)
		want error
	}{
		"cleanly": {func(c *fakeConn) { c.say("</stream:stream>"); c.hear() }, ErrStreamEnd},
		"rudely":  {func(c *fakeConn) { c.raw.Close() }, ErrSessionLost},
		"garbage": {func(c *fakeConn) { c.say("<<<<") }, ErrSessionLost},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{session: func(c *fakeConn) { c.hear(); tt.end(c) }}
			s := f.start(t).online(t)
			_, err := s.IQ(testContext(t), romeo, stanza.Get, xmltree.New("urn:x", "x"))
			if !errors.Is(err, ErrSessionLost) {
				t.Errorf("pending iq: %v", err)
			}
			receive(t, s.Done())
			if err := s.Err(); !errors.Is(err, ErrSessionLost) || !errors.Is(err, tt.want) {
				t.Errorf("Err: %v", err)
			}
			if err := s.Send(testContext(t), stanza.Message{To: romeo}); !errors.Is(err, ErrSessionLost) {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

func TestStreamError(t *testing.T) {
	f := talk("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Replaced</text></stream:error></stream:stream>")
	s := New(f.start(t).config())
	_ = s.Start(testContext(t)) // may see the end already
	defer closeSession(t, s)
	receive(t, s.Done())
	var se *StreamError
	if !errors.As(s.Err(), &se) || se.Condition != "conflict" || se.Text != "Replaced" {
		t.Errorf("%#v", s.Err())
	}
}

// TestCloseIsBounded closes towards a server that has stopped to read and
// never ends its stream. A busy machine may need another try.
func TestCloseIsBounded(t *testing.T) {
	const bound = 3 * closeWrite
	least := time.Hour
	for n := 0; n < 5 && least > bound; n++ {
		least = min(least, closeWhileStuck(t))
	}
	if least > bound {
		t.Errorf("Close took %v, and more each time", least)
	}
}

func closeWhileStuck(t *testing.T) time.Duration {
	f := &fake{session: func(c *fakeConn) { c.silent() }}
	s := f.start(t).online(t)
	text := strings.Repeat("x", 128<<10)
	ctx, cancel := context.WithTimeout(testContext(t), 100*time.Millisecond)
	defer cancel()
	for {
		m := stanza.Message{To: romeo, Children: []*xmltree.Element{xmltree.New("urn:x", "x").SetText(text)}}
		if err := s.Send(ctx, m); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("full queue: %v", err)
			}
			break
		}
	}
	begun := time.Now()
	closeSession(t, s)
	return time.Since(begun)
}

// patientClose lets Close send what waits however busy the machine is.
func patientClose(s *Session) { s.closeMax = time.Minute }

// TestCloseSendsWhatWaits checks that what was queued before Close arrives.
func TestCloseSendsWhatWaits(t *testing.T) {
	var ids []string
	end := make(chan bool, 1)
	f := &fake{session: func(c *fakeConn) {
		for el := c.hear(); el != nil; el = c.hear() {
			ids = append(ids, el.Attr("id"))
		}
		end <- true
	}}
	s := f.start(t).online(t, patientClose)
	for i := range 100 {
		if err := s.Send(testContext(t), stanza.Message{To: romeo, ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	closeSession(t, s)
	receive(t, end)
	if len(ids) != 100 || ids[99] != "99" {
		t.Errorf("%d of 100 arrived", len(ids))
	}
}

// TestSilence has a server that does not answer the ping, and one that does.
func TestSilence(t *testing.T) {
	short := func(s *Session) { s.idle, s.patient = 20*time.Millisecond, 20*time.Millisecond }
	t.Run("dead", func(t *testing.T) {
		f := &fake{session: func(c *fakeConn) { c.silent() }}
		s := f.start(t).online(t, short)
		receive(t, s.Done())
		if !errors.Is(s.Err(), ErrSilent) || !errors.Is(s.Err(), ErrSessionLost) {
			t.Error(s.Err())
		}
	})
	t.Run("alive", func(t *testing.T) {
		pings := make(chan *xmltree.Element, 3)
		f := &fake{session: func(c *fakeConn) {
			for el := c.hear(); el != nil; el = c.hear() {
				c.say("<iq type='result' id='" + el.Attr("id") + "'/>")
				select {
				case pings <- el:
				default:
				}
			}
		}}
		s := f.start(t).online(t, func(s *Session) { s.idle, s.patient = 20*time.Millisecond, time.Minute })
		for range 3 {
			if el := receive(t, pings); el.Child(nsPing, "ping") == nil || el.Attr("type") != "get" {
				t.Errorf("%v", el)
			}
		}
		if s.Err() != nil {
			t.Error(s.Err())
		}
	})
}

// TestFlood has a peer that sends faster than a handler works: the inbox stays
// bounded, and nothing is lost.
func TestFlood(t *testing.T) {
	const (
		n        = 50
		elements = 4000 // half a MiB of memory each
		fit      = inboxWeight / (elements * elementCost)
	)
	one := "<message from='romeo@jet.test/orchard'><x xmlns='urn:x'/>" + strings.Repeat("<y/>", elements) + "</message>"
	go1 := make(chan struct{})
	count, most := 0, 0
	done := make(chan struct{})
	var s *Session
	f := &fake{session: func(c *fakeConn) {
		for range n {
			c.say(one)
		}
		c.idle()
	}}
	cfg := f.start(t).config()
	s = New(cfg)
	s.HandleMessage("urn:x", "x", func(context.Context, stanza.Message) {
		<-go1
		most = max(most, len(s.inbox))
		if count++; count == n {
			close(done)
		}
	})
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, s)
	for len(s.inbox) < fit-2 {
		time.Sleep(time.Millisecond) // until the reader has filled what it may
	}
	close(go1)
	receive(t, done)
	if most > fit {
		t.Errorf("%d stanzas waited, %d fit into %d MiB", most, fit, inboxWeight>>20)
	}
}

func TestSendTooBig(t *testing.T) {
	s := (&fake{}).start(t).online(t)
	m := stanza.Message{To: romeo, Children: []*xmltree.Element{xmltree.New("urn:x", "x").SetText(strings.Repeat("'", maxSent/5))}}
	if err := s.Send(testContext(t), m); !errors.Is(err, ErrStanzaTooBig) {
		t.Error(err)
	}
}

// TestLanes checks that control overtakes bulk.
func TestLanes(t *testing.T) {
	st := newStream(newTransport(context.Background(), xmppConfig(), false, nil), newBinding(nil), nil)
	for _, x := range []struct {
		text string
		p    priority
	}{{"b1", bulkPriority}, {"b2", bulkPriority}, {"c1", controlPriority}, {"c2", controlPriority}} {
		if err := st.b.queue(context.Background(), []byte(x.text), x.p); err != nil {
			t.Fatal(err)
		}
	}
	if b := st.take(nil); string(b) != "c1c2b1b2" {
		t.Errorf("%q", b)
	}
	big := make([]byte, writeBatch)
	for range bulkLane {
		if err := st.b.queue(context.Background(), big, bulkPriority); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := st.b.queue(ctx, big, bulkPriority); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("bulk lane is not bounded: %v", err)
	}
	if b := st.take(nil); len(b) != writeBatch {
		t.Errorf("batch of %d bytes", len(b))
	}
}

// TestTrace checks that nothing that logs us in, and no file data, is logged.
func TestTrace(t *testing.T) {
	var log syncBuilder
	for _, mech := range []string{"PLAIN", "SCRAM-SHA-1"} {
		f := &fake{mechanisms: []string{mech}}
		f.session = func(c *fakeConn) {
			c.say("<iq type='set' id='1' from='romeo@jet.test/a'><data xmlns='http://jabber.org/protocol/ibb' sid='s' seq='0'>U0VDUkVU</data></iq>")
			c.idle()
		}
		cfg := f.start(t).config()
		cfg.AllowPlain = true
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: LevelTrace}))
		s := New(cfg)
		if err := s.Start(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, xmltree.New("urn:x", "x")); err != nil {
			t.Fatal(err)
		}
		closeSession(t, s)
	}
	out := log.String()
	for _, secret := range []string{"U0VDUkVU", fakePassword, "AGp1bGlldABjb3JyZWN0IGhvcnNl", "biws", "cj0", "bix"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	for _, want := range []string{"[8 characters]", "mechanism='PLAIN'", "<presence"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the log:\n%s", want, out)
		}
	}
}

// syncBuilder is a strings.Builder for several goroutines.
type syncBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *syncBuilder) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *syncBuilder) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}
