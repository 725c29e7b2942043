package crypto

import (
	"fmt"
	"io"
)

// bufferSize is how much an Encrypter encrypts before it writes, in bytes. It
// is what callers are expected to write at once, and small enough to stay in a
// second-level cache.
const bufferSize = 256 << 10

// Encrypter encrypts one stream: an [io.WriteCloser] whose Write passes on
// ciphertext and whose Close appends the tag.
//
// After any error all further calls fail with it. An Encrypter is for one
// goroutine at a time.
type Encrypter struct {
	w      io.Writer
	stream *stream
	buf    []byte
	err    error // once it is set, stream and buf are gone
	closed bool  // with the tag written
}

// NewEncrypter makes an Encrypter that writes to w. It spends the secret: a
// second Encrypter of the same one is [ErrReused], because two streams under
// one key and IV give away both. The secret may be wiped as soon as
// NewEncrypter has returned.
func NewEncrypter(w io.Writer, s *Secret) (*Encrypter, error) {
	c, err := s.stream(true)
	if err != nil {
		return nil, fmt.Errorf("start encryption: %w", err)
	}
	return &Encrypter{w: w, stream: c, buf: make([]byte, bufferSize)}, nil
}

// Write encrypts p and writes the ciphertext, all of it, before it returns. It
// neither changes p nor keeps a reference to it. Pieces of any size are
// allowed; 256 KiB at a time is fastest.
//
// When p does not fit under [MaxPlaintext] nothing of it is written and the
// error is [ErrTooLong]. A short write of the underlying writer is
// [io.ErrShortWrite].
func (e *Encrypter) Write(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if !e.stream.fits(len(p)) {
		return 0, e.fail(ErrTooLong)
	}
	written := 0
	for written < len(p) {
		n := min(bufferSize, len(p)-written)
		e.stream.encrypt(e.buf[:n], p[written:written+n])
		n, err := writeFull(e.w, e.buf[:n])
		written += n
		if err != nil {
			return written, e.fail(fmt.Errorf("write ciphertext: %w", err))
		}
	}
	return written, nil
}

// Close writes the tag, which makes what was written a whole and valid stream:
// call it only after all of the plaintext, never to clean up after a failure.
// It does not close the underlying writer. A second call does nothing.
func (e *Encrypter) Close() error {
	if e.closed {
		return nil
	}
	if e.err != nil {
		return e.err
	}
	tag := e.stream.sum()
	if _, err := writeFull(e.w, append(e.buf[:0], tag[:]...)); err != nil {
		return e.fail(fmt.Errorf("write tag: %w", err))
	}
	e.closed = true
	_ = e.fail(ErrClosed) // the answer to what comes after
	return nil
}

// fail makes err the answer to all further calls and clears the state.
func (e *Encrypter) fail(err error) error {
	e.err = err
	e.stream.wipe()
	clear(e.buf)
	e.stream, e.buf = nil, nil
	return err
}

// writeFull writes p, and makes an error of every writer that does less.
func writeFull(w io.Writer, p []byte) (int, error) {
	n, err := w.Write(p)
	switch {
	case n < 0 || n > len(p):
		return 0, fmt.Errorf("writer returned a count of %d for %d bytes", n, len(p))
	case err != nil:
		return n, err
	case n < len(p):
		return n, io.ErrShortWrite
	}
	return n, nil
}
