// Package stun asks a server by which address and port it sees a TCP connection: a STUN
// binding request (RFC 8489) over that connection. Nothing else of STUN is in it.
package stun

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// The numbers of RFC 8489, sections 5, 14 and 18.
const (
	headerSize    = 20
	cookie        = 0x2112A442
	request       = 0x0001
	success       = 0x0101
	mapped        = 0x0001
	xorMapped     = 0x0020
	familyV4      = 1
	familyV6      = 2
	attributeHead = 4
)

// maxAnswer bounds the attributes of an answer, in bytes: an address, and the name of a
// server's software.
const maxAnswer = 1 << 10

// ErrAnswer means: what came is no answer to a binding request.
var ErrAnswer = errors.New("no answer of a stun server")

// Ask returns the address and port by which the server at the other end of c sees it. It
// takes until ctx ends at most. The connection can be kept, to hold what a router knows of
// it; it is the caller's to close.
func Ask(ctx context.Context, c net.Conn) (netip.AddrPort, error) {
	if until, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(until) // fails only on a closed connection, as the next call does
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	seen, err := ask(c)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("stun: %w", errors.Join(ctx.Err(), err))
	}
	return seen, nil
}

func ask(c io.ReadWriter) (netip.AddrPort, error) {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	if _, err := c.Write(binding(id)); err != nil {
		return netip.AddrPort{}, err
	}
	var head [headerSize]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return netip.AddrPort{}, err
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	if binary.BigEndian.Uint16(head[:]) != success || binary.BigEndian.Uint32(head[4:]) != cookie || [12]byte(head[8:]) != id || length > maxAnswer || length%4 != 0 {
		return netip.AddrPort{}, ErrAnswer
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c, body); err != nil {
		return netip.AddrPort{}, err
	}
	return address(body, id)
}

// binding is a binding request without attributes.
func binding(id [12]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, request)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint32(b, cookie)
	return append(b, id[:]...)
}

// address finds the address among the attributes: that which no router has changed on its
// way, or the plain one of older servers.
func address(body []byte, id [12]byte) (netip.AddrPort, error) {
	var plain netip.AddrPort
	for len(body) >= attributeHead {
		kind, size := binary.BigEndian.Uint16(body), int(binary.BigEndian.Uint16(body[2:]))
		body = body[attributeHead:]
		if size > len(body) {
			break
		}
		value := body[:size]
		body = body[min(len(body), (size+3)/4*4):]
		switch kind {
		case xorMapped:
			a, ok := endpoint(value)
			if !ok {
				return netip.AddrPort{}, ErrAnswer
			}
			return unmask(a, id), nil
		case mapped:
			plain, _ = endpoint(value)
		}
	}
	if !plain.IsValid() {
		return plain, ErrAnswer
	}
	return plain, nil
}

// endpoint reads the value of an address attribute.
func endpoint(v []byte) (netip.AddrPort, bool) {
	switch {
	case len(v) == 8 && v[1] == familyV4:
	case len(v) == 20 && v[1] == familyV6:
	default:
		return netip.AddrPort{}, false
	}
	a, ok := netip.AddrFromSlice(v[4:])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(v[2:])), ok
}

// unmask takes cookie and transaction id off an address and its port.
func unmask(a netip.AddrPort, id [12]byte) netip.AddrPort {
	mask := append(binary.BigEndian.AppendUint32(nil, cookie), id[:]...)
	b := a.Addr().AsSlice()
	for i := range b {
		b[i] ^= mask[i]
	}
	plain, _ := netip.AddrFromSlice(b) // as long as it was
	return netip.AddrPortFrom(plain.Unmap(), a.Port()^uint16(cookie>>16))
}
