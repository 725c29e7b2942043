package s5b

import (
	"context"
	"errors"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/xmltree"
)

func TestNominate(t *testing.T) {
	used := func(p uint32) report { return report{said: true, used: &Candidate{Priority: p}} }
	failed := report{said: true}
	for _, tt := range []struct {
		mine, peers report
		asInit      outcome
		asResp      outcome
	}{
		{report{}, report{}, undecided, undecided},
		{used(1), report{}, undecided, undecided},
		{report{}, used(1), undecided, undecided},
		{failed, report{}, undecided, undecided},
		{failed, failed, nobody, nobody},
		{used(1), failed, ours, ours},
		{failed, used(1), theirs, theirs},
		{used(2), used(1), ours, ours},
		{used(1), used(2), theirs, theirs},
		{used(1), used(1), ours, theirs},
	} {
		if got := nominate(true, tt.mine, tt.peers); got != tt.asInit {
			t.Errorf("initiator, %v %v: %v", tt.mine, tt.peers, got)
		}
		if got := nominate(false, tt.mine, tt.peers); got != tt.asResp {
			t.Errorf("responder, %v %v: %v", tt.mine, tt.peers, got)
		}
	}
}

// withPriority returns e with that priority on every candidate.
func withPriority(e *xmltree.Element, p string) *xmltree.Element {
	e = e.Clone()
	for _, c := range e.Children {
		c.Set("priority", p)
	}
	return e
}

// Both sides reach one candidate each; which one is used follows from the
// priorities, and both agree.
func TestPriorityDecides(t *testing.T) {
	for _, tt := range []struct {
		name       string
		pa, pb     uint32 // of the initiator's and of the responder's candidates
		initiators bool   // the initiator's candidate is to be used
	}{
		{"initiator's is better", 8300000, 8290000, true},
		{"responder's is better", 8290000, 8300000, false},
		{"tie: the initiator chooses", 8300000, 8300000, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newPair(t, local(t), local(t))
			a.n.own, b.n.own = a.n.own[:1], b.n.own[:1]
			a.n.own[0].Priority, b.n.own[0].Priority = tt.pa, tt.pb
			// Reports are held back until both sides have reached something.
			var both sync.WaitGroup
			both.Add(2)
			hold := func(s, other *side) func(context.Context, *xmltree.Element) error {
				send := s.sender(other)
				return func(ctx context.Context, e *xmltree.Element) error {
					both.Done()
					both.Wait()
					return send(ctx, e)
				}
			}
			var x, y outcomeOf
			var wg sync.WaitGroup
			wg.Go(func() { x.c, x.err = a.n.Connect(t.Context(), b.n.Element(), a.infos, hold(a, b)) })
			wg.Go(func() { y.c, y.err = b.n.Connect(t.Context(), a.n.Element(), b.infos, hold(b, a)) })
			wg.Wait()
			if x.err != nil || y.err != nil {
				t.Fatal(x.err, y.err)
			}
			defer x.c.Close()
			defer y.c.Close()
			if x.c.CID != y.c.CID || (x.c.CID == a.n.own[0].CID) != tt.initiators {
				t.Errorf("initiator's %s, responder's %s, used %s and %s", a.n.own[0].CID, b.n.own[0].CID, x.c.CID, y.c.CID)
			}
			checkStream(t, x.c, y.c)
		})
	}
}

// The peer's candidate-error may be the first thing that we hear, before we
// have tried anything.
func TestErrorFirst(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	a.infos <- b.n.failedReport()
	ra := b.n.Element()
	var x outcomeOf
	var wg sync.WaitGroup
	wg.Go(func() { x.c, x.err = a.n.Connect(t.Context(), ra, a.infos, a.sender(nil)) })
	wg.Wait()
	if x.err != nil {
		t.Fatal(x.err)
	}
	defer x.c.Close()
	c := awaitTake(t, b.n.srv)
	checkStream(t, x.c, c)
}

// Some clients send their candidates one by one, after the accept.
func TestTrickle(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	a.n.timing.trickle = limit
	for _, c := range b.n.Element().Children {
		a.infos <- b.n.transport(c)
	}
	nothing := xmltree.New(NS, "transport").Set("sid", "vj3hs98y")
	x, y := connect(t, a, b, nothing, only(a.n.Element(), func(Candidate) bool { return false }))
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}

func TestPeerBreaksRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		remote func(*side) *xmltree.Element
		info   func(*side) *xmltree.Element
	}{
		{"used what we did not offer", nil, func(b *side) *xmltree.Element { return b.n.usedReport("none-such") }},
		{"reported a connection that it never made", nil, func(b *side) *xmltree.Element { return nil }},
		{"another stream", func(b *side) *xmltree.Element { return b.n.Element().Set("sid", "other") }, nil},
		{"another transport", func(*side) *xmltree.Element { return xmltree.New("urn:x", "transport") }, nil},
		{"udp", func(b *side) *xmltree.Element { return b.n.Element().Set("mode", "udp") }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newPair(t, local(t), local(t))
			a.n.timing.arrival = 50 * time.Millisecond
			remote := only(b.n.Element(), func(Candidate) bool { return false })
			if tt.remote != nil {
				remote = tt.remote(b)
			}
			if tt.info != nil {
				e := tt.info(b)
				if e == nil {
					e = b.n.usedReport(a.n.own[0].CID)
				}
				a.infos <- e
			}
			if _, err := a.n.Connect(t.Context(), remote, a.infos, a.sender(nil)); !errors.Is(err, ErrProtocol) {
				t.Error(err)
			}
		})
	}
}

// Reports of another stream, and what is no transport, change nothing.
func TestStrayInfos(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	a.infos <- xmltree.New("urn:x", "transport")
	a.infos <- b.n.failedReport().Set("sid", "other")
	x, y := connect(t, a, b, b.n.Element(), a.n.Element())
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}

func TestReportRefused(t *testing.T) {
	a, b := newPair(t, local(t), local(t))
	broken := errors.New("stream lost")
	_, err := a.n.Connect(t.Context(), b.n.Element(), a.infos, func(context.Context, *xmltree.Element) error { return broken })
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A candidate that refuses at first is tried again, once.
func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		refusals, dials int32
		ok              bool
	}{{1, 2, true}, {5, 2, false}} {
		t.Run(strconv.Itoa(int(tt.refusals)), func(t *testing.T) {
			var n atomic.Int32
			cfg := local(t)
			cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if n.Add(1) <= tt.refusals {
					return nil, syscall.ECONNREFUSED
				}
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			}
			a, b := newPair(t, cfg, local(t))
			one := true
			first := func(Candidate) bool { was := one; one = false; return was }
			x, y := connect(t, a, b, only(b.n.Element(), first), only(a.n.Element(), func(Candidate) bool { return false }))
			if (x.err == nil) != tt.ok || (y.err == nil) != tt.ok || n.Load() != tt.dials {
				t.Errorf("%v, %v, %d dials", x.err, y.err, n.Load())
			}
		})
	}
}

// A candidate that does not answer delays the next one by the stagger only.
func TestSlowCandidate(t *testing.T) {
	cfg := local(t)
	var slow atomic.Bool
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if slow.CompareAndSwap(false, true) {
			<-ctx.Done() // lost packets
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	a, b := newPair(t, cfg, local(t))
	a.n.timing.attempt = limit // the test would run into its own limit
	if len(b.n.own) < 2 {
		t.Skip("one address only")
	}
	x, y := connect(t, a, b, b.n.Element(), only(a.n.Element(), func(Candidate) bool { return false }))
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}

// A host that has answered may take longer for the handshake than a dead address gets.
func TestSlowPath(t *testing.T) {
	cfg := local(t)
	cfg.Dial = func(_ context.Context, network, addr string) (net.Conn, error) { return net.Dial(network, addr) }
	a, b := newPair(t, cfg, local(t))
	a.n.timing.attempt = time.Nanosecond
	x, y := connect(t, a, b, b.n.Element(), only(a.n.Element(), func(Candidate) bool { return false }))
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	checkStream(t, x.c, y.c)
}

// When the peer has reached a candidate that beats what is left, trying ends.
func TestNotWorthTrying(t *testing.T) {
	cfg := local(t)
	ended := make(chan struct{}, maxDialled)
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	}
	a, b := newPair(t, cfg, local(t))
	a.n.timing.attempt = limit
	x, y := connect(t, a, b, withPriority(b.n.Element(), "5"), a.n.Element())
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	<-ended
	if r := a.reports(); len(r) != 1 || r[0].Child(NS, "candidate-error") == nil {
		t.Errorf("reports %v", r)
	}
	checkStream(t, x.c, y.c)
}

// No peer makes us dial more than ten candidates, twice each, nor ourselves.
func TestDialBounds(t *testing.T) {
	var mu sync.Mutex
	dialled := map[string]int{}
	cfg := local(t)
	cfg.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		mu.Lock()
		dialled[addr]++
		mu.Unlock()
		return nil, syscall.ECONNREFUSED
	}
	a := newSide(t, cfg, romeo, juliet, true)
	e := xmltree.New(NS, "transport")
	for _, o := range a.n.own { // reflected
		o.CID = "r" + o.CID
		e.Add(o.Element())
	}
	for i := range 50 {
		host := "192.0.2." + strconv.Itoa(i+1)
		for range 2 { // a cid that looks like an address, and all of it twice
			e.Add(Candidate{CID: hostPort(host, 80), Host: host, Port: 80, Priority: uint32(i), Type: Assisted}.Element())
		}
	}
	a.infos <- a.n.failedReport()
	if _, err := a.n.Connect(t.Context(), e, a.infos, a.sender(nil)); !errors.Is(err, ErrNoCandidate) {
		t.Error(err)
	}
	if len(dialled) != maxDialled {
		t.Errorf("%d addresses dialled", len(dialled))
	}
	for addr, n := range dialled {
		if n > maxTries || !strings.HasPrefix(addr, "192.0.2.") {
			t.Errorf("%s dialled %d times", addr, n)
		}
	}
}

// TestReportEnds: a direct connection that the peer reports ends our own tries: nothing can be
// better than what is there, and both ends would wait for what never answers.
func TestReportEnds(t *testing.T) {
	b := local(t)
	ended := make(chan error, maxDialled*maxTries)
	b.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	x, y := newPair(t, local(t), b)
	x.n.own[0].Priority = 127 << 16 // which would win over what x has reached
	p, q := connect(t, x, y, y.n.Element(), x.n.Element())
	if p.err != nil || q.err != nil {
		t.Fatal(p.err, q.err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("tried until %v", err)
	}
	checkStream(t, p.c, q.c)
}

// TestEnough: when the peer has a path through a proxy, what does not answer here is waited for
// a while, and no longer; without one as long as it takes.
func TestEnough(t *testing.T) {
	n := newSide(t, local(t), romeo, juliet, true).n
	n.timing.enough = time.Second
	d := newDialler(n, "")
	defer d.stop()
	stopped := false
	d.queue = []target{{Candidate: Candidate{CID: "a", Priority: math.MaxUint32}}}
	d.running["b"] = running{Candidate: Candidate{CID: "b", Priority: math.MaxUint32}, cancel: func() { stopped = true }}
	begun := time.Now()
	r := &run{n: n, d: d, begun: begun}
	if wait := r.enough(begun.Add(time.Hour)); wait != 0 || len(d.queue) != 1 || stopped {
		t.Error("given up though the peer has nothing")
	}
	r.peers = report{said: true, used: &Candidate{Type: Mediated}}
	if wait := r.enough(begun.Add(n.timing.enough / 2)); wait != n.timing.enough/2 || len(d.queue) != 1 || stopped {
		t.Error("given up too soon")
	}
	if wait := r.enough(begun.Add(n.timing.enough)); wait != 0 || len(d.queue) != 0 || !stopped {
		t.Error("not given up")
	}
}

// TestForgottenFails: an attempt that is given up, and had failed by itself a moment before it
// was told so, is not made again: what cannot win would be waited for. Else it is.
func TestForgottenFails(t *testing.T) {
	for _, forgotten := range []bool{true, false} {
		d := newDialler(newSide(t, local(t), romeo, juliet, true).n, "")
		defer d.stop()
		c := target{Candidate: Candidate{CID: "a", Priority: 7}, tries: 1}
		d.running[c.CID] = running{Candidate: c.Candidate, cancel: func() {}}
		if forgotten {
			d.forget(7, true)
		}
		d.done(result{target: c, err: syscall.ECONNREFUSED})
		if d.idle() != forgotten {
			t.Errorf("forgotten %t: idle %t", forgotten, d.idle())
		}
	}
}
