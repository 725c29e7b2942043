package stream

import (
	"errors"
	"net"
	"time"
)

// idleConn renews the deadline with every read and write, and while a write gets on.
type idleConn struct {
	net.Conn
	// patience is what the first read may take longer.
	patience time.Duration
}

func (c *idleConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(Idle + c.patience)) // a closed connection fails in Read
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.patience = 0
	}
	return n, idleError(err)
}

func (c *idleConn) Write(b []byte) (n int, err error) {
	for {
		_ = c.SetWriteDeadline(time.Now().Add(Idle))
		k, err := c.Conn.Write(b[n:])
		n += k
		if err = idleError(err); k == 0 || !errors.Is(err, ErrIdle) {
			return n, err
		}
		// Some of it has moved: a slow path takes longer than that for a chunk.
	}
}

func idleError(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return ErrIdle
	}
	return err
}
