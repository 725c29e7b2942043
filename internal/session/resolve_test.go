package session

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"jetsend/internal/jid"
)

func resolver(direct, start []*net.SRV) func(context.Context, string, string, string) (string, []*net.SRV, error) {
	return func(_ context.Context, service, _, _ string) (string, []*net.SRV, error) {
		recs := start
		if service == srvDirectTLS {
			recs = direct
		}
		if recs == nil {
			return "", nil, &net.DNSError{IsNotFound: true}
		}
		return "", recs, nil
	}
}

func TestTargets(t *testing.T) {
	dot := []*net.SRV{{Target: "."}}
	for name, tt := range map[string]struct {
		server, socks string
		direct, start []*net.SRV
		want          []target
	}{
		"explicit":           {server: "h:5222", want: []target{{"h:5222", false}}},
		"explicit direct":    {server: "[::1]:5223", want: []target{{"[::1]:5223", true}}},
		"explicit 443":       {server: "h:443", want: []target{{"h:443", true}}},
		"no records":         {want: []target{{"jet.test:5223", true}, {"jet.test:5222", false}}},
		"proxy":              {socks: "p:1080", want: []target{{"jet.test:5223", true}, {"jet.test:5222", false}}},
		"one of each":        {direct: []*net.SRV{{Target: "a.", Port: 1, Priority: 5}}, start: []*net.SRV{{Target: "b.", Port: 2, Priority: 1}}, want: []target{{"b:2", false}, {"a:1", true}}},
		"direct first":       {direct: []*net.SRV{{Target: "a.", Port: 1}}, start: []*net.SRV{{Target: "b.", Port: 2, Priority: 1}, {Target: "c.", Port: 3, Priority: 2}}, want: []target{{"a:1", true}, {"b:2", false}, {"c:3", false}}},
		"direct absent":      {direct: dot, want: []target{{"jet.test:5222", false}}},
		"starttls absent":    {start: dot, want: []target{{"jet.test:5223", true}}},
		"absent but records": {direct: dot, start: []*net.SRV{{Target: "b.", Port: 2}}, want: []target{{"b:2", false}}},
		"dot among others":   {start: []*net.SRV{{Target: "."}, {Target: "b.", Port: 2, Priority: 1}}, want: []target{{"b:2", false}}},
	} {
		s := New(Config{JID: self, Server: tt.server, SOCKS5: tt.socks})
		s.cfg.LookupSRV = resolver(tt.direct, tt.start)
		if tt.server != "" || tt.socks != "" {
			s.cfg.LookupSRV = noLookup(t)
		}
		got, err := s.targets(context.Background(), fakeDomain)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v %v, want %v", name, got, err, tt.want)
		}
	}
	s := New(Config{JID: self})
	s.cfg.LookupSRV = resolver(dot, dot)
	if _, err := s.targets(context.Background(), fakeDomain); !errors.Is(err, errNoService) {
		t.Error(err)
	}
	s.cfg.Server = "no port"
	if _, err := s.targets(context.Background(), fakeDomain); err == nil {
		t.Error("an address without a port")
	}
}

// TestWeights checks that weights decide within a priority only, and that no
// record is lost.
func TestWeights(t *testing.T) {
	heavy := []*net.SRV{{Target: "heavy.", Port: 1, Weight: 60000}, {Target: "last.", Port: 4, Priority: 1, Weight: 65535}}
	light := []*net.SRV{{Target: "light.", Port: 2, Weight: 0}}
	first := map[string]int{}
	for range 200 {
		got := merge(heavy, light)
		if len(got) != 3 || got[2].address != "last:4" {
			t.Fatal(got)
		}
		first[got[0].address]++
	}
	if first["heavy:1"] < 190 {
		t.Errorf("%v", first)
	}
	var many []*net.SRV
	for i := range 100 {
		many = append(many, &net.SRV{Target: "x.", Port: uint16(i)})
	}
	if got := merge(nil, many); len(got) != maxTargets {
		t.Errorf("%d targets", len(got))
	}
}

func TestASCIIDomain(t *testing.T) {
	for in, want := range map[string]string{"jet.test": "jet.test", "müller.test": "xn--mller-kva.test", "[::1]": "::1", "127.0.0.1": "127.0.0.1"} {
		if got, err := asciiDomain(in); err != nil || got != want {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	if got, err := asciiDomain("a b"); err == nil {
		t.Errorf("got %q", got)
	}
}

// noLookup fails the test when DNS is asked.
func noLookup(t *testing.T) func(context.Context, string, string, string) (string, []*net.SRV, error) {
	return func(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
		t.Errorf("looked up %s of %s", service, name)
		return "", nil, &net.DNSError{IsNotFound: true}
	}
}

// TestProxy logs in through a SOCKS5 proxy on loopback, which must not count
// as a server on loopback. Nothing is looked up.
func TestProxy(t *testing.T) {
	for server, want := range map[string]string{"xmpp.jet.test:5222": "xmpp.jet.test:5222", "": "jet.test:5223"} {
		f := (&fake{direct: server == ""}).start(t)
		proxy, asked := socksProxy(t, f.address())
		cfg := f.config()
		cfg.SOCKS5, cfg.Server, cfg.LookupSRV = proxy, server, noLookup(t)
		s := New(cfg)
		if err := s.Start(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, asked); got != want {
			t.Errorf("the proxy was asked for %s", got)
		}
		if s.OverLoopback() {
			t.Error("behind a proxy, yet over loopback")
		}
		if l := s.Link(); l == nil || l.Address != want || l.Remote != nil {
			t.Errorf("link: %+v", l)
		}
		closeSession(t, s)
	}
}

// TestDial: what is dialled for others goes the same way, and ends by halves as
// a connection without a proxy does.
func TestDial(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	proxy, asked := socksProxy(t, ln.Addr().String())
	for _, socks := range []string{"", proxy} {
		s := New(Config{JID: self, SOCKS5: socks, Password: func(context.Context) (string, error) { return "", nil }})
		place := ln.Addr().String()
		if s.Proxied() {
			place = "files.jet.test:7777"
		}
		c, err := s.Dial(testContext(t), "tcp", place)
		if err != nil {
			t.Fatal(err)
		}
		if s.Proxied() {
			if got := receive(t, asked); got != place {
				t.Errorf("the proxy was asked for %s", got)
			}
		}
		there, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := c.(interface{ CloseWrite() error }); !ok || h.CloseWrite() != nil {
			t.Errorf("proxy %q: no end of one half", socks)
		}
		if b, err := io.ReadAll(there); err != nil || len(b) > 0 {
			t.Errorf("%q %v", b, err)
		}
		there.Close()
		c.Close()
		closeSession(t, s)
	}
	refusing := New(Config{JID: self, SOCKS5: "127.0.0.1:1", Password: func(context.Context) (string, error) { return "", nil }})
	defer closeSession(t, refusing)
	if c, err := refusing.Dial(testContext(t), "tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("dialled past a proxy that is away")
	}
}

func TestAnswerersKeepDomain(t *testing.T) {
	s := New(Config{JID: jid.MustParse("a@[::1]")})
	s.cfg.JID = jid.MustParse("a@[::1]")
	if got := s.answerers(jid.MustParse("[::1]")); len(got) != 4 {
		t.Errorf("%v", got)
	}
}

// socksProxy is a SOCKS5 proxy (RFC 1928) that connects everybody to one place,
// whatever name they ask for, and tells what that was.
func socksProxy(t *testing.T, to string) (address string, asked <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names := make(chan string, 100)
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer c.Close()
		names <- socksServer(c)
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer up.Close()
		half := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.(*net.TCPConn).CloseWrite()
		}
		wg.Go(func() { half(up, c) })
		half(c, up)
	}
	wg.Go(func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), names
}

// socksServer answers a SOCKS5 request (RFC 1928) for a domain name and
// returns what was asked for.
func socksServer(c net.Conn) string {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b)
		return b
	}
	read(int(read(2)[1])) // methods
	_, _ = c.Write([]byte{5, 0})
	name := read(int(read(5)[4]))
	port := read(2)
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return net.JoinHostPort(string(name), strconv.Itoa(int(port[0])<<8|int(port[1])))
}
