package xmpptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

const (
	// relayPiece is how much a relay reads at once.
	relayPiece = 32 << 10
	// relayDial bounds the connection to the target.
	relayDial = 5 * time.Second
	// MaxRecorded bounds what a relay keeps of each direction when it records.
	MaxRecorded = 256 << 20
)

// RelayOptions says what a relay does with what it carries.
type RelayOptions struct {
	// Up are the faults from the side that dialled to the target, Down those
	// from the target back; the first one touches the bytes first.
	Up, Down []Fault
	// SOCKS5 passes the SOCKS5 handshake (RFC 1928, as XEP-0065 uses it)
	// untouched and uncounted; faults and counts begin behind it.
	SOCKS5 bool
	// Record keeps the carried bytes, as they came in, for [Relay.Recorded].
	Record bool
	// DirectTLS listens on the port that clients take for direct TLS, on a loopback
	// address of its own.
	DirectTLS bool
	// Watch, unless it is nil, is told what comes in, at once, by several goroutines.
	Watch func(up bool, p []byte)
}

// Both returns options for a SOCKS5 bytestream with the same faults in both
// directions: which end dials is not known beforehand, and a file goes only one
// way. It records.
func Both(faults ...Fault) RelayOptions {
	return RelayOptions{Up: faults, Down: faults, SOCKS5: true, Record: true}
}

// Relay forwards TCP connections from a loopback port to a target and damages
// what it carries: by the faults of its options, which count bytes, or when it is
// told to ([Relay.Cut], [Relay.Stall], [Relay.Refuse], [Relay.FlipNext]). Without
// the SOCKS5 option it takes any protocol, such as a client's stream to its server.
// Its methods may be called from any goroutine.
type Relay struct {
	Addr   string // host:port to dial
	Target string // host:port behind it

	opts   RelayOptions
	ln     net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	carried Carried
	open    map[*relayConn]struct{}
	total   int
	command command
}

// Carried is what a relay took in, all connections together.
type Carried struct {
	UpCount, DownCount int64  // bytes behind the handshake
	Up, Down           []byte // the bytes, when it records
}

// StartRelay starts a relay for as long as the test lives.
func StartRelay(tb testing.TB, target string, o RelayOptions) *Relay {
	tb.Helper()
	r, err := NewRelay(target, o)
	if err != nil {
		tb.Fatalf("start relay: %v", err)
	}
	tb.Cleanup(r.Close)
	return r
}

// NewRelay starts a relay to the target, host:port. The owner calls
// [Relay.Close].
func NewRelay(target string, o RelayOptions) (*Relay, error) {
	addr := "127.0.0.1:0"
	if o.DirectTLS {
		host, err := freeHost(directTLSPort)
		if err != nil {
			return nil, err
		}
		addr = join(host, directTLSPort)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the relay: %w", err)
	}
	r := &Relay{Addr: ln.Addr().String(), Target: target, opts: o, ln: ln, open: map[*relayConn]struct{}{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.wg.Go(r.serve)
	return r, nil
}

// Carried returns what the relay has taken in so far.
func (r *Relay) Carried() Carried {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.carried
	c.Up, c.Down = append([]byte(nil), c.Up...), append([]byte(nil), c.Down...)
	return c
}

// Connections returns how many connections were accepted.
func (r *Relay) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Cut resets the open connections. New ones are served.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		c.reset()
	}
}

// Close ends the relay and its connections and waits for them.
func (r *Relay) Close() {
	r.cancel()
	_ = r.ln.Close() // ends serve
	r.wg.Wait()
}

func (r *Relay) serve() {
	for {
		dialler, err := r.ln.Accept()
		if err != nil {
			return // closed
		}
		r.mu.Lock()
		r.total++
		r.mu.Unlock()
		r.wg.Go(func() { r.handle(dialler.(*net.TCPConn)) })
	}
}

func (r *Relay) handle(dialler *net.TCPConn) {
	if r.refuses() {
		_ = dialler.SetLinger(0)
		_ = dialler.Close()
		return
	}
	d := net.Dialer{Timeout: relayDial}
	target, err := d.DialContext(r.ctx, "tcp", r.Target)
	if err != nil {
		_ = dialler.SetLinger(0) // nobody behind us: look like it
		_ = dialler.Close()
		return
	}
	c := &relayConn{dialler: dialler, target: target.(*net.TCPConn)}
	c.ctx, c.cancel = context.WithCancel(r.ctx)
	stop := context.AfterFunc(c.ctx, c.close)
	defer stop()
	r.mu.Lock()
	r.open[c] = struct{}{}
	if r.command.refuse { // since we looked
		c.reset()
	}
	r.mu.Unlock()
	r.carry(c)
	c.cancel()
	c.close()
	r.mu.Lock()
	delete(r.open, c)
	r.mu.Unlock()
}

// carry passes the handshake and then both directions until they are over.
func (r *Relay) carry(c *relayConn) {
	if !r.wait(c.ctx) {
		return
	}
	if r.opts.SOCKS5 {
		if err := passSOCKS5(c.dialler, c.target); err != nil {
			return
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.pump(c, c.dialler, c.target, r.opts.Up, true) })
	wg.Go(func() { r.pump(c, c.target, c.dialler, r.opts.Down, false) })
	wg.Wait()
}

// pump carries one direction. Whatever ends it other than the end of the
// source ends the connection.
func (r *Relay) pump(c *relayConn, from, to *net.TCPConn, faults []Fault, up bool) {
	var st stage = sink{w: to, fin: to.CloseWrite}
	for i := len(faults) - 1; i >= 0; i-- {
		st = faults[i].attach(line{ctx: c.ctx, abort: c.cancel}, st)
	}
	defer st.stop()
	buf := make([]byte, relayPiece)
	for {
		n, err := from.Read(buf)
		r.count(buf[:n], up)
		if n > 0 && (!r.obey(c.ctx, buf[:n]) || st.write(buf[:n]) != nil) {
			c.cancel()
			return
		}
		if errors.Is(err, io.EOF) {
			r.wait(c.ctx)
			err = st.end()
			if err == nil {
				return
			}
		}
		if err != nil {
			c.cancel()
			return
		}
	}
}

func (r *Relay) count(p []byte, up bool) {
	if r.opts.Watch != nil && len(p) > 0 {
		r.opts.Watch(up, p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, kept := &r.carried.DownCount, &r.carried.Down
	if up {
		n, kept = &r.carried.UpCount, &r.carried.Up
	}
	*n += int64(len(p))
	r.mark()
	if r.opts.Record {
		*kept = append(*kept, p[:min(len(p), MaxRecorded-len(*kept))]...)
	}
}

// relayConn is a connection and its continuation to the target.
type relayConn struct {
	dialler, target *net.TCPConn
	ctx             context.Context
	cancel          context.CancelFunc
}

// close closes both ends; what the kernel still holds is delivered.
func (c *relayConn) close() {
	_ = c.dialler.Close() // may be closed already
	_ = c.target.Close()
}

// reset closes both ends so that they see a reset, not an end.
func (c *relayConn) reset() {
	_ = c.dialler.SetLinger(0)
	_ = c.target.SetLinger(0)
	c.cancel()
}
