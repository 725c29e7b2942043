package transfer

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/event"
	"jetsend/internal/route"
	"jetsend/internal/stream"
)

// pair returns two ends of a TCP connection on loopback.
func pair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func meterFor(t *testing.T) *stream.Meter {
	m := stream.StartMeter(0, func(bytes, rate int64) {
		func(event.Event) {}(event.Progress{Head: event.Head{}, Bytes: bytes, Size: 0, Rate: rate})
	})
	t.Cleanup(m.End)
	return m
}

func same() error { return nil }

func streamIn(ctx context.Context, conn net.Conn, ends bool, patience time.Duration, dst io.Writer, size int64, ts *crypto.Secret, limit *stream.Rate, sum io.Writer, m *stream.Meter) error {
	o := stream.Incoming{Options: stream.Options{Rate: limit, Meter: m, Sum: sum}, Ends: ends, Patience: patience}
	return stream.In(ctx, conn, dst, size, ts, o)
}

// outgoingOver are the options for a path.
func outgoingOver(conn net.Conn, unchanged func() error, limit *stream.Rate, sum io.Writer, m *stream.Meter) stream.Outgoing {
	moving := stream.Options{Rate: limit, Meter: m, Sum: sum}
	o := stream.Outgoing{Options: moving}
	if b, ok := conn.(*route.Path); ok {
		o = b.Outgoing(moving)
	}
	o.Unchanged = unchanged
	return o
}
