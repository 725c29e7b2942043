package portmap

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestRoutes: gateways of default routes, the preferred one first, and of no other routes.
func TestRoutes(t *testing.T) {
	hex := func(a, b, c, d byte) string {
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{a, b, c, d}))
	}
	table := strings.Join([]string{
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
		"wlan0\t00000000\t" + hex(192, 168, 1, 1) + "\t0003\t0\t0\t600\t00000000\t0\t0\t0",
		"eth0\t00000000\t" + hex(10, 0, 1, 1) + "\t0003\t0\t0\t100\t00000000\t0\t0\t0",
		"tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0",
		"tun1\t00000000\t" + hex(10, 8, 0, 1) + "\t0003\t0\t0\t0\t" + hex(128, 0, 0, 0) + "\t0\t0\t0",
		"eth1\t" + hex(10, 2, 0, 0) + "\t" + hex(10, 0, 1, 9) + "\t0003\t0\t0\t0\t" + hex(255, 255, 0, 0) + "\t0\t0\t0",
		"eth2\t00000000\t" + hex(10, 0, 2, 1) + "\t0002\t0\t0\t1\t00000000\t0\t0\t0",
		"eth3\t00000000\txyz\t0003\t0\t0\t1\t00000000\t0\t0\t0",
		"eth4\t00000000",
		"",
	}, "\n")
	if got := fmt.Sprint(parseRoutes(table)); got != "[10.0.1.1 192.168.1.1]" {
		t.Error(got)
	}
}

// TestSystemGateway: where this machine has a router, our own address is one of ours.
func TestSystemGateway(t *testing.T) {
	gateway, self, err := systemGateway()
	if err == nil && (!gateway.Is4() || !self.Is4() || self.IsUnspecified()) {
		t.Error(gateway, self)
	}
}
