package s5b

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxHandshakes bounds the connections that have not proved yet that they
	// are the peer's. When one more comes, the oldest goes: so idle
	// connections of somebody else do not keep the peer out.
	maxHandshakes = 8
	// handshakeTimeout bounds each of them: two round trips, no more.
	handshakeTimeout = 5 * time.Second
	// maxAccepted bounds the connections of the peer that wait for the
	// nomination: it has one for each of our candidates, and few retries.
	maxAccepted = 2 * maxOffered
	// acceptPause is how long we wait when the system has no descriptor left.
	acceptPause = 50 * time.Millisecond

	// anyListener stands for every listener of a server.
	anyListener = -1
)

// server is a SOCKS5 server for one bytestream: it takes connections from
// whoever knows the destination address, and keeps them until one is taken.
type server struct {
	ctx   context.Context
	wg    *sync.WaitGroup
	log   *slog.Logger
	dst   [2]string     // the addresses asked for
	ready chan struct{} // capacity 1: a connection was accepted

	mu        sync.Mutex
	listeners []net.Listener
	pending   []net.Conn // in the handshake, oldest first
	accepted  []accepted // in order of completion
	closed    bool
}

// accepted is a connection of the peer.
type accepted struct {
	net.Conn
	listener int
}

// newServer makes a server without listeners. Its goroutines are counted in wg
// and end after close. Clients differ in whose JID comes first, so there are
// two destination addresses.
func newServer(ctx context.Context, wg *sync.WaitGroup, log *slog.Logger, ownerFirst, peerFirst string) *server {
	return &server{ctx: ctx, wg: wg, log: log, dst: [2]string{ownerFirst, peerFirst}, ready: make(chan struct{}, 1)}
}

// listen listens on host, at the first free one of ports or at any, and
// returns the listener's index and port.
func (s *server) listen(ctx context.Context, host string, ports []int) (index, port int, err error) {
	if len(ports) == 0 {
		ports = []int{0}
	}
	for _, p := range ports {
		var l net.Listener
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", hostPort(host, p))
		if err != nil {
			continue
		}
		s.mu.Lock()
		index = len(s.listeners)
		s.listeners = append(s.listeners, l)
		s.mu.Unlock()
		s.wg.Go(func() { s.serve(l, index) })
		return index, l.Addr().(*net.TCPAddr).Port, nil
	}
	return 0, 0, fmt.Errorf("listen: %w", err)
}

// serve accepts connections until the listener is closed.
func (s *server) serve(l net.Listener, index int) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed), s.ctx.Err() != nil:
			if c != nil {
				_ = c.Close()
			}
			return
		case err != nil:
			s.log.Warn("accept direct connection", "error", err)
			select {
			case <-s.ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		if s.admit(c) {
			s.wg.Go(func() { s.handshake(accepted{c, index}) })
		}
	}
}

// admit makes room for c among the pending connections.
func (s *server) admit(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	if len(s.pending) == maxHandshakes {
		_ = s.pending[0].Close() // its handshake notices
		s.pending = s.pending[1:]
	}
	s.pending = append(s.pending, c)
	return true
}

// handshake lets the client of a pending connection prove itself.
func (s *server) handshake(a accepted) {
	_ = a.SetDeadline(time.Now().Add(handshakeTimeout))
	err := serveRequest(a.Conn, s.dst[:])
	if err == nil {
		err = a.SetDeadline(time.Time{})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.pending, a.Conn)
	if i >= 0 {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
	if err != nil || i < 0 || len(s.accepted) == maxAccepted {
		_ = a.Close()
		s.log.Debug("direct connection refused", "remote", a.RemoteAddr().String(), "error", err)
		return
	}
	s.accepted = append(s.accepted, a)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// serveRequest is the server's side of RFC 1928 as XEP-0065 section 5.3.2
// narrows it: no authentication, and only for the destinations dst. The
// address asked for is echoed, with port 0 and in one write, because clients
// compare and some read only once.
func serveRequest(c io.ReadWriter, dst []string) error {
	var b [maxAttr + 2]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return fmt.Errorf("socks5 greeting: %w", err)
	}
	if b[0] != socksVersion {
		return fmt.Errorf("socks version %d: %w", b[0], ErrProtocol)
	}
	methods := b[:b[1]]
	if _, err := io.ReadFull(c, methods); err != nil {
		return fmt.Errorf("socks5 greeting: %w", err)
	}
	if !bytes.Contains(methods, []byte{methodNone}) {
		_, _ = c.Write([]byte{socksVersion, methodRefused})
		return fmt.Errorf("socks5 methods: %w", ErrProtocol)
	}
	if _, err := c.Write([]byte{socksVersion, methodNone}); err != nil {
		return fmt.Errorf("socks5 greeting: %w", err)
	}
	if _, err := io.ReadFull(c, b[:5]); err != nil {
		return fmt.Errorf("socks5 request: %w", err)
	}
	if b[0] != socksVersion || b[1] != cmdConnect || b[3] != atypDomain {
		_, _ = c.Write([]byte{socksVersion, replyDenied, 0, atypIPv4, 0, 0, 0, 0, 0, 0})
		return fmt.Errorf("socks5 request: %w", ErrProtocol)
	}
	n := int(b[4])
	if _, err := io.ReadFull(c, b[:n+2]); err != nil { // and the port, which means nothing
		return fmt.Errorf("socks5 request: %w", err)
	}
	asked := string(b[:n])
	if !slices.ContainsFunc(dst, func(d string) bool { return strings.EqualFold(d, asked) }) {
		_, _ = c.Write(address([]byte{socksVersion, replyDenied, 0}, asked))
		return fmt.Errorf("socks5 destination: %w", ErrProtocol)
	}
	if _, err := c.Write(address([]byte{socksVersion, replyOK, 0}, asked)); err != nil {
		return fmt.Errorf("socks5 reply: %w", err)
	}
	return nil
}

// probeTimeout is how long we look whether one of several connections is dead.
const probeTimeout = 20 * time.Millisecond

// take hands out the connection that came in by that listener; nil when there
// is none yet. Of several the first that the peer has not closed is taken.
func (s *server) take(listener int) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fit []int
	for i, a := range s.accepted {
		if listener == anyListener || a.listener == listener {
			fit = append(fit, i)
		}
	}
	for n, i := range fit {
		c := &Conn{Conn: s.accepted[i].Conn}
		if n < len(fit)-1 && !c.probe() {
			continue // closed with the rest
		}
		s.accepted = slices.Delete(s.accepted, i, i+1)
		return c
	}
	return nil
}

// probe tells whether the peer still holds the connection. A byte that is
// there already is kept for the reader.
func (c *Conn) probe() bool {
	var b [1]byte
	if c.SetReadDeadline(time.Now().Add(probeTimeout)) != nil {
		return false
	}
	n, err := c.Conn.Read(b[:])
	c.early = append(c.early, b[:n]...)
	var ne net.Error
	alive := n > 0 || errors.As(err, &ne) && ne.Timeout()
	return alive && c.SetReadDeadline(time.Time{}) == nil
}

// close stops listening and closes every connection that was not taken.
func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.listeners {
		_ = l.Close() // closed twice is fine
	}
	for _, c := range s.pending {
		_ = c.Close()
	}
	for _, a := range s.accepted {
		_ = a.Close()
	}
	s.pending, s.accepted = nil, nil
}
