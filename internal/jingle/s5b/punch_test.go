package s5b

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/xmltree"
)

// newMeeting is a pair of which neither side reaches a candidate of the other that is not
// the middle. change may be nil.
func newMeeting(t testing.TB, change func(initiator bool, p *Punching, c *Config)) (*side, *side) {
	t.Helper()
	config := func(initiator bool, p *Punching) Config {
		c := local(t)
		c.Punching = p
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("a router is in the way")
		}
		if change != nil {
			change(initiator, p, &c)
		}
		return c
	}
	a := newSide(t, config(true, &Punching{}), romeo, juliet, true)
	b := newSide(t, config(false, &Punching{Peer: a.n.Punch()}), juliet, romeo, false)
	a.n.Meet(b.n.Punch())
	return a, b
}

// TestPunch: who reaches nobody meets in the middle, whoever begins.
func TestPunch(t *testing.T) {
	for name, late := range map[string]time.Duration{"together": 0, "responder first": 400 * time.Millisecond, "initiator first": -400 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			a, b := newMeeting(t, nil)
			ra, rb := b.n.Element(), a.n.Element()
			done := make(chan outcomeOf, 2)
			for _, s := range []struct {
				s, other *side
				remote   *xmltree.Element
				after    time.Duration
			}{{a, b, ra, late}, {b, a, rb, -late}} {
				go func() {
					<-time.After(s.after)
					c, err := s.s.n.Connect(t.Context(), s.remote, s.s.infos, s.s.sender(s.other))
					done <- outcomeOf{c, err}
				}()
			}
			x, y := <-done, <-done
			if x.err != nil || y.err != nil {
				t.Fatal(x.err, y.err)
			}
			defer func() { _, _ = x.c.Close(), y.c.Close() }()
			for _, c := range []*Conn{x.c, y.c} {
				if c.Kind != Direct || c.Way != Punched || c.CID != b.n.Punch().CID {
					t.Errorf("%s %s %s", c.Kind, c.Way, c.CID)
				}
			}
			checkStream(t, x.c, y.c)
		})
	}
}

// TestPunchTold: the candidate of the middle stands in no element, ranks below the direct
// ones, and nobody tells anything without direct candidates, or to who tells nothing.
func TestPunchTold(t *testing.T) {
	a, b := newMeeting(t, nil)
	p := b.n.Punch()
	for _, c := range mustParse(t, b.n.Element()).Candidates {
		if c.CID == p.CID || c.Priority <= p.Priority {
			t.Errorf("%+v in the clear beside %+v", c, p)
		}
	}
	if p.Priority>>16 != 126 || a.n.Punch().CID != "" {
		t.Errorf("%+v, %+v", p, a.n.Punch())
	}
	for name, change := range map[string]func(c *Config){
		"no direct": func(c *Config) { c.NoDirect = true },
		"proxied":   func(c *Config) { c.Proxied = true },
		"nobody":    func(c *Config) { c.Punching = nil },
	} {
		a, b := newMeeting(t, func(_ bool, _ *Punching, c *Config) { change(c) })
		if a.n.Punch() != nil || b.n.Punch() != nil {
			t.Errorf("%s: told", name)
		}
	}
	if s := newSide(t, Config{AllowLoopback: true, Interfaces: []string{loopbackName(t)}, Punching: &Punching{}}, juliet, romeo, false); s.n.Punch() != nil {
		t.Error("told to who tells nothing")
	}
}

// TestPunchNobody: an initiator that meets nobody, with nothing else left to try, gives up long
// before its time, and a responder that dials is ended by that.
func TestPunchNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	var dials atomic.Int32
	a, b := newMeeting(t, func(bool, *Punching, *Config) {})
	a.n.cfg.Punching.Allow = func() bool { dials.Add(1); return true }
	p := *b.n.Punch()
	p.Addresses = []netip.AddrPort{closed}
	a.n.Meet(&p)
	b.n.middle.peer.Addresses = []netip.AddrPort{closed}
	a.n.timing.lonely = 300 * time.Millisecond
	x, y := connect(t, a, b, b.n.Element(), a.n.Element())
	if !errors.Is(x.err, ErrNoCandidate) || !errors.Is(y.err, ErrNoCandidate) {
		t.Error(x.err, y.err)
	}
	if n := int(dials.Load()); n == 0 || n >= len(tries)-1 {
		t.Errorf("%d dials", n)
	}
}

// TestPunchSlow: who was met is waited for, however long the handshake takes on a long way.
func TestPunchSlow(t *testing.T) {
	a, b := newMeeting(t, nil)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	to := b.n.middle.gate(true).at.String()
	go func() { // a long way: what goes over it takes longer than a punch may when it is alone
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				return
			}
			for _, x := range [][2]net.Conn{{c, d}, {d, c}} {
				go func() {
					buf := make([]byte, 1024)
					for {
						n, err := x[0].Read(buf)
						if err != nil {
							_ = x[1].Close()
							return
						}
						<-time.After(100 * time.Millisecond)
						_, _ = x[1].Write(buf[:n])
					}
				}()
			}
		}
	}()
	p := *b.n.Punch()
	p.Addresses = []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}
	a.n.Meet(&p)
	b.n.middle.peer.Addresses = nil // it does not dial itself
	a.n.timing.lonely = 200 * time.Millisecond
	if x, y := connect(t, a, b, b.n.Element(), a.n.Element()); x.err != nil || y.err != nil {
		t.Error(x.err, y.err)
	} else {
		_, _ = x.c.Close(), y.c.Close()
	}
}

// TestPunchTargets: what a peer can make us dial.
func TestPunchTargets(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, c := range []struct {
		told, want []string
		loopback   bool
	}{
		{told: []string{"9.9.9.9:5000", "9.9.9.10:5000"}, want: []string{"9.9.9.9:5000"}},
		{told: []string{"9.9.9.9:80", "9.9.9.9:1023", "9.9.9.9:1024"}, want: []string{"9.9.9.9:1024"}},
		{told: []string{"[2a00::1]:5000", "[2a00::2]:5000", "[2a00::3]:5000", "9.9.9.9:5000"}, want: []string{"[2a00::1]:5000", "[2a00::2]:5000", "9.9.9.9:5000"}},
		{told: []string{"10.66.7.8:5000", "192.168.77.8:5000", "172.20.7.8:5000", "100.64.1.1:5000", "[fd12:3456::1]:5000"}},
		{told: []string{"127.0.0.1:5000", "[::1]:5000", "169.254.1.1:5000", "[fe80::1]:5000", "0.0.0.0:5000", "224.0.0.1:5000", "255.255.255.255:5000", "240.0.0.1:5000"}},
		{told: []string{"[::ffff:127.0.0.1]:5000", "[64:ff9b::7f00:1]:5000", "[2002:7f00:1::]:5000", "[::ffff:9.9.9.9]:5000"}, want: []string{"9.9.9.9:5000"}},
		{told: []string{"198.51.100.1:5000", "203.0.113.1:5000", "192.0.2.1:5000", "198.18.0.1:5000"}},
		{told: []string{"127.0.0.1:5000"}, want: []string{"127.0.0.1:5000"}, loopback: true},
	} {
		m := &middle{n: &Negotiation{cfg: Config{AllowLoopback: c.loopback, Interfaces: []string{loopbackName(t)}}}, gates: []*gate{{v4: true}, {}}}
		for _, s := range c.told {
			m.peer.Addresses = append(m.peer.Addresses, at(s))
		}
		var got []string
		for _, a := range m.targets() {
			got = append(got, a.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("told %q: dials %q, want %q", c.told, got, c.want)
		}
	}
	near := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/64"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("100.64.1.0/24")}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "10.2.2.3": false, "fd12::5": true, "fd13::5": false, "127.0.0.5": false, "100.64.1.9": true, "100.64.2.9": false, "9.9.9.9": true,
	} {
		if got := within(netip.MustParseAddr(text), near); got != want {
			t.Errorf("within %s: %v", text, got)
		}
	}
	m := &middle{n: &Negotiation{}, gates: []*gate{{v4: true}}, told: Punch{Addresses: []netip.AddrPort{at("9.9.9.9:6000")}}, peer: Punch{Addresses: []netip.AddrPort{at("9.9.9.9:5000"), at("[2a00::1]:5000")}}}
	if got := m.targets(); len(got) > 0 {
		t.Errorf("behind the same router, or without a gate: dials %v", got)
	}
}

// TestPunchDials: a peer that is never there costs no more than so many dials.
func TestPunchDials(t *testing.T) {
	n := 0
	m := &middle{n: &Negotiation{cfg: Config{Punching: &Punching{Allow: func() bool { n++; return true }}}}}
	for range 100 {
		m.spend()
	}
	if n != maxPunches {
		t.Errorf("%d dials", n)
	}
}

// TestPunchStranger: who comes to the port of an initiator from another address than the
// peer told is not asked for anything.
func TestPunchStranger(t *testing.T) {
	a, b := newMeeting(t, nil)
	b.n.Punch().Addresses = []netip.AddrPort{netip.MustParseAddrPort("9.9.9.9:5000")}
	a.n.Meet(b.n.Punch())
	g := a.n.middle.gates[0]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.accept(ctx, a.n.middle.targets(), func(_ *gate, c net.Conn) { t.Error("taken"); _ = c.Close() })
	}()
	c, err := net.Dial("tcp", g.mine.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(limit))
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(n, err)
	}
	cancel()
	<-done
}

func mustParse(t testing.TB, e *xmltree.Element) *Transport {
	t.Helper()
	p, err := ParseTransport(e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
