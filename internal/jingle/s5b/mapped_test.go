package s5b

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// fakeMapping leads from an address to a port of ours.
type fakeMapping struct {
	at       netip.AddrPort
	released int
}

func (m *fakeMapping) External() netip.AddrPort { return m.at }
func (m *fakeMapping) Release()                 { m.released++ }

// TestMapped: a port of the router is one more candidate, of its own type, and is given
// back with the negotiation, not before.
func TestMapped(t *testing.T) {
	var made *fakeMapping
	c := local(t)
	c.Map = func(_ context.Context, ports map[netip.Addr]uint16) (Mapping, error) {
		v4 := netip.MustParseAddr("127.0.0.1")
		made = &fakeMapping{at: netip.AddrPortFrom(v4, ports[v4])} // as if it were the router's
		return made, nil
	}
	a, b := newPair(t, c, local(t))
	e := a.n.Element()
	i := slices.IndexFunc(mustParse(t, e).Candidates, func(c Candidate) bool { return c.Type == Assisted })
	if i < 0 {
		t.Fatal("no candidate")
	}
	assisted := mustParse(t, e).Candidates[i]
	if assisted.Priority>>16 != 120 || assisted.Port != int(made.at.Port()) || assisted.JID != romeo.String() {
		t.Errorf("%+v", assisted)
	}
	x, y := connect(t, a, b, only(b.n.Element(), func(Candidate) bool { return false }), only(e, func(c Candidate) bool { return c.Type == Assisted }))
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	for _, o := range []*Conn{x.c, y.c} {
		if o.Kind != Direct || o.Way != Mapped || o.CID != assisted.CID {
			t.Errorf("%s %s", o.Kind, o.Way)
		}
	}
	checkStream(t, x.c, y.c)
	if made.released != 0 {
		t.Error("given back before the end")
	}
	if _ = a.n.Close(); made.released == 0 {
		t.Error("kept")
	}
}

// TestNotMapped: no router is asked without direct candidates, for addresses that the user
// names; one that refuses is no error.
func TestNotMapped(t *testing.T) {
	never := func(context.Context, map[netip.Addr]uint16) (Mapping, error) {
		t.Error("asked")
		return nil, errors.New("never")
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.NoDirect = true },
		func(c *Config) { c.Proxied = true },
		func(c *Config) { c.Advertise = []string{"203.0.113.7"} },
	} {
		c := local(t)
		c.Map = never
		change(&c)
		newSide(t, c, romeo, juliet, true)
	}
	n := &Negotiation{cfg: Config{Map: never}, own: []offered{{Candidate: Candidate{Type: Direct, Host: "10.0.0.2", Port: 5}}, {Candidate: Candidate{Type: Direct, Host: "9.9.9.9", Port: 5}}}}
	if len(n.mappable()) > 0 {
		t.Error("with an address that everybody can reach")
	}
	c := local(t)
	c.Map = func(context.Context, map[netip.Addr]uint16) (Mapping, error) { return nil, errors.New("no router") }
	s := newSide(t, c, romeo, juliet, true)
	if got := mustParse(t, s.n.Element()).Candidates; slices.ContainsFunc(got, func(c Candidate) bool { return c.Type == Assisted }) {
		t.Error("offered")
	}
}

// TestMappedListener: what comes by a port of the router is taken wherever it comes in: two of
// our addresses may have the same port.
func TestMappedListener(t *testing.T) {
	n := &Negotiation{own: []offered{{Candidate: Candidate{Type: Direct, Host: "172.17.0.1", Port: 50000}}, {Candidate: Candidate{Type: Direct, Host: "192.168.1.5", Port: 50000}, listener: 1}}}
	n.mapped = &fakeMapping{at: netip.MustParseAddrPort("9.9.9.9:50000")}
	n.offerMapped()
	if o := n.own[len(n.own)-1]; o.Type != Assisted || o.listener != anyListener {
		t.Errorf("%+v", o)
	}
}
