package s5b

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// fakeProxy is a SOCKS5 proxy (XEP-0065 section 4) on loopback. It joins the
// two connections for a destination when the owner asks for it.
type fakeProxy struct {
	jid  jid.JID
	port int

	mu      sync.Mutex
	waiting map[string][]net.Conn // by destination
	log     []string              // what happened, in order
	refuse  error                 // of every activation
	hang    bool                  // activations are not answered
	asked   chan struct{}         // an activation was asked for
	wg      sync.WaitGroup
	conns   []net.Conn
}

func newFakeProxy(t testing.TB, name string) *fakeProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &fakeProxy{jid: jid.MustParse(name), port: l.Addr().(*net.TCPAddr).Port, waiting: map[string][]net.Conn{}, asked: make(chan struct{}, 4)}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
			p.wg.Go(func() { p.greet(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// greet is the handshake: any destination is taken, as proxies do.
func (p *fakeProxy) greet(c net.Conn) {
	head := make([]byte, 3+5+40+2)
	if _, err := io.ReadFull(c, head[:3]); err != nil {
		return
	}
	_, _ = c.Write([]byte{5, 0})
	if _, err := io.ReadFull(c, head[:47]); err != nil {
		return
	}
	dst := string(head[5:45])
	p.mu.Lock()
	p.waiting[dst] = append(p.waiting[dst], c)
	p.log = append(p.log, "connected")
	p.mu.Unlock()
	_, _ = c.Write(address([]byte{5, 0, 0}, dst))
}

func (p *fakeProxy) happened() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.log...)
}

// proxy is how an account knows it.
func (p *fakeProxy) proxy() Proxy { return Proxy{JID: p.jid, Host: "127.0.0.1", Port: p.port} }

// account is the Port of somebody who may use the proxy.
type account struct {
	p    *fakeProxy
	self jid.JID
}

func (a account) IQ(ctx context.Context, to jid.JID, typ stanza.IQType, q *xmltree.Element) (*xmltree.Element, error) {
	if to != a.p.jid || typ != stanza.Set || !q.Is(NSBytestreams, "query") {
		return nil, stanza.NewError(stanza.BadRequest)
	}
	other, err := jid.Parse(q.ChildText(NSBytestreams, "activate"))
	if err != nil {
		return nil, stanza.NewError("jid-malformed")
	}
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.log = append(a.p.log, "activate")
	a.p.asked <- struct{}{}
	pair := a.p.waiting[DestinationAddress(q.Attr("sid"), a.self, other)]
	switch {
	case a.p.hang:
		a.p.mu.Unlock()
		<-ctx.Done()
		a.p.mu.Lock()
		return nil, ctx.Err()
	case a.p.refuse != nil:
		return nil, a.p.refuse
	case len(pair) != 2:
		return nil, stanza.NewError(stanza.ItemNotFound)
	}
	for _, d := range [][2]net.Conn{{pair[0], pair[1]}, {pair[1], pair[0]}} {
		a.p.wg.Go(func() {
			_, _ = io.Copy(d[0], d[1])
			_ = d[0].(*net.TCPConn).CloseWrite()
		})
	}
	return nil, nil
}

// onlyProxies is a Config of an account whose only path is the proxy.
func onlyProxies(t testing.TB, p *fakeProxy, self jid.JID) Config {
	cfg := local(t)
	cfg.Proxies, cfg.Port, cfg.Interfaces = []Proxy{p.proxy()}, account{p, self}, []string{"none-such"}
	return cfg
}
