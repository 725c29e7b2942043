// Package ipaddr judges IP addresses: which can be reached from everywhere, which may be
// dialled because somebody else says so, and which of ours is used towards another one.
package ipaddr

import (
	"net"
	"net/netip"
	"slices"
)

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

// Towards returns the address that this machine has for another one, as its routes are now.
// Nothing is sent to find out.
func Towards(a netip.Addr) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 9)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = c.Close() }()      // nothing was sent
	at, _ := c.LocalAddr().(*net.UDPAddr) // never of another kind
	return at.AddrPort().Addr().Unmap().WithZone(""), nil
}
