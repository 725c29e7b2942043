package stream

import (
	"context"
	"net"
)

// Limited returns conn within the rates. What waits for one of them ends with ctx, with its
// cause, and a read or a write with [ErrIdle] when no byte moves for [Idle].
func Limited(ctx context.Context, conn net.Conn, out, in *Rate) net.Conn {
	return &limited{Conn: &idleConn{Conn: conn}, ctx: ctx, out: out, in: in}
}

type limited struct {
	net.Conn
	ctx     context.Context //nolint:containedctx // the methods of a connection have none
	out, in *Rate
}

// Write implements [net.Conn].
func (l *limited) Write(b []byte) (n int, err error) {
	for n < len(b) {
		unit := b[n:min(len(b), n+l.out.unit())]
		if err := l.out.wait(l.ctx, len(unit)); err != nil {
			return n, err
		}
		k, err := l.Conn.Write(unit)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// Read implements [net.Conn].
func (l *limited) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b[:min(len(b), l.in.unit())])
	if n > 0 {
		if stopped := l.in.wait(l.ctx, n); stopped != nil {
			return n, stopped
		}
	}
	return n, err
}
