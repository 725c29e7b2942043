package s5b

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxAccepted bounds the connections of the peer that wait for the
	// nomination: it has one for each of our candidates, and few retries.
	maxAccepted = 2 * maxOffered

	// anyListener stands for every listener of a server, and middleListener for those of
	// a punch.
	anyListener    = -1
	middleListener = -2
)

// server takes the connections for one bytestream, from whoever knows its
// destination address, and keeps them until one is taken.
type server struct {
	ports *Ports
	log   *slog.Logger
	dst   [2]string     // the addresses asked for
	ready chan struct{} // capacity 1: a connection was accepted

	listeners []*port // where it waits

	mu       sync.Mutex
	accepted []accepted // in order of completion
	closed   bool
}

// accepted is a connection of the peer.
type accepted struct {
	net.Conn
	listener int
}

// newServer makes a server that listens nowhere yet. Clients differ in whose JID
// comes first, so there are two destination addresses.
func newServer(ports *Ports, log *slog.Logger, ownerFirst, peerFirst string) *server {
	return &server{ports: ports, log: log, dst: [2]string{ownerFirst, peerFirst}, ready: make(chan struct{}, 1)}
}

// listen waits on host, at the first one of the numbers that is to be had or at
// any, and returns the listener's index and port. It is not for several goroutines.
func (s *server) listen(ctx context.Context, open listenFunc, host string, numbers []int) (index, number int, err error) {
	if len(numbers) == 0 {
		numbers = []int{0}
	}
	for _, number := range numbers {
		var p *port
		if p, err = s.ports.join(ctx, open, host, number, seat{s, len(s.listeners)}); err != nil {
			continue
		}
		s.listeners = append(s.listeners, p)
		return len(s.listeners) - 1, p.l.Addr().(*net.TCPAddr).Port, nil
	}
	return 0, 0, fmt.Errorf("listen: %w", err)
}

// meetAt waits on host, at a port of its own, for what comes to a punch, too.
func (s *server) meetAt(ctx context.Context, open listenFunc, host string) (*port, error) {
	p, err := s.ports.join(ctx, open, host, 0, seat{s, middleListener})
	if err == nil {
		s.listeners = append(s.listeners, p)
	}
	return p, err
}

// asked reports whether a destination address is that of the bytestream.
func (s *server) asked(dst string) bool {
	return slices.ContainsFunc(s.dst[:], func(d string) bool { return strings.EqualFold(d, dst) })
}

// accept takes a connection whose handshake is over, unless there are too many.
func (s *server) accept(a accepted) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.accepted) == maxAccepted {
		return false
	}
	s.accepted = append(s.accepted, a)
	select {
	case s.ready <- struct{}{}:
	default:
	}
	return true
}

// reached reports whether the peer has made a connection that was not taken.
func (s *server) reached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accepted) > 0
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

// probe reports whether the peer still holds the connection. A byte that is
// there already is kept for the reader.
func (c *Conn) probe() bool {
	var b [1]byte
	for range 2 { // a deadline that has passed when a busy machine comes to read shows nothing
		if c.SetReadDeadline(time.Now().Add(probeTimeout)) != nil {
			return false
		}
		n, err := c.Conn.Read(b[:])
		c.early = append(c.early, b[:n]...)
		var ne net.Error
		if n > 0 {
			break
		}
		if !errors.As(err, &ne) || !ne.Timeout() {
			return false
		}
	}
	return c.SetReadDeadline(time.Time{}) == nil
}

// close stops listening and closes every connection that was not taken. It may be
// called twice.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	for _, a := range s.accepted {
		_ = a.Close()
	}
	s.accepted = nil
	s.mu.Unlock()
	for _, p := range s.listeners {
		s.ports.leave(p, s)
	}
}

// wait returns when the goroutines of the ports that only s needed have ended,
// after close.
func (s *server) wait() {
	for _, p := range s.listeners {
		p.wait()
	}
}
