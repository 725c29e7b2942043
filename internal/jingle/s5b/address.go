package s5b

import (
	"crypto/sha1" // #nosec G505 -- an identifier that XEP-0065 prescribes, not a protection
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"jetsend/internal/jid"
)

// DestinationAddress is what a SOCKS5 client asks for instead of a host: the
// lower-case hex SHA-1 of the stream id and both full JIDs (XEP-0065 section
// 5.3.2). First comes the JID of the side that offered the candidate.
func DestinationAddress(sid string, a, b jid.JID) string {
	sum := sha1.Sum([]byte(sid + a.String() + b.String()))
	return hex.EncodeToString(sum[:])
}

// MayDial reports whether a may be dialled because a peer asked for it. Global
// and private unicast addresses may; loopback and link-local only if local is
// set; unspecified, multicast and broadcast never. An IPv6 address that stands
// for an IPv4 address is judged as that.
func MayDial(a netip.Addr, local bool) bool {
	a = underlying(a)
	switch {
	case !a.IsValid(), a.Zone() != "", a.IsUnspecified(), a.IsMulticast():
		return false
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240): // this network, reserved, broadcast
		return false
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return local
	}
	return true
}

// underlying returns the IPv4 address inside an IPv6 address that is mapped
// (RFC 4291), compatible (RFC 4291, deprecated), 6to4 (RFC 3056) or NAT64
// (RFC 6052), or a itself.
func underlying(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	b := a.As16()
	v4 := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return v4(12)
	case b[0] == 0x20 && b[1] == 0x02:
		return v4(2)
	case netip.MustParsePrefix("::/96").Contains(a) && !a.IsLoopback() && !a.IsUnspecified():
		return v4(12)
	}
	return a
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
		if MayDial(ip, local) && !(ip.Is6() && ip.IsLinkLocalUnicast()) {
			out = append(out, ip)
		}
	}
	return out
}

// Public reports whether an address can be reached from everywhere: it is global, and none
// that IANA keeps for private use, for carriers, for tests or for documentation.
func Public(a netip.Addr) bool {
	a = underlying(a)
	if !MayDial(a, false) || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// special are the prefixes of the registries of special purpose addresses (RFC 6890) that
// net/netip does not know.
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001::/32"),
		netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fec0::/10"),
	}
}

// source6 is the IPv6 address from which this machine dials others, as far as it has one: of
// several only that goes through our own firewall, and is expected at the other side. Nothing
// is sent to find out.
func source6() []netip.Addr { return source("udp6", "[2001:db8::1]:9") }

func source(network, to string) []netip.Addr {
	c, err := net.Dial(network, to)
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	at, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return nil
	}
	return []netip.Addr{at.Addr().WithZone("")}
}

// sources are the addresses from which this machine dials others, and that of itself last if
// local is set.
func sources(local bool) (out []netip.Addr) {
	out = append(source("udp4", "192.0.2.1:9"), source6()...)
	if local {
		out = append(out, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	out = slices.DeleteFunc(out, func(a netip.Addr) bool { return !MayDial(a, local) || a.Is6() && a.IsLinkLocalUnicast() })
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
		case !Public(a):
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
