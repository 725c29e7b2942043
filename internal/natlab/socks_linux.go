package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
)

const (
	// socksPort is where the proxy listens, on [socksAddress].
	socksPort = "1080"
	// onlyProxied is a name of the server that nobody but the proxy knows.
	onlyProxied = "hidden." + domain
)

// socks is a SOCKS5 proxy (RFC 1928) that knows the names of the server, and
// nothing else: whoever asks it for an address has looked up a name elsewhere, or
// was told the address by somebody.
type socks struct {
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	asked []string // where it was to connect to, once each
}

// startSocks starts one on the server's machine.
func startSocks(ctx context.Context) (*socks, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(socksAddress, socksPort))
	if err != nil {
		return nil, fmt.Errorf("start socks5 proxy: %w", err)
	}
	s := &socks{ln: ln}
	s.wg.Go(func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			s.wg.Go(func() { s.serve(c) })
		}
	})
	return s, nil
}

// close ends the proxy and its connections.
func (s *socks) close() {
	_ = s.ln.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// forget returns where it was to connect to since the last time.
func (s *socks) forget() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// serve carries one connection.
func (s *socks) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	place, ok := readRequest(c)
	s.mu.Lock()
	s.conns = append(s.conns, c)
	if !slices.Contains(s.asked, place) {
		s.asked = append(s.asked, place)
	}
	s.mu.Unlock()
	host, port, err := net.SplitHostPort(place)
	if !ok || err != nil || host != onlyProxied && host != "proxy."+domain {
		_, _ = c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}) // host unreachable
		return
	}
	up, err := net.Dial("tcp", net.JoinHostPort(serverV4, port))
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	if _, err := c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return
	}
	s.wg.Go(func() { half(up, c) })
	half(c, up)
}

// half copies one way until its end.
func half(to, from net.Conn) {
	_, _ = io.Copy(to, from) // an end is an end
	if t, ok := to.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

// readRequest reads a handshake without authentication up to the place that is
// asked for, and reports whether that is a name.
func readRequest(c net.Conn) (place string, name bool) {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b) // a place of zeros is nowhere
		return b
	}
	read(int(read(2)[1])) // methods
	if _, err := c.Write([]byte{5, 0}); err != nil {
		return "", false
	}
	var host string
	switch kind := read(4)[3]; kind {
	case 1:
		host = net.IP(read(net.IPv4len)).String()
	case 4:
		host = net.IP(read(net.IPv6len)).String()
	case 3:
		host, name = string(read(int(read(1)[0]))), true
	}
	port := read(2)
	return net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1]))), name
}
