package session

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
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
		"proxy":              {socks: "p:1080", start: []*net.SRV{{Target: "a.", Port: 1}}, want: []target{{"jet.test:5223", true}, {"jet.test:5222", false}}},
		"one of each":        {direct: []*net.SRV{{Target: "a.", Port: 1, Priority: 5}}, start: []*net.SRV{{Target: "b.", Port: 2, Priority: 1}}, want: []target{{"b:2", false}, {"a:1", true}}},
		"direct first":       {direct: []*net.SRV{{Target: "a.", Port: 1}}, start: []*net.SRV{{Target: "b.", Port: 2, Priority: 1}, {Target: "c.", Port: 3, Priority: 2}}, want: []target{{"a:1", true}, {"b:2", false}, {"c:3", false}}},
		"direct absent":      {direct: dot, want: []target{{"jet.test:5222", false}}},
		"starttls absent":    {start: dot, want: []target{{"jet.test:5223", true}}},
		"absent but records": {direct: dot, start: []*net.SRV{{Target: "b.", Port: 2}}, want: []target{{"b:2", false}}},
		"dot among others":   {start: []*net.SRV{{Target: "."}, {Target: "b.", Port: 2, Priority: 1}}, want: []target{{"b:2", false}}},
	} {
		s := New(Config{JID: self, Server: tt.server, SOCKS5: tt.socks, LookupSRV: resolver(tt.direct, tt.start)})
		s.cfg.LookupSRV = resolver(tt.direct, tt.start)
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

// TestProxy logs in through a SOCKS5 proxy on loopback, which must not count
// as a server on loopback.
func TestProxy(t *testing.T) {
	f := (&fake{}).start(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		asked <- socksServer(c)
		up, err := net.Dial("tcp", f.ln.Addr().String())
		if err != nil {
			return
		}
		defer up.Close()
		go func() { _, _ = io.Copy(up, c); up.Close() }()
		_, _ = io.Copy(c, up)
	}()
	defer func() { ln.Close(); <-done }()
	cfg := f.config()
	cfg.SOCKS5, cfg.Server = ln.Addr().String(), "xmpp.jet.test:5222"
	s := New(cfg)
	defer closeSession(t, s)
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, asked); got != "xmpp.jet.test:5222" {
		t.Errorf("the proxy was asked for %s", got)
	}
	if s.OverLoopback() {
		t.Error("behind a proxy, yet over loopback")
	}
}

func TestAnswerersKeepDomain(t *testing.T) {
	s := New(Config{JID: jid.MustParse("a@[::1]")})
	s.cfg.JID = jid.MustParse("a@[::1]")
	if got := s.answerers(jid.MustParse("[::1]")); len(got) != 4 {
		t.Errorf("%v", got)
	}
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
