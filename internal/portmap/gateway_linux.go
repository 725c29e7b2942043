package portmap

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// defaultGateways returns those of the default IPv4 routes, the preferred one first.
func defaultGateways() ([]netip.Addr, error) {
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, fmt.Errorf("read the routes of this machine: %w", err)
	}
	return parseRoutes(string(table)), nil
}

// parseRoutes returns the gateways of the default routes of a /proc/net/route, which has a
// line of titles and then, for each route: interface, destination, gateway, flags, use
// counts, metric, mask, and more. Addresses are numbers in the byte order of the machine.
func parseRoutes(table string) []netip.Addr {
	const upAndGateway = 0x1 | 0x2
	type route struct {
		gateway netip.Addr
		metric  uint64
	}
	var found []route
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 16)
		if err != nil || flags&upAndGateway != upAndGateway {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		metric, err2 := strconv.ParseUint(f[6], 10, 32)
		if err != nil || err2 != nil || len(raw) != 4 {
			continue
		}
		var a [4]byte
		binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(raw))
		found = append(found, route{netip.AddrFrom4(a), metric})
	}
	slices.SortStableFunc(found, func(a, b route) int { return cmp.Compare(a.metric, b.metric) })
	var out []netip.Addr
	for _, r := range found {
		out = append(out, r.gateway)
	}
	return out
}
