package portmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// natPMPPort is where a router listens for NAT-PMP (RFC 6886, 3).
const natPMPPort = 5351

// The operations of NAT-PMP that are asked for; an answer has the highest bit set.
const (
	opAddress = 0
	opMapTCP  = 2
	opAnswer  = 0x80
)

// errNotAnAnswer is of a datagram that does not belong to what was asked: it is passed over.
var errNotAnAnswer = errors.New("not an answer to what was asked")

// errNoNATPMP is of a router that has nobody who listens.
var errNoNATPMP = errors.New("no answer")

// isTimeout reports whether an error is that the time of a socket is up.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// natPMP asks a router by NAT-PMP.
type natPMP struct {
	router netip.AddrPort
	log    *slog.Logger

	mu    sync.Mutex
	epoch epoch
}

// epoch is a clock that a router shows with every answer: it begins anew when the router
// does, and the router has then forgotten all mappings (RFC 6886, 3.6).
type epoch struct {
	seconds uint32
	at      time.Time
}

// restarted takes what the clock shows now and reports whether it has begun anew.
func (e *epoch) restarted(seconds uint32, now time.Time) bool {
	last := *e
	*e = epoch{seconds, now}
	if last.at.IsZero() {
		return false
	}
	// Its clock may be slower than ours by an eighth, and off by two seconds.
	least := int64(last.seconds) + int64(now.Sub(last.at).Seconds())*7/8 - 2
	return int64(seconds) < least
}

// pmpAnswer is what a router says by NAT-PMP.
type pmpAnswer struct {
	epoch    uint32
	address  netip.Addr    // of an opAddress
	external uint16        // of an opMapTCP
	lease    time.Duration // of an opMapTCP
}

func (*natPMP) name() string { return "nat-pmp" }

// external asks for the router's own address (RFC 6886, 3.2).
func (p *natPMP) external(ctx context.Context) (netip.Addr, error) {
	a, err := p.ask(ctx, []byte{0, opAddress})
	return a.address, err
}

// add asks for a mapping, or for more time for one that there is (RFC 6886, 3.3).
func (p *natPMP) add(ctx context.Context, internal, external uint16, lease time.Duration) (grant, error) {
	a, err := p.ask(ctx, mapRequest(internal, external, lease))
	if errors.As(err, new(pmpError)) {
		return grant{}, err
	}
	if err == nil {
		err = grant{a.external, a.lease}.check(external)
	}
	if err != nil { // it may have been made all the same
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer cancel()
		p.remove(tidy, internal, external) //nolint:errcheck // its lease ends
		return grant{}, err
	}
	return grant{a.external, a.lease}, nil
}

// remove asks for the end of a mapping (RFC 6886, 3.4).
func (p *natPMP) remove(ctx context.Context, internal, _ uint16) error {
	_, err := p.ask(ctx, mapRequest(internal, 0, 0))
	return err
}

// mapRequest is the request for a mapping of TCP.
func mapRequest(internal, external uint16, lease time.Duration) []byte {
	b := []byte{0, opMapTCP, 0, 0}
	b = binary.BigEndian.AppendUint16(b, internal)
	b = binary.BigEndian.AppendUint16(b, external)
	return binary.BigEndian.AppendUint32(b, uint32(lease/time.Second))
}

// ask sends a request, again and again until it is answered or the time is up. The socket is
// connected: what does not come from the router's own address and port never arrives.
func (p *natPMP) ask(ctx context.Context, request []byte) (pmpAnswer, error) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.router))
	if err != nil {
		return pmpAnswer{}, fmt.Errorf("ask the router: %w", err)
	}
	defer c.Close()                                                      //nolint:errcheck // nothing is buffered
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) }) //nolint:errcheck // it is open
	defer stop()
	buf := make([]byte, 1100) // as large as one may be
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		if _, err := c.Write(request); err != nil {
			return pmpAnswer{}, fmt.Errorf("ask the router: %w", err)
		}
		c.SetReadDeadline(time.Now().Add(pause)) //nolint:errcheck // it is open
		for err = ctx.Err(); err == nil; {
			var n int
			if n, err = c.Read(buf); err != nil {
				break
			}
			a, wrong := parseNATPMP(request, buf[:n])
			if errors.Is(wrong, errNotAnAnswer) {
				continue
			}
			p.saw(a, wrong)
			return a, wrong
		}
		switch {
		case ctx.Err() != nil:
			return pmpAnswer{}, ctx.Err()
		case !isTimeout(err):
			return pmpAnswer{}, errNoNATPMP
		}
	}
}

// saw looks at the clock of an answer. A router that has restarted has no mapping of ours any
// more; the next renewal, which is the same request as the first, makes it again.
func (p *natPMP) saw(a pmpAnswer, err error) {
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch.restarted(a.epoch, time.Now()) {
		p.log.Info("the router has restarted", "router", p.router.Addr())
	}
}

// parseNATPMP reads the answer to a request.
func parseNATPMP(request, b []byte) (pmpAnswer, error) {
	switch {
	case len(b) < 4:
		return pmpAnswer{}, errNotAnAnswer
	case b[0] == 2:
		return pmpAnswer{}, errors.New("the router speaks PCP only")
	case b[0] != 0 || b[1] != request[1]|opAnswer:
		return pmpAnswer{}, errNotAnAnswer
	}
	if code := binary.BigEndian.Uint16(b[2:]); code != 0 {
		return pmpAnswer{}, pmpError(code)
	}
	if len(b) < 12 {
		return pmpAnswer{}, errNotAnAnswer
	}
	a := pmpAnswer{epoch: binary.BigEndian.Uint32(b[4:])}
	if request[1] == opAddress {
		a.address = netip.AddrFrom4([4]byte(b[8:12]))
		return a, nil
	}
	if len(b) < 16 || [2]byte(b[8:10]) != [2]byte(request[4:6]) {
		return pmpAnswer{}, errNotAnAnswer
	}
	a.external = binary.BigEndian.Uint16(b[10:])
	a.lease = time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second
	return a, nil
}

// pmpError is a result code that is not success (RFC 6886, 3.5).
type pmpError uint16

func (e pmpError) Error() string {
	switch e {
	case 1, 5:
		return "the router does not know what it was asked"
	case 2:
		return "the router refuses: port mapping is switched off there"
	case 3:
		return "the router has no connection to the Internet"
	case 4:
		return "the router has no room for another mapping"
	}
	return fmt.Sprintf("the router refuses (result %d)", uint16(e))
}
