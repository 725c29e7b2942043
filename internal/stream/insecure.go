package stream

import (
	"context"
	"errors"
	"io"
	"net"
)

// InsecureOut is [Out] without encryption. Its end is the last byte of the file.
func InsecureOut(ctx context.Context, conn net.Conn, src io.Reader, size int64, o Outgoing) error {
	return pumpOut(ctx, conn, &insecureWriter{w: &idleConn{Conn: conn}}, src, size, o)
}

// InsecureIn is [In] without encryption. When it returns nil, so many bytes came,
// whatever they are; nothing behind them was looked at.
func InsecureIn(ctx context.Context, conn net.Conn, dst io.Writer, size int64, o Incoming) error {
	return pumpIn(ctx, conn, &insecureReader{&idleConn{conn, o.Patience}, size}, dst, o.Options)
}

// insecureWriter hands bytes on as they are. It keeps the last one until Close, as
// an encrypter keeps the tag: a receiver that counts has not all of a file that
// turns out to have changed while it was sent.
type insecureWriter struct {
	w    io.Writer
	held []byte
}

// Write implements io.Writer.
func (w *insecureWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.held = append(w.held, p...)
	last := len(w.held) - 1
	if last > 0 {
		if _, err := w.w.Write(w.held[:last]); err != nil {
			return 0, err
		}
	}
	w.held = append(w.held[:0], w.held[last])
	return len(p), nil
}

// Close implements io.Closer. It does not close what is written to.
func (w *insecureWriter) Close() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.w.Write(w.held)
	w.held = nil
	return err
}

// insecureReader hands bytes on as they are, and says io.EOF when so many as were
// announced have come. Nothing behind them is looked at: not all clients end the
// stream there.
type insecureReader struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (r *insecureReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case r.left == 0:
		err = nil // it says so when it is asked again
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
