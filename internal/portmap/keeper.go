package portmap

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Config is what a Keeper needs to know; the zero value will do.
type Config struct {
	// Gateway returns the default gateway and our own address towards it; nil: the system's.
	Gateway func() (gateway, self netip.Addr, err error)
	// Lease is how long a mapping lives that nobody renews, in whole seconds; less than one: two
	// minutes.
	Lease time.Duration
	// Log hears of routers and mappings; nil: nobody does.
	Log *slog.Logger
	// Fake is for tests whose router is not one.
	Fake *Fake
}

// Fake is a router of a test.
type Fake struct {
	// NATPMP and SSDP are the ports where it listens; 0: the usual ones. It is not searched
	// for by multicast.
	NATPMP, SSDP uint16
	// Public says which addresses count as such; nil: those that are.
	Public func(netip.Addr) bool
}

// port returns that of a protocol whose port is usually this one.
func (f *Fake) port(usual uint16) uint16 {
	switch {
	case f == nil:
	case usual == natPMPPort && f.NATPMP != 0:
		return f.NATPMP
	case usual == ssdpPort && f.SSDP != 0:
		return f.SSDP
	}
	return usual
}

// errLost is of a mapping that others hold and that has run out.
var errLost = errors.New("the router does not answer any more")

// errClosed is of a Keeper that has been closed.
var errClosed = errors.New("port mapping has ended")

// Keeper knows what the router of this machine can do, and holds the mappings of a process.
// It asks nobody before Look, State or Hold is called. It may be used from several goroutines.
type Keeper struct {
	config   Config
	isPublic func(netip.Addr) bool
	ways     func(gateway, self netip.Addr) []ask // asks, but in tests
	ctx      context.Context                      //nolint:containedctx // of the looks, which belong to no call
	cancel   context.CancelFunc

	mu     sync.Mutex
	closed bool
	found  *finding
	held   map[uint16]*mapping // by the local port
}

// Router is what is known of the router of this machine.
type Router struct {
	Gateway  netip.Addr // its address on our side
	Self     netip.Addr // our own address towards it
	External netip.Addr // its address on the Internet
	How      []string   // "nat-pmp", "upnp": how it can be asked, the quickest first
}

// New returns a Keeper. It is closed when it is not needed any more.
func New(c Config) *Keeper {
	if c.Gateway == nil {
		c.Gateway = systemGateway
	}
	if c.Lease < time.Second { // 0 is for ever with one protocol, and not at all with the other
		c.Lease = defaultLease
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{config: c, isPublic: public, held: map[uint16]*mapping{}}
	if c.Fake != nil && c.Fake.Public != nil {
		k.isPublic = c.Fake.Public
	}
	k.ways = k.asks
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// Look begins to find out what the router can do, and returns at once. What was found is
// kept for ten minutes, as long as the machine is in the same network.
func (k *Keeper) Look() { k.find(false) }

// find returns what was found, or is being found. Afresh, it looks again unless it has just
// done so.
func (k *Keeper) find(afresh bool) *finding {
	gateway, self, err := k.config.Gateway()
	if err != nil {
		return none(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return none(errClosed)
	}
	now := time.Now()
	if k.found.fresh(gateway, self, now) && (!afresh || now.Sub(k.found.begun) < lookAgain) {
		return k.found
	}
	f := &finding{gateway: gateway, self: self, begun: now, isPublic: k.isPublic, first: make(chan struct{}), all: make(chan struct{})}
	k.found = f
	go f.look(k.ctx, k.ways(gateway, self)) // Close waits for it
	return f
}

// State returns what the router can do: it waits for it, two seconds at most. Where it can do
// nothing the error is ErrNoRouter or ErrNotPublic and its text says why.
func (k *Keeper) State(ctx context.Context) (Router, error) {
	f := k.find(false)
	if err := f.wait(ctx, f.all); err != nil {
		return Router{}, err
	}
	_, err := f.ways()
	return Router{Gateway: f.gateway, Self: f.self, External: f.outer, How: f.how}, err
}

// Self returns our own address towards the router.
func (k *Keeper) Self() (netip.Addr, error) {
	_, self, err := k.config.Gateway()
	return self, err
}

// Hold is a share in a mapping.
type Hold struct {
	k    *Keeper
	m    *mapping
	once sync.Once
}

// Hold has the router lead one of its ports to this TCP port of ours, the same one if it can.
// It waits for what Look finds, two seconds from the beginning of the look at most, and then
// for the router. Who holds a port that is held already shares the mapping. The error is
// ErrNoRouter or ErrNotPublic, or says why the router refuses. A Hold that is returned has to
// be released.
func (k *Keeper) Hold(ctx context.Context, port uint16) (*Hold, error) {
	if port == 0 {
		return nil, errors.New("no port to map")
	}
	m, err := k.share(port)
	if err != nil {
		return nil, err
	}
	h := &Hold{k: k, m: m}
	select {
	case <-m.ready:
	case <-ctx.Done():
		h.Release()
		return nil, ctx.Err()
	}
	switch {
	case m.err != nil:
		return nil, m.err
	case !h.External().IsValid():
		h.Release()
		return nil, errLost
	}
	return h, nil
}

// share takes part in the mapping of a port, and begins it if there is none.
func (k *Keeper) share(port uint16) (*mapping, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errClosed
	}
	last := k.held[port]
	if last != nil && !last.ending {
		last.users++
		return last, nil
	}
	m := &mapping{port: port, users: 1, ready: make(chan struct{}), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background()) // it ends with its users
	m.cancel = cancel
	k.held[port] = m
	go k.own(ctx, m, last) // Close waits for it
	return m, nil
}

// External returns where the port can be reached from the Internet. It changes when the
// router restarts, say, and has another port; it is not valid while the router does not
// answer and the mapping has run out.
func (h *Hold) External() netip.AddrPort {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	return h.m.external
}

// How returns the protocol of the mapping, "nat-pmp" or "upnp".
func (h *Hold) How() string {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	return h.m.how
}

// Release gives the share back. With the last one, the mapping is deleted at the router, in
// the background.
func (h *Hold) Release() { h.once.Do(func() { h.k.leave(h.m) }) }

// leave ends one share in a mapping.
func (k *Keeper) leave(m *mapping) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m.users--
	if m.users == 0 {
		m.ending = true
		m.cancel()
	}
}

// Close ends all mappings, whoever holds them, and waits until they are deleted, three seconds
// at most.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.closed = true
	k.cancel()
	var all []<-chan struct{}
	if k.found != nil {
		all = append(all, k.found.all)
	}
	for _, m := range k.held {
		m.ending = true
		m.cancel()
		all = append(all, m.done)
	}
	k.mu.Unlock()
	late := time.NewTimer(closeTime)
	defer late.Stop()
	for _, done := range all {
		select {
		case <-done:
		case <-late.C:
			k.config.Log.Warn("the router does not answer; its mappings run out by themselves")
			return
		}
	}
}

// closeTime bounds Close: two deletions, and what is left of a request.
const closeTime = 3 * time.Second
