package s5b

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/xmltree"
)

// socksServer is somebody else's SOCKS5 server. It hands out its connections.
func socksServer(t *testing.T, dst ...string) (port int, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan net.Conn, 10)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := serveRequest(c, func(asked string) bool { return slices.Contains(dst, asked) }); err != nil {
				c.Close()
				continue
			}
			out <- c
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		for len(out) > 0 {
			(<-out).Close()
		}
	})
	return l.Addr().(*net.TCPAddr).Port, out
}

// A server that knows only the address with the initiator's JID first, as
// Psi's, is reached at the second attempt; so is one that the peer names.
func TestOtherDestinations(t *testing.T) {
	for _, tt := range []struct{ name, dstaddr, knows string }{
		{"owner first", "", DestinationAddress("vj3hs98y", juliet, romeo)},
		{"initiator first", "", DestinationAddress("vj3hs98y", romeo, juliet)},
		{"as the peer says", "something", "something"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, conns := socksServer(t, tt.knows)
			a := newSide(t, local(t), romeo, juliet, true)
			a.infos <- a.n.failedReport()
			offer := offerOf(port, "127.0.0.1")
			if tt.dstaddr != "" {
				offer.Set("dstaddr", tt.dstaddr)
			}
			c, err := a.n.Connect(t.Context(), offer, a.infos, a.sender(nil))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s := <-conns
			defer s.Close()
			checkStream(t, c, &Conn{Conn: s})
		})
	}
}

// proxyOffer is a peer's transport with its proxy as the only candidate.
func proxyOffer(port int) *xmltree.Element {
	return xmltree.New(NS, "transport", Candidate{
		CID: "p", Host: "127.0.0.1", Port: port, JID: "proxy.capulet.lit", Priority: 655360, Type: Mediated,
	}.Element()).Set("sid", "vj3hs98y")
}

// A peer's proxy may be used only once the peer has activated it.
func TestPeersProxy(t *testing.T) {
	activated := func(cid string) *xmltree.Element {
		e := xmltree.New(NS, "activated")
		if cid != "" {
			e.Set("cid", cid)
		}
		return xmltree.New(NS, "transport", e).Set("sid", "vj3hs98y")
	}
	proxyError := xmltree.New(NS, "transport", xmltree.New(NS, "proxy-error")).Set("sid", "vj3hs98y")
	failed := xmltree.New(NS, "transport", xmltree.New(NS, "candidate-error")).Set("sid", "vj3hs98y")
	for _, tt := range []struct {
		name  string
		infos []*xmltree.Element // after our report
		want  error
	}{
		{"activated", []*xmltree.Element{failed, activated("p")}, nil},
		{"activated first", []*xmltree.Element{activated("p"), failed}, nil},
		{"activated without a report", []*xmltree.Element{activated("p")}, nil},
		{"activated without cid", []*xmltree.Element{failed, activated("")}, nil},
		{"another activated", []*xmltree.Element{failed, activated("q")}, context.Canceled},
		{"never activated", []*xmltree.Element{failed}, context.Canceled},
		{"proxy error", []*xmltree.Element{failed, proxyError}, ErrNoCandidate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, conns := socksServer(t, DestinationAddress("vj3hs98y", juliet, romeo))
			a := newSide(t, local(t), romeo, juliet, true)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, err := a.n.Connect(ctx, proxyOffer(port), a.infos, func(_ context.Context, e *xmltree.Element) error {
				if u := e.Child(NS, "candidate-used"); u.Attr("cid") != "p" {
					t.Errorf("reported %s", e)
				}
				for _, i := range tt.infos {
					a.infos <- i
				}
				if tt.want == context.Canceled { // once all is read, and nothing came of it
					for len(a.infos) > 0 {
						runtime.Gosched()
					}
					cancel()
				}
				return nil
			})
			s := <-conns
			defer s.Close()
			if !errors.Is(err, tt.want) {
				t.Fatal(err)
			}
			if tt.want != nil {
				_ = s.SetReadDeadline(time.Now().Add(limit))
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("connection to the proxy: %v", err)
				}
				return
			}
			defer c.Close()
			if c.Kind != Mediated || c.CID != "p" {
				t.Errorf("kind %q, candidate %q", c.Kind, c.CID)
			}
			checkStream(t, c, &Conn{Conn: s})
		})
	}
}

// A reachable direct candidate is waited for a little before a proxy is tried.
func TestProxyLast(t *testing.T) {
	var mu sync.Mutex
	var order []string
	cfg := local(t)
	cfg.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, addr)
		return nil, syscall.ECONNREFUSED
	}
	a := newSide(t, cfg, romeo, juliet, true)
	a.n.timing.stagger, a.n.timing.proxy = limit, limit // one after the other: each is refused
	a.infos <- a.n.failedReport()
	offer := proxyOffer(1).Add(offerOf(2, "192.0.2.1", "192.0.2.2").Children...)
	if _, err := a.n.Connect(t.Context(), offer, a.infos, a.sender(nil)); !errors.Is(err, ErrNoCandidate) {
		t.Error(err)
	}
	if want := []string{"192.0.2.1:2", "192.0.2.2:2", "127.0.0.1:1"}; !slices.Equal(order[:3], want) {
		t.Errorf("order %v", order)
	}

	d := newDialler(a.n, "")
	defer d.cancel()
	now := time.Now()
	d.running["slow"] = running{Candidate: Candidate{Type: Direct}}
	d.proxies = now.Add(time.Second)
	proxy := target{Candidate: Candidate{Type: Mediated}}
	if got := d.due(proxy); !got.Equal(d.proxies) {
		t.Errorf("beside a direct candidate: due in %s", got.Sub(now))
	}
	delete(d.running, "slow")
	if got := d.due(proxy); got.After(now) {
		t.Errorf("alone: due in %s", got.Sub(now))
	}
}
