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
	"sync"
	"time"
)

const (
	// maxHandshakes bounds the connections to a port that have not proved yet that
	// they are a peer's, for each bytestream that is awaited there. When one more
	// comes, the oldest goes: so idle connections of somebody else do not keep the
	// peers out.
	maxHandshakes = 8
	// handshakeTimeout bounds each of them: two round trips, no more.
	handshakeTimeout = 5 * time.Second
	// acceptPause is how long we wait when the system has no descriptor left.
	acceptPause = 50 * time.Millisecond
)

// Ports are the TCP ports on which one process awaits bytestreams. Negotiations
// with the same Ports that want the same port share it: the destination address
// that a connection asks for says which of them it belongs to (XEP-0065). So the
// one port that a firewall lets through serves any number of files at a time. The
// zero value has no port open.
type Ports struct {
	mu   sync.Mutex // guards the ports as well
	open []*port    // whose number somebody chose
}

// port is a listener. It is closed when the last server has left it.
type port struct {
	ports *Ports
	addr  string // as it was asked for
	l     net.Listener
	log   *slog.Logger
	done  chan struct{} // closed with it
	wg    sync.WaitGroup

	seats   []seat     // whose bytestreams are awaited here; none when it is closed
	pending []net.Conn // in the handshake, oldest first
}

// seat is the place of a server at a port: for the server, its listener with that
// index.
type seat struct {
	*server
	listener int
}

// listenFunc is [Config].Listen.
type listenFunc = func(ctx context.Context, network, addr string) (net.Listener, error)

// join has connections to host and number looked at for s. Number 0 is any port, and
// nobody else's. A port that is not open yet is opened by open.
func (ps *Ports) join(ctx context.Context, open listenFunc, host string, number int, s seat) (*port, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	addr := hostPort(host, number)
	if i := slices.IndexFunc(ps.open, func(p *port) bool { return p.addr == addr }); i >= 0 {
		ps.open[i].seats = append(ps.open[i].seats, s)
		return ps.open[i], nil
	}
	l, err := open(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &port{ports: ps, addr: addr, l: l, log: s.log, done: make(chan struct{}), seats: []seat{s}}
	if number != 0 {
		ps.open = append(ps.open, p)
	}
	p.wg.Go(p.serve)
	return p, nil
}

// leave ends the wait of s at p, once.
func (ps *Ports) leave(p *port, s *server) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	i := slices.IndexFunc(p.seats, func(at seat) bool { return at.server == s })
	if i < 0 {
		return
	}
	if p.seats = slices.Delete(p.seats, i, i+1); len(p.seats) > 0 {
		return
	}
	ps.open = slices.DeleteFunc(ps.open, func(o *port) bool { return o == p })
	close(p.done)
	_ = p.l.Close()
	for _, c := range p.pending {
		_ = c.Close() // its handshake notices
	}
	p.pending = nil
}

// wait returns when the goroutines of p have ended, at once as long as somebody
// needs it.
func (p *port) wait() {
	select {
	case <-p.done:
		p.wg.Wait()
	default:
	}
}

// serve accepts connections until the listener is closed.
func (p *port) serve() {
	for {
		c, err := p.l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			p.log.Warn("accept direct connection", "error", err)
			select {
			case <-p.done:
			case <-time.After(acceptPause):
			}
			continue
		}
		if p.admit(c) {
			p.wg.Go(func() { p.handshake(c) })
		}
	}
}

// admit makes room for c among the pending connections.
func (p *port) admit(c net.Conn) bool {
	p.ports.mu.Lock()
	defer p.ports.mu.Unlock()
	if len(p.seats) == 0 {
		_ = c.Close()
		return false
	}
	if len(p.pending) >= maxHandshakes*len(p.seats) {
		_ = p.pending[0].Close() // its handshake notices
		p.pending = p.pending[1:]
	}
	p.pending = append(p.pending, c)
	return true
}

// handshake lets the client of a pending connection prove itself.
func (p *port) handshake(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(handshakeTimeout))
	var to seat
	err := serveRequest(c, func(dst string) (ok bool) {
		to, ok = p.find(dst)
		return ok
	})
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if !p.dismiss(c) || err != nil || !to.accept(accepted{c, to.listener}) {
		_ = c.Close()
		p.log.Debug("direct connection refused", "remote", c.RemoteAddr().String(), "error", err)
	}
}

// find returns the seat of the bytestream with that destination address, the latest
// if a peer has one address for two.
func (p *port) find(dst string) (seat, bool) {
	p.ports.mu.Lock()
	defer p.ports.mu.Unlock()
	for _, s := range slices.Backward(p.seats) {
		if s.asked(dst) {
			return s, true
		}
	}
	return seat{}, false
}

// dismiss takes c off the pending connections, and reports whether it was one still.
func (p *port) dismiss(c net.Conn) bool {
	p.ports.mu.Lock()
	defer p.ports.mu.Unlock()
	i := slices.Index(p.pending, c)
	if i >= 0 {
		p.pending = slices.Delete(p.pending, i, i+1)
	}
	return i >= 0
}

// serveRequest is the server's side of RFC 1928 as XEP-0065 section 5.3.2
// narrows it: no authentication, and only for the destinations that are known.
// The address asked for is echoed, with port 0 and in one write, because clients
// compare and some read only once.
func serveRequest(c io.ReadWriter, known func(dst string) bool) error {
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
	if !known(asked) {
		_, _ = c.Write(address([]byte{socksVersion, replyDenied, 0}, asked))
		return fmt.Errorf("socks5 destination: %w", ErrProtocol)
	}
	if _, err := c.Write(address([]byte{socksVersion, replyOK, 0}, asked)); err != nil {
		return fmt.Errorf("socks5 reply: %w", err)
	}
	return nil
}
