package session

import (
	"net"
	"syscall"
)

// quickAckConn asks for immediate TCP acknowledgements again after every read,
// since Linux forgets the wish by itself. Prosody leaves Nagle's algorithm on,
// so with delayed acknowledgements each of its answers may cost 40 ms.
type quickAckConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// quickAck returns c with quick acknowledgements, where that can be had.
func quickAck(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	return &quickAckConn{TCPConn: t, raw: raw}
}

// Read implements net.Conn.
func (c *quickAckConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	// Best effort: a socket that refuses is only slower.
	_ = c.raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
	return n, err
}
