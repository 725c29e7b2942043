package portmap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/huin/goupnp/soap"
)

// description is what a mapping of ours is called in the router's own pages.
const description = "jetsend"

// Error codes of a WANIPConnection (UPnP WANIPConnection:1, 2.4.16).
const (
	codeNoSuchEntry       = 714
	codeConflict          = 718
	codeOnlyPermanent     = 725
	codeConflictElsewhere = 729
)

// errPermanent is of a router whose mappings end only when somebody deletes them: what a
// killed process holds would stay open for ever.
var errPermanent = errors.New("the router makes mappings only for ever, which are not used")

// errTaken is of a port that leads to somebody else already.
var errTaken = errors.New("the router has given the port to somebody else")

// igd asks a router by UPnP.
type igd struct {
	self    netip.Addr
	service string
	soap    *soap.SOAPClient
}

// newIGD speaks to one of the router's services.
func newIGD(self, router netip.Addr, c control) *igd {
	client := soap.NewSOAPClient(*c.at)
	client.HTTPClient = fence(router, maxSOAPAnswer)
	return &igd{self, c.service, client}
}

// The arguments of what a router is asked to do, in the order of the specification.
type (
	entryKey struct {
		NewRemoteHost   string
		NewExternalPort string
		NewProtocol     string
	}
	entryAdded struct {
		NewRemoteHost             string
		NewExternalPort           string
		NewProtocol               string
		NewInternalPort           string
		NewInternalClient         string
		NewEnabled                string
		NewPortMappingDescription string
		NewLeaseDuration          string
	}
	entry struct {
		NewInternalPort   string
		NewInternalClient string
		NewEnabled        string
		NewLeaseDuration  string
	}
	address struct {
		NewExternalIPAddress string
	}
)

func (*igd) name() string { return "upnp" }

// external asks for the router's own address.
func (g *igd) external(ctx context.Context) (netip.Addr, error) {
	var out address
	if err := g.do(ctx, "GetExternalIPAddress", nil, &out); err != nil {
		return netip.Addr{}, err
	}
	return parseExternal(out.NewExternalIPAddress)
}

// parseExternal reads an external address.
func parseExternal(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, errors.New("the router does not know its own address")
	}
	return a, nil
}

// maxTries bounds how many external ports are tried.
const maxTries = 4

// add makes a mapping, or gives one that there is more time. A port that leads to somebody
// else is left alone, and another one tried. What the router then has is read back, since
// some do not keep to what was asked.
func (g *igd) add(ctx context.Context, internal, external uint16, lease time.Duration) (grant, error) {
	var err error
	for range maxTries {
		var got grant
		if got, err = g.try(ctx, internal, external, lease); err == nil {
			return got, nil
		}
		if !errors.Is(err, errTaken) {
			return grant{}, err
		}
		external = 49152 + rand.N[uint16](16384)
	}
	return grant{}, err
}

// try makes a mapping of this external port.
func (g *igd) try(ctx context.Context, internal, external uint16, lease time.Duration) (grant, error) {
	have, err := g.lookup(ctx, external)
	switch { // some routers have no right word for a port that is free
	case err != nil && faultCode(err) == 0:
		return grant{}, err
	case err == nil && have != nil && !g.ours(have, internal):
		return grant{}, errTaken
	}
	err = g.do(ctx, "AddPortMapping", &entryAdded{
		NewExternalPort: strconv.Itoa(int(external)), NewProtocol: "TCP",
		NewInternalPort: strconv.Itoa(int(internal)), NewInternalClient: g.self.String(), NewEnabled: "1",
		NewPortMappingDescription: description, NewLeaseDuration: strconv.Itoa(int(lease / time.Second)),
	}, nil)
	switch faultCode(err) {
	case codeConflict, codeConflictElsewhere:
		return grant{}, errTaken
	case codeOnlyPermanent:
		return grant{}, errPermanent
	case 0:
		var got grant
		if err == nil {
			got, err = g.readBack(ctx, internal, external)
		}
		if err == nil {
			return got, nil
		}
		// It may have been made all the same.
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer cancel()
		g.remove(tidy, internal, external) //nolint:errcheck // its lease ends
	}
	return grant{}, err
}

// readBack returns what the router has made of a mapping.
func (g *igd) readBack(ctx context.Context, internal, external uint16) (grant, error) {
	have, err := g.lookup(ctx, external)
	switch {
	case err != nil:
		return grant{}, err
	case have == nil || !g.ours(have, internal) || have.NewEnabled == "0":
		return grant{}, errors.New("the router says that it made a mapping, and has none")
	}
	seconds, err := strconv.ParseUint(have.NewLeaseDuration, 10, 32)
	if err != nil || seconds == 0 {
		return grant{}, errPermanent
	}
	got := grant{external, time.Duration(seconds) * time.Second}
	return got, got.check(external)
}

// lookup returns what the router has of an external port; nil, if it is free.
func (g *igd) lookup(ctx context.Context, external uint16) (*entry, error) {
	var have entry
	key := &entryKey{NewExternalPort: strconv.Itoa(int(external)), NewProtocol: "TCP"}
	err := g.do(ctx, "GetSpecificPortMappingEntry", key, &have)
	if faultCode(err) == codeNoSuchEntry {
		return nil, nil //nolint:nilnil // the port is free
	}
	return &have, err
}

// ours reports whether what the router has leads to this port of this machine.
func (g *igd) ours(have *entry, internal uint16) bool {
	to, err := netip.ParseAddr(have.NewInternalClient)
	return err == nil && to == g.self && have.NewInternalPort == strconv.Itoa(int(internal))
}

// remove deletes a mapping, if it is ours.
func (g *igd) remove(ctx context.Context, internal, external uint16) error {
	have, err := g.lookup(ctx, external)
	if err != nil || have == nil || !g.ours(have, internal) {
		return err
	}
	return g.do(ctx, "DeletePortMapping", &entryKey{NewExternalPort: strconv.Itoa(int(external)), NewProtocol: "TCP"}, nil)
}

// do has the router do something.
func (g *igd) do(ctx context.Context, action string, in, out any) error {
	err := g.soap.PerformActionCtx(ctx, g.service, action, in, out)
	if err == nil {
		return nil
	}
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) {
		return upnpError(fault.Detail.UPnPError.Errorcode)
	}
	return plain(ctx, err, "the router does not answer "+action+" as UPnP does")
}

// upnpError is the code of a fault that the router answered.
type upnpError int

func (e upnpError) Error() string {
	switch e {
	case 501, 606:
		return fmt.Sprintf("the router refuses: port mapping is switched off there (UPnP error %d)", int(e))
	}
	return fmt.Sprintf("the router refuses (UPnP error %d)", int(e))
}

// faultCode returns that of an error, or 0.
func faultCode(err error) int {
	var e upnpError
	if errors.As(err, &e) {
		return int(e)
	}
	return 0
}
