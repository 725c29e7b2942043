package s5b

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"jetsend/internal/ipaddr"
)

// Bounds on a punch: what a peer can make us dial.
const (
	// maxPunched4 and maxPunched6 bound the addresses taken of a peer.
	maxPunched4 = 1
	maxPunched6 = 2
	// minPunched is the lowest port dialled: below are the services of a machine.
	minPunched = 1024
	// maxPunches bounds the dials of a negotiation.
	maxPunches = 20
)

// Punch is where a side can be met by both dialling each other at the same time (TCP
// simultaneous open, RFC 9293 section 3.5): each from the port that it tells, so that its
// router, or firewall, takes what comes for an answer.
type Punch struct {
	// CID and Priority are those of the candidate that stands for a connection that comes
	// about so. It is the responder's: an initiator has none.
	CID      string
	Priority uint32
	// Addresses are one of IPv4 at most, as it is seen outside, and two of IPv6.
	Addresses []netip.AddrPort
}

// Punching is how a negotiation between two jetsends meets in the middle. The addresses are
// told where no server reads them.
type Punching struct {
	// Peer is what the initiator told, for a responder.
	Peer *Punch
	// External finds out by which address and port a connection from ours is seen outside.
	// It connects by dial, which takes an address and no name, and lets go of what it
	// connected by done. Not valid: nobody knows. nil is that, too.
	External func(ctx context.Context, port uint16, dial func(ctx context.Context, at netip.AddrPort) (net.Conn, error)) netip.AddrPort
	// Allow is asked before each dial: whether the peer may make us dial once more.
	Allow func() bool
}

// middle is our side of a punch.
type middle struct {
	n     *Negotiation
	told  Punch
	peer  Punch // what the other side told
	gates []*gate

	asking atomic.Int32 // connections that are in their handshake

	mu    sync.Mutex
	held  []net.Conn // to who told us our address: our router knows us as long as they stand
	dials int
}

// gate is a port of a punch, from which is dialled, and where is listened. It is a random
// one, and nobody else's.
type gate struct {
	v4   bool
	at   netip.AddrPort
	mine net.Listener // an initiator's
	port *port        // a responder's: what comes asks for the bytestream as at its other ports
}

// openMiddle opens the ports of the punch and finds out where they are seen, as far as both
// sides have something to tell. Without that there is no punch, and no error.
func (n *Negotiation) openMiddle(ctx context.Context) {
	p := n.cfg.Punching
	if p == nil || !canPunch || n.cfg.NoDirect || !n.initiator && (p.Peer == nil || len(p.Peer.Addresses) == 0) {
		return
	}
	addrs, err := localAddrs(n.cfg.Interfaces, n.cfg.AllowLoopback)
	if err != nil {
		return
	}
	m := &middle{n: n}
	for _, v4 := range []bool{true, false} {
		m.open(ctx, addrs, v4)
	}
	m.tell(ctx, addrs)
	n.middle = m
	if n.initiator {
		return
	}
	m.peer = *p.Peer
	m.told.CID, m.told.Priority = rand.Text(), directPreference+n.preference(maxOffered)
	n.own = append(n.own, offered{Candidate: Candidate{CID: m.told.CID, Priority: m.told.Priority, Type: Direct}, listener: middleListener, sealed: true})
}

// open opens the gate of a family, if this machine has an address of it.
func (m *middle) open(ctx context.Context, addrs []netip.Addr, v4 bool) {
	i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() == v4 })
	if i < 0 {
		return
	}
	host, network := netip.IPv6Unspecified(), "tcp6"
	if v4 {
		host, network = netip.IPv4Unspecified(), "tcp4"
	}
	if len(m.n.cfg.Interfaces) > 0 {
		host = addrs[i]
	}
	open := func(ctx context.Context, _, addr string) (net.Listener, error) {
		return (&net.ListenConfig{Control: reuse}).Listen(ctx, network, addr)
	}
	g := &gate{v4: v4}
	var err error
	if m.n.initiator {
		g.mine, err = open(ctx, "", hostPort(host.String(), 0))
	} else if g.port, err = m.n.srv.meetAt(ctx, open, host.String()); err == nil {
		g.mine = g.port.l
	}
	if err != nil {
		m.n.cfg.Log.Debug("no port to meet at", "error", err)
		return
	}
	if tcp, ok := g.mine.Addr().(*net.TCPAddr); ok {
		g.at = netip.AddrPortFrom(host, uint16(tcp.Port))
	}
	m.gates = append(m.gates, g)
}

// gate is that of a family, nil for none.
func (m *middle) gate(v4 bool) *gate {
	for _, g := range m.gates {
		if g.v4 == v4 {
			return g
		}
	}
	return nil
}

// tell gathers the addresses that the peer is told.
func (m *middle) tell(ctx context.Context, addrs []netip.Addr) {
	var v4 netip.AddrPort
	for _, a := range slices.Concat(source6(), addrs) {
		g := m.gate(a.Is4())
		if g == nil || !slices.Contains(addrs, a) || !g.isAt(a) || !ipaddr.Public(a) && !(m.n.cfg.AllowLoopback && a.IsLoopback()) {
			continue
		}
		at := netip.AddrPortFrom(a, g.at.Port())
		switch {
		case g.v4 && !v4.IsValid():
			v4 = at
		case !g.v4 && len(m.told.Addresses) < maxPunched6 && !slices.Contains(m.told.Addresses, at):
			m.told.Addresses = append(m.told.Addresses, at)
		}
	}
	if g := m.gate(true); g != nil && !v4.IsValid() && m.n.cfg.Punching.External != nil && m.worth4() {
		v4 = m.n.cfg.Punching.External(ctx, g.at.Port(), m.reach)
	}
	if v4.IsValid() {
		m.told.Addresses = append(m.told.Addresses, v4)
	}
}

// isAt reports whether what comes to an address of ours comes to the gate.
func (g *gate) isAt(a netip.Addr) bool { return g.at.Addr().IsUnspecified() || g.at.Addr() == a }

// worth4 reports whether the peer may be met over IPv4: who answers knows.
func (m *middle) worth4() bool {
	p := m.n.cfg.Punching.Peer
	return m.n.initiator || slices.ContainsFunc(p.Addresses, func(a netip.AddrPort) bool { return a.Addr().Is4() })
}

// reach connects to who can say by which address our port is seen, and holds the connection
// until the negotiation has ended.
func (m *middle) reach(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	c, err := m.dial(ctx, at)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = append(m.held, c)
	return c, nil
}

// dial connects from the port of the punch.
func (m *middle) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	g := m.gate(to.Addr().Is4())
	if g == nil {
		return nil, errForbidden
	}
	d := net.Dialer{Control: reuse, LocalAddr: net.TCPAddrFromAddrPort(g.at)}
	return d.DialContext(ctx, "tcp", to.String())
}

// close lets go of the port.
func (m *middle) close() {
	if m == nil {
		return
	}
	for _, g := range m.gates {
		if g.port == nil {
			_ = g.mine.Close()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.held {
		_ = c.Close()
	}
	m.held = nil
}

// Punch is what the peer is to be told under a seal, nil for nothing.
func (n *Negotiation) Punch() *Punch {
	if n.middle == nil || len(n.middle.told.Addresses) == 0 && n.initiator {
		return nil
	}
	return &n.middle.told
}

// Meet gives an initiator what the responder told, before [Negotiation.Connect].
func (n *Negotiation) Meet(p *Punch) {
	if n.middle != nil && n.initiator && p != nil {
		n.middle.peer = *p
	}
}

// targets are the addresses of the peer that may be dialled.
func (m *middle) targets() (out []netip.AddrPort) {
	if m == nil {
		return nil
	}
	near := prefixes(m.n.cfg.Interfaces)
	of := map[bool]int{true: maxPunched4, false: maxPunched6}
	for _, t := range m.peer.Addresses {
		a := t.Addr().Unmap()
		v4 := a.Is4()
		loop := m.n.cfg.AllowLoopback && a.IsLoopback()
		if of[v4] == 0 || t.Port() < minPunched || m.gate(v4) == nil || !loop && !within(a, near) {
			continue
		}
		if slices.ContainsFunc(m.told.Addresses, func(o netip.AddrPort) bool { return o.Addr() == a }) && !loop {
			continue // behind one router: other candidates lead there, or nothing does
		}
		of[v4]--
		out = append(out, netip.AddrPortFrom(a, t.Port()))
	}
	return out
}

// within reports whether an address may be dialled because a peer is said to be there: from
// everywhere, or in a network of ours.
func within(a netip.Addr, near []netip.Prefix) bool {
	return ipaddr.Public(a) || ipaddr.MayDial(a, false) && slices.ContainsFunc(near, func(p netip.Prefix) bool { return p.Contains(a) })
}

// spend asks whether there may be one more dial.
func (m *middle) spend() bool {
	m.mu.Lock()
	m.dials++
	ok := m.dials <= maxPunches
	m.mu.Unlock()
	return ok && (m.n.cfg.Punching.Allow == nil || m.n.cfg.Punching.Allow())
}
