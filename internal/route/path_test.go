package route

import (
	"errors"
	"io"
	"net"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/stream"
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

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

// TestWrittenBack: what Dino writes back does not disturb what is sent, and is
// read before the stream ends, so that nothing resets the connection.
func TestWrittenBack(t *testing.T) {
	const size = 100_000
	ts := crypto.NewSecret(crypto.AES128GCM)
	a, b := pair(t)
	path := Socket(a, "proxy", false)
	path.ReadBack(true)
	type outcome struct {
		n   int64
		err error
	}
	got := make(chan outcome, 1)
	go func() {
		_, err := b.Write(make([]byte, writtenBack))
		n, rerr := io.Copy(io.Discard, b) // up to the end, not to a reset
		got <- outcome{n, errors.Join(err, rerr)}
	}()
	if err := stream.Out(t.Context(), path, neverEnding{}, size, ts, path.Outgoing(stream.Options{})); err != nil {
		t.Fatal(err)
	}
	path.BeforeEnd(nil)
	select {
	case <-path.back:
	default:
		t.Error("the end came before what was written back")
	}
	if err := errors.Join(path.CloseWrite(), path.Close()); err != nil {
		t.Error(err)
	}
	if o := <-got; o.n != size+crypto.TagSize || o.err != nil {
		t.Errorf("%d bytes, %v", o.n, o.err)
	}
}
