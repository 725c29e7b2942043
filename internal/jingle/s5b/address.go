package s5b

import (
	"crypto/sha1" // #nosec G505 -- an identifier that XEP-0065 prescribes, not a protection
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"jetsend/internal/ipaddr"
	"jetsend/internal/jid"
)

// DestinationAddress is what a SOCKS5 client asks for instead of a host: the
// lower-case hex SHA-1 of the stream id and both full JIDs (XEP-0065 section
// 5.3.2). First comes the JID of the side that offered the candidate.
func DestinationAddress(sid string, a, b jid.JID) string {
	sum := sha1.Sum([]byte(sid + a.String() + b.String()))
	return hex.EncodeToString(sum[:])
}

// localAddrs returns the addresses of the interfaces of these names, or of all
// that are up, which a peer may be able to reach: loopback ones last and only
// if local is set. IPv6 link-local ones are of no use to a peer. Where the system does not
// list its interfaces (Android since 11), they are those from which it dials others.
func localAddrs(names []string, local bool) ([]netip.Addr, error) {
	ifs, err := net.Interfaces()
	if err != nil && len(names) == 0 {
		return sources(local), nil
	} else if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var out []netip.Addr
	for _, i := range ifs {
		if i.Flags&net.FlagUp == 0 || len(names) > 0 && !slices.Contains(names, i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", i.Name, err)
		}
		out = append(out, reachable(addrs, local)...)
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return slices.Compact(out), nil
}

// reachable are the addresses of an interface that are of use to a peer.
func reachable(addrs []net.Addr, local bool) (out []netip.Addr) {
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // not an IP address
		}
		ip := p.Addr().Unmap().WithZone("")
		if ipaddr.MayDial(ip, local) && !(ip.Is6() && ip.IsLinkLocalUnicast()) {
			out = append(out, ip)
		}
	}
	return out
}

// source6 is the IPv6 address from which this machine dials others, as far as it has one: of
// several only that goes through our own firewall, and is expected at the other side. Nothing
// is sent to find out.
func source6() []netip.Addr { return source(netip.MustParseAddr("2001:db8::1")) }

func source(to netip.Addr) []netip.Addr {
	a, err := ipaddr.Towards(to)
	if err != nil {
		return nil
	}
	return []netip.Addr{a}
}

// sources are the addresses from which this machine dials others, and that of itself last if
// local is set.
func sources(local bool) (out []netip.Addr) {
	out = append(source(netip.MustParseAddr("192.0.2.1")), source6()...)
	if local {
		out = append(out, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	out = slices.DeleteFunc(out, func(a netip.Addr) bool { return !ipaddr.MayDial(a, local) || a.Is6() && a.IsLinkLocalUnicast() })
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return slices.Compact(out)
}

// PublicAddrs are the addresses of the interfaces of these names, or of all, that everybody
// can reach.
func PublicAddrs(interfaces []string) (v4, v6 []netip.Addr) {
	addrs, err := localAddrs(interfaces, false)
	if err != nil {
		return nil, nil
	}
	for _, a := range addrs {
		switch {
		case !ipaddr.Public(a):
		case a.Is4():
			v4 = append(v4, a)
		default:
			v6 = append(v6, a)
		}
	}
	return v4, v6
}

// prefixes are those of the interfaces of these names, or of all: what is near.
func prefixes(names []string) (out []netip.Prefix) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range ifs {
		if i.Flags&net.FlagUp == 0 || len(names) > 0 && !slices.Contains(names, i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, p.Masked())
			}
		}
	}
	return out
}

// rank orders our addresses: those that more peers can reach first.
func rank(a netip.Addr) int {
	switch {
	case a.IsLoopback():
		return 3
	case a.IsLinkLocalUnicast():
		return 2
	case a.IsPrivate():
		return 1
	}
	return 0
}
