package jingle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	romeo  = jid.MustParse("romeo@montague.lit/orchard")
	juliet = jid.MustParse("juliet@capulet.lit/balcony")
	mallet = jid.MustParse("mallet@example.org/cave")
)

// limit is how long a test waits for what must happen.
const limit = 20 * time.Second

// peer is one account of a pair wired in memory.
type peer struct {
	jid    jid.JID
	m      *Manager
	offers chan *Session

	mu   sync.Mutex
	sent []*xmltree.Element
	// hook, when set, sees each iq before it is delivered; handled means that
	// it made the answer itself.
	hook func(ctx context.Context, e *xmltree.Element) (handled bool, err error)
	// dispatch serialises what arrives, as a stream does.
	dispatch sync.Mutex
}

// wire is the Port of one peer: it delivers to the manager of the other.
type wire struct{ from, to *peer }

func (w wire) IQ(ctx context.Context, to jid.JID, typ stanza.IQType, e *xmltree.Element) (*xmltree.Element, error) {
	w.from.mu.Lock()
	w.from.sent = append(w.from.sent, e)
	hook := w.from.hook
	w.from.mu.Unlock()
	if hook != nil {
		if handled, err := hook(ctx, e); handled {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if to != w.to.jid {
		return nil, stanza.NewError(stanza.ServiceUnavailable)
	}
	copied, err := xmltree.Parse(e.Bytes())
	if err != nil {
		return nil, err
	}
	return w.to.receive(ctx, stanza.IQ{From: w.from.jid, To: to, ID: "1", Type: typ, Payload: copied})
}

// receive hands p an iq as its stream would.
func (p *peer) receive(ctx context.Context, iq stanza.IQ) (*xmltree.Element, error) {
	p.dispatch.Lock()
	defer p.dispatch.Unlock()
	return p.m.HandleIQ(ctx, iq)
}

func (p *peer) setHook(h func(context.Context, *xmltree.Element) (bool, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = h
}

// actions returns the actions that p has sent.
func (p *peer) actions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, e := range p.sent {
		out = append(out, e.Attr("action"))
	}
	return out
}

// count returns how often p sent the action.
func (p *peer) count(a Action) (n int) {
	for _, s := range p.actions() {
		if s == string(a) {
			n++
		}
	}
	return n
}

// newPair wires two accounts; tweak may change their configurations.
func newPair(t testing.TB, tweak func(*Config)) (a, b *peer) {
	t.Helper()
	a = &peer{jid: romeo, offers: make(chan *Session, 200)}
	b = &peer{jid: juliet, offers: make(chan *Session, 200)}
	for _, w := range []wire{{a, b}, {b, a}} {
		cfg := Config{
			Port:    w,
			Self:    func() jid.JID { return w.from.jid },
			OnOffer: func(s *Session) { w.from.offers <- s },
		}
		if tweak != nil {
			tweak(&cfg)
		}
		w.from.m = NewManager(cfg)
	}
	t.Cleanup(func() {
		a.m.Close(context.Background())
		b.m.Close(context.Background())
	})
	return a, b
}

// content is an offer of some file.
func content() Content {
	size := int64(6144)
	return Content{
		Name:        "a-file-offer",
		Description: Description(&File{Size: size, HashUsed: []string{"sha-256"}}),
		Transport:   transport("one"),
		Security:    xmltree.New(NSJET, "security"),
	}
}

func transport(sid string) *xmltree.Element {
	return xmltree.New("urn:xmpp:jingle:transports:s5b:1", "transport").Set("sid", sid)
}

// pending opens a session from a to b.
func pending(t testing.TB, a, b *peer) (*Session, *Session) {
	t.Helper()
	s, err := a.m.Initiate(t.Context(), b.jid, NewSID(), content())
	if err != nil {
		t.Fatal(err)
	}
	return s, await(t, b.offers)
}

// active opens a session from a to b and accepts it.
func active(t testing.TB, a, b *peer) (*Session, *Session) {
	t.Helper()
	s, r := pending(t, a, b)
	if err := r.Accept(t.Context(), content()); err != nil {
		t.Fatal(err)
	}
	heard(t, s, SessionAccept)
	return s, r
}

// await receives from c.
func await[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(limit):
		t.Fatal("nothing came")
	}
	return v
}

// heard receives the next event of s, which must be that action, and returns what it
// carries.
func heard(t testing.TB, s *Session, a Action) *xmltree.Element {
	t.Helper()
	ev := await(t, s.Events())
	if ev.Action != a {
		t.Fatalf("heard %+v, want %s", ev, a)
	}
	return ev.Payload
}

// unread is how much of what the peer did has not been read.
func unread(s *Session) int {
	if s.State() == Ended {
		return len(s.Events()) - 1
	}
	return len(s.Events())
}

// say hands to an iq that claims to be from the given JID.
func say(to *peer, from jid.JID, action Action, sid string, children ...*xmltree.Element) error {
	e := xmltree.New(NS, "jingle", children...).Set("action", string(action)).Set("sid", sid)
	_, err := to.receive(context.Background(), stanza.IQ{From: from, To: to.jid, Type: stanza.Set, Payload: e})
	return err
}

// wantError checks the condition and the Jingle condition of a stanza error.
func wantError(t testing.TB, err error, condition, app string) {
	t.Helper()
	var e *stanza.Error
	if condition == "" {
		if err != nil {
			t.Errorf("error %v", err)
		}
		return
	}
	if !errors.As(err, &e) || e.Condition != condition || e.App.Local != app || app != "" && e.App.Space != NSErrors {
		t.Errorf("error %v, want %s %s", err, condition, app)
	}
}

// wantEnd waits for the end of s.
func wantEnd(t testing.TB, s *Session, condition string, byPeer bool) {
	t.Helper()
	await(t, s.Done())
	r, by := s.Ended()
	if r.Condition != condition || by != byPeer || s.State() != Ended {
		t.Errorf("ended with %s, by the peer %v, state %s; want %s, %v", r, by, s.State(), condition, byPeer)
	}
}

// captured returns a <jingle/> captured from Dino 0.4.2.
func captured(t testing.TB, name string) *xmltree.Element {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	e, err := xmltree.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
