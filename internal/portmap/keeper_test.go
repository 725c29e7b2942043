package portmap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// madeUp is a protocol without a router.
type madeUp struct {
	mu      sync.Mutex
	called  string
	outer   netip.Addr
	give    uint16 // the external port; 0: the one that is asked for
	refuses error
	slow    time.Duration // of a deletion
	adds    []time.Duration
	has     map[uint16]int // how often a port is mapped
	begun   time.Time
}

func newMadeUp(name string) *madeUp {
	return &madeUp{called: name, outer: outside, has: map[uint16]int{}, begun: time.Now()}
}

func (p *madeUp) name() string { return p.called }

func (p *madeUp) external(context.Context) (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outer, p.refuses
}

func (p *madeUp) add(_ context.Context, internal, external uint16, lease time.Duration) (grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses != nil {
		return grant{}, p.refuses
	}
	if p.give != 0 {
		external = p.give
	}
	p.adds = append(p.adds, time.Since(p.begun))
	p.has[internal] = 1
	return grant{external, lease}, nil
}

func (p *madeUp) remove(ctx context.Context, internal, _ uint16) error {
	select {
	case <-time.After(p.slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.has, internal)
	return nil
}

// count returns how many ports are mapped, and how often that was asked for.
func (p *madeUp) count() (ports, asked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.has), len(p.adds)
}

// set changes what it does.
func (p *madeUp) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// bubble is a Keeper whose clock belongs to the test, with what it logs and how often it
// has looked.
type bubble struct {
	*Keeper
	log   bytes.Buffer
	looks atomic.Int32
	at    atomic.Pointer[netip.Addr] // the gateway
}

// inBubble runs a test with a Keeper whose router can be asked in these ways.
func inBubble(t *testing.T, test func(t *testing.T, b *bubble, p *madeUp), more ...ask) {
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{}
		b.move("127.0.0.1")
		b.Keeper = New(Config{
			Gateway: func() (netip.Addr, netip.Addr, error) { return *b.at.Load(), local, nil },
			Log:     slog.New(slog.NewTextHandler(&b.log, nil)),
		})
		p := newMadeUp("made-up")
		b.ways = func(netip.Addr, netip.Addr) []ask {
			b.looks.Add(1)
			return append([]ask{func(ctx context.Context) (protocol, netip.Addr, error) {
				a, err := p.external(ctx)
				return p, a, err
			}}, more...)
		}
		test(t, b, p)
		b.Close()
		if ports, _ := p.count(); ports != 0 {
			t.Errorf("%d mappings are left", ports)
		}
	})
}

// move brings the machine into the network of another router.
func (b *bubble) move(gateway string) {
	a := netip.MustParseAddr(gateway)
	b.at.Store(&a)
}

// hold holds a port.
func (b *bubble) hold(t *testing.T, port uint16) *Hold {
	t.Helper()
	h, err := b.Hold(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// silence is a way that never gets an answer.
func silence(ctx context.Context) (protocol, netip.Addr, error) {
	<-ctx.Done()
	return nil, netip.Addr{}, ctx.Err()
}

// TestShared: a mapping is one for all who hold it, renewed at half of its time, and deleted
// with the last of them.
func TestShared(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		first, second := b.hold(t, 6001), b.hold(t, 6001)
		if first.External() != netip.AddrPortFrom(outside, 6001) || second.External() != first.External() || first.How() != "made-up" {
			t.Error(first.External(), second.External(), first.How())
		}
		time.Sleep(5*time.Minute + time.Second)
		p.set(func() {
			if len(p.adds) != 6 || p.adds[0] != 0 || p.adds[1] != time.Minute {
				t.Errorf("asked at %s", p.adds)
			}
		})
		first.Release()
		first.Release() // counts once
		synctest.Wait()
		if ports, _ := p.count(); ports != 1 {
			t.Error("deleted though somebody holds it")
		}
		second.Release()
		synctest.Wait()
		if ports, _ := p.count(); ports != 0 {
			t.Error("not deleted")
		}
		time.Sleep(time.Hour)
		if _, asked := p.count(); asked != 6 {
			t.Error("renewed though nobody holds it")
		}
	})
}

// TestAgain: who wants a port that is just being deleted waits for that.
func TestAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		p.slow = 500 * time.Millisecond
		b.hold(t, 6001).Release()
		begun := time.Now()
		h := b.hold(t, 6001)
		if took := time.Since(begun); took != p.slow {
			t.Errorf("it took %s", took)
		}
		if ports, _ := p.count(); ports != 1 {
			t.Error("deleted though somebody holds it")
		}
		p.slow = time.Hour // the router answers no more
		h.Release()
		b.hold(t, 6002)
		begun = time.Now()
		b.Close()
		if took := time.Since(begun); took != deleteTime {
			t.Errorf("closing took %s", took)
		}
		p.set(func() { clear(p.has) })
		if _, err := b.Hold(t.Context(), 6001); err == nil {
			t.Error("held after the end")
		}
	})
}

// TestMoved: the mapping is somewhere else after a renewal, nowhere while the router does not
// answer, and there again.
func TestMoved(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		h := b.hold(t, 6001)
		defer h.Release()
		p.set(func() { p.give = 7001 })
		time.Sleep(61 * time.Second)
		if h.External() != netip.AddrPortFrom(outside, 7001) || !strings.Contains(b.log.String(), "has changed") {
			t.Error("after the router has restarted: ", h.External(), b.log.String())
		}
		p.set(func() { p.outer = netip.MustParseAddr("45.9.9.12") })
		time.Sleep(time.Minute)
		if want := netip.MustParseAddrPort("45.9.9.12:7001"); h.External() != want {
			t.Error("with another address: ", h.External())
		}
		p.set(func() { p.refuses = errors.New("broken") })
		time.Sleep(61 * time.Second)
		if !h.External().IsValid() {
			t.Error("given up too early")
		}
		time.Sleep(time.Minute)
		if h.External().IsValid() {
			t.Error("after it has run out: ", h.External())
		}
		if _, err := b.Hold(t.Context(), 6001); !errors.Is(err, errLost) {
			t.Error("shared though it is nowhere: ", err)
		}
		p.set(func() { p.refuses = nil })
		time.Sleep(time.Minute)
		if !h.External().IsValid() || h.How() != "made-up" {
			t.Error("the router is back: ", h.External())
		}
		p.set(func() { p.outer = netip.MustParseAddr("100.64.0.1") })
		time.Sleep(3 * time.Minute)
		if h.External().IsValid() {
			t.Error("behind another router: ", h.External())
		}
	})
}

// TestKept: what was found is believed for ten minutes, in the same network.
func TestKept(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, _ *madeUp) {
		want := func(looks int) {
			t.Helper()
			b.Look()
			synctest.Wait()
			if got := int(b.looks.Load()); got != looks {
				t.Errorf("looked %d times, want %d", got, looks)
			}
		}
		if b.looks.Load() != 0 {
			t.Error("looked though nobody asked")
		}
		want(1)
		b.hold(t, 6001).Release()
		time.Sleep(9 * time.Minute)
		want(1)
		time.Sleep(2 * time.Minute)
		want(2)
		b.move("127.0.0.2")
		want(3)
	})
}

// TestNewNetwork: a mapping that is held is made anew by the router of another network.
func TestNewNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		h := b.hold(t, 6001)
		defer h.Release()
		b.move("127.0.0.2")
		p.set(func() { p.give = 7001 })
		time.Sleep(61 * time.Second)
		if b.looks.Load() != 2 || h.External().Port() != 7001 {
			t.Error(b.looks.Load(), h.External())
		}
	})
}

// TestBounded: nobody waits longer than two seconds for a router that says nothing, and not
// at all for a second way once the first will do.
func TestBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		begun := time.Now()
		h := b.hold(t, 6001)
		if took := time.Since(begun); took != 0 {
			t.Errorf("one that answers took %s", took)
		}
		h.Release()
		p.set(func() { p.refuses = errNoUPnP })
		b.move("127.0.0.2")
		b.Look()
		time.Sleep(500 * time.Millisecond)
		_, err := b.Hold(t.Context(), 6001)
		if took := time.Since(begun); took != lookTime {
			t.Errorf("one that does not answer took %s", took)
		}
		if !errors.Is(err, ErrNoRouter) || err.Error() != "the router 127.0.0.2 answers neither NAT-PMP nor UPnP" {
			t.Error(err)
		}
		begun = time.Now()
		if _, err := b.Hold(t.Context(), 6001); !errors.Is(err, ErrNoRouter) || time.Since(begun) != 0 {
			t.Error("the second time: ", err, time.Since(begun))
		}
	}, silence)
}

// TestImpatient: who does not wait leaves no mapping behind.
func TestImpatient(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		p.set(func() { p.refuses = errNoNATPMP })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Hold(ctx, 6001); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := b.State(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(lookTime)
	}, silence)
}

// TestCloseWhileLooking: the end does not wait for a router that says nothing.
func TestCloseWhileLooking(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		p.set(func() { p.refuses = errNoNATPMP })
		b.Look()
		begun := time.Now()
		got := make(chan error)
		go func() {
			_, err := b.Hold(context.WithoutCancel(t.Context()), 6001)
			got <- err
		}()
		synctest.Wait()
		b.Close()
		if err := <-got; err == nil || time.Since(begun) != 0 {
			t.Error(err, time.Since(begun))
		}
	}, silence)
}

// TestState: what a doctor is told.
func TestState(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		if s, err := b.State(t.Context()); err != nil || s.External != outside || s.How[0] != "made-up" || s.Gateway != local || s.Self != local {
			t.Errorf("%+v, %v", s, err)
		}
		b.move("127.0.0.2")
		p.set(func() { p.outer = netip.MustParseAddr("192.168.1.2") })
		s, err := b.State(t.Context())
		if !errors.Is(err, ErrNotPublic) || err.Error() != "the router's own address 192.168.1.2 is not public: there is another router behind it" {
			t.Errorf("%+v, %v", s, err)
		}
		b.config.Gateway = func() (netip.Addr, netip.Addr, error) { return local, local, errors.New("no default route") }
		if _, err := b.State(t.Context()); !errors.Is(err, ErrNoRouter) || err.Error() != "no default route" {
			t.Error(err)
		}
		if _, err := b.Hold(t.Context(), 0); err == nil {
			t.Error("port 0 is held")
		}
	})
}

// TestManyShare: holds and releases from all sides leave nothing behind.
func TestManyShare(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble, p *madeUp) {
		p.slow = time.Millisecond
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for j := range 20 {
					time.Sleep(time.Duration(i*j%7) * time.Millisecond)
					h, err := b.Hold(t.Context(), uint16(6000+i%3))
					if err != nil {
						t.Error(err)
						return
					}
					if !h.External().IsValid() {
						t.Error("held and nowhere")
					}
					h.Release()
				}
			})
		}
		all.Wait()
	})
}

func TestPublic(t *testing.T) {
	for _, s := range []string{"45.9.9.11", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "198.20.0.1"} {
		if !public(netip.MustParseAddr(s)) {
			t.Error(s, "is public")
		}
	}
	for _, s := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.8", "192.0.2.1",
		"192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "2a00::1", "::ffff:1.1.1.1",
	} {
		if public(netip.MustParseAddr(s)) {
			t.Error(s, "is not public")
		}
	}
	if public(netip.Addr{}) {
		t.Error("nothing is not public")
	}
}
