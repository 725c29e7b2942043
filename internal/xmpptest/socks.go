package xmpptest

import (
	"errors"
	"fmt"
	"io"
)

// SOCKS5 address types (RFC 1928 section 5).
const (
	socksVersion = 5
	socksIPv4    = 1
	socksName    = 3
	socksIPv6    = 4
)

var errSOCKS = errors.New("not a socks5 handshake")

// passSOCKS5 hands a SOCKS5 handshake without authentication from the dialler
// to the target and the answers back, reading not one byte more. A handshake
// that the target refuses is an error too: there is nothing to carry.
func passSOCKS5(dialler, target io.ReadWriter) error {
	greeting, err := read(dialler, 2, nil)
	if err != nil {
		return err
	}
	if greeting[0] != socksVersion {
		return fmt.Errorf("%w: version %d", errSOCKS, greeting[0])
	}
	if greeting, err = read(dialler, int(greeting[1]), greeting); err != nil {
		return err
	}
	if _, err := target.Write(greeting); err != nil {
		return err
	}
	method, err := read(target, 2, nil)
	if err != nil {
		return err
	}
	if _, err := dialler.Write(method); err != nil {
		return err
	}
	if method[1] != 0 {
		return fmt.Errorf("%w: method %d", errSOCKS, method[1])
	}
	if _, err := passAddress(dialler, target); err != nil {
		return err
	}
	reply, err := passAddress(target, dialler)
	if err != nil {
		return err
	}
	if reply != 0 {
		return fmt.Errorf("%w: reply %d", errSOCKS, reply)
	}
	return nil
}

// passAddress hands on a request or a reply, which have the same shape, and
// returns its second byte.
func passAddress(from io.Reader, to io.Writer) (byte, error) {
	m, err := read(from, 5, nil) // up to and with the first byte of the address
	if err != nil {
		return 0, err
	}
	var rest int
	switch m[3] {
	case socksIPv4:
		rest = 4 - 1
	case socksIPv6:
		rest = 16 - 1
	case socksName:
		rest = int(m[4])
	default:
		return 0, fmt.Errorf("%w: address type %d", errSOCKS, m[3])
	}
	if m, err = read(from, rest+2, m); err != nil { // and the port
		return 0, err
	}
	if _, err := to.Write(m); err != nil {
		return 0, err
	}
	return m[1], nil
}

// read appends n bytes from r to b.
func read(r io.Reader, n int, b []byte) ([]byte, error) {
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, fmt.Errorf("read socks5 handshake: %w", err)
	}
	return append(b, p...), nil
}
