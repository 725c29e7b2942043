package portmap

import (
	"net/netip"

	"jetsend/internal/ipaddr"
)

// public reports whether an IPv4 address can be reached from the Internet.
func public(a netip.Addr) bool { return a.Is4() && ipaddr.Public(a) }
