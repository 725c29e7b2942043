package route

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

var (
	romeo  = jid.MustParse("romeo@montague.lit/orchard")
	juliet = jid.MustParse("juliet@capulet.lit/balcony")
)

// account is an account of a pair wired in memory: its iqs reach the other one, its
// connections the listeners of the net.
type account struct {
	self   jid.JID
	net    *network
	other  *account
	jingle *jingle.Manager
	inband *ibb.Manager
	finder *Finder
	s5b    S5BConfig
	offers chan *jingle.Session
	// script, when set, is told of what is said, in the place of the other one, and
	// acknowledges it.
	script func(a jingle.Action, x *xmltree.Element)

	dispatch sync.Mutex // serialises what arrives, as a stream does
}

// newPair wires romeo and juliet.
func newPair(t *testing.T) (a, b *account) {
	t.Helper()
	n := &network{open: map[string]*listener{}}
	a, b = &account{self: romeo, net: n}, &account{self: juliet, net: n}
	a.other, b.other = b, a
	for host, x := range map[string]*account{"192.0.2.1": a, "192.0.2.2": b} {
		x.offers = make(chan *jingle.Session, 1)
		x.s5b = S5BConfig{Advertise: []string{host}}
		x.jingle = jingle.NewManager(jingle.Config{Port: x, Self: x.JID, OnOffer: func(s *jingle.Session) { x.offers <- s }})
		x.inband = ibb.NewManager(ibb.Config{Port: x})
		x.finder = NewFinder(Config{Account: x, Inband: x.inband, S5B: &x.s5b, Listen: n.listener(host)})
		x.finder.Start()
		t.Cleanup(func() {
			x.jingle.Close(context.Background())
			x.inband.Close()
			x.finder.Close()
		})
	}
	return a, b
}

func (a *account) JID() jid.JID       { return a.self }
func (a *account) Proxied() bool      { return false }
func (a *account) OverLoopback() bool { return false }

func (a *account) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	return a.net.dial(ctx, address)
}

func (a *account) IQ(ctx context.Context, to jid.JID, typ stanza.IQType, x *xmltree.Element) (*xmltree.Element, error) {
	if a.script != nil {
		a.script(jingle.Action(x.Attr("action")), x)
		return nil, nil
	}
	if to != a.other.self || x.Name.Space != jingle.NS {
		return nil, stanza.NewError(stanza.ServiceUnavailable)
	}
	a.other.dispatch.Lock()
	defer a.other.dispatch.Unlock()
	return a.other.jingle.HandleIQ(ctx, stanza.IQ{From: a.self, To: to, ID: "j", Type: typ, Payload: x.Clone()})
}

func (a *account) BeginIQ(ctx context.Context, to jid.JID, x *xmltree.Element, answered func(error)) (func(), error) {
	if a.script != nil {
		answered(nil)
		return func() {}, nil
	}
	iq := stanza.IQ{From: a.self, To: to, ID: "i", Type: stanza.Set, Payload: x.Clone()}
	a.other.dispatch.Lock()
	defer a.other.dispatch.Unlock()
	a.other.inband.HandleIQ(ctx, iq, func(_ *xmltree.Element, err error) { answered(err) })
	return func() {}, nil
}

func (a *account) BulkIQ(ctx context.Context, to jid.JID, encode func([]byte, string) []byte, answered func(error)) (func(), error) {
	x, err := xmltree.Parse(encode(nil, "b"))
	if err != nil {
		return nil, err
	}
	return a.BeginIQ(ctx, to, x.Children[0], answered)
}

// network is where listeners wait, by host:port.
type network struct {
	mu   sync.Mutex
	open map[string]*listener
	last int // port
	// dials is how many there were.
	dials int
}

// listener returns a way to listen as that host: whatever is asked for, it is there.
func (n *network) listener(host string) func(context.Context, string, string) (net.Listener, error) {
	return func(context.Context, string, string) (net.Listener, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.last++
		l := &listener{addr: net.TCPAddr{IP: net.ParseIP(host), Port: 1024 + n.last}, conns: make(chan net.Conn), closed: make(chan struct{})}
		n.open[l.addr.String()] = l
		return l, nil
	}
}

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dials++
	l := n.open[address]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	addr   net.TCPAddr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &l.addr }

// says has the other one say something of the session of that id.
func (a *account) says(t *testing.T, action jingle.Action, sid string, child *xmltree.Element) {
	t.Helper()
	x := xmltree.New(jingle.NS, "jingle", child).Set("action", string(action)).Set("sid", sid)
	if _, err := a.jingle.HandleIQ(t.Context(), stanza.IQ{From: a.other.self, To: a.self, ID: "s", Type: stanza.Set, Payload: x}); err != nil {
		t.Errorf("%s: %v", action, err)
	}
}

// outcome is what [Route.Connect] returns.
type outcome struct {
	path    *Path
	err     error
	offered string // sid of the transport of our offer
}

// connect has r connect while the events of s are read for it.
func connect(ctx context.Context, r *Route, s *jingle.Session, remote *xmltree.Element) outcome {
	found := make(chan outcome, 1)
	go func() {
		path, err := r.Connect(ctx, s, remote)
		found <- outcome{path: path, err: err}
	}()
	events := s.Events()
	for {
		select {
		case ev, open := <-events:
			if r.Hear(ev); !open {
				events = nil
			}
		case o := <-found:
			return o
		}
	}
}

// negotiate offers with opt, answers with theirs, and returns what each finds.
func negotiate(t *testing.T, a, b *account, opt, theirs Options) (ours, peers outcome) {
	t.Helper()
	ctx := t.Context()
	both := []string{S5B, IBB}
	offer, err := a.finder.Offer(ctx, Peer{JID: b.self, Transports: both, Reports: true}, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(offer.Close)
	c := jingle.Content{Name: "a-file", Description: jingle.Description(&jingle.File{Size: 5}), Transport: offer.Element()}
	s, err := a.jingle.Initiate(ctx, b.self, "sid", c)
	if err != nil {
		t.Fatal(err)
	}
	r := <-b.offers
	answer, err := b.finder.Answer(ctx, Peer{JID: a.self}, theirs, r.Content().Transport)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(answer.Close)
	c.Transport = answer.Element()
	if err := r.Accept(ctx, c); err != nil {
		t.Fatal(err)
	}
	accepted := <-s.Events()
	if accepted.Action != jingle.SessionAccept {
		t.Fatalf("heard %+v", accepted)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		peers = connect(ctx, answer, r, r.Content().Transport)
		if peers.err != nil { // its proposal may come only now
			_ = r.Terminate(ctx, jingle.Reason{Condition: jingle.FailedTransport})
		}
	}()
	ours = connect(ctx, offer, s, accepted.Content.Transport)
	ours.offered = s.Content().Transport.Attr("sid")
	<-done
	return ours, peers
}
