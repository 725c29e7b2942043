package ipaddr

import (
	"net/netip"
	"testing"
)

func TestMayDial(t *testing.T) {
	for _, tt := range []struct {
		addr           string
		remote, onHost bool
	}{
		{"192.0.2.1", true, true},
		{"10.0.0.1", true, true},
		{"2001:db8::1", true, true},
		{"fd00::1", true, true},
		{"::ffff:192.0.2.1", true, true},
		{"127.0.0.1", false, true},
		{"127.255.255.254", false, true},
		{"::1", false, true},
		{"::ffff:127.0.0.1", false, true},
		{"::127.0.0.1", false, true},
		{"64:ff9b::7f00:1", false, true},
		{"2002:7f00:1::1", false, true},
		{"169.254.169.254", false, true},
		{"::ffff:169.254.169.254", false, true},
		{"64:ff9b::a9fe:a9fe", false, true},
		{"fe80::1", false, true},
		{"fe80::1%lo", false, false},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"::", false, false},
		{"::ffff:0.0.0.0", false, false},
		{"224.0.0.1", false, false},
		{"ff02::1", false, false},
		{"ff01::1", false, false},
		{"240.0.0.1", false, false},
		{"255.255.255.255", false, false},
	} {
		a := netip.MustParseAddr(tt.addr)
		if got := MayDial(a, false); got != tt.remote {
			t.Errorf("%s: %v", tt.addr, got)
		}
		if got := MayDial(a, true); got != tt.onHost {
			t.Errorf("%s on one host: %v", tt.addr, got)
		}
	}
	if MayDial(netip.Addr{}, true) {
		t.Error("no address at all")
	}
}

// TestPublic: what is told, and dialled, as an address that everybody can reach.
func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"9.9.9.9": true, "45.9.9.1": true, "2a00::1": true, "::ffff:9.9.9.9": true, "64:ff9b::909:909": true,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "100.127.255.255": false, "169.254.0.1": false,
		"127.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "198.19.0.1": false,
		"::1": false, "fe80::1": false, "fd00::1": false, "ff02::1": false, "2001:db8::1": false, "64:ff9b::a00:1": false, "fec0::1": false, "::": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestTowards: towards this machine it is this machine.
func TestTowards(t *testing.T) {
	if a, err := Towards(netip.MustParseAddr("127.0.0.1")); err != nil || !a.IsLoopback() || !a.Is4() {
		t.Error(a, err)
	}
}
