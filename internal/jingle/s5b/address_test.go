package s5b

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"jetsend/internal/ipaddr"
	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

func TestDestinationAddress(t *testing.T) {
	for _, tt := range []struct{ sid, a, b, want string }{
		// XEP-0260, examples 1 and 3
		{"vj3hs98y", "romeo@montague.lit/orchard", "juliet@capulet.lit/balcony", "972b7bf47291ca609517f67f86b5081086052dad"},
		{"vj3hs98y", "juliet@capulet.lit/balcony", "romeo@montague.lit/orchard", "1a12fb7bc625e55f3ed5b29a53dbe0e4aa7d80ba"},
		// captured from Dino 0.4.2
		{"e801f3fa-ad37-4742-8d89-fe1610a8059f", "romeo@jet.test/dino.romeo", "juliet@jet.test/dino.juliet", "ec532ebf02de4b3fd0a6f2721ea4472ecfcd7e5d"},
		{"e801f3fa-ad37-4742-8d89-fe1610a8059f", "juliet@jet.test/dino.juliet", "romeo@jet.test/dino.romeo", "7f841b71b60db5fd8d87754a79f4428d69292087"},
	} {
		if got := DestinationAddress(tt.sid, jid.MustParse(tt.a), jid.MustParse(tt.b)); got != tt.want {
			t.Errorf("%v: %s", tt, got)
		}
	}
}

// TestSources: the addresses of a machine that does not list its interfaces are among those
// of one that does.
func TestSources(t *testing.T) {
	listed, err := localAddrs(nil, true)
	if err != nil {
		t.Skip(err)
	}
	got := sources(true)
	if len(got) == 0 || got[len(got)-1] != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%v", got)
	}
	for _, a := range got {
		if !slices.Contains(listed, a) {
			t.Errorf("%s is none of %v", a, listed)
		}
	}
	if slices.ContainsFunc(sources(false), netip.Addr.IsLoopback) {
		t.Error("loopback without local")
	}
}

// counter is a listener that counts who connects.
func counter(t *testing.T, addr string) (port int, count *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	count = new(atomic.Int32)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).Port, count
}

// offerOf makes a transport of the peer with candidates at these hosts.
func offerOf(port int, hosts ...string) *xmltree.Element {
	e := xmltree.New(NS, "transport").Set("sid", "vj3hs98y")
	for i, h := range hosts {
		e.Add(Candidate{CID: "c" + strconv.Itoa(i), Host: h, Port: port, JID: juliet.String(), Priority: uint32(9000000 - i), Type: Direct}.Element())
	}
	return e
}

func TestForbiddenCandidates(t *testing.T) {
	port4, hits4 := counter(t, "127.0.0.1:0")
	cfg := Config{Interfaces: []string{loopbackName(t)}} // not AllowLoopback
	cfg.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "localhost", "inside.example.org":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:127.0.0.1")}, nil
		case "cloud.example.org":
			return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
		}
		return nil, errors.New("no such host")
	}
	var mu sync.Mutex
	var dialled []string
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		dialled = append(dialled, addr)
		mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	a := newSide(t, cfg, romeo, juliet, true)
	if e := a.n.Element(); len(e.Children) != 0 {
		t.Errorf("loopback offered: %s", e)
	}
	hosts := []string{
		"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::1", "169.254.169.254", "224.0.0.1", "ff02::1", "fe80::1%lo",
		"::127.0.0.1", "255.255.255.255", "localhost", "inside.example.org", "cloud.example.org", "nowhere.example.org", "127.1", "0x7f000001", "2130706433",
	}
	a.infos <- a.n.failedReport()
	_, err := a.n.Connect(t.Context(), offerOf(port4, hosts...), a.infos, a.sender(nil))
	if !errors.Is(err, ErrNoCandidate) {
		t.Error(err)
	}
	if n := hits4.Load(); n != 0 || len(dialled) != 0 {
		t.Errorf("%d connections, dialled %v", n, dialled)
	}
}

// A name is dialled by the address that was judged, not by name again.
func TestNamedCandidate(t *testing.T) {
	port, hits := counter(t, "127.0.0.1:0")
	var looked, dialled []string
	var mu sync.Mutex
	cfg := local(t)
	cfg.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		mu.Lock()
		defer mu.Unlock()
		looked = append(looked, host)
		return []netip.Addr{netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		dialled = append(dialled, addr)
		mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	a := newSide(t, cfg, romeo, juliet, true)
	a.infos <- a.n.failedReport()
	_, err := a.n.Connect(t.Context(), offerOf(port, "peer.example.org"), a.infos, a.sender(nil))
	if !errors.Is(err, ErrNoCandidate) {
		t.Error(err)
	}
	at := hostPort("127.0.0.1", port)
	if hits.Load() == 0 || !slices.Equal(slices.Compact(dialled), []string{at}) || !slices.Equal(slices.Compact(looked), []string{"peer.example.org"}) {
		t.Errorf("%d connections, dialled %v, looked up %v", hits.Load(), dialled, looked)
	}
}

func TestLocalAddrs(t *testing.T) {
	lo := loopbackName(t)
	with, err := localAddrs([]string{lo}, true)
	if err != nil || !slices.Contains(with, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("%v, %v", with, err)
	}
	without, err := localAddrs([]string{lo}, false)
	if err != nil || len(without) != 0 {
		t.Errorf("loopback not allowed: %v, %v", without, err)
	}
	all, err := localAddrs(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(all, func(a, b netip.Addr) int { return rank(a) - rank(b) }) {
		t.Errorf("not in order: %v", all)
	}
	for _, a := range all {
		if !ipaddr.MayDial(a, true) || a.Zone() != "" {
			t.Errorf("offered: %v", a)
		}
	}
}
