package s5b

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// tries are how long each dial of a punch may take. What is sent is lost as long as the
// other side has not dialled, and the system repeats it only after a second; later ones
// are longer, for who is far away. Together they are the time of a punch.
var tries = []time.Duration{
	250 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond,
	time.Second, time.Second, time.Second,
}

// errApart means that a punch came to nothing.
var errApart = errors.New("nobody was met")

// met is a connection from or to the port of the punch.
type met func(*gate, net.Conn)

// knock dials every address of the peer until ctx ends or its time is over, and hands over
// the connections.
func (m *middle) knock(ctx context.Context, to []netip.AddrPort, got met) {
	var all sync.WaitGroup
	for _, t := range to {
		all.Go(func() { m.knockAt(ctx, t, got) })
	}
	all.Wait()
}

// knockAt dials one address. That there is a connection already, which the other side has
// made, is an error of the system; then that one is waited for.
func (m *middle) knockAt(ctx context.Context, to netip.AddrPort, got met) {
	for _, d := range tries {
		if ctx.Err() != nil || !m.spend() {
			return
		}
		try, cancel := context.WithTimeout(ctx, d)
		c, err := m.dial(try, to)
		if err == nil {
			cancel()
			got(m.gate(to.Addr().Is4()), c)
			return
		}
		m.n.cfg.Log.Debug("punch", "to", to.String(), "error", err)
		<-try.Done() // who is refused at once knocks no faster
		cancel()
	}
}

// serve is a responder's part: who is met asks for the bytestream as everybody does who
// comes to a port of ours.
func (m *middle) serve(ctx context.Context) {
	to := m.targets()
	if len(to) == 0 {
		return
	}
	m.knock(ctx, to, func(g *gate, c net.Conn) {
		if g.port.admit(c) {
			g.port.handshake(c)
		}
	})
}

// meet is an initiator's part: it asks for dst, whoever has dialled.
func (m *middle) meet(ctx context.Context, cid, dst string) (*Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	to := m.targets()
	found := make(chan *Conn, 1)
	ask := func(_ *gate, c net.Conn) {
		m.asking.Add(1)
		defer m.asking.Add(-1)
		asking, done := context.WithTimeout(ctx, m.n.timing.greet)
		defer done()
		err := request(asking, c, dst, true)
		if err == nil {
			select {
			case found <- &Conn{Conn: c, Kind: Direct, Way: Punched, CID: cid}:
				cancel()
				return
			default: // another one was first
			}
		}
		_ = c.Close()
	}
	var all sync.WaitGroup
	for _, g := range m.gates {
		all.Go(func() { g.accept(ctx, to, ask) })
	}
	m.knock(ctx, to, ask)
	if ctx.Err() == nil { // what was accepted last may be about to answer
		select {
		case <-ctx.Done():
		case <-time.After(tries[0]):
		}
	}
	cancel()
	all.Wait()
	select {
	case c := <-found:
		return c, nil
	default:
		return nil, errApart
	}
}

// maxAsking bounds the connections of the peer that are asked at a time.
const maxAsking = 4

// accept takes connections from the addresses of the peer until ctx ends, a few at a time:
// somebody else may share its address.
func (g *gate) accept(ctx context.Context, from []netip.AddrPort, got met) {
	defer context.AfterFunc(ctx, func() { _ = g.mine.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, maxAsking)
	for {
		c, err := g.mine.Accept()
		if err != nil {
			return // it is closed; what else can go wrong ends a way among others
		}
		at, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil || !slices.ContainsFunc(from, func(a netip.AddrPort) bool { return a.Addr() == at.Addr().Unmap() }) {
			_ = c.Close()
			continue
		}
		select {
		case places <- struct{}{}:
			all.Go(func() {
				got(g, c)
				<-places
			})
		default:
			_ = c.Close()
		}
	}
}
