package s5b

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// proxyAt makes a candidate.
func proxyAt(cid, host string, port int, j, typ string) Candidate {
	return Candidate{CID: cid, Host: host, Port: port, JID: j, Priority: 655360, Type: typ}
}

// What is dialled when a peer offers it, by --no-direct and not, and over
// loopback and not. Dialling a host of the peer's choice would tell the peer
// our address, whatever it calls the host.
func TestWhatIsDialled(t *testing.T) {
	const mine, named, conf = "proxy.montague.lit", "socks.montague.lit", "proxy.example.org"
	proxies := []Proxy{
		{JID: jid.MustParse(mine), Host: "198.51.100.7", Port: 5000},
		{JID: jid.MustParse(named), Host: "Socks.Montague.lit", Port: 5000},
		{JID: jid.MustParse(conf), Host: "127.0.0.1", Port: 7777, Configured: true},
		{JID: jid.MustParse("inside.montague.lit"), Host: "127.0.0.1", Port: 8888},
	}
	for _, tt := range []struct {
		name              string
		c                 Candidate
		noDirect, without string // what is dialled, empty for nothing
	}{
		{"direct", proxyAt("c", "192.0.2.1", 80, juliet.String(), Direct), "", "192.0.2.1:80"},
		{"assisted", proxyAt("c", "192.0.2.1", 80, juliet.String(), Assisted), "", "192.0.2.1:80"},
		{"tunnel", proxyAt("c", "192.0.2.1", 80, juliet.String(), Tunnel), "", "192.0.2.1:80"},
		{"their proxy", proxyAt("c", "192.0.2.1", 80, "proxy.capulet.lit", Mediated), "", "192.0.2.1:80"},
		{"their proxy by name", proxyAt("c", "proxy.capulet.lit", 80, "proxy.capulet.lit", Mediated), "", "203.0.113.1:80"},
		{"our proxy", proxyAt("c", "198.51.100.7", 5000, mine, Mediated), "198.51.100.7:5000", "198.51.100.7:5000"},
		{"our proxy by its address only", proxyAt("c", "198.51.100.7", 5000, "", Mediated), "198.51.100.7:5000", "198.51.100.7:5000"},
		{"our proxy, mapped address", proxyAt("c", "::ffff:198.51.100.7", 5000, mine, Mediated), "198.51.100.7:5000", "198.51.100.7:5000"},
		{"our proxy's machine, another port", proxyAt("c", "198.51.100.7", 5001, "proxy.capulet.lit", Mediated), "", "198.51.100.7:5001"},
		{"our proxy by its JID only", proxyAt("c", "192.0.2.1", 80, mine, Mediated), "198.51.100.7:5000", "192.0.2.1:80"},
		{"our proxy by name", proxyAt("c", "socks.montague.lit", 5000, "x", Mediated), "203.0.113.1:5000", "203.0.113.1:5000"},
		{"a claim to be our proxy", proxyAt("c", "192.0.2.1", 80, "proxy.montague.lit/x", Mediated), "", "192.0.2.1:80"},
		{"direct at our proxy", proxyAt("c", "198.51.100.7", 5000, mine, Direct), "", "198.51.100.7:5000"},
		{"configured loopback", proxyAt("c", "127.0.0.1", 7777, conf, Mediated), "127.0.0.1:7777", "127.0.0.1:7777"},
		{"configured loopback by its JID only", proxyAt("c", "127.0.0.1", 22, conf, Mediated), "127.0.0.1:7777", ""},
		{"server's loopback", proxyAt("c", "127.0.0.1", 8888, "inside.montague.lit", Mediated), "", ""},
		{"other loopback", proxyAt("c", "127.0.0.1", 22, "proxy.capulet.lit", Mediated), "", ""},
		{"direct at configured loopback", proxyAt("c", "127.0.0.1", 7777, conf, Direct), "", ""},
		{"metadata service", proxyAt("c", "169.254.169.254", 80, conf, Mediated), "127.0.0.1:7777", ""},
	} {
		for _, noDirect := range []bool{true, false} {
			t.Run(tt.name+", no direct "+strconv.FormatBool(noDirect), func(t *testing.T) {
				var mu sync.Mutex
				var dialled, looked []string
				cfg := Config{NoDirect: noDirect, Interfaces: []string{"none-such"}, Proxies: proxies} // not AllowLoopback
				cfg.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					dialled = append(dialled, addr)
					return nil, syscall.ECONNREFUSED
				}
				cfg.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
					mu.Lock()
					defer mu.Unlock()
					looked = append(looked, strings.ToLower(host))
					return []netip.Addr{netip.MustParseAddr("203.0.113.1")}, nil
				}
				a := newSide(t, cfg, romeo, juliet, true)
				a.infos <- a.n.failedReport()
				e := xmltree.New(NS, "transport", tt.c.Element()).Set("sid", "vj3hs98y")
				if _, err := a.n.Connect(t.Context(), e, a.infos, a.sender(nil)); !errors.Is(err, ErrNoCandidate) {
					t.Error(err)
				}
				want := tt.without
				if noDirect {
					want = tt.noDirect
				}
				got := strings.Join(slices.Compact(dialled), " ")
				if got != want {
					t.Errorf("dialled %q", got)
				}
				if noDirect && slices.ContainsFunc(looked, func(h string) bool { return h != "socks.montague.lit" }) {
					t.Errorf("looked up %v", looked)
				}
			})
		}
	}
}

// With NoDirect our proxies are offered and nothing else; a proxy on loopback
// only if our user named it or our own stream runs there.
func TestNoDirectOffers(t *testing.T) {
	public := Proxy{JID: jid.MustParse("a.example.org"), Host: "198.51.100.7", Port: 5000}
	inside := Proxy{JID: jid.MustParse("b.example.org"), Host: "127.0.0.1", Port: 5000}
	named := Proxy{JID: jid.MustParse("c.example.org"), Host: "::1", Port: 5000, Configured: true}
	for _, tt := range []struct {
		loopback bool
		want     []string
	}{
		{false, []string{"198.51.100.7", "::1"}},
		{true, []string{"198.51.100.7", "127.0.0.1", "::1"}},
	} {
		p := newFakeProxy(t, "proxy.montague.lit")
		a := newSide(t, Config{
			NoDirect: true, AllowLoopback: tt.loopback, Advertise: []string{"192.0.2.1"},
			Proxies: []Proxy{public, inside, named}, Port: account{p, romeo},
		}, romeo, juliet, true)
		var hosts []string
		for _, k := range a.n.Element().Children {
			if k.Attr("type") != Mediated {
				t.Errorf("offered %s", k)
			}
			hosts = append(hosts, k.Attr("host"))
		}
		if !slices.Equal(hosts, tt.want) || len(a.n.srv.listeners) != 0 {
			t.Errorf("loopback %v: offered %v, %d listeners", tt.loopback, hosts, len(a.n.srv.listeners))
		}
	}
}

// Behind a proxy nothing listens, nothing is looked up, and only the proxies that
// are known to us are dialled, by the names that they have.
func TestProxied(t *testing.T) {
	const mine, named = "proxy.montague.lit", "socks.montague.lit"
	p := newFakeProxy(t, mine)
	cfg := Config{
		Proxied: true, Advertise: []string{"192.0.2.1"}, Port: account{p, romeo},
		Proxies: []Proxy{{JID: jid.MustParse(mine), Host: "198.51.100.7", Port: 5000}, {JID: jid.MustParse(named), Host: named, Port: 5000}},
	}
	var mu sync.Mutex
	var dialled []string
	cfg.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		dialled = append(dialled, addr)
		return nil, syscall.ECONNREFUSED
	}
	cfg.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		t.Errorf("looked up %s", host)
		return nil, errors.New("none")
	}
	a := newSide(t, cfg, romeo, juliet, true)
	for _, c := range a.n.Element().Children {
		if c.Attr("type") != Mediated {
			t.Errorf("offered %s", c)
		}
	}
	if len(a.n.own) != 2 || len(a.n.srv.listeners) != 0 {
		t.Errorf("offered %v, %d listeners", a.n.own, len(a.n.srv.listeners))
	}
	// The peer reaches ours, and offers hosts of its own choice.
	a.infos <- a.n.usedReport(a.n.own[1].CID)
	e := xmltree.New(NS, "transport",
		proxyAt("c1", "192.0.2.1", 80, juliet.String(), Direct).Element(), proxyAt("c2", "juliet.capulet.lit", 80, juliet.String(), Direct).Element(),
		proxyAt("c3", "proxy.capulet.lit", 80, "proxy.capulet.lit", Mediated).Element(), proxyAt("c4", "198.51.100.7", 5000, mine, Mediated).Element(),
	).Set("sid", "vj3hs98y")
	if _, err := a.n.Connect(t.Context(), e, a.infos, a.sender(nil)); !errors.Is(err, ErrProxy) {
		t.Error(err)
	}
	_ = a.n.Close() // waits for what still dials
	slices.Sort(dialled)
	if got := slices.Compact(dialled); !slices.Equal(got, []string{"198.51.100.7:5000", "socks.montague.lit:5000"}) {
		t.Errorf("dialled %v", got)
	}
}

// Two sides that allow nothing direct meet at a proxy.
func TestNoDirectThroughProxy(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	ca, cb := onlyProxies(t, p, romeo), onlyProxies(t, p, juliet)
	ca.NoDirect, cb.NoDirect = true, true
	a, b := newPair(t, ca, cb)
	ea := a.n.Element()
	x, y := connect(t, a, b, b.n.Answer(ea), ea)
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}

// A peer may send its candidates one by one, our own proxy among them.
func TestNoDirectTrickle(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	ca := onlyProxies(t, p, romeo)
	ca.NoDirect, ca.Port = true, nil // offers nothing itself
	a, b := newPair(t, ca, onlyProxies(t, p, juliet))
	a.n.timing.trickle = limit
	for _, c := range b.n.Element().Children {
		a.infos <- b.n.transport(c)
	}
	x, y := connect(t, a, b, xmltree.New(NS, "transport"), a.n.Element())
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}
