package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/route"
)

// What kind of router is between this machine and others, as far as it is seen.
const (
	RouterNone    = "none"          // this machine has an address that everybody can reach
	RouterKeeps   = "keeps-port"    // it shows one port of ours to everybody as the same one
	RouterChanges = "changes-ports" // it shows one port of ours to everybody as another one
	RouterUnknown = "unknown"       // nobody says
)

// OutsideDetails are what the check "outside" found.
type OutsideDetails struct {
	// Router is one of the words above, by what IPv4 shows.
	Router string `json:"router"`
	// External are the addresses by which this machine is seen over IPv4: with a port as a
	// STUN service sees it, without one as the server does.
	External []string `json:"external"`
	// IPv6 are the addresses of this machine that everybody can reach, or a firewall keeps.
	IPv6 []string `json:"ipv6"`
	// Mapping is the port that the router gave, for the moment, MappingBy the protocol and
	// MappingError why there is none.
	Mapping      string `json:"mapping,omitempty"`
	MappingBy    string `json:"mapping_by,omitempty"`
	MappingError string `json:"mapping_error,omitempty"`
}

// outside says how this machine is seen from outside, and what that means for a file.
func (d *doctor) outside(ctx context.Context) {
	switch {
	case d.opt.Route.NoDirect, d.account.Proxied(), !slices.Contains(d.opt.Route.Order(), s5b.Name):
		return // nobody is to know
	case d.account.OverLoopback():
		d.add(AreaMachine, "outside", StatusOK, "the server is on this machine: no router is in between", nil)
		return
	}
	o, err := d.e.Routes().Look(ctx)
	if err != nil {
		d.add(AreaMachine, "outside", StatusWarn, "no connection can be taken here: "+clean.Error(err), nil)
		return
	}
	d.found(outsideFinding(o, len(d.config.S5B.Advertise) > 0))
}

func outsideFinding(o route.Outlook, advertised bool) Finding {
	details := OutsideDetails{Router: routerOf(o), External: []string{}, IPv6: []string{}}
	for _, a := range o.Seen {
		details.External = append(details.External, a.String())
	}
	if len(o.Seen) == 0 && o.Server.IsValid() {
		details.External = append(details.External, o.Server.String())
	}
	for _, a := range o.V6 {
		details.IPv6 = append(details.IPv6, a.String())
	}
	if o.Mapped.IsValid() {
		details.Mapping, details.MappingBy = o.Mapped.String(), strings.Join(o.Router.How, ", ")
	} else if o.Asked && o.MapErr != nil {
		details.MappingError = clean.Error(o.MapErr)
	}
	f := Finding{Area: AreaMachine, Check: "outside", Status: StatusOK, Text: strings.Join(outsideWords(o, details), "; "), Details: details}
	if details.Router != RouterNone && details.Router != RouterKeeps && !o.Mapped.IsValid() && len(o.V6) == 0 && !advertised {
		f.Status = StatusWarn
		f.Hints = []string{"forward a port of the router to this machine, and say so with `transports: {s5b: {listen_ports: [50000], advertise: [ADDRESS]}}`"}
	}
	return f
}

// routerOf says what kind of router there is.
func routerOf(o route.Outlook) string {
	switch {
	case len(o.V4) > 0:
		return RouterNone
	case len(o.Seen) == 0:
		return RouterUnknown
	case len(o.Seen) > 1 && slices.ContainsFunc(o.Seen, func(a netip.AddrPort) bool { return a != o.Seen[0] }):
		return RouterChanges
	case len(o.Seen) > 1, o.Seen[0].Port() == o.Port:
		return RouterKeeps
	}
	return RouterChanges
}

// outsideWords say what was found, and what it means.
func outsideWords(o route.Outlook, d OutsideDetails) (words []string) {
	seen := "this machine is seen as " + strings.Join(d.External, " and ")
	switch d.Router {
	case RouterNone:
		words = append(words, "this machine has a public address, "+o.V4[0].String()+": contacts reach it unless a firewall keeps them out")
	case RouterKeeps:
		words = append(words, seen+": its router keeps ports, so another jetsend can meet it in the middle")
	case RouterChanges:
		words = append(words, seen+", and its port is another one here: its router changes ports, so that nobody behind one can meet it")
	default:
		words = append(words, "nobody says by which IPv4 address this machine is seen")
		if o.Server.IsValid() {
			words = []string{seen + " by the server; another jetsend can meet it if its router keeps ports"}
		}
	}
	switch {
	case d.Mapping != "":
		words = append(words, "the router leads "+d.Mapping+" here while a file is under way ("+d.MappingBy+")")
	case d.MappingError != "":
		words = append(words, "no port of the router: "+d.MappingError)
	}
	if len(d.IPv6) > 0 {
		words = append(words, "IPv6 "+strings.Join(d.IPv6, ", "))
	} else {
		words = append(words, "no IPv6")
	}
	return words
}
