package session

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/stanza"
)

// connect brings a stream up: it resumes prev, when there is one and the
// server agrees, or logs in and announces us. On an error nothing is left of
// what it began. It runs in Start and in the supervisor, never in both.
func (s *Session) connect(ctx context.Context, prev *binding) (*stream, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.loginMax)
		defer cancel()
	}
	n, err := s.negotiate(ctx, prev)
	if err != nil {
		return nil, err
	}
	fresh := n.b != prev
	if fresh && prev != nil {
		s.lose(prev, errNotResumed)
	}
	st := newStream(n.t, n.b, n.resend)
	st.patience, st.prove = s.ackPatience, s.proveTime
	if !s.raise(st) {
		n.t.hangUp()
		return nil, ErrClosed
	}
	if fresh {
		err = s.announce(ctx, st, n.early)
	} else {
		err = prove(ctx, st, n.proved)
	}
	if err != nil {
		st.fail(err)
		st.wg.Wait()
		s.down()
		switch {
		case fresh:
			s.forget(st.b, err)
			s.flush()
		case !broken(err):
			st.b.sm.drop()
		}
		return nil, fmt.Errorf("login of %s: %w", s.cfg.JID, err)
	}
	s.mu.Lock()
	close(s.online)
	s.mu.Unlock()
	s.log.Debug("online", "jid", n.b.full.String(), "mechanism", n.b.mech, "resumed", !fresh)
	return st, nil
}

// errNotResumed: the server has given up the stream that was to be resumed.
var errNotResumed = errors.New("the server did not resume the stream")

// raise makes st the stream of the session and starts it, unless Close has come before.
func (s *Session) raise(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.stream, s.bound = st, st.b
	s.full, s.mech, s.ahead = st.b.full, st.b.mech, st.b.ahead
	st.run(s.receive)
	return true
}

// down notes that the stream is gone; its binding may live on.
func (s *Session) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = nil
	select {
	case <-s.online:
		s.online = make(chan struct{})
	default:
	}
}

// forget ends a binding.
func (s *Session) forget(b *binding, why error) (unacked int) {
	s.mu.Lock()
	if s.bound == b {
		s.bound = nil
	}
	s.mu.Unlock()
	return b.lose(lost(why))
}

// lose ends a binding when the session is to go on without it.
func (s *Session) lose(b *binding, why error) {
	if b.ctx.Err() != nil {
		return
	}
	n := s.forget(b, why)
	s.unacked += n
	s.log.Info("stream lost and not resumed", "error", why, "unacknowledged_stanzas", n)
	s.flush()
}

// flush waits until what was received is handled, and has the presence of
// others forgotten.
func (s *Session) flush() {
	done := make(chan struct{})
	select {
	case s.inbox <- &inbound{flushed: done}:
	case <-s.ctx.Done():
		return
	}
	select {
	case <-done:
	case <-s.ctx.Done():
	}
}

// Appear sends the initial presence that Config.Hidden has kept back. Further calls
// do nothing.
func (s *Session) Appear(ctx context.Context) error { return s.appear(ctx, true) }

// appear sends the initial presence, unless it is to be kept back or, on demand,
// has been sent.
func (s *Session) appear(ctx context.Context, demanded bool) error {
	s.mu.Lock()
	kept, had := s.cfg.Hidden && !s.visible, s.visible
	if demanded {
		s.visible = true
	}
	s.mu.Unlock()
	if demanded && (had || !kept) || !demanded && kept {
		return nil
	}
	return s.send(ctx, s.initialPresence(), controlPriority)
}

// announce fetches the roster, so that the server tells us its changes (RFC
// 6121 section 2.2), and sends initial presence (section 4.2).
// What was sent early is not sent again.
func (s *Session) announce(ctx context.Context, st *stream, e *early) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(st.ctx, func() { cancel(lost(context.Cause(st.ctx))) })()
	if e == nil {
		e = &early{}
		if e.roster, err = s.beginRoster(ctx); err != nil {
			return err
		}
	}
	defer e.roster.forget()
	if e.presence != s.caps.Load().ver { // they may have changed since
		if err := s.appear(ctx, false); err != nil {
			return err
		}
	}
	if _, err = e.roster.answer(ctx); err == nil {
		s.keepRoster(ctx, st.b.version)
	}
	if refused := (*stanza.Error)(nil); errors.As(err, &refused) {
		s.roster.refuse(nil)
		s.log.Debug("no roster", "error", err) // an account may have none
		return nil
	}
	if errors.Is(err, ErrStanzaTooBig) { // a caller that needs it is told; a file can be sent without
		s.roster.refuse(rosterError(err))
		s.log.Warn("the account's list of contacts is not known", "error", err)
		return nil
	}
	return err
}
