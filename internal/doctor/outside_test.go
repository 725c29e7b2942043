package doctor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"jetsend/internal/portmap"
	"jetsend/internal/route"
)

// TestOutside: what is said of a router, and when something has to be done.
func TestOutside(t *testing.T) {
	at := netip.MustParseAddrPort
	public, v6 := netip.MustParseAddr("9.9.9.9"), []netip.Addr{netip.MustParseAddr("2a00::1")}
	for _, tt := range []struct {
		about      string
		o          route.Outlook
		advertised bool
		router     string
		warns      bool
		says       string
	}{
		{"public", route.Outlook{V4: []netip.Addr{public}}, false, RouterNone, false, "public address"},
		{"kept", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:5")}}, false, RouterKeeps, false, "meet it"},
		{"another, the same to both", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:7"), at("9.9.9.9:7")}}, false, RouterKeeps, false, "9.9.9.9:7"},
		{"changed", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:7")}}, false, RouterChanges, true, "changes ports"},
		{"another one to each", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:5"), at("9.9.9.9:7")}}, false, RouterChanges, true, "changes ports"},
		{"changed, advertised", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:7")}}, true, RouterChanges, false, "changes ports"},
		{"changed, IPv6", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:7")}, V6: v6}, false, RouterChanges, false, "IPv6 2a00::1"},
		{
			"changed, mapped", route.Outlook{Port: 5, Seen: []netip.AddrPort{at("9.9.9.9:7")}, Asked: true, Mapped: at("9.9.9.9:50"), Router: portmap.Router{How: []string{"upnp"}}},
			false, RouterChanges, false, "the router leads 9.9.9.9:50 here while a file is under way (upnp)",
		},
		{"nobody says", route.Outlook{Asked: true, MapErr: errors.New("the router answers nothing")}, false, RouterUnknown, true, "no port of the router: the router answers nothing"},
		{"the server says", route.Outlook{Server: public}, false, RouterUnknown, true, "seen as 9.9.9.9 by the server"},
	} {
		f := outsideFinding(tt.o, tt.advertised)
		d, _ := f.Details.(OutsideDetails)
		if d.Router != tt.router || (f.Status == StatusWarn) != tt.warns || (len(f.Hints) > 0) != tt.warns || !strings.Contains(f.Text, tt.says) {
			t.Errorf("%s: %s, %+v", tt.about, d.Router, f)
		}
	}
}
