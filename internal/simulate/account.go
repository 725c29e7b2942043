package simulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/transfer"
	"jetsend/internal/xmltree"
)

const (
	nsDisco = "http://jabber.org/protocol/disco#info"
	nsPing  = "urn:xmpp:ping"
	// patience is how long the answer to a request is waited for.
	patience = 30 * time.Second
)

// cut is the loss of a stream to the server.
type cut struct {
	after int           // packets of this end, in either direction
	down  time.Duration // until the stream is resumed or known to be lost
	// resumed means that nothing is lost.
	resumed bool
	// arrive is how many packets on their way to the server arrive, seen by nobody.
	arrive int
	login  time.Duration // after the loss, until the next login
	n      int           // of the cuts of the run
}

// account is a transfer.Account at a server in memory.
type account struct {
	srv *server
	cfg session.Config
	net *network

	handlers handlers
	ctx      context.Context // of the handlers
	cancel   context.CancelFunc
	done     chan struct{}
	cuts     chan cut
	tasks    sync.WaitGroup

	mu       sync.Mutex
	line     *line         // nil before the login and after the end
	lost     chan struct{} // closed when the line is lost for good
	online   chan struct{} // closed while a stream is up
	up       bool
	visible  bool
	ended    bool
	err      error
	ids      int
	pending  map[string]*wait
	features []string
	present  map[jid.JID]session.Resource
	changed  chan struct{}
	arrivals uint64
}

// wait is a request whose answer is waited for.
type wait struct {
	to       jid.JID
	answered func(*xmltree.Element, error)
}

// handlers are what is registered before the login.
type handlers struct {
	iq       map[string]func(context.Context, stanza.IQ, func(*xmltree.Element, error))
	pep      map[string]func(context.Context, jid.JID, *xmltree.Element)
	messages map[[2]string]func(context.Context, stanza.Message)
}

var _ transfer.Account = (*account)(nil)

func newAccount(srv *server, n *network, cfg session.Config) *account {
	a := &account{
		srv: srv, cfg: cfg, net: n, done: make(chan struct{}), cuts: make(chan cut, 16),
		lost: make(chan struct{}), online: make(chan struct{}), pending: map[string]*wait{},
		features: cfg.Features, present: map[jid.JID]session.Resource{}, changed: make(chan struct{}),
		handlers: handlers{
			iq:       map[string]func(context.Context, stanza.IQ, func(*xmltree.Element, error)){},
			pep:      map[string]func(context.Context, jid.JID, *xmltree.Element){},
			messages: map[[2]string]func(context.Context, stanza.Message){},
		},
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	close(a.lost)
	a.HandleIQ(nsPing, a.ifVisible(func() *xmltree.Element { return nil }))
	a.HandleIQ(nsDisco, a.ifVisible(a.disco))
	return a
}

// ifVisible answers those who may know that we are there.
func (a *account) ifVisible(f func() *xmltree.Element) func(context.Context, stanza.IQ) (*xmltree.Element, error) {
	return func(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) {
		if a.cfg.Visible != nil && !a.cfg.Visible(iq.From) {
			return nil, stanza.NewError(stanza.ServiceUnavailable)
		}
		return f(), nil
	}
}

// disco says what we can do.
func (a *account) disco() *xmltree.Element {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := xmltree.New(nsDisco, "query", xmltree.New(nsDisco, "identity").Set("category", "client").Set("type", "console").Set("name", "jetsend"))
	for _, f := range a.features {
		q.Add(xmltree.New(nsDisco, "feature").Set("var", f))
	}
	return q
}

// Start implements transfer.Account.
func (a *account) Start(ctx context.Context) error {
	a.net.pause(ctx)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("login: %w", context.Cause(ctx))
	}
	if !a.login(true) {
		return fmt.Errorf("login: %w", session.ErrClosed)
	}
	a.tasks.Go(a.supervise)
	return nil
}

// login binds our resource, for the first time or once more.
func (a *account) login(first bool) bool {
	full, err := a.cfg.JID.WithResource(a.cfg.Resource)
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	var self *line
	set := make(chan struct{})
	self = a.srv.login(full, a.net.delay, a.features, func(p packet) { <-set; a.receive(self, p) })
	close(set)
	a.line, a.lost, a.up = self, make(chan struct{}), true
	a.present = map[jid.JID]session.Resource{}
	a.wake()
	close(a.online)
	if a.visible || first && !a.cfg.Hidden {
		a.show()
	}
	return true
}

// wake has those who wait for a change of presence look again. a.mu is held.
func (a *account) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// show sends our presence. a.mu is held.
func (a *account) show() {
	a.visible = true
	a.send(packet{kind: presence, el: xmltree.New("", "c").Set("priority", strconv.Itoa(int(a.cfg.Priority))).Set("ver", fmt.Sprint(len(a.features)))})
}

// send sends a packet. a.mu is held.
func (a *account) send(p packet) {
	p.from = a.line.full
	a.line.up.push(p)
}

// supervise takes the stream through what is to happen to it.
func (a *account) supervise() {
	a.state(session.State{Up: true, Fresh: true})
	for {
		select {
		case c := <-a.cuts:
			a.interrupt(c)
		case <-a.done:
			return
		}
	}
}

func (a *account) state(s session.State) {
	if a.cfg.State != nil {
		a.cfg.State(s)
	}
}

// errCut is what the loss of a stream looks like.
var errCut = errors.New("connection reset by peer")

// interrupt is the loss of the stream, and its resumption or the next login.
func (a *account) interrupt(c cut) {
	a.mu.Lock()
	l := a.line
	if a.ended || !a.up {
		a.mu.Unlock()
		return
	}
	a.up, a.online = false, make(chan struct{})
	a.wake()
	a.mu.Unlock()
	l.up.stall(true)
	l.down.stall(true)
	a.state(session.State{Err: errCut, RetryIn: c.down})
	if !a.sleep(c.down) {
		return
	}
	if c.resumed {
		l.up.stall(false)
		l.down.stall(false)
		a.mu.Lock()
		if a.up = !a.ended; a.up {
			close(a.online)
		}
		a.mu.Unlock()
		a.state(session.State{Up: true})
		return
	}
	unacked := a.lose(l, c)
	if a.sleep(c.login) && a.login(false) {
		a.srv.drop(l, a.net.bounces(c.n))
		a.state(session.State{Up: true, Fresh: true, Unacked: unacked})
	}
}

// lose ends a stream for good.
func (a *account) lose(l *line, c cut) (unacked int) {
	left, _ := l.up.stop()
	for _, p := range left[:min(c.arrive, len(left))] {
		a.srv.take(l, p)
	}
	a.mu.Lock()
	close(a.lost)
	all := a.pending
	a.pending = map[string]*wait{}
	a.wake()
	a.mu.Unlock()
	fail(all, errCut)
	return len(left)
}

// fail tells those who wait that no answer will come.
func fail(all map[string]*wait, why error) {
	for _, w := range all {
		w.answered(nil, lostTo(why))
	}
}

func lostTo(why error) error { return fmt.Errorf("%w: %w", session.ErrSessionLost, why) }

// sleep waits, unless the account ends before.
func (a *account) sleep(d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-late.C:
		return true
	case <-a.done:
		return false
	}
}

// kill is the crash of the program: nothing more is said, and the server does not know.
// It does not wait.
func (a *account) kill() *line { return a.end(session.ErrSessionLost) }

// end ends the account, and returns the stream that it had.
func (a *account) end(why error) *line {
	a.mu.Lock()
	if a.ended {
		a.mu.Unlock()
		return nil
	}
	a.ended, a.err = true, why
	l := a.line
	wasLost := isClosed(a.lost)
	if !wasLost {
		close(a.lost)
	}
	all := a.pending
	a.pending = map[string]*wait{}
	a.mu.Unlock()
	if l != nil {
		l.up.stall(true)
		l.down.stall(true)
	}
	a.cancel()
	close(a.done)
	fail(all, session.ErrClosed)
	return l
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Close implements transfer.Account.
func (a *account) Close(ctx context.Context) error {
	said := make(chan struct{})
	a.mu.Lock()
	if a.up && !a.ended {
		a.send(packet{kind: farewell, done: said})
	} else {
		close(said)
	}
	a.mu.Unlock()
	select {
	case <-said:
	case <-a.done:
	case <-ctx.Done():
	}
	if l := a.end(nil); l != nil {
		a.srv.drop(l, nil)
	}
	a.tasks.Wait()
	return nil
}

// Done implements transfer.Account.
func (a *account) Done() <-chan struct{} { return a.done }

// Err implements transfer.Account.
func (a *account) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Lost implements transfer.Account.
func (a *account) Lost() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}

// WaitOnline implements transfer.Account.
func (a *account) WaitOnline(ctx context.Context) error {
	a.mu.Lock()
	online := a.online
	a.mu.Unlock()
	select {
	case <-a.done:
		return session.ErrClosed
	default:
	}
	select {
	case <-online:
		return nil
	case <-a.done:
		return session.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// JID implements transfer.Account.
func (a *account) JID() jid.JID {
	full, _ := a.cfg.JID.WithResource(a.cfg.Resource)
	return full
}

// Mechanism implements transfer.Account.
func (a *account) Mechanism() string { return "SCRAM-SHA-256-PLUS" }

// Careful implements transfer.Account.
func (a *account) Careful() bool { return false }

// Management implements transfer.Account.
func (a *account) Management() session.Management { return session.Management{Enabled: true} }

// Link implements transfer.Account.
func (a *account) Link() *session.Link { return nil }

// OverLoopback implements transfer.Account.
func (a *account) OverLoopback() bool { return true }

// Proxied implements transfer.Account.
func (a *account) Proxied() bool { return false }

// Dial implements transfer.Account.
func (a *account) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network")
}

// Roster implements transfer.Account.
func (a *account) Roster(context.Context) (all []session.RosterItem, err error) {
	for _, h := range a.srv.sorted() {
		if h.jid != a.cfg.JID {
			all = append(all, session.RosterItem{JID: h.jid, Subscription: "both"})
		}
	}
	return all, nil
}

// RosterError implements transfer.Account.
func (a *account) RosterError() error { return nil }

// Subscription implements transfer.Account.
func (a *account) Subscription(bare jid.JID) string {
	if bare = bare.Bare(); a.srv.homes[bare] != nil && bare != a.cfg.JID {
		return "both"
	}
	return ""
}

// SubscriptionRequests implements transfer.Account.
func (a *account) SubscriptionRequests() []jid.JID { return nil }

// ContactAt implements transfer.Account.
func (a *account) ContactAt(domain string) bool { return domain == a.cfg.JID.Domain() }

// Appear implements transfer.Account.
func (a *account) Appear(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.visible:
	case a.ended:
		return lostTo(session.ErrClosed)
	default: // on a stream that is cut it waits for the resumption, or comes with the next login
		a.show()
	}
	return nil
}

// SetFeatures implements transfer.Account.
func (a *account) SetFeatures(_ context.Context, features []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Equal(a.features, features) {
		return nil
	}
	a.features = features
	if a.visible && !a.ended {
		a.show()
	}
	return nil
}
