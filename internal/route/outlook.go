package route

import (
	"context"
	"net/netip"

	"jetsend/internal/jingle/s5b"
	"jetsend/internal/portmap"
)

// Outlook is how this machine is seen from outside, as far as it can be found out.
type Outlook struct {
	// V4 and V6 are addresses of this machine that everybody can reach, unless a firewall
	// is in the way.
	V4, V6 []netip.Addr
	// Port is one of ours, and Seen are the addresses and ports by which services see it,
	// one each. Server is by which address the server sees us, without a port.
	Port   uint16
	Seen   []netip.AddrPort
	Server netip.Addr
	// Asked says that the router of this network was asked, Mapped which port it gave, for
	// the moment, How by which protocol, and MapErr why none.
	Asked  bool
	Mapped netip.AddrPort
	How    string
	MapErr error
}

// Look finds out how this machine is seen from outside: it asks the same services and the
// same router as an offer to another jetsend, and leaves nothing behind. It takes a few
// seconds at most.
func (f *Finder) Look(ctx context.Context) (Outlook, error) {
	var o Outlook
	o.V4, o.V6 = s5b.PublicAddrs(f.cfg.S5B.Interfaces)
	around := f.proxies.fresh(ctx)
	o.Server = around.seen
	cfg := f.socks(around, false)
	cfg.Proxies = nil
	cfg.Punching = &s5b.Punching{External: func(ctx context.Context, port uint16, dial dialAt) netip.AddrPort {
		o.Port, o.Seen = port, f.reflected(ctx, around.stun, maxReflectors, dial)
		return netip.AddrPort{}
	}}
	if o.Asked = cfg.Map != nil; o.Asked {
		_, o.MapErr = f.router.State(ctx) // until all is known of it
		hold := cfg.Map
		cfg.Map = func(ctx context.Context, ports map[netip.Addr]uint16) (s5b.Mapping, error) {
			m, err := hold(ctx, ports)
			if o.MapErr = err; err == nil {
				o.Mapped = m.External()
			}
			if h, ok := m.(*portmap.Hold); ok {
				o.How = h.How()
			}
			return m, err
		}
	}
	n, err := s5b.New(ctx, cfg, "outlook", f.cfg.Account.JID(), f.cfg.Account.JID(), true)
	if err != nil {
		return o, err
	}
	return o, n.Close()
}
