package profile

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"jetsend/internal/xmltree"
)

// TestPunch: what is told is read as it was written, and what makes no sense is an error.
func TestPunch(t *testing.T) {
	for _, p := range []*Punch{
		{Addresses: []netip.AddrPort{netip.MustParseAddrPort("[2a00::1]:4000"), netip.MustParseAddrPort("9.9.9.9:5000")}},
		{CID: "a&b", Priority: 126 << 16, Addresses: []netip.AddrPort{netip.MustParseAddrPort("9.9.9.9:5000")}},
		{CID: "x"},
	} {
		got, err := parsePunch(xmltree.New(NS, "accept", p.element()))
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v, %v, want %+v", got, err, p)
		}
	}
	if p, err := parsePunch(xmltree.New(NS, "accept")); p != nil || err != nil {
		t.Error(p, err)
	}
	const good = `<address ip='9.9.9.9' port='5000'/>`
	for _, text := range []string{
		`<punch xmlns='jetsend:1' cid='x'/>`, `<punch xmlns='jetsend:1' cid='x' priority='-1'/>`, `<punch xmlns='jetsend:1' cid='x' priority='4294967296'/>`,
		`<punch xmlns='jetsend:1' priority='1' cid='` + strings.Repeat("x", 256) + `'/>`,
		`<punch xmlns='jetsend:1'><address ip='host.example' port='5000'/></punch>`, `<punch xmlns='jetsend:1'><address ip='fe80::1%eth0' port='5000'/></punch>`,
		`<punch xmlns='jetsend:1'><address ip='9.9.9.9' port='0'/></punch>`, `<punch xmlns='jetsend:1'><address ip='9.9.9.9' port='65536'/></punch>`,
		`<punch xmlns='jetsend:1'><address ip='9.9.9.9'/></punch>`, `<punch xmlns='jetsend:1'>` + strings.Repeat(good, 4) + `</punch>`,
	} {
		x, err := xmltree.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := parsePunch(xmltree.New(NS, "accept", x)); err == nil {
			t.Errorf("%s: %+v", text, p)
		}
	}
}
