package xmpptest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// tapTimeout bounds the opening of a stream on either side of a tap.
const tapTimeout = time.Minute

// Direction is the way that bytes or stanzas go.
type Direction int

// The directions of a tap.
const (
	ToServer Direction = iota // from the client to the server
	ToClient                  // from the server to the client
)

// String implements fmt.Stringer.
func (d Direction) String() string {
	if d == ToServer {
		return "C>S"
	}
	return "S>C"
}

// Rewrite decides about one top-level element: it returns what goes on instead.
// Returning the element alone lets it pass, returning nothing drops it, twice
// doubles it. It sees everything after STARTTLS, stream features and SASL
// included, and is called from one goroutine for each direction of each
// connection; while it blocks, the direction stands still. See [Tap.Sleep].
type Rewrite func(dir Direction, stanza []byte) [][]byte

// Pass lets every element through unchanged.
func Pass(_ Direction, stanza []byte) [][]byte { return [][]byte{stanza} }

// Stanza is one recorded top-level element.
type Stanza struct {
	Time time.Time
	Conn int // number of the client connection, from 1
	Dir  Direction
	Raw  []byte   // as it arrived
	Sent [][]byte // as it went on; empty when it was dropped
}

// Tap is a man in the middle with a valid certificate: clients that trust the
// authority of the server take it for the server. It speaks STARTTLS with both
// ends and hands everything between them on, byte by byte as it came, but for
// SASL mechanisms with channel binding, which cannot work through it and are
// taken off the server's offer, and for what its [Rewrite] changes. Stanzas that it
// adds do not show in the acknowledgements of stream management.
type Tap struct {
	Addr string // host:port for clients, STARTTLS

	server *Server
	leaf   tls.Certificate
	ln     net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	rewrite Rewrite
	record  []Stanza
	changed chan struct{} // closed and replaced at every record
	conns   map[int]*tapConn
	last    int
	errs    []error
}

// errTapIdle is returned by [Tap.Inject] when no client is connected.
var errTapIdle = errors.New("no connection through the tap")

// StartTap puts a tap before the server for as long as the test lives.
func StartTap(tb testing.TB, s *Server, rewrite Rewrite) *Tap {
	tb.Helper()
	t, err := NewTap(s, rewrite)
	if err != nil {
		tb.Fatalf("start tap: %v", err)
	}
	tb.Cleanup(t.Close)
	return t
}

// NewTap puts a tap before the server; nil for rewrite means [Pass]. The owner
// calls [Tap.Close].
func NewTap(s *Server, rewrite Rewrite) (*Tap, error) {
	leaf, err := s.CA.Leaf(time.Time{}, s.Domain)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the tap: %w", err)
	}
	t := &Tap{
		Addr: ln.Addr().String(), server: s, leaf: leaf, ln: ln,
		changed: make(chan struct{}), conns: map[int]*tapConn{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.SetRewrite(rewrite)
	t.wg.Go(t.serve)
	return t, nil
}

// SetRewrite changes the rewriting from the next element on.
func (t *Tap) SetRewrite(rewrite Rewrite) {
	if rewrite == nil {
		rewrite = Pass
	}
	t.mu.Lock()
	t.rewrite = rewrite
	t.mu.Unlock()
}

// Sleep is for rewrites that delay: it returns after d, or false at once when
// the tap closes.
func (t *Tap) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// Stanzas returns what was recorded so far, in the order of arrival.
func (t *Tap) Stanzas() []Stanza {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Stanza(nil), t.record...)
}

// Wait returns the first recorded element that match accepts, waiting for it
// until the context ends.
func (t *Tap) Wait(ctx context.Context, match func(Stanza) bool) (Stanza, error) {
	seen := 0
	for {
		t.mu.Lock()
		fresh, changed := t.record[seen:], t.changed
		t.mu.Unlock()
		for _, s := range fresh {
			if match(s) {
				return s, nil
			}
		}
		seen += len(fresh)
		select {
		case <-changed:
		case <-ctx.Done():
			return Stanza{}, fmt.Errorf("wait for a stanza: %w", ctx.Err())
		}
	}
}

// Dump writes the record for people: a comment line with time, direction and
// connection before each element, and what became of it when it was changed.
func (t *Tap) Dump(w io.Writer) error {
	for _, s := range t.Stanzas() {
		head := fmt.Sprintf("<!-- %s %s %d -->", s.Time.Format("15:04:05.000"), s.Dir, s.Conn)
		if _, err := fmt.Fprintf(w, "%s\n%s\n", head, s.Raw); err != nil {
			return fmt.Errorf("write record: %w", err)
		}
		if len(s.Sent) == 1 && string(s.Sent[0]) == string(s.Raw) {
			continue
		}
		if _, err := fmt.Fprintf(w, "<!-- replaced by %d -->\n", len(s.Sent)); err != nil {
			return fmt.Errorf("write record: %w", err)
		}
		for _, x := range s.Sent {
			if _, err := fmt.Fprintf(w, "%s\n", x); err != nil {
				return fmt.Errorf("write record: %w", err)
			}
		}
	}
	return nil
}

// Inject sends an element over the newest open connection as if it came from
// the other end. It is not recorded.
func (t *Tap) Inject(dir Direction, stanza []byte) error {
	t.mu.Lock()
	c := t.conns[t.last]
	t.mu.Unlock()
	if c == nil {
		return errTapIdle
	}
	return c.write(dir, stanza)
}

// Cut breaks all connections through the tap without a goodbye, as a lost
// network would. New ones are served.
func (t *Tap) Cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		c.cut()
	}
}

// Errors returns what went wrong between the tap and its ends, other than
// connections that were closed.
func (t *Tap) Errors() []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]error(nil), t.errs...)
}

// Close ends the tap and every connection through it and waits for them.
func (t *Tap) Close() {
	t.cancel()
	_ = t.ln.Close() // ends serve
	t.mu.Lock()
	for _, c := range t.conns {
		c.abort()
	}
	t.mu.Unlock()
	t.wg.Wait()
}

func (t *Tap) serve() {
	for n := 1; ; n++ {
		conn, err := t.ln.Accept()
		if err != nil {
			return // closed
		}
		t.wg.Go(func() { t.handle(n, conn) })
	}
}

// handle carries one client connection from its first byte to its last.
func (t *Tap) handle(n int, client net.Conn) {
	stop := context.AfterFunc(t.ctx, func() { _ = client.Close() })
	defer stop()
	c, err := t.open(client)
	if err != nil {
		_ = client.Close()
		t.fail(fmt.Errorf("tap connection %d: %w", n, err))
		return
	}
	if !t.add(n, c) {
		c.abort()
		return
	}
	c.run(func(dir Direction, stanza []byte) [][]byte { return t.pass(n, dir, stanza) })
	t.mu.Lock()
	delete(t.conns, n)
	t.mu.Unlock()
}

func (t *Tap) add(n int, c *tapConn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.conns[n], t.last = c, n
	return true
}

// pass rewrites and records one element.
func (t *Tap) pass(n int, dir Direction, stanza []byte) [][]byte {
	t.mu.Lock()
	rewrite := t.rewrite
	t.mu.Unlock()
	now := time.Now()
	sent := rewrite(dir, withoutChannelBinding(append([]byte(nil), stanza...)))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record = append(t.record, Stanza{Time: now, Conn: n, Dir: dir, Raw: stanza, Sent: sent})
	close(t.changed)
	t.changed = make(chan struct{})
	return sent
}

func (t *Tap) fail(err error) {
	if t.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
}
