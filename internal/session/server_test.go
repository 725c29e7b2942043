package session

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// realServer starts a Prosody, or the software that the environment names instead.
func realServer(t *testing.T) *xmpptest.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	return xmpptest.Start(t, xmpptest.Options{
		Software: xmpptest.Software(os.Getenv("JETSEND_TEST_SERVER")), NoProxy: true, Mutual: true,
		Accounts: []xmpptest.Account{{User: "romeo", Password: "pw"}, {User: "juliet", Password: "pw"}},
	})
}

// resident puts an account online for as long as the test lasts.
func resident(t *testing.T, srv *xmpptest.Server, user, addr string, setup ...func(*Session)) (*Session, <-chan State) {
	t.Helper()
	states := make(chan State, 1000)
	s := New(Config{
		JID: jid.MustParse(srv.JID(user)), Resource: "r", Server: addr, RootCAs: srv.CA.Pool(), Reconnect: true,
		Password: func(context.Context) (string, error) { return "pw", nil },
		State:    func(st State) { states <- st },
	})
	s.backoff = backoff.Backoff{First: 40 * time.Millisecond, Last: time.Second}
	for _, fn := range setup {
		fn(s)
	}
	t.Cleanup(func() { closeSession(t, s) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	managed(t, s)
	return s, states
}

// TestServerResume cuts the connection to a real server, again and again,
// under traffic both ways: all of it arrives once, in order, and the server
// has one login to show for it.
func TestServerResume(t *testing.T) {
	// The bytes that juliet sends between two cuts are fewer than a server reads
	// at once, so that no cut is within a stanza: see TestServerResumeTorn.
	const cuts, down, up = 6, 80, 8
	srv := realServer(t)
	relay := xmpptest.StartRelay(t, srv.Addr, xmpptest.RelayOptions{})
	toRomeo, toJuliet := make(chan stanza.Message, cuts*down), make(chan stanza.Message, cuts*down)
	answer := func(s *Session) {
		s.HandleIQ("urn:x", func(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) { return iq.Payload, nil })
	}
	romeo, _ := resident(t, srv, "romeo", srv.Addr, collect(toRomeo), answer)
	juliet, states := resident(t, srv, "juliet", relay.Addr, collect(toJuliet))
	lost := juliet.Lost()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	send := func(from, to *Session, n int) {
		m := stanza.Message{To: to.JID(), Type: "chat", ID: fmt.Sprint(n), Children: []*xmltree.Element{xmltree.New("urn:x", "x")}}
		if err := from.Send(ctx, m); err != nil {
			t.Error(err)
		}
	}
	answers := make(chan error, cuts*up)
	sent := map[*Session]int{}
	for range cuts {
		for i := range down {
			send(romeo, juliet, sent[romeo])
			sent[romeo]++
			if i%(down/up) != 0 {
				continue
			}
			send(juliet, romeo, sent[juliet])
			sent[juliet]++
			if _, err := juliet.BeginIQ(ctx, romeo.JID(), xmltree.New("urn:x", "x"), func(err error) { answers <- err }); err != nil {
				t.Fatal(err)
			}
			if i == down/2 {
				relay.Cut()
			}
		}
		expect(t, states, State{Up: true})
	}
	for from, in := range map[*Session]chan stanza.Message{juliet: toRomeo, romeo: toJuliet} {
		for i := range sent[from] {
			if m := receive(t, in); m.ID != fmt.Sprint(i) {
				t.Fatalf("message %s in place of %d", m.ID, i)
			}
		}
	}
	for range sent[juliet] {
		if err := receive(t, answers); err != nil {
			t.Errorf("pending request: %v", err)
		}
	}
	// Whatever came twice is there before the answer to this.
	if _, err := juliet.IQ(ctx, romeo.JID(), stanza.Get, xmltree.New("urn:x", "y")); err != nil {
		t.Error(err)
	}
	if len(toRomeo)+len(toJuliet) != 0 {
		t.Errorf("%d messages came twice", len(toRomeo)+len(toJuliet))
	}
	if !isOpen(lost) || relay.Connections() != cuts+1 {
		t.Errorf("lost %v, %d connections", !isOpen(lost), relay.Connections())
	}
}

// tornConn is cut after so many bytes.
type tornConn struct {
	net.Conn
	left int
}

func (c *tornConn) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.left])
	c.Conn.Close()
	return n, net.ErrClosed
}

// TestServerResumeTorn cuts the connection within a big stanza. Prosody 0.12
// then grants the resumption, but what follows becomes part of that stanza:
// that has to be noticed. A stanza that was sent arrives once, or is known to be lost.
func TestServerResumeTorn(t *testing.T) {
	srv := realServer(t)
	got := make(chan stanza.Message, 10)
	romeo, _ := resident(t, srv, "romeo", srv.Addr, collect(got))
	dialled := 0
	juliet, states := resident(t, srv, "juliet", srv.Addr, func(s *Session) {
		s.proveTime = 2 * time.Second
		s.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if dialled++; err == nil && dialled == 1 {
				return &tornConn{c, 50_000}, nil
			}
			return c, err
		}
	})
	text := xmltree.New("urn:x", "x").SetText(strings.Repeat("x", 100_000))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := juliet.Send(ctx, stanza.Message{To: romeo.JID(), ID: "big", Children: []*xmltree.Element{text}}); err != nil {
		t.Fatal(err)
	}
	up := nextUp(t, states)
	if up.Fresh && up.Unacked == 0 {
		t.Error("a message was lost silently")
	}
	if err := juliet.Send(ctx, stanza.Message{To: romeo.JID(), ID: "last", Children: []*xmltree.Element{xmltree.New("urn:x", "x")}}); err != nil {
		t.Fatal(err)
	}
	m := receive(t, got)
	if !up.Fresh {
		if m.ID != "big" {
			t.Errorf("message %s", m.ID)
		}
		m = receive(t, got)
	}
	if m.ID != "last" {
		t.Errorf("message %s", m.ID)
	}
	t.Logf("after the cut: %+v", up)
}

// TestServerRestart has a server shut down in an orderly way, and crash.
// Everybody is back afterwards, and sees the others.
func TestServerRestart(t *testing.T) {
	srv := realServer(t)
	got := make(chan stanza.Message, 10)
	romeo, romeoStates := resident(t, srv, "romeo", srv.Addr)
	juliet, julietStates := resident(t, srv, "juliet", srv.TLSAddr, collect(got))
	for _, crash := range []bool{false, true} {
		waitFor(t, romeo, func() bool { return len(romeo.Resources(juliet.JID())) == 1 })
		lost := juliet.Lost()
		if crash {
			srv.Kill()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := srv.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		receive(t, lost)
		for _, states := range []<-chan State{romeoStates, julietStates} {
			if st := nextUp(t, states); !st.Fresh {
				t.Errorf("crash %v: %+v", crash, st)
			}
		}
		waitFor(t, romeo, func() bool { return len(romeo.Resources(juliet.JID())) == 1 })
		if err := romeo.Send(ctx, stanza.Message{To: juliet.JID(), Children: []*xmltree.Element{xmltree.New("urn:x", "x")}}); err != nil {
			t.Error(err)
		}
		receive(t, got)
	}
}

// TestResourceInUse: a server that refuses a resource in use gets another one, which
// begins like it; the session that has the first one keeps it.
func TestResourceInUse(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	srv := xmpptest.Start(t, xmpptest.Options{
		NoProxy: true, Accounts: []xmpptest.Account{{User: "juliet", Password: "pw"}}, Extra: `conflict_resolve = "kick_new"`,
	})
	first, states := resident(t, srv, "juliet", srv.Addr)
	second, _ := resident(t, srv, "juliet", srv.Addr)
	if got := first.JID().Resource(); got != "r" {
		t.Errorf("the first one has %q", got)
	}
	if got := second.JID().Resource(); !strings.HasPrefix(got, "r"+OtherResource) || len(got) != 10 {
		t.Errorf("the second one has %q", got)
	}
	select {
	case st := <-states:
		t.Errorf("the first one was disturbed: %+v", st)
	default:
	}
}
