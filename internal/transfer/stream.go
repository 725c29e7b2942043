package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"jetsend/internal/crypto"
)

const (
	// chunk is the unit of reading, encrypting and writing: large enough that
	// the cost of a call vanishes, small enough to stay in the cache.
	chunk = 256 << 10
	// inbandUnit is the unit on an in-band path, which may need seconds for
	// what a socket takes at once.
	inbandUnit = 32 << 10
	// chunks in flight between the two halves of a pipeline. With the buffers
	// of the cipher and of the sockets a transfer stays below 3 MiB.
	chunks = 4
	// idle is how long no byte may move before the path counts as lost.
	idle = 60 * time.Second
)

// errIdle: nothing moved for the idle time.
var errIdle = errors.New("no data for 60 s")

// sinkError is a problem with the file to write, not with the path.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// idleConn renews the deadline with every read and write, and while a write gets on.
type idleConn struct {
	net.Conn
	// patience is what the first read may take longer.
	patience time.Duration
}

func (c *idleConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(idle + c.patience)) // a closed connection fails in Read
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.patience = 0
	}
	return n, idleError(err)
}

func (c *idleConn) Write(b []byte) (n int, err error) {
	for {
		_ = c.SetWriteDeadline(time.Now().Add(idle))
		k, err := c.Conn.Write(b[n:])
		n += k
		if err = idleError(err); k == 0 || !errors.Is(err, errIdle) {
			return n, err
		}
		// Some of it has moved: a slow path takes longer than that for a chunk.
	}
}

func idleError(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return errIdle
	}
	return err
}

// pump moves data from fill to drain through recycled buffers, so that both
// halves work at the same time. fill returns io.EOF after the last data.
func pump(ctx context.Context, fill func([]byte) (int, error), drain func([]byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full := make(chan []byte, chunks)
	empty := make(chan []byte, chunks)
	for range chunks {
		empty <- make([]byte, chunk)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(full)
		for {
			var b []byte
			select {
			case b = <-empty:
			case <-ctx.Done():
				return
			}
			n, err := fill(b[:cap(b)])
			if n > 0 {
				select {
				case full <- b[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err == io.EOF { //nolint:errorlint // only the bare io.EOF means a verified end
				return
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	})
	defer wg.Wait()
	for b := range full {
		if err := drain(b); err != nil {
			cancel(err)
			return err
		}
		empty <- b[:cap(b)] // never blocks: as many places as buffers
	}
	return context.Cause(ctx)
}

// streamOut encrypts size bytes of src into conn, and the tag after them. It
// stops when ctx does, closing conn to wake a blocked write. unchanged is asked
// before the tag is written: without the tag nobody releases what was sent.
func streamOut(ctx context.Context, conn net.Conn, src io.Reader, size int64, unchanged func() error, ts *crypto.Secret, limit *throttle, sum io.Writer, m *meter) error {
	enc, err := crypto.NewEncrypter(&idleConn{Conn: conn}, ts)
	if err != nil {
		return err
	}
	return pumpOut(ctx, conn, enc, src, size, unchanged, limit, sum, m)
}

// pumpOut brings size bytes of src into conn by way of enc, whose end it writes
// last.
func pumpOut(ctx context.Context, conn net.Conn, enc io.WriteCloser, src io.Reader, size int64, unchanged func() error, limit *throttle, sum io.Writer, m *meter) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	most, handOver := chunk, func() {}
	if b, ok := conn.(*bytestream); ok {
		if b.transport == IBB {
			most = inbandUnit
		}
		handOver = b.handOver
	}
	left := size
	fill := func(b []byte) (int, error) {
		n, err := io.ReadFull(src, b[:min(int64(most), left)])
		left -= int64(n)
		switch {
		case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return 0, &sourceError{Err: errSourceChanged} // shorter than it was
		case err != nil:
			return 0, &sourceError{Err: err}
		case left == 0:
			return n, io.EOF
		}
		return n, nil
	}
	drain := func(b []byte) error {
		if sum != nil {
			_, _ = sum.Write(b) // a hash does not fail
		}
		for len(b) > 0 {
			unit := b[:min(len(b), limit.unit())]
			if err := limit.wait(ctx, len(unit)); err != nil {
				return err
			}
			n, err := enc.Write(unit)
			m.add(n)
			if err != nil {
				return err
			}
			b = b[len(unit):]
		}
		return nil
	}
	if size > 0 {
		err = pump(ctx, fill, drain)
	}
	if err == nil {
		err = unchanged()
	}
	if err == nil {
		handOver() // a success before is too early
		err = context.Cause(ctx)
	}
	if err == nil {
		if err = enc.Close(); err == nil { // the tag
			return nil // whatever happens from here on, all of it was sent
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// halfCloser is a connection whose write side can be ended by itself.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// streamIn decrypts size bytes from conn into dst. When it returns nil, the
// tag has been verified; with ends, the sender has also ended the stream right
// after it, and otherwise nothing behind it was looked at. The first byte may
// take longer than the others by patience.
func streamIn(ctx context.Context, conn net.Conn, ends bool, patience time.Duration, dst io.Writer, size int64, ts *crypto.Secret, limit *throttle, sum io.Writer, m *meter) error {
	var src io.Reader = &idleConn{conn, patience}
	if !ends {
		src = io.LimitReader(src, size+crypto.TagSize)
	}
	dec, err := crypto.NewDecrypter(src, ts, size)
	if err != nil {
		return err
	}
	return pumpIn(ctx, conn, dec, dst, limit, sum, m)
}

// pumpIn brings into dst what dec makes of conn, until dec says io.EOF.
func pumpIn(ctx context.Context, conn net.Conn, dec io.Reader, dst io.Writer, limit *throttle, sum io.Writer, m *meter) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	fill := func(b []byte) (int, error) {
		n, err := readUnit(dec, b[:limit.unit()])
		if n > 0 {
			if stopped := limit.wait(ctx, n); stopped != nil {
				return 0, stopped
			}
		}
		return n, err
	}
	drain := func(b []byte) error {
		if sum != nil {
			_, _ = sum.Write(b)
		}
		n, err := dst.Write(b)
		m.add(n)
		if err != nil {
			_ = conn.Close() // wakes the other half
			return &sinkError{err}
		}
		return nil
	}
	err := pump(ctx, fill, drain)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return nil
}

// readUnit fills b, or as much of it as comes before an error. It passes that
// error on as it is: io.EOF from a Decrypter is a statement, not a size.
func readUnit(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = r.Read(b[n:])
		n += k
	}
	return n, err
}
