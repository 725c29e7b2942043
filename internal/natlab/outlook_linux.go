package main

import (
	"fmt"
	"slices"
)

// The kinds of homes.
const (
	kindPublic    = "public"        // an IPv4 address of its own, no router
	kindV6        = "v6-firewall"   // global IPv6 behind a stateful firewall; IPv4 as symmetric
	kindHome      = "home"          // masquerade that keeps ports; what nobody asked for is dropped
	kindRST       = "home-rst"      // the same; what nobody asked for is answered with RST
	kindSymmetric = "symmetric"     // masquerade with a new random port for each destination
	kindUPnP      = "mapped-upnp"   // home with miniupnpd, UPnP only
	kindPMP       = "mapped-natpmp" // home with miniupnpd, NAT-PMP (and PCP) only
	kindDouble    = "double"        // a home behind another one
	kindNoV4      = "no-v4"         // global IPv6, no firewall, no IPv4 at all
)

// kinds are all of them, in the order of the columns of [outlooks].
func kinds() []string {
	return []string{kindPublic, kindV6, kindHome, kindRST, kindSymmetric, kindUPnP, kindPMP, kindDouble, kindNoV4}
}

// What a pair may show, the best first. A file that does not arrive whole is never
// right.
const (
	direct  = "direct" // the bytes go from one home to the other
	relay   = "relay"  // at least through a proxy or in-band
	anyPath = "any"    // whatever comes: it depends on the moment
)

// outlook is what a pair shows today, and what is aimed at.
type outlook struct{ today, aim string }

func (o outlook) String() string {
	if o.today == o.aim {
		return o.today
	}
	return o.today + ", aim " + o.aim
}

// outlooks is what each pair must show: the sender's home, and in the order of
// [kinds] the receiver's. One that is better some day gets the word of that day here.
func outlooks() map[string][]outlook {
	var (
		must  = outlook{direct, direct}
		luck  = outlook{anyPath, anyPath} // whose packet is first at a router that refuses
		never = outlook{relay, relay}     // a port that nobody knows before, or no common protocol
	)
	return map[string][]outlook{
		//             public v6     home   rst    sym    upnp   natpmp double no-v4
		kindPublic:    {must, must, must, must, must, must, must, must, never},
		kindV6:        {must, must, never, never, never, must, must, never, must},
		kindHome:      {must, never, must, luck, never, must, must, must, never},
		kindRST:       {must, never, luck, luck, never, must, must, luck, never},
		kindSymmetric: {must, never, never, never, never, must, must, never, never},
		kindUPnP:      {must, must, must, must, must, must, must, must, never},
		kindPMP:       {must, must, must, must, must, must, must, must, never},
		kindDouble:    {must, never, must, luck, never, must, must, must, never},
		kindNoV4:      {never, must, never, never, never, never, never, never, must},
	}
}

// required are the pairs that the whole effort is for; in both orders.
func required() [][2]string {
	list := [][2]string{
		{kindV6, kindV6}, {kindHome, kindHome}, {kindHome, kindPublic}, {kindHome, kindUPnP}, {kindHome, kindPMP},
		{kindSymmetric, kindUPnP}, {kindSymmetric, kindPMP}, {kindDouble, kindPublic},
	}
	for _, p := range slices.Clone(list) {
		if p[0] != p[1] {
			list = append(list, [2]string{p[1], p[0]})
		}
	}
	return list
}

// expected is the outlook of a pair.
func expected(sender, receiver string) outlook {
	return outlooks()[sender][slices.Index(kinds(), receiver)]
}

// judge compares the path of a file that has arrived with what the pair must show.
func (o outlook) judge(got string) (verdict string, ok bool) {
	switch {
	case o.today == direct && got != direct:
		return "WORSE: must be " + direct, false
	case o.today == relay && got == direct && o.aim == relay:
		return "gained, beyond the aim", true
	case o.today == relay && got == direct:
		return "gained", true
	case o.aim == direct && got != direct:
		return "ok today, aim " + direct, true
	}
	return "ok", true
}

// class is the word for a path.
func class(transport, candidate string) string {
	if transport == "s5b" && candidate != "proxy" && candidate != "" {
		return direct // direct, assisted, punched
	}
	return relay
}

// pathName is a path as it is printed.
func pathName(transport, candidate string) string {
	if candidate == "" {
		return transport
	}
	return fmt.Sprintf("%s/%s", transport, candidate)
}
