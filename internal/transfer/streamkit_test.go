package transfer

import (
	"net"
	"testing"
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

func meterFor(t *testing.T) *meter {
	m := startMeter(Head{}, 0, 0, func(Event) {})
	t.Cleanup(m.End)
	return m
}

func same() error { return nil }

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }
