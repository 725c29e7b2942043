package profile

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"jetsend/internal/xmltree"
)

// Bounds on a punch.
const (
	maxPunchAddresses = 3
	maxPunchCID       = 255
)

// Punch is where a side can be met by both dialling each other at the same time
// (docs/protocol.md, "Meeting in the middle"). It is told under the seal of the offer and of
// the accept: no server learns of an address that is no candidate.
type Punch struct {
	// CID and Priority are of the candidate that such a connection stands for. It is the
	// responder's: an offer has none.
	CID      string
	Priority uint32
	// Addresses are where the other side is to dial, each from the port that it tells itself.
	Addresses []netip.AddrPort
}

func (p *Punch) element() *xmltree.Element {
	x := xmltree.New(NS, "punch")
	if p.CID != "" {
		x.Set("cid", p.CID).Set("priority", strconv.FormatUint(uint64(p.Priority), 10))
	}
	for _, a := range p.Addresses {
		x.Add(xmltree.New(NS, "address").Set("ip", a.Addr().String()).Set("port", strconv.Itoa(int(a.Port()))))
	}
	return x
}

// parsePunch reads the punch of an offer or an accept, nil for none.
func parsePunch(of *xmltree.Element) (*Punch, error) {
	x := of.Child(NS, "punch")
	if x == nil {
		return nil, nil
	}
	p := &Punch{CID: x.Attr("cid")}
	if p.CID != "" {
		n, err := strconv.ParseUint(x.Attr("priority"), 10, 32)
		if err != nil || len(p.CID) > maxPunchCID {
			return nil, fmt.Errorf("punch: %w", errors.Join(errors.New("candidate"), err))
		}
		p.Priority = uint32(n)
	}
	for _, a := range x.All(NS, "address") {
		ip, err := netip.ParseAddr(a.Attr("ip"))
		port, err2 := strconv.ParseUint(a.Attr("port"), 10, 16)
		if err = errors.Join(err, err2); err != nil || ip.Zone() != "" || port == 0 || len(p.Addresses) == maxPunchAddresses {
			return nil, fmt.Errorf("punch: %w", errors.Join(errors.New("address"), err))
		}
		p.Addresses = append(p.Addresses, netip.AddrPortFrom(ip, uint16(port)))
	}
	return p, nil
}
