package s5b

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	romeo  = jid.MustParse("romeo@montague.lit/orchard")
	juliet = jid.MustParse("juliet@capulet.lit/balcony")
)

// limit is how long a test waits for what must happen.
const limit = 20 * time.Second

// loopbackName returns the name of the loopback interface; tests listen and
// dial nowhere else.
func loopbackName(t testing.TB) string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range ifs {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	t.Skip("no loopback interface")
	return ""
}

// local is a Config for one machine.
func local(t testing.TB) Config {
	return Config{AllowLoopback: true, Interfaces: []string{loopbackName(t)}}
}

// fast shortens the waits of a negotiation that are not what a test is about.
func fast(n *Negotiation) *Negotiation {
	n.timing.stagger, n.timing.retry, n.timing.trickle, n.timing.proxy = 20*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	return n
}

// side is one end of a negotiation under test.
type side struct {
	n     *Negotiation
	infos chan *xmltree.Element
	out   []*xmltree.Element // reports sent
	mu    sync.Mutex
}

func newSide(t testing.TB, cfg Config, self, peer jid.JID, initiator bool) *side {
	t.Helper()
	return newSideOf(t, cfg, "vj3hs98y", self, peer, initiator)
}

// newSideOf is newSide of a stream with another id.
func newSideOf(t testing.TB, cfg Config, sid string, self, peer jid.JID, initiator bool) *side {
	t.Helper()
	n, err := New(t.Context(), cfg, sid, self, peer, initiator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return &side{n: fast(n), infos: make(chan *xmltree.Element, 32)}
}

func newPair(t testing.TB, a, b Config) (*side, *side) {
	t.Helper()
	return newSide(t, a, romeo, juliet, true), newSide(t, b, juliet, romeo, false)
}

// sender returns the send function of s, whose reports go to other.
func (s *side) sender(other *side) func(context.Context, *xmltree.Element) error {
	return func(_ context.Context, e *xmltree.Element) error {
		s.mu.Lock()
		s.out = append(s.out, e)
		s.mu.Unlock()
		if other != nil {
			other.infos <- e
		}
		return nil
	}
}

func (s *side) reports() []*xmltree.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*xmltree.Element(nil), s.out...)
}

type outcomeOf struct {
	c   *Conn
	err error
}

// connect runs both sides; ra and rb are what each is told of the other.
func connect(t testing.TB, a, b *side, ra, rb *xmltree.Element) (x, y outcomeOf) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { x.c, x.err = a.n.Connect(ctx, ra, a.infos, a.sender(b)) })
	wg.Go(func() { y.c, y.err = b.n.Connect(ctx, rb, b.infos, b.sender(a)) })
	wg.Wait()
	for _, o := range []outcomeOf{x, y} {
		if o.c != nil {
			t.Cleanup(func() { _ = o.c.Close() })
		}
	}
	return x, y
}

// checkStream sends something each way over what must be one connection.
func checkStream(t *testing.T, a, b *Conn) {
	t.Helper()
	for _, d := range []struct{ from, to *Conn }{{a, b}, {b, a}} {
		if _, err := d.from.Write([]byte("a rose")); err != nil {
			t.Fatal(err)
		}
		if err := d.from.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(d.to)
		if err != nil || string(got) != "a rose" {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

// only returns e with the candidates that keep wants.
func only(e *xmltree.Element, keep func(Candidate) bool) *xmltree.Element {
	out := e.Clone()
	out.Children = nil
	for _, k := range e.Children {
		if c, ok := parseCandidate(k); ok && keep(c) {
			out.Add(k)
		}
	}
	return out
}

func TestBothSides(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fromA    func(Candidate) bool // candidates of the initiator that the responder sees
		fromB    func(Candidate) bool
		wantHost string
	}{
		{"all", func(Candidate) bool { return true }, func(Candidate) bool { return true }, ""},
		{"initiator dials IPv4", func(Candidate) bool { return false }, func(c Candidate) bool { return c.Host == "127.0.0.1" }, "127.0.0.1"},
		{"initiator dials IPv6", func(Candidate) bool { return false }, func(c Candidate) bool { return c.Host == "::1" }, "::1"},
		{"responder dials IPv4", func(c Candidate) bool { return c.Host == "127.0.0.1" }, func(Candidate) bool { return false }, "127.0.0.1"},
		{"responder dials IPv6", func(c Candidate) bool { return c.Host == "::1" }, func(Candidate) bool { return false }, "::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newPair(t, local(t), local(t))
			if tt.wantHost == "::1" && len(only(a.n.Element(), func(c Candidate) bool { return c.Host == "::1" }).Children) == 0 {
				t.Skip("no IPv6 loopback")
			}
			x, y := connect(t, a, b, only(b.n.Element(), tt.fromB), only(a.n.Element(), tt.fromA))
			if x.err != nil || y.err != nil {
				t.Fatal(x.err, y.err)
			}
			if x.c.Kind != Direct || y.c.Kind != Direct || x.c.CID != y.c.CID {
				t.Errorf("kind %q %q, candidate %q %q", x.c.Kind, y.c.Kind, x.c.CID, y.c.CID)
			}
			if x.c.LocalAddr().String() != y.c.RemoteAddr().String() {
				t.Errorf("two connections: %s, %s", x.c.LocalAddr(), y.c.RemoteAddr())
			}
			if host, _, _ := net.SplitHostPort(x.c.LocalAddr().String()); tt.wantHost != "" && host != tt.wantHost {
				t.Errorf("connection over %s", host)
			}
			checkStream(t, x.c, y.c)
		})
	}
}

func TestElement(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	ea, eb := a.n.Element(), b.n.Element()
	if got, want := ea.Attr("dstaddr"), "972b7bf47291ca609517f67f86b5081086052dad"; got != want {
		t.Errorf("initiator's dstaddr %s", got)
	}
	if got, want := eb.Attr("dstaddr"), "1a12fb7bc625e55f3ed5b29a53dbe0e4aa7d80ba"; got != want {
		t.Errorf("responder's dstaddr %s", got)
	}
	if _, ok := eb.LookupAttr("mode"); ok || ea.Attr("mode") != "tcp" {
		t.Error("mode is the initiator's only")
	}
	seen := map[uint32]bool{}
	cids := map[string]bool{}
	for _, e := range []*xmltree.Element{ea, eb} {
		if e.Attr("sid") != "vj3hs98y" || len(e.Children) == 0 {
			t.Errorf("%s", e)
		}
		for _, k := range e.Children {
			c, ok := parseCandidate(k)
			if !ok || c.Type != Direct || c.JID == "" || c.Priority <= 126<<16 || c.Priority >= 127<<16 {
				t.Errorf("candidate %s", k)
			}
			if seen[c.Priority] || cids[c.CID] {
				t.Errorf("priority or cid of %s twice", k)
			}
			seen[c.Priority], cids[c.CID] = true, true
			if got := c.Element().String(); got != k.String() {
				t.Errorf("%s became %s", k, got)
			}
		}
	}
}

func TestNoneReachable(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  func(*Config)
	}{
		{"nothing offered", func(c *Config) { c.Interfaces = []string{"none-such"} }},
		{"no direct", func(c *Config) { c.NoDirect = true }},
		{"all refused", func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := local(t)
			tt.cfg(&cfg)
			a, b := newPair(t, cfg, cfg)
			x, y := connect(t, a, b, b.n.Element(), a.n.Element())
			if !errors.Is(x.err, ErrNoCandidate) || !errors.Is(y.err, ErrNoCandidate) {
				t.Errorf("%v, %v", x.err, y.err)
			}
			for _, s := range []*side{a, b} {
				if r := s.reports(); len(r) != 1 || r[0].Child(NS, "candidate-error") == nil {
					t.Errorf("reports %v", r)
				}
			}
		})
	}
}

// A side that may not dial directly neither listens nor dials.
func TestNoDirect(t *testing.T) {
	var dials atomic.Int32
	cfg := local(t)
	cfg.NoDirect = true
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, errors.New("refused")
	}
	a, b := newPair(t, cfg, local(t))
	if e := a.n.Element(); len(e.Children) != 0 {
		t.Errorf("offered: %s", e)
	}
	if len(a.n.srv.listeners) != 0 {
		t.Error("listens")
	}
	x, y := connect(t, a, b, b.n.Element(), a.n.Element())
	if !errors.Is(x.err, ErrNoCandidate) || !errors.Is(y.err, ErrNoCandidate) || dials.Load() != 0 {
		t.Errorf("%v, %v, %d dials", x.err, y.err, dials.Load())
	}
}

func TestListenPorts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().(*net.TCPAddr).Port
	port, err := xmpptest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	v4 := func(c Candidate) bool { return c.Host == "127.0.0.1" }
	cfg := local(t)
	cfg.ListenPorts = []int{taken, port}
	first := newSide(t, cfg, romeo, juliet, true)
	got := only(first.n.Element(), v4)
	if len(got.Children) != 1 || got.Children[0].Attr("port") != hostPort("", port)[1:] {
		t.Errorf("one port busy: %s", got)
	}
	second := newSide(t, cfg, romeo, juliet, true)
	if got := only(second.n.Element(), v4); len(got.Children) != 0 {
		t.Errorf("all ports busy: %s", got)
	}
}

// TestPortsShared: files that go at the same time have one port, and each finds its
// own connection there. It is free when the last one has left it.
func TestPortsShared(t *testing.T) {
	number, err := xmpptest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	cfg := local(t)
	cfg.ListenPorts, cfg.Ports = []int{number}, new(Ports)
	here := func(c Candidate) bool { return c.Host == "127.0.0.1" }
	nowhere := func(Candidate) bool { return false }
	var as, bs []*side
	for i := range 3 {
		sid := fmt.Sprintf("sid%d", i)
		as = append(as, newSideOf(t, cfg, sid, romeo, juliet, true))
		bs = append(bs, newSideOf(t, local(t), sid, juliet, romeo, false))
	}
	for _, i := range []int{1, 2, 0} { // the others wait meanwhile, or are gone
		if got := only(as[i].n.Element(), here); len(got.Children) != 1 || got.Children[0].Attr("port") != strconv.Itoa(number) {
			t.Fatalf("offered %s", got)
		}
		x, y := connect(t, as[i], bs[i], only(bs[i].n.Element(), nowhere), only(as[i].n.Element(), here))
		if x.err != nil || y.err != nil {
			t.Fatal(x.err, y.err)
		}
		checkStream(t, x.c, y.c)
		_ = as[i].n.Close()
	}
	if len(cfg.Ports.open) != 0 {
		t.Errorf("%d ports are open", len(cfg.Ports.open))
	}
	l, err := net.Listen("tcp", hostPort("127.0.0.1", number))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestAdvertise(t *testing.T) {
	cfg := local(t)
	cfg.Advertise = []string{"files.example.org", "192.0.2.77", "192.0.2.78:6000"}
	a := newSide(t, cfg, romeo, juliet, true)
	hosts := map[string]bool{}
	for _, k := range a.n.Element().Children {
		hosts[k.Attr("host")] = true
		if own := k.Attr("host") == "192.0.2.78"; own != (k.Attr("port") == "6000") {
			t.Errorf("candidate %s", k)
		}
	}
	if len(hosts) != 3 || !hosts["files.example.org"] || !hosts["192.0.2.77"] || !hosts["192.0.2.78"] {
		t.Errorf("hosts %v", hosts)
	}

	// The peer reaches it through a forwarded port.
	peer := local(t)
	peer.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	b := newSide(t, peer, juliet, romeo, false)
	v4 := a.n.srv.listeners[0].l.Addr().(*net.TCPAddr)
	if v4.IP.To4() == nil {
		t.Skip("first loopback address is IPv6")
	}
	offer := only(a.n.Element(), func(c Candidate) bool { return c.Port == v4.Port && c.Host == "192.0.2.77" })
	x, y := connect(t, a, b, only(b.n.Element(), func(Candidate) bool { return false }), offer)
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}

// Close ends a Connect that waits for the peer, and everything with it.
func TestCloseWhileConnecting(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	reported := make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := a.n.Connect(t.Context(), b.n.Element(), a.infos, func(context.Context, *xmltree.Element) error {
			close(reported)
			return nil
		})
		done <- err
	}()
	<-reported
	closed := make(chan struct{})
	go func() { _ = a.n.Close(); close(closed) }()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("connect: %v", err)
	}
	<-closed
	if _, err := a.n.Connect(t.Context(), b.n.Element(), nil, a.sender(nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("connect again: %v", err)
	}
}

// A peer that never reports is not waited for without end, and the connection
// made to it is closed.
func TestSilentPeer(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	a.n.timing.whole = 100 * time.Millisecond
	if _, err := a.n.Connect(t.Context(), b.n.Element(), a.infos, a.sender(nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("own limit: %v", err)
	}

	a, b = newPair(t, local(t), local(t))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := a.n.Connect(ctx, b.n.Element(), a.infos, func(context.Context, *xmltree.Element) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c := awaitTake(t, b.n.srv)
	_ = c.SetReadDeadline(time.Now().Add(limit))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the losing connection: %v", err)
	}
}
