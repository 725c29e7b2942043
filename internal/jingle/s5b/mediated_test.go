package s5b

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// names returns what the reports of a side were, in order, with cids.
func names(reports []*xmltree.Element) (out []string) {
	for _, r := range reports {
		for _, c := range r.Children {
			out = append(out, strings.TrimSpace(c.Name.Local+" "+c.Attr("cid")))
		}
	}
	return out
}

// A proxy of either side, or of both, carries the stream. Its owner connects to
// it and activates it once both sides have reported, and not before.
func TestThroughProxy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		a, b   bool // who offers a proxy
		same   bool // it is one and the same
		answer bool // the responder looks at the initiator's offer first
		owner  string
	}{
		{name: "initiator's", a: true, owner: "a"},
		{name: "responder's", b: true, owner: "b"},
		{name: "both, the same", a: true, b: true, same: true, answer: true, owner: "a"},
		{name: "both, the same, offered twice", a: true, b: true, same: true, owner: "a"},
		{name: "both, different ones", a: true, b: true, answer: true, owner: "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pa := newFakeProxy(t, "proxy.montague.lit")
			pb := pa
			if !tt.same {
				pb = newFakeProxy(t, "proxy.capulet.lit")
			}
			ca, cb := onlyProxies(t, pa, romeo), onlyProxies(t, pb, juliet)
			if !tt.a {
				ca.Proxies = nil
			}
			if !tt.b {
				cb.Proxies = nil
			}
			a, b := newPair(t, ca, cb)
			ea, eb := a.n.Element(), b.n.Element()
			if tt.answer {
				if eb = b.n.Answer(ea); (len(eb.Children) == 0) != tt.same {
					t.Errorf("answer %s to %s", eb, ea)
				}
			}
			x, y := connect(t, a, b, eb, ea)
			if x.err != nil || y.err != nil {
				t.Fatal(x.err, y.err)
			}
			if x.c.Kind != Mediated || y.c.Kind != Mediated || x.c.CID != y.c.CID || x.c.HalfClose() || y.c.HalfClose() {
				t.Errorf("kind %q %q, candidate %q %q", x.c.Kind, y.c.Kind, x.c.CID, y.c.CID)
			}
			p, owner, other := pa, a, b
			if tt.owner == "b" {
				p, owner, other = pb, b, a
			}
			if log := p.happened(); log[len(log)-1] != "activate" || slices.Index(log, "activate") != len(log)-1 {
				t.Errorf("at the proxy: %v", log)
			}
			if got := names(owner.reports()); len(got) != 2 || got[1] != "activated "+x.c.CID {
				t.Errorf("owner reported %v", got)
			}
			if got := names(other.reports()); len(got) != 1 || got[0] != "candidate-used "+x.c.CID {
				t.Errorf("the other reported %v", got)
			}
			checkStream(t, x.c, y.c)
		})
	}
}

// The owner's word that its proxy is ready comes after its report, however slow
// that is to be delivered.
func TestActivatedAfterReport(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	cb := local(t)
	cb.Interfaces = []string{"none-such"}
	a, b := newPair(t, onlyProxies(t, p, romeo), cb)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	deliver := a.sender(b)
	slow := func(_ context.Context, e *xmltree.Element) error {
		if e.Child(NS, "candidate-error") != nil {
			select {
			case <-p.asked:
			case <-ctx.Done():
			}
		}
		return deliver(ctx, e)
	}
	var x, y outcomeOf
	var wg sync.WaitGroup
	wg.Go(func() { x.c, x.err = a.n.Connect(ctx, b.n.Element(), a.infos, slow) })
	wg.Go(func() { y.c, y.err = b.n.Connect(ctx, a.n.Element(), b.infos, b.sender(a)) })
	wg.Wait()
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	defer x.c.Close()
	defer y.c.Close()
	if got, want := names(a.reports()), []string{"candidate-error", "activated " + x.c.CID}; !slices.Equal(got, want) {
		t.Errorf("reported %v", got)
	}
}

// Whatever fails about an agreed proxy, both sides learn it and may fall back.
func TestProxyFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(p *fakeProxy, owner *side, cfg *Config)
	}{
		{"activation refused", func(p *fakeProxy, _ *side, _ *Config) { p.refuse = stanza.NewError("not-allowed") }},
		{"activation unanswered", func(p *fakeProxy, s *side, _ *Config) { p.hang, s.n.timing.activate = true, 50*time.Millisecond }},
		{"owner cannot reach it", func(_ *fakeProxy, s *side, _ *Config) {
			s.n.cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		}},
		{"owner's name for it leads nowhere", func(_ *fakeProxy, s *side, _ *Config) { s.n.own[0].Host = "proxy.example.org" }},
	} {
		for _, initiator := range []bool{true, false} {
			t.Run(tt.name+", initiator's "+strconv.FormatBool(initiator), func(t *testing.T) {
				p := newFakeProxy(t, "proxy.montague.lit")
				self, peer := romeo, juliet
				if !initiator {
					self, peer = juliet, romeo
				}
				cfg := onlyProxies(t, p, self)
				owner := newSide(t, cfg, self, peer, initiator)
				other := newSide(t, Config{AllowLoopback: true, Interfaces: []string{"none-such"}}, peer, self, !initiator)
				offer := owner.n.Element()
				owner.n.cfg.Resolve = nowhere
				tt.spoil(p, owner, &cfg)
				x, y := connect(t, owner, other, other.n.Element(), offer)
				for _, o := range []outcomeOf{x, y} {
					if !errors.Is(o.err, ErrProxy) || !errors.Is(o.err, ErrNoCandidate) || o.c != nil {
						t.Errorf("%v", o.err)
					}
				}
				cid := owner.n.own[0].CID
				if got, want := names(owner.reports()), []string{"candidate-error", "proxy-error " + cid}; !slices.Equal(got, want) {
					t.Errorf("owner reported %v", got)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				for _, c := range p.conns { // nobody holds on to it
					_ = c.SetReadDeadline(time.Now().Add(limit))
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
						t.Errorf("connection at the proxy: %v", err)
					}
				}
			})
		}
	}
}

func nowhere(context.Context, string) ([]netip.Addr, error) {
	return nil, errors.New("no such host")
}

// The peer may lose our proxy while we activate it. Its report of another one
// changes nothing.
func TestPeerReportsProxyError(t *testing.T) {
	for _, tt := range []struct {
		name string
		cid  func(own string) string
		want error
	}{
		{"without cid", func(string) string { return "" }, ErrProxy},
		{"of ours", func(own string) string { return own }, ErrProxy},
		{"of another", func(string) string { return "other" }, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newFakeProxy(t, "proxy.montague.lit")
			p.hang = true
			a := newSide(t, onlyProxies(t, p, romeo), romeo, juliet, true)
			cid := a.n.own[0].CID
			e := xmltree.New(NS, "proxy-error")
			if c := tt.cid(cid); c != "" {
				e.Set("cid", c)
			}
			a.infos <- a.n.usedReport(cid)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := a.n.Connect(ctx, xmltree.New(NS, "transport"), a.infos, a.sender(nil))
				done <- err
			}()
			<-p.asked
			a.infos <- a.n.transport(e)
			if tt.want == context.Canceled { // once it is read, and nothing came of it
				for len(a.infos) > 0 {
					runtime.Gosched()
				}
				cancel()
			}
			if err := <-done; !errors.Is(err, tt.want) {
				t.Error(err)
			}
		})
	}
}

// A connection that is ready when nobody wants it any more is closed.
func TestActivatedTooLate(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	a := newSide(t, onlyProxies(t, p, romeo), romeo, juliet, true)
	dst := DestinationAddress("vj3hs98y", romeo, juliet)
	peer, err := net.Dial("tcp", hostPort("127.0.0.1", p.port))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := request(t.Context(), peer, dst, false); err != nil {
		t.Fatal(err)
	}
	a.infos <- a.n.usedReport(a.n.own[0].CID)
	_, err = a.n.Connect(t.Context(), xmltree.New(NS, "transport"), a.infos, func(_ context.Context, e *xmltree.Element) error {
		if e.Child(NS, "activated") != nil {
			a.infos <- a.n.transport(xmltree.New(NS, "proxy-error"))
			for len(a.infos) > 0 {
				runtime.Gosched()
			}
		}
		return nil
	})
	if !errors.Is(err, ErrProxy) {
		t.Error(err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(limit))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer's connection: %v", err)
	}
}

// Close ends a Connect that activates a proxy.
func TestCloseWhileActivating(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	p.hang = true
	a := newSide(t, onlyProxies(t, p, romeo), romeo, juliet, true)
	a.infos <- a.n.usedReport(a.n.own[0].CID)
	done := make(chan error, 1)
	go func() {
		_, err := a.n.Connect(t.Context(), xmltree.New(NS, "transport"), a.infos, a.sender(nil))
		done <- err
	}()
	<-p.asked
	_ = a.n.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// A direct connection beats a proxy that is there as well.
func TestDirectBeforeProxy(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	ca, cb := onlyProxies(t, p, romeo), onlyProxies(t, p, juliet)
	ca.Interfaces, cb.Interfaces = local(t).Interfaces, local(t).Interfaces
	a, b := newPair(t, ca, cb)
	ea := a.n.Element()
	x, y := connect(t, a, b, b.n.Answer(ea), ea)
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	if x.c.Kind != Direct || y.c.Kind != Direct || !x.c.HalfClose() || slices.Contains(p.happened(), "activate") {
		t.Errorf("kind %q %q, at the proxy %v", x.c.Kind, y.c.Kind, p.happened())
	}
	checkStream(t, x.c, y.c)
}

// Proxies come after direct candidates, take their share of the room, and have
// numbers that nobody else uses.
func TestOfferedProxies(t *testing.T) {
	p := newFakeProxy(t, "proxy.montague.lit")
	cfg := local(t)
	cfg.Port = account{p, romeo}
	for i := range 20 {
		cfg.Advertise = append(cfg.Advertise, "192.0.2."+strconv.Itoa(i+1)+":6000")
		cfg.Proxies = append(cfg.Proxies, Proxy{JID: p.jid, Host: "198.51.100.7", Port: 7000 + i/2}) // each twice
	}
	cfg.Proxies = append([]Proxy{
		{JID: p.jid, Host: "0.0.0.0", Port: 1}, {JID: p.jid, Host: "224.0.0.1", Port: 1}, {JID: p.jid, Host: "", Port: 1},
		{JID: p.jid, Host: "198.51.100.7"}, {JID: p.jid, Host: "198.51.100.7", Port: 70000}, {Host: "198.51.100.7", Port: 1},
	}, cfg.Proxies...)
	seen := map[uint32]bool{}
	for _, free := range []uint32{655360, 655361, 655375, 655390, 688128, 688127, 688126} { // of other clients
		seen[free] = true
	}
	for _, initiator := range []bool{true, false} {
		a := newSide(t, cfg, romeo, juliet, initiator)
		kids := a.n.Element().Children
		if len(kids) != maxOffered {
			t.Errorf("%d candidates", len(kids))
		}
		var last uint32 = 1 << 31
		for i, k := range kids {
			c, ok := parseCandidate(k)
			if proxy := i >= maxOffered-maxProxies; !ok || proxy != (c.Type == Mediated) || seen[c.Priority] || c.Priority >= last {
				t.Errorf("candidate %d: %s", i, k)
			}
			if c.Type == Mediated && (c.JID != p.jid.String() || c.Priority>>16 != 10 || c.Port != 7000+i-(maxOffered-maxProxies)) {
				t.Errorf("proxy %s", k)
			}
			seen[c.Priority], last = true, c.Priority
		}
	}
	cfg.Port = nil
	if kids := newSide(t, cfg, romeo, juliet, true).n.Element().Children; kids[len(kids)-1].Attr("type") != Direct {
		t.Errorf("nobody can activate %s", kids[len(kids)-1])
	}
}
