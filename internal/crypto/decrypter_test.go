package crypto

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// message is a short stream with a part of a block at its end.
func message(t testing.TB) (s *Secret, plaintext, wire []byte) {
	s = NewSecret(AES256GCM)
	plaintext = []byte("two blocks and a bit, 33 bytes ..")
	return s, plaintext, oneShot(t, s.Key(), s.IV(), plaintext)
}

// decrypt reads all of r as a stream of size plaintext bytes and makes sure that
// the error stays.
func decrypt(t *testing.T, r io.Reader, s *Secret, size int) ([]byte, error) {
	t.Helper()
	d, err := NewDecrypter(r, s, int64(size))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(d)
	last := err
	if last == nil {
		last = io.EOF
	}
	for range 2 {
		if n, again := d.Read(make([]byte, 100)); n != 0 || again != last {
			t.Errorf("after %v: %d, %v", last, n, again)
		}
	}
	if d.stream != nil {
		t.Error("the state was kept")
	}
	return got, err
}

func TestDecrypterReaders(t *testing.T) {
	s, plaintext, wire := message(t)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":              func(r io.Reader) io.Reader { return r },
		"one byte":           iotest.OneByteReader,
		"half":               iotest.HalfReader,
		"EOF with data":      iotest.DataErrReader,
		"EOF with last byte": func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
		"empty reads":        func(r io.Reader) io.Reader { return &lazyReader{r: r, empty: maxEmptyReads - 1} },
	} {
		if got, err := decrypt(t, wrap(bytes.NewReader(wire)), s, len(plaintext)); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	d, err := NewDecrypter(bytes.NewReader(wire), s, int64(len(plaintext)))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(d, plaintext); err != nil {
		t.Error(err)
	}
	wire = oneShot(t, s.Key(), s.IV(), nil)
	if got, err := decrypt(t, bytes.NewReader(wire), s, 0); err != nil || len(got) != 0 {
		t.Errorf("empty stream: %q, %v", got, err)
	}
}

// lazyReader returns nothing a number of times before each read.
type lazyReader struct {
	r           io.Reader
	empty, done int
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.done++; l.done%(l.empty+1) != 0 {
		return 0, nil
	}
	return l.r.Read(p)
}

// Every single bit of ciphertext and tag counts.
func TestDecrypterBitFlips(t *testing.T) {
	s, plaintext, wire := message(t)
	for i := range len(wire) * 8 {
		wire[i/8] ^= 1 << (i % 8)
		if _, err := decrypt(t, bytes.NewReader(wire), s, len(plaintext)); !errors.Is(err, ErrAuthentication) {
			t.Errorf("bit %d: %v", i, err)
		}
		wire[i/8] ^= 1 << (i % 8)
	}
}

// The same where runs begin and end, and in what is left over.
func TestDecrypterLongBitFlips(t *testing.T) {
	s := NewSecret(AES128GCM)
	size := 2*runSize + 21
	wire := oneShot(t, s.Key(), s.IV(), make([]byte, size))
	for _, at := range []int{
		0, 15, 16, runSize - 1, runSize, runSize + 16, 2*runSize - 1, 2 * runSize, 2*runSize + 15,
		2*runSize + 16, size - 1, size, size + TagSize - 1,
	} {
		wire[at] ^= 0x80
		if _, err := decrypt(t, bytes.NewReader(wire), s, size); !errors.Is(err, ErrAuthentication) {
			t.Errorf("byte %d: %v", at, err)
		}
		wire[at] ^= 0x80
	}
	// Two runs and two blocks that have changed places.
	swapped := append(append(bytes.Clone(wire[runSize:2*runSize]), wire[:runSize]...), wire[2*runSize:]...)
	if _, err := decrypt(t, bytes.NewReader(swapped), s, size); !errors.Is(err, ErrAuthentication) {
		t.Errorf("swapped runs: %v", err)
	}
	if _, err := decrypt(t, bytes.NewReader(wire), s, size); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// A stream that is cut anywhere ends in io.ErrUnexpectedEOF, by which it can be
// told from one that was changed, and never in io.EOF.
func TestDecrypterTruncated(t *testing.T) {
	s, plaintext, wire := message(t)
	for n := range len(wire) {
		for _, wrap := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.DataErrReader, iotest.OneByteReader,
		} {
			got, err := decrypt(t, wrap(bytes.NewReader(wire[:n])), s, len(plaintext))
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, ErrAuthentication) {
				t.Errorf("%d bytes: %v", n, err)
			}
			if want := plaintext[:min(n, len(plaintext))]; !bytes.Equal(got, want) {
				t.Errorf("%d bytes: plaintext %q, want %q", n, got, want)
			}
		}
	}
}

func TestDecrypterTrailingData(t *testing.T) {
	s, plaintext, wire := message(t)
	for _, more := range []string{"\x00", "x", strings.Repeat("x", 1000)} {
		for _, wrap := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.DataErrReader, iotest.OneByteReader,
		} {
			r := wrap(io.MultiReader(bytes.NewReader(wire), strings.NewReader(more)))
			if _, err := decrypt(t, r, s, len(plaintext)); !errors.Is(err, ErrTrailingData) {
				t.Errorf("%d more bytes: %v", len(more), err)
			}
		}
	}
	// A byte that was put in shifts the tag: that is what shows first.
	longer := append([]byte{0}, wire...)
	if _, err := decrypt(t, bytes.NewReader(longer), s, len(plaintext)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("inserted byte: %v", err)
	}
}

// The size is a part of what must agree.
func TestDecrypterWrongSize(t *testing.T) {
	s, plaintext, wire := message(t)
	if _, err := decrypt(t, bytes.NewReader(wire), s, len(plaintext)-1); !errors.Is(err, ErrAuthentication) {
		t.Errorf("size too small: %v", err)
	}
	if _, err := decrypt(t, bytes.NewReader(wire), s, len(plaintext)+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("size too large: %v", err)
	}
}

func TestDecrypterWrongSecret(t *testing.T) {
	s, plaintext, wire := message(t)
	key, iv := s.Key(), s.IV()
	key[0] ^= 1
	if _, err := decrypt(t, bytes.NewReader(wire), mustSecret(t, key, iv), len(plaintext)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("other key: %v", err)
	}
	key[0] ^= 1
	iv[0] ^= 1
	if _, err := decrypt(t, bytes.NewReader(wire), mustSecret(t, key, iv), len(plaintext)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("other IV: %v", err)
	}
}

// countingReader counts what was taken and asked for.
type countingReader struct {
	r              io.Reader
	taken, largest int
}

func (c *countingReader) Read(p []byte) (int, error) {
	c.largest = max(c.largest, len(p))
	n, err := c.r.Read(p)
	c.taken += n
	return n, err
}

func TestDecrypterTakesNoMore(t *testing.T) {
	s, plaintext, wire := message(t)
	endless := &countingReader{r: io.MultiReader(bytes.NewReader(wire), instantReader{})}
	if _, err := decrypt(t, endless, s, len(plaintext)); !errors.Is(err, ErrTrailingData) {
		t.Error(err)
	}
	if want := len(wire) + 1; endless.taken != want {
		t.Errorf("%d bytes were taken, want %d", endless.taken, want)
	}
	if endless.largest > len(plaintext) {
		t.Errorf("a read of %d bytes was tried for %d of plaintext", endless.largest, len(plaintext))
	}
	wire[0] ^= 1 // not even the probe byte when the tag is wrong and comes by itself
	shy := &countingReader{r: iotest.OneByteReader(io.MultiReader(bytes.NewReader(wire), instantReader{}))}
	if _, err := decrypt(t, shy, s, len(plaintext)); !errors.Is(err, ErrAuthentication) || shy.taken != len(wire) {
		t.Errorf("%v after %d bytes", err, shy.taken)
	}
	wire[0] ^= 1
	limited := io.LimitReader(io.MultiReader(bytes.NewReader(wire), instantReader{}), int64(len(wire)))
	if _, err := decrypt(t, limited, s, len(plaintext)); err != nil {
		t.Errorf("limited reader: %v", err)
	}
}

func TestDecrypterReaderErrors(t *testing.T) {
	s, plaintext, wire := message(t)
	reset := errors.New("connection reset")
	for n := range len(wire) + 1 {
		r := io.MultiReader(bytes.NewReader(wire[:n]), iotest.ErrReader(reset))
		if _, err := decrypt(t, r, s, len(plaintext)); !errors.Is(err, reset) {
			t.Errorf("error after %d bytes: %v", n, err)
		}
		both := &bothReader{b: wire[:n], err: reset}
		if _, err := decrypt(t, both, s, len(plaintext)); !errors.Is(err, reset) {
			t.Errorf("error with the last of %d bytes: %v", n, err)
		}
		stuck := io.MultiReader(bytes.NewReader(wire[:n]), emptyReader{})
		if _, err := decrypt(t, stuck, s, len(plaintext)); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("no progress after %d bytes: %v", n, err)
		}
	}
	for _, count := range []int{-1, 1 << 20} {
		if _, err := decrypt(t, badReader(count), s, len(plaintext)); err == nil || errors.Is(err, ErrAuthentication) {
			t.Errorf("count of %d: %v", count, err)
		}
	}
	// An io.EOF that somebody wrapped is still no verified end.
	odd := &bothReader{b: wire[:10], err: errors.Join(io.EOF)}
	if _, err := decrypt(t, odd, s, len(plaintext)); errors.Is(err, io.EOF) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("wrapped io.EOF: %v", err)
	}
}

// bothReader returns err together with its last byte.
type bothReader struct {
	b   []byte
	err error
}

func (r *bothReader) Read(p []byte) (int, error) {
	n := copy(p, r.b)
	if r.b = r.b[n:]; len(r.b) == 0 {
		return n, r.err
	}
	return n, nil
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// badReader breaks the contract of io.Reader with its count.
type badReader int

func (r badReader) Read([]byte) (int, error) { return int(r), nil }

func TestDecrypterClosed(t *testing.T) {
	s, plaintext, wire := message(t)
	d, err := NewDecrypter(bytes.NewReader(wire), s, int64(len(plaintext)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
	if _, err := d.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Read(make([]byte, 5)); n != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("read after Close: %d, %v", n, err)
	}
	// Close does not change how a stream has ended.
	d, err = NewDecrypter(bytes.NewReader(wire), s, int64(len(plaintext)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(d); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(make([]byte, 5)); err != io.EOF {
		t.Errorf("read after the end and Close: %v", err)
	}
}
