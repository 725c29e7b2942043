package portmap

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// newPMP asks a router on loopback.
func newPMP(at netip.AddrPort) *natPMP {
	return &natPMP{router: at, log: slog.New(slog.DiscardHandler)}
}

// TestNATPMP: both ways are found, the one that answers first makes the mapping, and it is
// deleted at the end.
func TestNATPMP(t *testing.T) {
	r := newFakeRouter(t)
	r.set(func() { r.location = "" })
	var asked [][]byte
	answers := func(b []byte) [][]byte {
		asked = append(asked, append([]byte(nil), b...))
		if b[1] == opAddress {
			return [][]byte{pmpAddress(outside, 1000)}
		}
		if b[11] == 0 {
			return [][]byte{pmpMapping(6001, 0, 0, 1000)}
		}
		return [][]byte{pmpMapping(6001, 7001, 120, 1000)}
	}
	r.set(func() { r.pmp = answers })
	k := r.keeper()
	h, err := k.Hold(t.Context(), 6001)
	if err != nil {
		t.Fatal(err)
	}
	if h.External() != netip.AddrPortFrom(outside, 7001) || h.How() != "nat-pmp" {
		t.Errorf("mapped: %s by %s", h.External(), h.How())
	}
	h.Release()
	k.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := asked[len(asked)-1]; string(last) != string(mapRequest(6001, 0, 0)) {
		t.Errorf("the last request is %x", last)
	}
}

// TestNATPMPStrangers: what others say, or what answers something else, is passed over.
func TestNATPMPStrangers(t *testing.T) {
	lie := netip.MustParseAddr("45.6.6.6")
	p := newPMP(lyingRouter(t, [][]byte{pmpAddress(lie, 1)}, [][]byte{
		nil, {0}, {0, opAnswer, 0, 0}, pmpAddress(lie, 1)[:11], {9, opAnswer, 0, 0}, pmpMapping(6001, 6001, 60, 1), pmpAddress(outside, 1),
	}))
	if a, err := p.external(t.Context()); err != nil || a != outside {
		t.Error(a, err)
	}
	p = newPMP(lyingRouter(t, [][]byte{pmpMapping(6001, 6666, 60, 1)}, [][]byte{
		pmpAddress(lie, 1), pmpMapping(6002, 6666, 60, 1), pmpMapping(6001, 6666, 60, 1)[:15], pmpMapping(6001, 6003, 60, 1),
	}))
	if got, err := p.add(t.Context(), 6001, 6001, time.Minute); err != nil || got.port != 6003 {
		t.Error(got, err)
	}
}

// TestNATPMPRefuses: a mapping that is none, or not what was asked for.
func TestNATPMPRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		want   string
	}{
		"port 0":         {pmpMapping(6001, 0, 120, 1), "port 0"},
		"port 80":        {pmpMapping(6001, 80, 120, 1), "port 80"},
		"no time":        {pmpMapping(6001, 6001, 0, 1), "for 0s"},
		"for ever":       {pmpMapping(6001, 6001, 1<<32-1, 1), "not what was asked"},
		"refused":        {[]byte{0, opMapTCP | opAnswer, 0, 2}, "switched off"},
		"no network":     {[]byte{0, opMapTCP | opAnswer, 0, 3}, "not connected"},
		"no room":        {[]byte{0, opMapTCP | opAnswer, 0, 4}, "no room"},
		"not understood": {[]byte{0, opMapTCP | opAnswer, 0, 5}, "does not know"},
		"something":      {[]byte{0, opMapTCP | opAnswer, 1, 5}, "result 261"},
		"PCP":            {[]byte{2, opMapTCP | opAnswer, 0, 1}, "PCP only"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRouter(t)
			removed := false
			answers := func(b []byte) [][]byte {
				if string(b) == string(mapRequest(6001, 0, 0)) {
					removed = true
				}
				return [][]byte{c.answer}
			}
			r.set(func() { r.pmp = answers })
			_, err := newPMP(netip.AddrPortFrom(local, r.fake.NATPMP)).add(t.Context(), 6001, 6001, twoMinutes)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if maybe := c.answer[3] == 0 || c.answer[0] == 2; maybe != removed {
				t.Errorf("removed: %t", removed)
			}
		})
	}
}

// TestNobodyListens: a port that is closed is known at once.
func TestNobodyListens(t *testing.T) {
	r := newFakeRouter(t)
	if _, err := newPMP(netip.AddrPortFrom(local, r.fake.NATPMP+1)).external(t.Context()); !errors.Is(err, errNoNATPMP) {
		t.Skip("this system does not tell: ", err)
	}
}

// TestSecondWay: if what answered first refuses, the other is asked.
func TestSecondWay(t *testing.T) {
	r := newFakeRouter(t)
	answers := func(b []byte) [][]byte {
		if b[1] == opAddress {
			return [][]byte{pmpAddress(outside, 1)}
		}
		return [][]byte{{0, opMapTCP | opAnswer, 0, 2}}
	}
	r.set(func() { r.pmp = answers })
	k := r.keeper()
	h, err := k.Hold(t.Context(), 6001)
	if err != nil {
		t.Fatal(err)
	}
	if h.How() != "upnp" {
		t.Errorf("mapped by %s", h.How())
	}
	if s, err := k.State(t.Context()); err != nil || len(s.How) != 2 || s.External != outside || s.Gateway != local {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestEpoch: the router's clock may be slow, and late, but not begin anew.
func TestEpoch(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		first, then uint32
		after       time.Duration
		want        bool
	}{
		{1000, 1060, time.Minute, false},
		{1000, 1051, time.Minute, false}, // an eighth slower
		{1000, 1049, time.Minute, true},
		{1000, 5000, time.Minute, false},
		{1000, 999, 0, false},
		{1000, 0, time.Minute, true},
		{1<<32 - 1, 3, time.Minute, true},
	} {
		var e epoch
		if e.restarted(c.first, at) {
			t.Error("restarted at the first answer")
		}
		if got := e.restarted(c.then, at.Add(c.after)); got != c.want {
			t.Errorf("%d and after %s %d: %t", c.first, c.after, c.then, got)
		}
	}
}
