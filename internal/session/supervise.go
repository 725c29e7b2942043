package session

import (
	"encoding/xml"
	"errors"
	"time"
)

// supervise watches the stream and brings up another one after it, until the
// session is closed or there is no use in going on.
func (s *Session) supervise(st *stream) {
	for {
		up := time.Now()
		err := s.watch(st)
		s.down()
		if time.Since(up) >= backoffStable {
			s.backoff.Reset()
		}
		next, err := s.reconnect(st.b, err)
		if err != nil {
			s.end(lost(err))
			close(s.inbox) // the readers were its only senders, and this goroutine
			return
		}
		fresh := next.b != st.b
		st = next
		s.presence.wake()
		s.log.Info("online again", "resumed", !fresh)
		s.tell(State{Up: true, Fresh: fresh, Unacked: s.unacked})
		s.unacked = 0
	}
}

// reconnect brings the next stream up, however long it takes: by resuming b,
// as long as that is possible, or by a new login. It returns an error when the
// session is closing or why is of a kind that will not pass.
func (s *Session) reconnect(b *binding, why error) (*stream, error) {
	prev := b
	var expiry <-chan time.Time
	if broken(why) {
		timer := time.NewTimer(b.sm.resumeFor())
		defer timer.Stop()
		expiry = timer.C
	} else {
		b.sm.drop()
	}
	s.redirected(why)
	for {
		if s.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if !s.cfg.Reconnect || permanent(why) {
			return nil, why
		}
		if prev != nil && !prev.sm.resumable() {
			s.lose(prev, why)
			prev, expiry = nil, nil
		}
		wait := s.retryIn(why)
		s.log.Info("offline", "error", why, "retry_in", wait)
		s.tell(State{Err: why, RetryIn: wait})
		if s.pause(wait, expiry) {
			prev.sm.drop() // the server has given it up
			s.lose(prev, why)
			prev, expiry = nil, nil
		}
		st, err := s.connect(s.ctx, prev)
		if err == nil {
			return st, nil
		}
		why = err
	}
}

// pause waits for d, but not over the sleep of the machine: after that the
// network is another one. It reports whether expiry came first.
func (s *Session) pause(d time.Duration, expiry <-chan time.Time) (expired bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	tick := time.NewTicker(s.tick)
	defer tick.Stop()
	clock := wallClock{now: s.wall, last: s.wall()}
	for {
		select {
		case <-s.ctx.Done():
			return false
		case <-timer.C:
			return false
		case <-expiry:
			return true
		case <-tick.C:
			if clock.jumped(s.tick) {
				s.backoff.Reset()
				return false
			}
		}
	}
}

// permanent reports whether trying again is of no use, or not ours to decide,
// after a login that went well: a login refused, which repeated may lock the
// account, a domain that is not served, a resource that another program has
// taken; each only as the word of who has proved to be the server. A word that
// anybody on the line may say passes: that there is no encryption, or a
// certificate that does not prove the domain, as behind the door of a hotel's
// network.
func permanent(err error) bool {
	var (
		far    *UnreachableError
		auth   *AuthError
		stream *StreamError
	)
	switch {
	case errors.As(err, &far):
		return false // what one of several hosts says
	case errors.As(err, &auth):
		return !auth.Temporary() && !errors.Is(err, ErrPlaintext) // all others come by TLS
	case errors.As(err, &stream) && stream.proved:
		switch stream.Condition {
		case "conflict", "host-unknown", "host-gone", "not-authorized":
			return true
		}
	}
	return false
}

// broken reports whether the stream was cut off, so that it can be resumed. One
// that the server has ended, even with an error, is over (XEP-0198 section 5),
// and after nonsense the same would come again.
func broken(err error) bool {
	var (
		stream *StreamError
		syntax *xml.SyntaxError
	)
	if errors.As(err, &stream) || errors.As(err, &syntax) {
		return false
	}
	for _, end := range []error{ErrStreamEnd, errRestricted, errStrayText, errHardLimit, errAckTooHigh, errAckFormat, errDeaf} {
		if errors.Is(err, end) {
			return false
		}
	}
	return true
}

// retryIn is the pause before the attempt after one that failed for why.
func (s *Session) retryIn(why error) time.Duration {
	var (
		stream *StreamError
		cert   *CertificateError
	)
	switch {
	case errors.As(why, &stream) && stream.Condition == "system-shutdown":
		return s.backoff.AtLeast(backoffShutdown)
	case errors.As(why, &cert) && !errors.As(why, new(*UnreachableError)):
		return s.backoff.AtLeast(s.backoff.Last / 2) // somebody has to do something first
	}
	return s.backoff.Next()
}
