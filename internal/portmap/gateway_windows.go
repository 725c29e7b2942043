package portmap

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// defaultGateways returns those of the default IPv4 routes, the preferred one first.
func defaultGateways() ([]netip.Addr, error) {
	var table *windows.MibIpForwardTable2
	if err := windows.GetIpForwardTable2(windows.AF_INET, &table); err != nil {
		return nil, fmt.Errorf("read the routes of this machine: %w", err)
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	rows := slices.DeleteFunc(slices.Clone(table.Rows()), func(r windows.MibIpForwardRow2) bool {
		return r.DestinationPrefix.PrefixLength != 0
	})
	slices.SortStableFunc(rows, func(a, b windows.MibIpForwardRow2) int { return cmp.Compare(a.Metric, b.Metric) })
	var out []netip.Addr
	for i := range rows {
		hop := (*windows.RawSockaddrInet4)(unsafe.Pointer(&rows[i].NextHop))
		if a := netip.AddrFrom4(hop.Addr); hop.Family == windows.AF_INET && !a.IsUnspecified() {
			out = append(out, a)
		}
	}
	return out, nil
}
