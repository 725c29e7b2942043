package crypto

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
)

// maxEmptyReads bounds how often in a row the underlying reader may return
// nothing and no error; [io.ErrNoProgress] then, as in bufio.
const maxEmptyReads = 100

// Decrypter decrypts one stream: an [io.Reader] of the plaintext.
//
// WHAT READ RETURNS IS UNVERIFIED UNTIL READ RETURNS io.EOF. GCM's tag comes
// after the data, so anybody who sits in between can choose what a Decrypter
// hands out up to then. The plaintext may be written to a place where nobody uses
// it; it must not be released, shown, parsed or run before [io.EOF], nor when the
// end is any other error. Plaintext that a lost connection left may only be kept
// for a resume that verifies the whole by other means.
//
// [io.EOF] means: exactly the expected number of bytes came, the tag after them
// is right, and the underlying reader ended after it. Other ends, for errors.Is:
//
//   - [ErrAuthentication]: the tag is wrong;
//   - [io.ErrUnexpectedEOF]: the stream ended within the data or the tag, as by
//     a lost connection; nothing can be said about what came before;
//   - [ErrTrailingData]: something follows the (right) tag;
//   - an error of the underlying reader, wrapped;
//   - [ErrClosed] after Close.
//
// The underlying reader must end after the tag; where it does not, wrap it in an
// [io.LimitReader] of size+TagSize bytes. Never more than the data, the tag and
// one byte are taken from it.
//
// After any error all further calls return it. A Decrypter is for one goroutine
// at a time.
type Decrypter struct {
	r       io.Reader
	stream  *stream
	left    int64             // plaintext bytes to come
	tail    [TagSize + 1]byte // the tag, and a probe for what follows it
	tailLen int
	err     error // once it is set, stream is gone
}

// NewDecrypter makes a Decrypter of a stream of size plaintext bytes, that is
// size+TagSize bytes of r. A size above [MaxPlaintext] is [ErrTooLong]. The
// secret may be wiped as soon as NewDecrypter has returned.
func NewDecrypter(r io.Reader, s *Secret, size int64) (*Decrypter, error) {
	if size < 0 {
		return nil, fmt.Errorf("start decryption: a size of %d bytes is not possible", size)
	}
	if size > MaxPlaintext {
		return nil, fmt.Errorf("start decryption of %d bytes: %w", size, ErrTooLong)
	}
	c, err := s.stream(false)
	if err != nil {
		return nil, fmt.Errorf("start decryption: %w", err)
	}
	return &Decrypter{r: r, stream: c, left: size}, nil
}

// Read reads into p and decrypts there. The plaintext is UNVERIFIED until Read
// returns [io.EOF]: see [Decrypter]. Large p are fastest.
func (d *Decrypter) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if d.left == 0 {
		return 0, d.fail(d.readTail())
	}
	n, err := d.next(p[:min(int64(len(p)), d.left)])
	d.stream.decrypt(p[:n])
	d.left -= int64(n)
	if err != nil { // io.EOF too: the tag is still to come
		return n, d.fail(readError("ciphertext", err))
	}
	return n, nil
}

// Close clears the state of a Decrypter that is not wanted any more. It leaves
// the underlying reader alone and may be called at any time, again and again.
func (d *Decrypter) Close() error {
	if d.err == nil {
		_ = d.fail(ErrClosed)
	}
	return nil
}

// readTail reads and verifies the tag and makes sure that nothing follows it.
// It returns io.EOF when all is well.
func (d *Decrypter) readTail() error {
	verified := false
	for {
		n, err := d.next(d.tail[d.tailLen:])
		d.tailLen += n
		if d.tailLen >= TagSize && !verified {
			want := d.stream.sum()
			if subtle.ConstantTimeCompare(want[:], d.tail[:TagSize]) != 1 {
				return ErrAuthentication
			}
			verified = true
		}
		switch {
		case d.tailLen > TagSize:
			return ErrTrailingData
		case err == io.EOF && verified: //nolint:errorlint // a wrapped one is some other end
			return io.EOF
		case err != nil:
			return readError("tag", err)
		}
	}
}

// next is one Read of the underlying reader that gives a byte or an error.
func (d *Decrypter) next(p []byte) (int, error) {
	for range maxEmptyReads {
		n, err := d.r.Read(p)
		if n < 0 || n > len(p) {
			return 0, fmt.Errorf("reader returned a count of %d for %d bytes", n, len(p))
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// readError wraps an error of the underlying reader. Its io.EOF must not come
// through, and neither may one that it wrapped: to our callers that would mean
// that the stream was verified.
func readError(what string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// fail makes err the answer to all further calls and clears the state.
func (d *Decrypter) fail(err error) error {
	d.err = err
	d.stream.wipe()
	d.stream = nil
	return err
}
