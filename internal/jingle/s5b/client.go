package s5b

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The bytes of SOCKS5 (RFC 1928) that XEP-0065 uses.
const (
	socksVersion  = 5
	methodNone    = 0
	methodRefused = 0xFF
	cmdConnect    = 1
	atypIPv4      = 1
	atypDomain    = 3
	atypIPv6      = 4
	replyOK       = 0
	replyDenied   = 2
)

// errRefused means that the SOCKS5 server answered, but not with success.
var errRefused = errors.New("socks5 server refused")

// request asks c, a fresh connection to a SOCKS5 server, for the destination
// dst, until ctx ends; atOnce is that of requestOver. Not one byte beyond the server's
// answer is read. On an error c is of no more use.
func request(ctx context.Context, c net.Conn, dst string, atOnce bool) error {
	if dl, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(dl) // fails only on a closed connection, as the next call does
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err := requestOver(c, dst, atOnce)
	if !stop() {
		err = ctx.Err() // the cause of whatever went wrong
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	return err
}

// requestOver is the client's side of RFC 1928 as XEP-0065 section 5.3.2
// narrows it. With atOnce greeting and request are one write, which saves a round trip: only
// for a server that reads no more at a time than it needs, as that of a jetsend.
func requestOver(c io.ReadWriter, dst string, atOnce bool) error {
	if len(dst) == 0 || len(dst) > maxAttr {
		return fmt.Errorf("socks5 destination of %d bytes: %w", len(dst), ErrProtocol)
	}
	greeting, ask := []byte{socksVersion, 1, methodNone}, address([]byte{socksVersion, cmdConnect, 0}, dst)
	if atOnce {
		greeting, ask = append(greeting, ask...), nil
	}
	if _, err := c.Write(greeting); err != nil {
		return fmt.Errorf("socks5 greeting: %w", err)
	}
	var b [4]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return fmt.Errorf("socks5 greeting: %w", err)
	}
	if b[0] != socksVersion || b[1] != methodNone {
		return fmt.Errorf("socks5 method %d of version %d: %w", b[1], b[0], errRefused)
	}
	if !atOnce {
		if _, err := c.Write(ask); err != nil {
			return fmt.Errorf("socks5 request: %w", err)
		}
	}
	if _, err := io.ReadFull(c, b[:4]); err != nil {
		return fmt.Errorf("socks5 reply: %w", err)
	}
	if b[0] != socksVersion {
		return fmt.Errorf("socks5 reply of version %d: %w", b[0], errRefused)
	}
	if err := skipAddress(c, b[3]); err != nil {
		return fmt.Errorf("socks5 reply: %w", err)
	}
	if b[1] != replyOK {
		return fmt.Errorf("socks5 reply %d: %w", b[1], errRefused)
	}
	return nil
}

// address appends a domain name with port 0, which is where XEP-0065 has the
// destination address.
func address(b []byte, dst string) []byte {
	b = append(b, atypDomain, byte(len(dst)))
	b = append(b, dst...)
	return append(b, 0, 0)
}

// skipAddress reads an address and a port. The values that servers put there
// differ, and nothing depends on them.
func skipAddress(r io.Reader, atyp byte) error {
	n := 0
	switch atyp {
	case atypIPv4:
		n = 4
	case atypIPv6:
		n = 16
	case atypDomain:
		var l [1]byte
		if _, err := io.ReadFull(r, l[:]); err != nil {
			return err
		}
		n = int(l[0])
	default:
		return fmt.Errorf("address type %d: %w", atyp, errRefused)
	}
	var rest [maxAttr + 2]byte
	_, err := io.ReadFull(r, rest[:n+2])
	return err
}
