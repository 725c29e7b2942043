package s5b

import (
	"context"
	"crypto/rand"
	"net/netip"

	"jetsend/internal/ipaddr"
)

// Mapping is a port of the router that leads to one of ours, until it is released. It may be
// released more than once.
type Mapping interface {
	// External is the router's; not valid when it leads to us no more.
	External() netip.AddrPort
	Release()
}

// assistedPreference is that of a candidate for which a router helps (XEP-0260 section 2.2).
const assistedPreference = 120 << 16

// mappable are our ports, by their IPv4 address, where nobody would reach us without the
// router.
func (n *Negotiation) mappable() map[netip.Addr]uint16 {
	if n.cfg.Map == nil || n.cfg.NoDirect || len(n.cfg.Advertise) > 0 {
		return nil
	}
	ports := map[netip.Addr]uint16{}
	for _, o := range n.own {
		a, err := netip.ParseAddr(o.Host)
		switch {
		case o.Type != Direct || err != nil || !a.Is4():
		case ipaddr.Public(a):
			return nil
		default:
			ports[a] = uint16(o.Port)
		}
	}
	return ports
}

// mapPort has the router lead to one of them. What it makes stays as long as the
// negotiation, and the transfer behind it.
func (n *Negotiation) mapPort(ctx context.Context, ports map[netip.Addr]uint16) {
	m, err := n.cfg.Map(ctx, ports)
	if err != nil {
		n.cfg.Log.Debug("no port of the router", "error", err)
		return
	}
	n.mapped = m
}

// offerMapped makes a candidate of the router's port.
func (n *Negotiation) offerMapped() {
	if n.mapped == nil || !n.mapped.External().IsValid() {
		return
	}
	at := n.mapped.External()
	n.own = append(n.own, offered{Candidate: Candidate{
		CID: rand.Text(), Host: at.Addr().String(), Port: int(at.Port()), JID: n.self.String(), Priority: assistedPreference + n.preference(0), Type: Assisted,
	}, listener: anyListener})
}
