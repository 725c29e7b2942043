package together

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the bytes that are read of it.
type counted struct {
	io.ReaderAt
	n atomic.Int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(b) // never fails
	return b
}

// readAll reads like a transfer, with pauses.
func readAll(t *testing.T, r io.ReaderAt, want []byte, size int, pause time.Duration) {
	t.Helper()
	var got bytes.Buffer
	b := make([]byte, size)
	for off := int64(0); ; {
		n, err := r.ReadAt(b, off)
		got.Write(b[:n])
		off += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Error(err)
			return
		}
		time.Sleep(pause)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, which are not the %d of the file", got.Len(), len(want))
	}
}

// TestOnce: four who read a file at much the same pace have it read once, in pieces of any size.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := random(40<<20 + 12345) // more than the window
		w, data := New(), &counted{ReaderAt: bytes.NewReader(want)}
		sizes := []int{64 << 10, 100_000, 256 << 10, 1 << 20}
		var all []*Reader
		for range sizes {
			all = append(all, w.Join(t.Context()))
		}
		var group sync.WaitGroup
		for i, size := range sizes {
			r := all[i]
			group.Go(func() {
				defer r.Leave()
				readAll(t, r.Share("a", data), want, size, time.Duration(size)*time.Nanosecond+time.Duration(i)*time.Microsecond)
			})
		}
		group.Wait()
		if n := data.n.Load(); n != int64(len(want)) {
			t.Errorf("%d bytes were read of %d", n, len(want))
		}
	})
}

// TestSlow: one who is far slower, or has stopped, holds the others no longer than Patience, and gets all
// of the file all the same.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := random(40 << 20)
		w, data := New(), &counted{ReaderAt: bytes.NewReader(want)}
		fast, slow := w.Join(t.Context()), w.Join(t.Context())
		begun := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			defer slow.Leave()
			readAll(t, slow.Share("a", data), want, 256<<10, time.Minute)
		})
		group.Go(func() {
			defer fast.Leave()
			readAll(t, fast.Share("a", data), want, 256<<10, time.Millisecond)
			if took := time.Since(begun); took < Patience || took > Patience+time.Second {
				t.Errorf("the fast one took %v", took)
			}
		})
		group.Wait()
		if n := data.n.Load(); n <= int64(len(want)) || n > 2*int64(len(want)) {
			t.Errorf("%d bytes were read", n)
		}
	})
}

// TestNotBegun: who has not begun, and who has left, is waited for by nobody; nor does one wait whose
// transfer has ended.
func TestNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := random(40 << 20)
		w, data := New(), bytes.NewReader(want)
		w.Join(t.Context())
		gone := w.Join(t.Context())
		if _, err := gone.Share("a", data).ReadAt(make([]byte, 10), 0); err != nil {
			t.Fatal(err)
		}
		gone.Leave()
		begun := time.Now()
		readAll(t, w.Join(t.Context()).Share("a", data), want, 1<<20, 0)
		behind := w.Join(t.Context())
		if _, err := behind.Share("b", data).ReadAt(make([]byte, 10), 0); err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		readAll(t, w.Join(over).Share("c", data), want, 1<<20, 0)
		if took := time.Since(begun); took > 0 {
			t.Errorf("waited %v", took)
		}
	})
}

// TestNames: what has another name is not mixed up, and what cannot be read is tried by each for itself.
func TestNames(t *testing.T) {
	a, b := random(1<<20), random(3 << 19)[1<<19:]
	w := New()
	one, two := w.Join(t.Context()), w.Join(t.Context())
	readAll(t, one.Share("a", bytes.NewReader(a)), a, 1000, 0)
	readAll(t, two.Share("b", bytes.NewReader(b)), b, 1000, 0)
	readAll(t, two.Share("a", bytes.NewReader(a)), a, 1000, 0)
	if _, err := one.Share("broken", broken{}).ReadAt(make([]byte, 10), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	readAll(t, two.Share("broken", bytes.NewReader(a)), a, 1<<18, 0)
	if n, err := one.Share("a", bytes.NewReader(a)).ReadAt(make([]byte, 10), 1<<20+5); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	var none *Reader
	readAll(t, none.Share("a", bytes.NewReader(b)), b, 1<<18, 0)
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }
