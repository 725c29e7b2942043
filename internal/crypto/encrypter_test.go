package crypto

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// brokenWriter takes limit bytes and then answers with count and err to the
// write that goes beyond.
type brokenWriter struct {
	limit int
	count func(n int) int
	err   error
	wrote int
	calls int
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	w.calls++
	if w.wrote+len(p) <= w.limit {
		w.wrote += len(p)
		return len(p), nil
	}
	return w.count(len(p)), w.err
}

func TestEncrypterWriterErrors(t *testing.T) {
	disk := errors.New("disk is full")
	for _, tt := range []struct {
		name  string
		count func(n int) int
		err   error
		want  error // nil: any
		n     int   // bytes of the second write that are reported
	}{
		{"error", func(int) int { return 0 }, disk, disk, 0},
		{"error after a part", func(int) int { return 3 }, disk, disk, 3},
		{"error after all", func(n int) int { return n }, disk, disk, 10},
		{"short", func(n int) int { return n - 1 }, nil, io.ErrShortWrite, 9},
		{"nothing", func(int) int { return 0 }, nil, io.ErrShortWrite, 0},
		{"too much", func(n int) int { return n + 1 }, nil, nil, 0},
		{"negative", func(int) int { return -1 }, nil, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &brokenWriter{limit: 20, count: tt.count, err: tt.err}
			e, err := NewEncrypter(w, NewSecret(AES256GCM))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := e.Write(make([]byte, 20)); n != 20 || err != nil {
				t.Fatal(n, err)
			}
			n, first := e.Write(make([]byte, 10))
			if n != tt.n || first == nil || tt.want != nil && !errors.Is(first, tt.want) {
				t.Errorf("got %d, %v", n, first)
			}
			w.limit = 1 << 20 // the writer recovers; the stream must not
			calls := w.calls
			if n, err := e.Write([]byte("x")); n != 0 || err != first {
				t.Errorf("write after the error: %d, %v", n, err)
			}
			if err := e.Close(); err != first {
				t.Errorf("Close after the error: %v", err)
			}
			if w.calls != calls {
				t.Error("something was written after the error")
			}
		})
	}
}

// A large write that fails in its second buffer reports the first.
func TestEncrypterErrorWithinWrite(t *testing.T) {
	disk := errors.New("disk is full")
	w := &brokenWriter{limit: bufferSize, count: func(int) int { return 7 }, err: disk}
	e, err := NewEncrypter(w, NewSecret(AES128GCM))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := e.Write(make([]byte, 3*bufferSize)); n != bufferSize+7 || !errors.Is(err, disk) {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestEncrypterTagErrors(t *testing.T) {
	disk := errors.New("disk is full")
	for _, w := range []*brokenWriter{
		{limit: 5, count: func(int) int { return 0 }, err: disk},
		{limit: 5, count: func(n int) int { return n - 1 }, err: io.ErrShortWrite},
	} {
		e, err := NewEncrypter(w, NewSecret(AES256GCM))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		first := e.Close()
		if !errors.Is(first, w.err) {
			t.Errorf("Close: %v, want %v", first, w.err)
		}
		calls := w.calls
		if err := e.Close(); err != first || w.calls != calls {
			t.Errorf("second Close: %v", err)
		}
		if _, err := e.Write([]byte("x")); err != first {
			t.Errorf("Write after it: %v", err)
		}
	}
}

func TestEncrypterClosed(t *testing.T) {
	var wire bytes.Buffer
	e, err := NewEncrypter(&wire, NewSecret(AES256GCM))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := e.Write(nil); n != 0 || err != nil {
		t.Errorf("empty write: %d, %v", n, err)
	}
	if _, err := e.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	buf := e.buf
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if wire.Len() != 3+TagSize {
		t.Errorf("%d bytes on the wire", wire.Len())
	}
	for _, p := range [][]byte{nil, []byte("x")} {
		if n, err := e.Write(p); n != 0 || !errors.Is(err, ErrClosed) {
			t.Errorf("write after Close: %d, %v", n, err)
		}
	}
	if e.stream != nil || e.buf != nil || !bytes.Equal(buf, make([]byte, len(buf))) {
		t.Error("the state was kept")
	}
}

// A slice that was given to Write may be used again at once.
func TestEncrypterKeepsNoReference(t *testing.T) {
	s := NewSecret(AES256GCM)
	var wire bytes.Buffer
	e, err := NewEncrypter(&wire, s)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	p := make([]byte, 100)
	for i := range 50 {
		for j := range p {
			p[j] = byte(i * j)
		}
		all = append(all, p...)
		if _, err := e.Write(p); err != nil {
			t.Fatal(err)
		}
		clear(p)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wire.Bytes(), oneShot(t, s.Key(), s.IV(), all)) {
		t.Error("ciphertext depends on p after Write")
	}
}
