package xmpptest

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Onion is a SOCKS5 proxy (RFC 1928) that alone knows the names under jet.test:
// all of them are this machine.
type Onion struct {
	Addr  string // of the proxy
	wg    sync.WaitGroup
	mu    sync.Mutex
	asked []string // where it was to connect to
}

// StartOnion starts one, which ends with the test.
func StartOnion(t testing.TB) *Onion {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &Onion{Addr: l.Addr().String()}
	o.wg.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			o.wg.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); o.wg.Wait() })
	return o
}

func (o *Onion) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b)
		return b
	}
	read(int(read(2)[1])) // methods
	_, _ = c.Write([]byte{5, 0})
	head := read(5)
	if head[3] != 3 {
		return // an address: somebody else has looked up the name
	}
	name, port := string(read(int(head[4]))), read(2)
	place := net.JoinHostPort(name, strconv.Itoa(int(port[0])<<8|int(port[1])))
	o.mu.Lock()
	o.asked = append(o.asked, place)
	o.mu.Unlock()
	if !strings.HasSuffix(name, "jet.test") {
		return
	}
	up, err := net.Dial("tcp", "127.0.0.1"+place[len(name):])
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	half := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	o.wg.Go(func() { half(up, c) })
	half(c, up)
}

// Asked returns the places, host:port, that it was to connect to so far.
func (o *Onion) Asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}
