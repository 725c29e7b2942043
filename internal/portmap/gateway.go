package portmap

import (
	"errors"
	"net/netip"

	"jetsend/internal/ipaddr"
)

// somewhere is an address of no host (RFC 5737): what is sent there takes the way that
// everything for the Internet takes. Nothing is sent.
var somewhere = netip.MustParseAddr("192.0.2.1")

// systemGateway returns the router that what this machine sends to the Internet goes
// through, and our own address towards it. With several default routes it is the one that
// the system uses; where that is none of them, because a VPN has taken it over, there is no
// router to ask: the address that it would tell is not ours to tell then.
func systemGateway() (gateway, self netip.Addr, err error) {
	all, err := defaultGateways()
	if err != nil {
		return gateway, self, err
	}
	if len(all) == 0 {
		return gateway, self, errors.New("this machine has no default route to a router")
	}
	out, err := ipaddr.Towards(somewhere)
	if err != nil {
		return gateway, self, errors.New("this machine has no way to the Internet")
	}
	for _, g := range all {
		if self, err := ipaddr.Towards(g); err == nil && self == out {
			return g, self, nil
		}
	}
	return gateway, self, errors.New("what this machine sends to the Internet does not go through its router; a VPN, probably")
}
