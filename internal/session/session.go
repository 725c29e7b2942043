package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdg-go/scram"
	"golang.org/x/sync/semaphore"
	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Session is an account online. All methods may be called from any goroutine.
type Session struct {
	cfg   Config
	err0  error // of the configuration, for Start
	log   *slog.Logger
	scram map[string]*scram.Client // by hash; used by the negotiation only
	caps  atomic.Pointer[ownCaps]

	handlers handlers
	presence presenceCache
	roster   roster
	verified capsCache

	inbox  chan *inbound
	weight *semaphore.Weighted // of what is in inbox

	ctx    context.Context // of the handlers: ends with the session
	cancel context.CancelFunc
	done   chan struct{}
	wg     sync.WaitGroup

	idle        time.Duration // before a sign of life is asked for; shorter in tests
	patient     time.Duration // after it
	tick        time.Duration // of the watch
	loginMax    time.Duration // a login, when its context has no deadline
	targetMax   time.Duration // of it one host, see targetContext
	closeMax    time.Duration // our last words at Close; longer in tests
	ackPatience time.Duration // see management.room
	proveTime   time.Duration // see prove
	backoff     backoff.Backoff
	dial        dialFunc         // Dial; watched by Inspect
	wall        func() time.Time // the clock on the wall, which goes on while the machine sleeps
	password    string           // once asked for; used by the negotiation only
	unacked     int              // stanzas of lost bindings; used by the supervisor only
	welcome     bool             // a login has succeeded; used by the negotiation only
	next        *target          // where the server has sent us; used by the negotiation only
	attempt     attempt          // used by the negotiation only
	given       string           // the resource that the server made of ours; used by the negotiation only
	tokenless   bool             // a token was refused; used by the negotiation only
	answerMax   time.Duration    // see earlyTimeout; shorter in tests

	mu     sync.Mutex
	state  state
	stream *stream       // the one that is up or being announced; nil between two
	bound  *binding      // the one not lost yet; nil before the first and after the last
	online chan struct{} // closed while a stream is up and announced
	full   jid.JID       // of the latest login, bare before the first
	mech   string        // of the latest login
	ahead  bool          // as the latest login was told, see PreApproves
	remote net.Addr
	err    error

	careful bool // see Config.Careful

	visible bool // Appear was called

	closing bool // Close was called: whatever ends the stream now is its doing
}

// state is the life of a Session: stateNew -> stateStarting -> stateRunning ->
// stateEnded, from every state straight to the last one. Streams come and go
// while it is running.
type state int

const (
	stateNew state = iota
	stateStarting
	stateRunning
	stateEnded
)

// New makes a Session that is not online yet. Register the handlers, then Start it.
// A faulty cfg is reported by Start.
func New(cfg Config) *Session {
	s := &Session{
		scram:       map[string]*scram.Client{},
		inbox:       make(chan *inbound, inboxStanzas),
		weight:      semaphore.NewWeighted(inboxWeight),
		done:        make(chan struct{}),
		online:      make(chan struct{}),
		idle:        idleTimeout,
		patient:     pingTimeout,
		tick:        watchTick,
		loginMax:    loginTimeout,
		targetMax:   targetTimeout,
		closeMax:    closeWrite,
		ackPatience: ackPatience,
		proveTime:   proveTime,
		answerMax:   earlyTimeout,
		backoff:     backoff.Backoff{First: backoffFirst, Last: backoffMost},
		wall:        func() time.Time { return time.Now().Round(0) },
	}
	if cfg.Quick {
		s.backoff = backoff.Backoff{First: 40 * time.Millisecond, Last: 500 * time.Millisecond}
	}
	s.cfg, s.err0 = cfg.complete()
	s.careful = cfg.Careful
	s.dial = s.Dial
	s.full = s.cfg.JID
	s.log = s.cfg.Log
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.caps.Store(newOwnCaps(s.cfg.Identity, s.cfg.Features))
	s.presence.init()
	s.handlers.router = xmpp.NewRouter()
	s.registerOwn()
	return s
}

// Start logs in, fetches the roster and sends initial presence. It may be
// called once. Without a deadline in ctx the login may take 30 s. When it
// fails the Session is of no further use.
//
// The errors are *AuthError, *CertificateError, *UnreachableError,
// *StreamError, or a *stanza.Error of the binding.
func (s *Session) Start(ctx context.Context) error {
	s.mu.Lock()
	switch s.state {
	case stateNew:
	case stateEnded:
		s.mu.Unlock()
		return ErrClosed
	default:
		s.mu.Unlock()
		return errors.New("session started twice")
	}
	s.state = stateStarting
	s.wg.Go(s.dispatch)
	s.mu.Unlock()
	// Close interrupts a login.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()

	err := s.err0
	var st *stream
	if err == nil {
		st, err = s.connect(ctx, nil)
	}
	s.mu.Lock()
	if err == nil && !s.closing {
		s.state, s.welcome = stateRunning, true
		told := make(chan struct{})
		s.wg.Go(func() {
			s.tell(State{Up: true, Fresh: true})
			close(told)
			s.supervise(st)
		})
		s.mu.Unlock()
		<-told
		return nil
	}
	s.mu.Unlock()
	if err == nil { // Close ends the stream
		st.wg.Wait()
		s.down()
		err = ErrClosed
	}
	s.end(err)
	close(s.inbox) // Close waits for the dispatcher
	return err
}

// end makes err the reason for the end, once. The streams are gone by then.
func (s *Session) end(err error) {
	s.mu.Lock()
	if s.state == stateEnded {
		s.mu.Unlock()
		return
	}
	s.state = stateEnded
	if s.closing {
		err = ErrClosed
	} else {
		s.err = err
	}
	b := s.bound
	s.bound = nil
	s.mu.Unlock()
	if b != nil {
		b.lose(lost(err))
		s.keepRoster(context.WithoutCancel(s.ctx), b.version)
	}
	s.cancel()
	close(s.done)
}

// Close logs out: it sends what waits, ends the stream and waits for the
// handlers. A server that reads nothing keeps it waiting for closeWrite, one that
// does not end the stream on its part for closeWait; ctx bounds the wait for
// handlers. It may be called more than once and without a Start, but not from a
// handler.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	st, idle := s.stream, s.state == stateNew
	s.closing = true
	s.mu.Unlock()
	s.cancel()
	switch {
	case st != nil:
		st.close()
	case idle:
		s.end(ErrClosed)
	}
	gone := make(chan struct{})
	go func() { // ends with the last handler; see doc.go on handlers
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close session: %w", context.Cause(ctx))
	}
}

// Done is closed when the session has ended, for whatever reason.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why Done was closed: nil after Close, else an error that wraps
// ErrSessionLost and, if the server gave a reason, a *StreamError; or the
// error of Start.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// JID returns our full JID, or the bare one before the login. It changes when
// a later login is given another resource than the one before.
func (s *Session) JID() jid.JID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// Mechanism returns the SASL mechanism of the login, to be remembered and
// given as Config.BestMechanism.
func (s *Session) Mechanism() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mech
}

// Careful reports whether the server had to be asked for one thing at a time, to be
// remembered and given as Config.Careful.
func (s *Session) Careful() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.careful
}

// OverLoopback reports whether the server is on this machine. With a proxy it
// never is, wherever the proxy may be.
func (s *Session) OverLoopback() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.remote.(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// setRemote notes who the server is, unless a proxy hides it.
func (s *Session) setRemote(a net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Proxied() {
		s.remote = a
	}
}

// Send sends a message. It returns when the message is queued, which waits
// only while the queue is full. A missing id is made up. With no stream up,
// and none that may still be resumed, the error is ErrSessionLost. A message
// whose stream is lost before the server has acknowledged it is not sent again.
func (s *Session) Send(ctx context.Context, m stanza.Message) error {
	el := xmltree.New(gstanza.NSClient, "message", m.Children...)
	if !m.To.IsZero() {
		el.Set("to", m.To.String())
	}
	if m.Type != "" {
		el.Set("type", m.Type)
	}
	if m.ID == "" {
		m.ID = newID()
	}
	return s.send(ctx, el.Set("id", m.ID), controlPriority)
}

// send queues a stanza.
func (s *Session) send(ctx context.Context, el *xmltree.Element, p priority) error {
	b, err := s.current()
	if err != nil {
		return err
	}
	return s.sendBy(ctx, b, el, p)
}

// sendBy queues a stanza for a certain binding.
func (s *Session) sendBy(ctx context.Context, b *binding, el *xmltree.Element, p priority) error {
	text, err := encode(el)
	if err != nil {
		return err
	}
	s.trace("send", el)
	return b.queue(ctx, text, p)
}

// current returns the binding by which to send.
func (s *Session) current() (*binding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound != nil {
		return s.bound, nil
	}
	if s.state == stateNew || s.closing {
		return nil, lost(ErrClosed)
	}
	return nil, lost(s.err)
}
