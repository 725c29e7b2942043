package transfer

import (
	"context"
	"io"
	"net"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/stream"
)

// What package stream calls these.
type (
	sinkError = stream.SinkError
	throttle  = stream.Rate
	meter     = stream.Meter
	digest    = stream.Digest
)

// What package stream calls these.
const (
	chunk = stream.Chunk
	idle  = stream.Idle
)

// errIdle is stream.ErrIdle.
var errIdle = stream.ErrIdle

// limitRate is the rate of both directions, each for itself.
func (e *Endpoint) limitRate(bytesPerSecond int64) {
	e.sending.Set(bytesPerSecond)
	e.receiving.Set(bytesPerSecond)
}

// startMeter reports the progress of a file of size bytes.
func startMeter(head Head, offset, size int64, report func(Event)) *meter {
	return stream.StartMeter(offset, func(bytes, rate int64) {
		report(Progress{Head: head, Bytes: bytes, Size: size, Rate: rate})
	})
}

// outgoingOver are the options for a path.
func outgoingOver(conn net.Conn, unchanged func() error, limit *throttle, sum io.Writer, m *meter) stream.Outgoing {
	moving := stream.Options{Rate: limit, Meter: m, Sum: sum}
	o := stream.Outgoing{Options: moving}
	if b, ok := conn.(*bytestream); ok {
		o = b.Outgoing(moving)
	}
	o.Unchanged = unchanged
	return o
}

func streamOut(ctx context.Context, conn net.Conn, src io.Reader, size int64, unchanged func() error, ts *crypto.Secret, limit *throttle, sum io.Writer, m *meter) error {
	return stream.Out(ctx, conn, src, size, ts, outgoingOver(conn, unchanged, limit, sum, m))
}

func insecureOut(ctx context.Context, conn net.Conn, src io.Reader, size int64, unchanged func() error, limit *throttle, sum io.Writer, m *meter) error {
	return stream.InsecureOut(ctx, conn, src, size, outgoingOver(conn, unchanged, limit, sum, m))
}

func streamIn(ctx context.Context, conn net.Conn, ends bool, patience time.Duration, dst io.Writer, size int64, ts *crypto.Secret, limit *throttle, sum io.Writer, m *meter) error {
	o := stream.Incoming{Options: stream.Options{Rate: limit, Meter: m, Sum: sum}, Ends: ends, Patience: patience}
	return stream.In(ctx, conn, dst, size, ts, o)
}

func insecureIn(ctx context.Context, conn net.Conn, dst io.Writer, size int64, limit *throttle, sum io.Writer, m *meter) error {
	o := stream.Incoming{Options: stream.Options{Rate: limit, Meter: m, Sum: sum}}
	return stream.InsecureIn(ctx, conn, dst, size, o)
}
