package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"jetsend/internal/crypto"
	"jetsend/internal/source"
)

// pump moves data from fill to drain through recycled buffers, so that both
// halves work at the same time. fill returns io.EOF after the last data.
func pump(ctx context.Context, fill func([]byte) (int, error), drain func([]byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full := make(chan []byte, chunks)
	empty := make(chan []byte, chunks)
	for range chunks {
		empty <- make([]byte, Chunk)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(full)
		if err := fillAll(ctx, fill, empty, full); err != nil {
			cancel(err)
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

// fillAll fills empty buffers until the end of the data, or of ctx.
func fillAll(ctx context.Context, fill func([]byte) (int, error), empty <-chan []byte, full chan<- []byte) error {
	for {
		var b []byte
		select {
		case b = <-empty:
		case <-ctx.Done():
			return nil
		}
		n, err := fill(b[:cap(b)])
		if n > 0 {
			select {
			case full <- b[:n]:
			case <-ctx.Done():
				return nil
			}
		}
		if err == io.EOF { //nolint:errorlint // only the bare io.EOF means a verified end
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Out encrypts size bytes of src under ts into conn, and the tag after them. It
// stops when ctx does, with its cause, closing conn to wake a blocked write; otherwise
// conn stays open. An error of src is a [*source.Error]; [source.ErrChanged] in it
// says that src was shorter.
func Out(ctx context.Context, conn net.Conn, src io.Reader, size int64, ts *crypto.Secret, o Outgoing) error {
	enc, err := crypto.NewEncrypter(&idleConn{Conn: conn}, ts)
	if err != nil {
		return err
	}
	return pumpOut(ctx, conn, enc, src, size, o)
}

// pumpOut brings size bytes of src into conn by way of enc, whose end it writes
// last.
func pumpOut(ctx context.Context, conn net.Conn, enc io.WriteCloser, src io.Reader, size int64, o Outgoing) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if size > 0 {
		err = pump(ctx, o.fill(src, size), o.drain(ctx, enc))
	}
	if err == nil && o.Unchanged != nil {
		err = o.Unchanged()
	}
	if err == nil {
		if o.Last != nil {
			o.Last() // a success before is too early
		}
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

// fill reads size bytes of src for [pump].
func (o *Outgoing) fill(src io.Reader, size int64) func([]byte) (int, error) {
	most, left := o.Unit, size
	if most == 0 {
		most = Chunk
	}
	return func(b []byte) (int, error) {
		n, err := io.ReadFull(src, b[:min(int64(most), left)])
		left -= int64(n)
		switch {
		case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return 0, &source.Error{Err: source.ErrChanged} // shorter than it was
		case err != nil:
			return 0, &source.Error{Err: err}
		case left == 0:
			return n, io.EOF
		}
		return n, nil
	}
}

// drain writes into enc for [pump], within the rate.
func (o *Outgoing) drain(ctx context.Context, enc io.Writer) func([]byte) error {
	return func(b []byte) error {
		if o.Sum != nil {
			_, _ = o.Sum.Write(b)
		}
		for len(b) > 0 {
			unit := b[:min(len(b), o.Rate.unit())]
			if err := o.Rate.wait(ctx, len(unit)); err != nil {
				return err
			}
			n, err := enc.Write(unit)
			o.Meter.add(n)
			if err != nil {
				return err
			}
			b = b[len(unit):]
		}
		return nil
	}
}

// In decrypts size bytes under ts from conn into dst. When it returns nil, the tag
// has been verified. It stops when ctx does, with its cause, closing conn to wake a
// blocked read. An error of dst is a [*SinkError]; conn is closed then, too.
func In(ctx context.Context, conn net.Conn, dst io.Writer, size int64, ts *crypto.Secret, o Incoming) error {
	var src io.Reader = &idleConn{conn, o.Patience}
	if !o.Ends {
		src = io.LimitReader(src, size+crypto.TagSize)
	}
	dec, err := crypto.NewDecrypter(src, ts, size)
	if err != nil {
		return err
	}
	return pumpIn(ctx, conn, dec, dst, o.Options)
}

// pumpIn brings into dst what dec makes of conn, until dec says io.EOF.
func pumpIn(ctx context.Context, conn net.Conn, dec io.Reader, dst io.Writer, o Options) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	fill := func(b []byte) (int, error) {
		n, err := readUnit(dec, b[:o.Rate.unit()])
		if n > 0 {
			if stopped := o.Rate.wait(ctx, n); stopped != nil {
				return 0, stopped
			}
		}
		return n, err
	}
	drain := func(b []byte) error {
		if o.Sum != nil {
			_, _ = o.Sum.Write(b)
		}
		n, err := dst.Write(b)
		o.Meter.add(n)
		if err != nil {
			_ = conn.Close() // wakes the other half
			return &SinkError{Err: err}
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
