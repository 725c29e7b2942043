package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/xdg-go/scram"
	"golang.org/x/sync/semaphore"
	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

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
	caps  ownCaps

	handlers handlers
	pending  pending
	presence presenceCache
	roster   roster
	verified capsCache

	inbox  chan *inbound
	weight *semaphore.Weighted // of what is in inbox

	ctx    context.Context // of the handlers: ends with the session
	cancel context.CancelFunc
	done   chan struct{}
	online chan struct{} // closed while a stream is up and announced
	wg     sync.WaitGroup

	idle    time.Duration // before a ping; shorter in tests
	patient time.Duration // after it

	mu     sync.Mutex
	state  state
	stream *stream
	full   jid.JID
	mech   string
	remote net.Addr
	err    error

	closing bool // Close was called: whatever ends the stream now is its doing
}

// state is the life of a Session: stateNew -> stateStarting -> stateOnline ->
// stateEnded, from every state straight to the last one.
type state int

const (
	stateNew state = iota
	stateStarting
	stateOnline
	stateEnded
)

// New makes a Session that is not online yet. Register the handlers, then Start it.
// A faulty cfg is reported by Start.
func New(cfg Config) *Session {
	s := &Session{
		scram:   map[string]*scram.Client{},
		inbox:   make(chan *inbound, inboxStanzas),
		weight:  semaphore.NewWeighted(inboxWeight),
		done:    make(chan struct{}),
		online:  make(chan struct{}),
		idle:    idleTimeout,
		patient: pingTimeout,
	}
	s.cfg, s.err0 = cfg.complete()
	s.log = s.cfg.Log
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.caps = newOwnCaps(s.cfg)
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
	s.mu.Unlock()
	// Close interrupts a login.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()

	err := s.err0
	var t *transport
	if err == nil {
		t, err = s.negotiate(ctx)
	}
	if err != nil {
		s.end(err)
		return err
	}
	st := newStream(t)
	s.mu.Lock()
	if s.state == stateEnded {
		s.mu.Unlock()
		t.hangUp()
		return ErrClosed
	}
	s.state, s.stream = stateOnline, st
	st.run(s.receive)
	s.wg.Go(s.dispatch)
	s.wg.Go(func() { s.supervise(st) })
	s.mu.Unlock()
	if err := s.announce(ctx); err != nil {
		_ = s.Close(context.WithoutCancel(ctx))
		return fmt.Errorf("login of %s: %w", s.cfg.JID, err)
	}
	s.log.Debug("online", "jid", s.JID().String(), "mechanism", s.Mechanism())
	close(s.online)
	s.wg.Go(func() { s.tell(State{Up: true, Fresh: true}) })
	return nil
}

// announce fetches the roster, so that the server tells us its changes (RFC
// 6121 section 2.2), and sends initial presence (section 4.2).
func (s *Session) announce(ctx context.Context) error {
	wait, err := s.beginRoster(ctx)
	if err != nil {
		return err
	}
	if err := s.send(ctx, s.initialPresence(), controlPriority); err != nil {
		wait.forget()
		return err
	}
	_, err = wait.answer(ctx)
	if refused := (*stanza.Error)(nil); errors.As(err, &refused) {
		s.log.Debug("no roster", "error", err) // an account may have none
		return nil
	}
	return err
}

// setOnline notes what the negotiation brought.
func (s *Session) setOnline(full jid.JID, mech string, t *transport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full, s.mech = full, mech
	if s.cfg.SOCKS5 == "" {
		s.remote = t.remoteAddr()
	}
}

// supervise pings a silent server, and ends the session with its stream.
func (s *Session) supervise(st *stream) {
	timer := time.NewTimer(s.idle)
	defer timer.Stop()
	pinged, heard := false, int64(0)
	for {
		select {
		case <-st.ctx.Done():
			st.wg.Wait()
			close(s.inbox) // the reader was its only sender
			s.end(lost(context.Cause(st.ctx)))
			return
		case <-timer.C:
		}
		silent, latest := st.t.silence(), st.t.lastRead.Load()
		switch {
		case pinged && latest == heard:
			st.fail(ErrSilent)
			timer.Reset(s.idle)
		case silent < s.idle:
			pinged = false
			timer.Reset(s.idle - silent)
		default:
			pinged, heard = true, latest
			s.ping(st)
			timer.Reset(s.patient)
		}
	}
}

// ping asks the server for a sign of life (XEP-0199 section 4.2). Any byte
// will do, so nobody waits for the answer.
func (s *Session) ping(st *stream) {
	el := newIQ(jid.JID{}, stanza.Get, newID(), xmltree.New(nsPing, "ping"))
	b, err := encode(el)
	if err != nil {
		return
	}
	s.trace("send", el)
	select {
	case st.control <- b:
	default: // a full lane means that the writer is stuck, which silence will show
	}
}

// end makes err the reason for the end, once.
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
	s.cancel()
	s.mu.Unlock()
	s.pending.failAll(lost(err))
	close(s.done)
}

// Close logs out: it sends what waits, ends the stream and waits for the
// handlers. The connection is gone after 250 ms at most; ctx bounds the wait
// for handlers. It may be called more than once and without a Start, but not
// from a handler.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	st := s.stream
	s.closing = true
	s.mu.Unlock()
	s.cancel()
	if st != nil {
		st.close()
	} else {
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
	if s.full.IsZero() {
		return s.cfg.JID
	}
	return s.full
}

// Mechanism returns the SASL mechanism of the login, to be remembered and
// given as Config.BestMechanism.
func (s *Session) Mechanism() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mech
}

// OverLoopback tells whether the server is on this machine. With a proxy it
// never is, wherever the proxy may be.
func (s *Session) OverLoopback() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.remote.(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// Send sends a message. It returns when the message is queued, which waits
// only while the queue is full. A missing id is made up.
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
	b, err := encode(el)
	if err != nil {
		return err
	}
	s.trace("send", el)
	return s.sendBytes(ctx, b, p)
}

// sendBytes queues an encoded stanza.
func (s *Session) sendBytes(ctx context.Context, b []byte, p priority) error {
	s.mu.Lock()
	st := s.stream
	s.mu.Unlock()
	if st == nil {
		return lost(ErrClosed)
	}
	return st.queue(ctx, b, p)
}
