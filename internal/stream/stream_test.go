package stream

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/source"
)

// pair returns two ends of a TCP connection on loopback.
func pair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func meterFor(t *testing.T) *Meter {
	m := StartMeter(0, func(int64, int64) {})
	t.Cleanup(m.End)
	return m
}

func TestStream(t *testing.T) {
	for _, size := range []int{0, 1, 15, 16, 17, Chunk - 1, Chunk, Chunk + 1, 3*Chunk + 77} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		ts := crypto.NewSecret(crypto.AES256GCM)
		a, b := pair(t)
		out := make(chan error, 1)
		h1, h2 := sha256.New(), sha256.New()
		go func() {
			err := Out(t.Context(), a, bytes.NewReader(data), int64(size), ts, Outgoing{Options: Options{Sum: h1}})
			out <- errors.Join(err, a.CloseWrite())
		}()
		var got bytes.Buffer
		m := meterFor(t)
		if err := In(t.Context(), b, &got, int64(size), ts, Incoming{Options: Options{Meter: m, Sum: h2}, Ends: true}); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := <-out; err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(got.Bytes(), data) || !bytes.Equal(h1.Sum(nil), h2.Sum(nil)) || m.Bytes() != int64(size) {
			t.Errorf("%d bytes: differ", size)
		}
	}
}

// TestStreamDamaged: whatever happens to the bytes, In does not say nil.
func TestStreamDamaged(t *testing.T) {
	data := make([]byte, Chunk+100)
	ts := crypto.NewSecret(crypto.AES256GCM)
	var wire bytes.Buffer
	enc, err := crypto.NewEncrypter(&wire, ts)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = enc.Write(data)
	_ = enc.Close()
	flip := func(i int) []byte {
		b := bytes.Clone(wire.Bytes())
		b[(i+len(b))%len(b)] ^= 1
		return b
	}
	for name, tt := range map[string]struct {
		wire []byte
		want error
	}{
		"first bit":     {flip(0), crypto.ErrAuthentication},
		"last of data":  {flip(-17), crypto.ErrAuthentication},
		"tag":           {flip(-1), crypto.ErrAuthentication},
		"cut by one":    {wire.Bytes()[:wire.Len()-1], io.ErrUnexpectedEOF},
		"no tag":        {wire.Bytes()[:wire.Len()-16], io.ErrUnexpectedEOF},
		"cut in middle": {wire.Bytes()[:100], io.ErrUnexpectedEOF},
		"nothing":       {nil, io.ErrUnexpectedEOF},
		"one more":      {append(bytes.Clone(wire.Bytes()), 0), crypto.ErrTrailingData},
	} {
		a, b := pair(t)
		go func() { _, _ = a.Write(tt.wire); _ = a.CloseWrite() }()
		if err := In(t.Context(), b, io.Discard, int64(len(data)), ts, Incoming{Ends: true}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestStreamSource(t *testing.T) {
	ts := crypto.NewSecret(crypto.AES256GCM)
	a, b := pair(t)
	go func() { _, _ = io.Copy(io.Discard, b) }()
	err := Out(t.Context(), a, bytes.NewReader(make([]byte, 10)), 11, ts, Outgoing{})
	if !errors.Is(err, source.ErrChanged) {
		t.Errorf("shorter source: %v", err)
	}
	c, d := pair(t)
	ts = crypto.NewSecret(crypto.AES256GCM)
	got := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(d); got <- b }()
	changed := errors.New("changed")
	if err := Out(t.Context(), c, bytes.NewReader(make([]byte, 10)), 10, ts, Outgoing{Unchanged: func() error { return changed }}); !errors.Is(err, changed) {
		t.Errorf("changed source: %v", err)
	}
	_ = c.Close()
	if b := <-got; len(b) > 10 {
		t.Errorf("a tag was sent for a changed source (%d bytes)", len(b))
	}
}

func TestStreamCancel(t *testing.T) {
	ts := crypto.NewSecret(crypto.AES256GCM)
	a, b := pair(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	out, in := make(chan error, 1), make(chan error, 1)
	go func() { out <- Out(ctx, a, neverEnding{}, 1<<40, ts, Outgoing{}) }()
	m := meterFor(t)
	go func() { in <- In(ctx, b, io.Discard, 1<<35, ts, Incoming{Options: Options{Meter: m}, Ends: true}) }()
	for m.Bytes() == 0 {
		select {
		case err := <-in:
			t.Fatal(err)
		default:
		}
	}
	cancel(cause)
	if err := <-out; !errors.Is(err, cause) {
		t.Errorf("out: %v", err)
	}
	if err := <-in; !errors.Is(err, cause) {
		t.Errorf("in: %v", err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

func TestStreamSink(t *testing.T) {
	ts := crypto.NewSecret(crypto.AES256GCM)
	a, b := pair(t)
	go func() { _ = Out(t.Context(), a, neverEnding{}, 1<<30, ts, Outgoing{}) }()
	full := errors.New("disk full")
	err := In(t.Context(), b, failing{full}, 1<<30, ts, Incoming{Ends: true})
	var sink *SinkError
	if !errors.As(err, &sink) || !errors.Is(err, full) {
		t.Errorf("sink: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestSlowWrite: a path that takes longer than the idle time for one Chunk is slow, not
// lost; one that takes nothing is.
func TestSlowWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		var reader sync.WaitGroup
		reader.Go(func() {
			for left := Chunk; left > 0; left -= 1 << 10 {
				if _, err := io.CopyN(io.Discard, b, 1<<10); err != nil {
					return // the writer says it
				}
				time.Sleep(time.Second)
			}
		})
		c := &idleConn{Conn: a}
		if n, err := c.Write(make([]byte, Chunk)); n != Chunk || err != nil {
			t.Errorf("a slow one: %d, %v", n, err)
			_ = a.Close()
		}
		reader.Wait()
		begun := time.Now()
		if n, err := c.Write(make([]byte, Chunk)); n != 0 || !errors.Is(err, ErrIdle) || time.Since(begun) != Idle {
			t.Errorf("a dead one: %d, %v after %s", n, err, time.Since(begun))
		}
		_ = a.Close()
	})
}
