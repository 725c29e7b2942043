// Package stream moves the bytes of a file between the file and a path that
// stands: read ahead and encrypted, or decrypted and written, as two halves that
// work at the same time; within a rate, counted, hashed, and given up when nothing
// moves. It knows neither how the path was found nor what the file is.
package stream

import (
	"errors"
	"io"
	"net"
	"time"
)

const (
	// Chunk is the unit of reading, encrypting and writing, in bytes: large enough
	// that the cost of a call vanishes, small enough to stay in the cache.
	Chunk = 256 << 10
	// InbandUnit is the unit on an in-band path, which may need seconds for what a
	// socket takes at once.
	InbandUnit = 32 << 10
	// Idle is how long no byte may move before a path counts as lost.
	Idle = 60 * time.Second

	// chunks in flight between the two halves of a pipeline. With the buffers
	// of the cipher and of the sockets a transfer stays below 3 MiB.
	chunks = 4
)

// ErrIdle means that nothing moved for the idle time.
var ErrIdle = errors.New("no data for 60 s")

// SinkError is a problem with the file to write, not with the path.
type SinkError struct{ Err error }

// Error implements error.
func (e *SinkError) Error() string { return e.Err.Error() }

// Unwrap returns the problem.
func (e *SinkError) Unwrap() error { return e.Err }

// Conn is a connection whose write side can be ended by itself.
type Conn interface {
	net.Conn
	// CloseWrite ends what we write; the other side reads io.EOF behind it.
	CloseWrite() error
}

// Options say how a file is moved. The zero value is a file that is neither hashed
// nor counted, at any rate.
type Options struct {
	// Rate is the limit that this stream shares with others; nil: none.
	Rate *Rate
	// Meter counts the bytes of the file that have moved; nil: nobody does.
	Meter *Meter
	// Sum is given the bytes of the file, in their order; nil: nobody. Its errors do
	// not count: it is a hash.
	Sum io.Writer
}

// Outgoing are the options of a file that is sent.
type Outgoing struct {
	Options
	// Unit is how many bytes are read at once, at most [Chunk]; 0 is Chunk.
	Unit int
	// Unchanged is asked once more before the end is written, without which nobody
	// releases what was sent; nil: nobody is asked.
	Unchanged func() error
	// Last is called when all but the end is under way; nil: nobody is told.
	Last func()
}

// Incoming are the options of a file that is received.
type Incoming struct {
	Options
	// Ends wants the sender to end the stream right behind the tag. Otherwise the
	// bytes are counted, and nothing behind them is looked at.
	Ends bool
	// Patience is how much longer than [Idle] the first byte may take.
	Patience time.Duration
}

// Tap returns c with everything that is read and written given to w on its way.
// The errors of w do not count.
func Tap(c Conn, w io.Writer) Conn { return &tapped{c, w} }

type tapped struct {
	Conn
	w io.Writer
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	_, _ = t.w.Write(p[:n])
	return n, err
}

func (t *tapped) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	_, _ = t.w.Write(p[:n])
	return n, err
}
