package session

import (
	"context"
	"time"
)

// State is a change of the connection, as [Config.State] is told.
type State struct {
	// Up: a stream is up, the roster is fetched and our presence sent.
	Up bool
	// Fresh belongs to Up: this is a new login, not the resumption of the
	// stream before it (XEP-0198 section 5). Whatever depended on the old
	// stream is gone: iq round trips have failed with ErrSessionLost, in-band
	// streams have ended, the server has forgotten our presence.
	Fresh bool
	// Unacked belongs to a Fresh Up that is not the first: how many stanzas of
	// the stream before it may not have arrived. None was sent again.
	Unacked int
	// Err says why the stream is down, or why it could not be had again.
	Err error
	// RetryIn is the time until the next attempt.
	RetryIn time.Duration
}

// Lost returns a channel that is closed when the stream that is up now is lost
// without being resumed (XEP-0198 section 5), or when the session ends. A
// resumption does not close it, and while one is being tried it is that of the
// stream to be resumed. With no stream up it is closed already.
//
// It is what depends on one stream has to watch; what can wait for the next
// one watches Done.
func (s *Session) Lost() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return s.bound.ctx.Done()
}

// WaitOnline waits until a stream is up and announced, which it is as long as
// nobody has noticed the contrary. When the session has ended its error is
// that of Err, or ErrClosed after Close.
func (s *Session) WaitOnline(ctx context.Context) error {
	s.mu.Lock()
	online := s.online
	s.mu.Unlock()
	select {
	case <-s.done:
		return s.ended()
	default:
	}
	select {
	case <-online:
		return nil
	case <-s.done:
		return s.ended()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ended says why the session has.
func (s *Session) ended() error {
	if err := s.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// tell reports a change of the connection.
func (s *Session) tell(st State) {
	if s.cfg.State != nil {
		s.cfg.State(st)
	}
}
