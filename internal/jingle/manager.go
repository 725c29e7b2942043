package jingle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Bounds. A session costs a few kilobytes until somebody accepts it, so they
// are about not being the victim of one contact rather than about memory.
const (
	// DefaultMaxSessions bounds the sessions that peers opened, and again
	// those that we opened: far more than transfers that make sense at once.
	DefaultMaxSessions = 64
	// DefaultMaxPerContact bounds the sessions that one bare JID opened: a
	// batch comes one by one, but several senders of a contact may be at work.
	DefaultMaxPerContact = 16

	// maxUnread bounds the unread events of a session: ten candidates one by one, the
	// reports, a checksum, a receipt, and room for a talkative peer.
	maxUnread = 48
	// maxHeard bounds all that a peer says over the life of a session, by
	// [xmltree.Element.Weight]. Sixty-four candidates weigh less than half of it; one
	// stanza that a server lets through can weigh megabytes.
	maxHeard = 128 << 10
	// maxOffer bounds the weight of an offer, which is kept as long as its session: an
	// envelope for five hundred devices, a sealed offer of the greatest length and
	// sixty-four candidates are less.
	maxOffer = 512 << 10
	// maxSID bounds a session id, in bytes: it is kept, hashed and logged.
	maxSID = 256

	// terminateTimeout bounds how long we wait for the answer to a
	// session-terminate, or to another action that nobody waits for:
	// Conversations never answers, and a caller that cancels does not want to wait.
	terminateTimeout = 2 * time.Second
)

// Config is what a [Manager] needs. Port and Self are required; an offer that neither
// Admit nor OnOffer takes is refused with service-unavailable.
type Config struct {
	Port Port
	// Begin sends an iq of type set, and does not wait: answered is called with what
	// became of it, unless it is forgotten. What is begun arrives in order. nil: of two
	// stanzas the second is sent when the first was answered.
	Begin func(ctx context.Context, to jid.JID, payload *xmltree.Element, answered func(error)) (forget func(), err error)
	// Self returns our own full JID as it is now. It must not block.
	Self func() jid.JID
	// OnOffer is given each new session that a peer opened, in order, on the
	// goroutine of [Manager.HandleIQ]: it must not block, and the peer gets
	// the acknowledgement only after it returned.
	OnOffer func(*Session)
	// Admit, when set, is asked before anything that does not belong to an
	// existing session is looked at; what it returns is the answer. So
	// strangers can be refused with service-unavailable, as if we were
	// offline. offer is nil unless the iq is a well-formed session-initiate.
	// take, unless nil, gets the session of the offer in the place of OnOffer, so
	// that it is decided by what admitted it. It must not block.
	Admit func(from jid.JID, offer *Content) (take func(*Session), refused *stanza.Error)

	MaxSessions   int // 0 is DefaultMaxSessions
	MaxPerContact int // 0 is DefaultMaxPerContact
	Log           *slog.Logger
}

// Manager owns the Jingle sessions of an account.
type Manager struct {
	cfg Config

	mu       sync.Mutex // guards all below and what changes in every session
	sessions map[key]*Session
	leaving  map[key]bool // ended by us, and the peer is being told
	closed   bool

	// wg counts stanzas on their way that Close must wait for. Add is called
	// under mu and never once closed is set and all sessions are ended.
	wg sync.WaitGroup
}

// key identifies a session: its id is only unique between two parties.
type key struct {
	peer jid.JID
	sid  string
}

// NewManager makes a manager without sessions.
func NewManager(cfg Config) *Manager {
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = DefaultMaxSessions
	}
	if cfg.MaxPerContact == 0 {
		cfg.MaxPerContact = DefaultMaxPerContact
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Manager{cfg: cfg, sessions: make(map[key]*Session), leaving: make(map[key]bool)}
}

// Initiate offers c to the full JID to and returns when the peer acknowledged
// the offer; its answer comes out of [Session.Events]. The peer may have accepted, or
// even ended the session, before Initiate returns. A *[stanza.Error] in an error is the
// refusal of the peer or its server, and there is no session any more. With any other
// error the offer may have arrived all the same: where a session comes with it, the
// caller ends it with the reason that it knows.
func (m *Manager) Initiate(ctx context.Context, to jid.JID, sid string, c Content) (*Session, error) {
	s := newSession(m, to, sid, true, c)
	if err := m.add(s); err != nil {
		return nil, fmt.Errorf("offer session to %s: %w", to, err)
	}
	err := s.request(ctx, s.element(SessionInitiate, c.Element()))

	m.mu.Lock()
	defer m.mu.Unlock()
	acted := s.state != Initiating && (s.state != Ended || s.byPeer)
	if err == nil || acted { // an action of the peer is as good as the ack
		if s.state != Ended {
			_ = s.step(input{kind: acked}) // allowed in every other state
		}
		return s, nil
	}
	err = fmt.Errorf("offer session to %s: %w", to, err)
	var refused *stanza.Error
	if errors.As(err, &refused) {
		s.end(input{kind: aborted}, Reason{Condition: GeneralError, Text: "offer refused"}, false)
		return nil, err
	}
	return s, err
}

// add registers a session of our own.
func (m *Manager) add(s *Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrEnded
	}
	if _, ok := m.sessions[s.key]; ok {
		return ErrDuplicateSID
	}
	if n, _ := m.count(s); n >= m.cfg.MaxSessions {
		return ErrTooManySessions
	}
	m.sessions[s.key] = s
	return nil
}

// count returns how many sessions were opened by the same side as s, and how
// many of them with the same contact. The caller holds m.mu.
func (m *Manager) count(s *Session) (all, contact int) {
	for k, o := range m.sessions {
		if o.initiator != s.initiator {
			continue
		}
		all++
		if k.peer.Bare() == s.key.peer.Bare() {
			contact++
		}
	}
	return all, contact
}

// Close ends what is left of the sessions with the reason gone, and waits
// until the peers are told or two seconds have passed. Afterwards offers are
// refused and [Manager.Initiate] fails.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	m.closed = true
	for _, s := range m.sessions {
		s.terminateLater(ctx, Reason{Condition: Gone}, false)
	}
	m.mu.Unlock()
	m.wg.Wait()
}
