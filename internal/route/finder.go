package route

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/portmap"
	"jetsend/internal/xmltree"
)

// The transports, as options and events name them.
const (
	S5B = s5b.Name
	IBB = ibb.Name
)

// Punch is where a side can be met by both dialling at the same time.
type Punch = s5b.Punch

// Options say which paths the bytes of a file may take.
type Options struct {
	// Transports are the allowed ones in their order; none means S5B, IBB.
	Transports []string
	// NoDirect makes no direct connection to the contact: no direct candidate
	// offered, none dialled, and no proxy dialled but those of our own server
	// or configuration.
	NoDirect bool
}

// Order returns the allowed transports.
func (o Options) Order() []string {
	if len(o.Transports) == 0 {
		return []string{S5B, IBB}
	}
	return o.Transports
}

// Account is what the search for a path needs of an account online.
type Account interface {
	s5b.Port // IQ
	// JID is our full JID as it is now.
	JID() jid.JID
	// Dial opens a TCP connection the way that the server is dialled: what that
	// hides, a bytestream must not show. Proxied says that it hides this machine.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Proxied() bool
	// OverLoopback says that the server is reached over loopback, so that its other
	// users may be, too.
	OverLoopback() bool
}

// S5BConfig is the transports.s5b section of the configuration.
type S5BConfig struct {
	ListenPorts []int
	Advertise   []string
	Interfaces  []string
	Proxies     []string // addresses, or address=host:port
	// STUN are who says by which address we are seen, host:port, before those of our server.
	STUN []string
	// PortMapping asks the router of this network for a port, where nobody could reach us
	// without.
	PortMapping bool
}

// Config is what a [Finder] needs. Account, Inband and S5B are required.
type Config struct {
	Account Account
	Inband  *ibb.Manager
	// S5B bounds what is offered and dialled. It is read for each route.
	S5B *S5BConfig
	// BlockSize is what we offer for in-band bytestreams; 0 means 4096, and to another
	// jetsend what suits our server.
	BlockSize int
	// Listen is that of [s5b.Config]; nil listens plainly.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	// Quick is that of [s5b.Config]. For tests.
	Quick bool
	// Known keeps what the server has for us until the next login; nil keeps nothing.
	Known Known
	// Log may be nil.
	Log *slog.Logger
}

// Finder makes the routes of an account. Its methods may be called from any
// goroutine.
type Finder struct {
	cfg      Config
	ports    s5b.Ports
	proxies  *proxies
	external external
	router   *portmap.Keeper // nil when none is asked
}

// NewFinder makes a finder, which searches no proxies before [Finder.Start].
func NewFinder(cfg Config) *Finder {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Finder{cfg: cfg}
	f.proxies = newProxies(f.search)
	f.proxies.before = f.known
	if a := cfg.Account; cfg.S5B.PortMapping && !a.Proxied() && cfg.Listen == nil {
		f.router = portmap.New(portmap.Config{Log: cfg.Log})
	}
	return f
}

// Peer is what has to be known of the client to which a path is offered, or whose
// offer is answered.
type Peer struct {
	// JID is its full JID.
	JID jid.JID
	// Transports are those that it takes; nil for a peer that offers, which is not asked.
	Transports []string
	// Reports says that it always reports on our candidates, however slow its path, so
	// that its silence means nothing.
	Reports bool
	// Jetsend says that it is one, which has room for many in-band blocks on the way, and
	// listens as soon as it has offered.
	Jetsend bool
	// Punch is where it says that it can be met, when it offers; nil for nowhere.
	Punch *Punch
	// Modulo65535 says that it counts in-band blocks as Libervia does it.
	Modulo65535 bool
}

// Offer makes the route for an offer to a peer. ctx bounds Offer alone;
// [Route.Close] must be called in the end. [fault.ErrNoTransport] means that the peer takes
// none that is allowed.
func (f *Finder) Offer(ctx context.Context, to Peer, opt Options) (*Route, error) {
	r := f.route(to, true)
	for _, t := range opt.Order() {
		if slices.Contains(to.Transports, t) {
			r.allowed = append(r.allowed, t)
		}
	}
	if len(r.allowed) == 0 {
		return nil, fault.ErrNoTransport
	}
	if r.allowed[0] == IBB {
		r.allowed = r.allowed[:1] // in-band first is in-band only
		r.inband = ibb.NewTransport(f.blockSize(ctx, to))
		return r, nil
	}
	around := f.proxies.known(ctx)
	cfg := f.socks(around, opt.NoDirect)
	if to.Jetsend && !opt.NoDirect {
		cfg.Punching = f.punching(around, to.JID, nil)
	}
	cfg.Fallback = r.allows(IBB)
	cfg.Silent = cfg.Fallback && !to.Reports
	if err := r.listen(ctx, cfg, jingle.NewSID()); err != nil {
		return nil, err
	}
	return r, nil
}

// Answer makes the route that answers the transport of an offer. SOCKS5 that is not
// allowed is answered without a candidate and nothing is dialled, so that the initiator
// can replace it. An in-band stream is expected from here on. ctx bounds Answer alone;
// [Route.Close] must be called in the end. [fault.ErrNoTransport] means that the transport is
// not allowed.
func (f *Finder) Answer(ctx context.Context, from Peer, opt Options, remote *xmltree.Element) (*Route, error) {
	r := f.route(from, false)
	r.remote, r.allowed = remote, opt.Order()
	var err error
	switch {
	case remote.Is(s5b.NS, "transport"):
		cfg := s5b.Config{NoDirect: true, Log: f.cfg.Log}
		if r.allows(S5B) {
			around := f.proxies.known(ctx)
			cfg = f.socks(around, opt.NoDirect)
			if from.Punch != nil && !opt.NoDirect {
				cfg.Punching = f.punching(around, from.JID, from.Punch)
			}
		}
		cfg.Fallback = r.allows(IBB)
		err = r.listen(ctx, cfg, remote.Attr("sid"))
	case remote.Is(ibb.NSTransport, "transport") && r.allows(IBB):
		err = r.expect(ctx, remote)
	default:
		err = fault.ErrNoTransport
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (f *Finder) route(with Peer, initiator bool) *Route {
	return &Route{
		f: f, peer: with, initiator: initiator,
		infos: make(chan *xmltree.Element, unreadInfos), replaces: make(chan *xmltree.Element, 1),
	}
}

// socks says what may be offered and dialled for one file.
func (f *Finder) socks(around surroundings, noDirect bool) s5b.Config {
	a, c := f.cfg.Account, f.cfg.S5B
	return s5b.Config{
		Map:     f.mapper(noDirect),
		Proxies: around.proxies, Port: a,
		ListenPorts: c.ListenPorts, Ports: &f.ports, Advertise: c.Advertise, Interfaces: c.Interfaces,
		NoDirect: noDirect, Quick: f.cfg.Quick, AllowLoopback: a.OverLoopback(), Dial: a.Dial, Listen: f.cfg.Listen, Proxied: a.Proxied(), Log: f.cfg.Log,
	}
}

// listen makes the negotiation of SOCKS5.
func (r *Route) listen(ctx context.Context, cfg s5b.Config, sid string) (err error) {
	r.sid, cfg.Jetsend = sid, r.peer.Jetsend
	r.socks, err = s5b.New(ctx, cfg, sid, r.f.cfg.Account.JID(), r.peer.JID, r.initiator)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}
