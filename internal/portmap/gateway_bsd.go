//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package portmap

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/net/route"
)

// defaultGateways returns those of the default IPv4 routes.
func defaultGateways() ([]netip.Addr, error) {
	rib, err := route.FetchRIB(syscall.AF_INET, route.RIBTypeRoute, 0)
	if err != nil {
		return nil, fmt.Errorf("read the routes of this machine: %w", err)
	}
	all, err := route.ParseRIB(route.RIBTypeRoute, rib)
	if err != nil {
		return nil, fmt.Errorf("read the routes of this machine: %w", err)
	}
	const upAndGateway = syscall.RTF_UP | syscall.RTF_GATEWAY
	var out []netip.Addr
	for _, message := range all {
		m, ok := message.(*route.RouteMessage)
		if !ok || m.Flags&upAndGateway != upAndGateway || len(m.Addrs) <= syscall.RTAX_NETMASK {
			continue
		}
		// Of a default route the mask is all zeros, or not there at all.
		to, ok := m.Addrs[syscall.RTAX_DST].(*route.Inet4Addr)
		if mask, masked := m.Addrs[syscall.RTAX_NETMASK].(*route.Inet4Addr); !ok || to.IP != [4]byte{} || masked && mask.IP != [4]byte{} {
			continue
		}
		if g, ok := m.Addrs[syscall.RTAX_GATEWAY].(*route.Inet4Addr); ok {
			out = append(out, netip.AddrFrom4(g.IP))
		}
	}
	return out, nil
}
