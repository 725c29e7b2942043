// Package s5b makes TCP connections between two XMPP clients: SOCKS5
// bytestreams (XEP-0065) negotiated as a Jingle transport (XEP-0260).
//
// Both sides offer candidates, addresses at which a small SOCKS5 server
// listens, and dial the other side's. Each reports the first candidate that it
// reached, or that it reached none; from the two reports both conclude which
// connection is used. A contact who sends us candidates makes us open
// connections: what is never dialled, and how often we dial, is said at
// [Negotiation.Connect].
//
// The package knows nothing of Jingle sessions or XMPP streams. It is given
// the transport elements that the peer sent and a function that sends ours.
package s5b

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// NS is the name space of the transport (XEP-0260).
const NS = "urn:xmpp:jingle:transports:s5b:1"

// Name is what options and events call the transport.
const Name = "s5b"

// Errors of this package; use errors.Is.
var (
	// ErrNoCandidate means that neither side reached a candidate of the other.
	ErrNoCandidate = errors.New("no socks5 candidate could be reached")
	// ErrProtocol means that the peer broke the rules of the negotiation.
	ErrProtocol = errors.New("socks5 bytestream negotiation violated")
	// ErrClosed means that the negotiation was closed or used twice.
	ErrClosed = errors.New("socks5 bytestream negotiation closed")
)

// Config is how a side of a negotiation behaves. The zero value offers and
// dials every usable address.
type Config struct {
	// ListenPorts are the TCP ports to listen on; of those the first that is to be
	// had is taken. None means any free port. When others have them all no direct
	// candidate is offered.
	ListenPorts []int
	// Ports are shared with the other negotiations of the process; nil shares none.
	Ports *Ports
	// Advertise are the hosts to offer instead of those of the interfaces,
	// for a machine whose ports are forwarded: addresses or names, with the
	// forwarded port (host:port) where it is not the one we listen on.
	Advertise []string
	// Interfaces are the names of those to listen on; none means all.
	Interfaces []string
	// Map asks the router to lead a port of its to one of ours. It is given the port at
	// which we listen at each of our IPv4 addresses. nil, or an error: nobody does. It is
	// called only when no IPv4 address of ours can be reached from everywhere.
	Map func(ctx context.Context, ports map[netip.Addr]uint16) (Mapping, error)
	// Punching is set with another jetsend; nil meets nobody in the middle.
	Punching *Punching
	// NoDirect forbids to offer and to dial direct candidates.
	NoDirect bool
	// AllowLoopback permits loopback and link-local addresses, offered and
	// dialled. It must be set only when our own XMPP stream runs over
	// loopback: otherwise a contact could reach what listens only there.
	AllowLoopback bool
	// Proxies are those of our own server and of our user's configuration
	// ([FindProxies]). They are offered after the direct candidates, at most
	// four; with NoDirect no other proxy is dialled.
	Proxies []Proxy
	// Port reaches the proxies to activate a bytestream. Without it none is
	// offered.
	Port Port
	// Dial opens a TCP connection to an IP address and port; nil dials plainly.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen opens a TCP listener, whose address is a [*net.TCPAddr]; nil listens plainly.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	// Proxied says that Dial hides this machine behind a proxy of its own, such
	// as Tor. NoDirect goes with it, and Dial is given names as they are: to look
	// one up here would tell others what it hides.
	Proxied bool
	// Fallback says that another transport can take the place of this one. Then time
	// that runs out with nobody reached is [ErrNoCandidate], like both sides saying so.
	Fallback bool
	// Silent says that the peer may never report on our candidates, and that we, with
	// Fallback, can propose the other transport: its silence counts as a
	// candidate-error. Conversations, told to use relays and without one, is so.
	Silent bool
	// Jetsend says that the peer is one: what comes over a connection before our report
	// is kept there until it is read, what certainly wins is used before its report, and its
	// SOCKS5 server takes greeting and request at once.
	Jetsend bool
	// Quick tries a candidate that failed at once again at once. For tests.
	Quick bool
	// Resolve looks up a candidate's host name; nil asks the system.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Log     *slog.Logger
}

// timing holds the durations of a negotiation, apart so that tests can set them.
type timing struct {
	whole    time.Duration // one negotiation: a peer may never report
	attempt  time.Duration // one candidate, until there is a connection
	greet    time.Duration // the SOCKS5 handshake over it: two more round trips
	stagger  time.Duration // until the next candidate is tried beside a slow one
	lonely   time.Duration // for a punch, when nothing else is left to try
	enough   time.Duration // for our tries, once the peer has a path through a proxy
	proxy    time.Duration // until a proxy is tried beside a slow direct candidate
	retry    time.Duration // until a candidate that failed at once is tried again
	trickle  time.Duration // for candidates to arrive when the peer offered none
	arrival  time.Duration // for a connection that the peer says it has made
	ack      time.Duration // for the acknowledgement of our report at the end
	activate time.Duration // for a proxy of ours to join the connections
	silent   time.Duration // for a report of a peer that may have none to make
	mute     time.Duration // … and that offered no candidate either
}

// defaultTiming: dead candidates cost a fraction of a second each, the whole
// is bounded by what a person waits.
var defaultTiming = timing{
	whole:    30 * time.Second,
	attempt:  5 * time.Second,
	greet:    10 * time.Second, // somebody is there, so a slow path is more likely than a dead one
	stagger:  300 * time.Millisecond,
	lonely:   2 * time.Second,
	enough:   2500 * time.Millisecond, // what is lost is sent again after one
	proxy:    time.Second,             // a direct connection is worth a longer wait
	retry:    time.Second,             // Gajim listens only after the accept was exchanged
	trickle:  2 * time.Second,
	arrival:  5 * time.Second,
	ack:      2 * time.Second,
	activate: activateTimeout,
	silent:   15 * time.Second, // others try ours one after the other, with 3 seconds for each
	mute:     5 * time.Second,
}

// Negotiation is one side of the negotiation of one bytestream.
type Negotiation struct {
	cfg        Config
	timing     timing
	sid        string
	self, peer jid.JID
	initiator  bool

	own    []offered // our candidates, best first
	srv    *server
	middle *middle // nil when nobody is met
	mapped Mapping // nil when no router leads to us

	ctx    context.Context // until Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	used bool // Connect was called
	shut bool // Close was called
	// ahead has the peer's candidates; nil before they are dialled.
	ahead *dialler
}

// offered is a candidate of ours and the listener behind it.
type offered struct {
	Candidate
	listener int   // index, or anyListener
	proxy    Proxy // of a candidate that is one
	sealed   bool  // it stands for a punch, and is told under a seal
}

// New listens for the peer and gathers our candidates. The stream id sid is
// the initiator's choice. ctx bounds New only; [Negotiation.Close] must be
// called in the end.
func New(ctx context.Context, cfg Config, sid string, self, peer jid.JID, initiator bool) (*Negotiation, error) {
	if sid == "" || self.IsZero() || peer.IsZero() {
		return nil, errors.New("socks5 bytestream without stream id or addresses")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.Listen == nil {
		cfg.Listen = (&net.ListenConfig{}).Listen
	}
	if cfg.Resolve == nil {
		cfg.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	cfg.NoDirect = cfg.NoDirect || cfg.Proxied
	n := &Negotiation{cfg: cfg, timing: defaultTiming, sid: sid, self: self, peer: peer, initiator: initiator}
	if cfg.Quick {
		n.timing.retry = 50 * time.Millisecond
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.srv = newServer(cmp.Or(cfg.Ports, new(Ports)), cfg.Log, DestinationAddress(sid, self, peer), DestinationAddress(sid, peer, self))
	proxies := usableProxies(cfg)
	if !cfg.NoDirect {
		most := maxOffered - len(proxies)
		if cfg.Map != nil {
			most--
		}
		if err := n.listen(ctx, most); err != nil {
			_ = n.Close()
			return nil, err
		}
	}
	n.offerProxies(proxies)
	var beside sync.WaitGroup
	if ports := n.mappable(); len(ports) > 0 {
		beside.Go(func() { n.mapPort(ctx, ports) })
	}
	n.openMiddle(ctx)
	beside.Wait()
	n.offerMapped()
	return n, nil
}

// Preferences of our direct candidates (XEP-0260 section 2.2), and the first of
// the local preferences, see [Negotiation.preference].
const (
	directPreference = 126 << 16
	localPreference  = 20000
)

// maxOffered bounds our candidates: a peer like us dials no more.
const maxOffered = maxDialled

// preference is the local preference of our candidate number i of its type.
// These numbers are not those of other clients, because on equal priorities
// some take the wrong candidate; and they are even for a responder and odd for
// an initiator, so two jetsends never have equal ones.
func (n *Negotiation) preference(i int) uint32 {
	p := uint32(localPreference - 2*i)
	if n.initiator {
		p++
	}
	return p
}

// listen opens the listeners and makes the candidates for them, at most so many.
func (n *Negotiation) listen(ctx context.Context, most int) error {
	hosts, err := n.listenHosts()
	if err != nil {
		return err
	}
	var ports []int
	for _, h := range hosts {
		if len(n.own) == most {
			break
		}
		i, port, err := n.srv.listen(ctx, n.cfg.Listen, h, n.cfg.ListenPorts)
		if err != nil {
			n.cfg.Log.Warn("no listener for direct connections", "host", h, "error", err)
			continue
		}
		ports = append(ports, port)
		if len(n.cfg.Advertise) == 0 {
			n.offer(h, port, i, most)
		}
	}
	n.advertise(slices.Compact(ports), most)
	return nil
}

// listenHosts are what to listen on: the addresses that the peer is told, or "" for all.
func (n *Negotiation) listenHosts() ([]string, error) {
	if len(n.cfg.Advertise) > 0 && len(n.cfg.Interfaces) == 0 {
		return []string{""}, nil
	}
	addrs, err := localAddrs(n.cfg.Interfaces, n.cfg.AllowLoopback)
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, a := range addrs {
		hosts = append(hosts, a.String())
	}
	return hosts, nil
}

// advertise makes candidates of the addresses that are told in the place of our own: with
// the port that is forwarded there, or with those of the listeners.
func (n *Negotiation) advertise(ports []int, most int) {
	for _, h := range n.cfg.Advertise {
		if host, port, ok := forwarded(h); ok {
			n.offer(host, port, anyListener, most)
			continue
		}
		for _, p := range ports {
			n.offer(h, p, anyListener, most)
		}
	}
}

// forwarded takes an advertised host:port apart: a port of another machine that
// is forwarded to ours.
func forwarded(s string) (host string, port int, ok bool) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.ParseUint(p, 10, 16)
	return host, int(n), err == nil && n > 0
}

// offer adds a direct candidate unless there are enough.
func (n *Negotiation) offer(host string, port, listener, most int) {
	if len(n.own) == most {
		return
	}
	n.own = append(n.own, offered{Candidate: Candidate{
		CID: rand.Text(), Host: host, Port: port, JID: n.self.String(),
		Priority: directPreference + n.preference(len(n.own)), Type: Direct,
	}, listener: listener})
}

// Element returns the transport with our candidates, for a session-initiate or
// a session-accept.
func (n *Negotiation) Element() *xmltree.Element {
	e := n.transport().Set("dstaddr", DestinationAddress(n.sid, n.self, n.peer))
	if n.initiator {
		e.Set("mode", "tcp") // the responder must not (XEP-0260 section 2.2)
	}
	for _, o := range n.own {
		if !o.sealed {
			e.Add(o.Element())
		}
	}
	return e
}

// transport returns a transport element with that child, for a report.
func (n *Negotiation) transport(children ...*xmltree.Element) *xmltree.Element {
	return xmltree.New(NS, "transport", children...).Set("sid", n.sid)
}

// Close stops listening, closes every connection but the one that
// [Negotiation.Connect] returned, and waits for all goroutines. It may be
// called more than once, and while Connect runs.
func (n *Negotiation) Close() error {
	n.mu.Lock()
	n.shut = true
	ahead := n.ahead
	n.mu.Unlock()
	n.cancel()
	if ahead != nil {
		ahead.stop()
	}
	n.srv.close()
	n.middle.close()
	n.wg.Wait()
	n.srv.wait()
	if n.mapped != nil {
		n.mapped.Release()
	}
	return nil
}

// What makes a direct connection possible that a router, or a firewall, would not let through.
const (
	Punched = "punched" // both sides have dialled at the same time
	Mapped  = "mapped"  // a router lets it through to one side, which asked for that
)

// Conn is the connection that both sides agreed on.
type Conn struct {
	net.Conn
	Kind string // "direct" or "proxy"
	Way  string // what made it possible: [Punched], [Mapped], or "" for nothing
	CID  string // the candidate's id

	early  []byte                // read before the connection was handed out
	heard  atomic.Bool           // the peer has written something
	failed atomic.Pointer[error] // what ended it, if that was not its own
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(c.early) > 0 {
		n = copy(p, c.early)
		c.early = c.early[n:]
	} else {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.cause(err)
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.cause(err)
}

// fail ends the connection because of err, unless the peer writes into it: then it knows
// that it is used.
func (c *Conn) fail(err error) {
	if c.heard.Load() {
		return
	}
	c.failed.Store(&err)
	_ = c.Close()
}

// cause is what an error of the connection comes from.
func (c *Conn) cause(err error) error {
	if f := c.failed.Load(); err != nil && f != nil {
		return *f
	}
	return err
}

// HalfClose reports whether CloseWrite leaves the other direction open. Proxies
// (seen: Prosody 0.12.3, ejabberd 23.01) deliver the end of the stream behind
// all data, and close both connections then: what the peer writes back from
// there on is lost.
func (c *Conn) HalfClose() bool { return c.Kind == Direct }

// CloseWrite tells the peer that nothing more comes. It must be called after
// the last byte: Prosody's proxy holds up to 4096 bytes at the end back until
// it sees the end of the stream. If [Conn.HalfClose] is false, then all that
// the peer is to write must have been read before: when its bytes and the end
// meet in Prosody, ours are lost as well. It is [errors.ErrUnsupported] where
// there is no such thing.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// hostPort joins an address as the net package wants it.
func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
