package conversation

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/route"
	"jetsend/internal/stanza"
)

// Needs says on what a step depends beside the session.
type Needs struct {
	// Run is the context of what is not decided yet, in a run of Receive; nil for none.
	Run context.Context
	// Server: the stream to the server that the session was opened on.
	Server bool
	// Path: the path, over which the file goes: in-band, over that stream as well.
	Path bool
	// Alive: the contact's client, of which an answer is awaited. A jetsend is asked whether
	// it still knows the session.
	Alive bool
	// Heard: what the contact's client has written into the path before it ended the session
	// with success: that may come later than the end.
	Heard bool
}

// Step runs f as its child while it listens: to the session, to the stream to the server
// and to the actor. This is the one place that knows all the ways in which a session
// ends: each of them ends the context of f, which is that of the session, and is its
// cause. The events that f looks at came before.
func (c *Conversation) Step(n Needs, f func(ctx context.Context) error) error {
	c.HearAll()
	l := c.listen(n)
	defer l.stop()
	done := make(chan error, 1)
	go func() { done <- f(c.Context) }()
	for {
		select {
		case err := <-done:
			if l.explains(err) {
				done = nil // the session may say more
				break
			}
			return fault.Cause(c.Context, l.verdict(err))
		case <-l.late:
			return fault.Cause(c.Context, l.verdict(l.failed))
		case ev, open := <-l.events:
			if !open {
				l.events = nil
				break
			}
			c.hear(ev)
			if !c.ended {
				break
			}
			if done == nil {
				return fault.Cause(c.Context, l.verdict(l.failed))
			}
			l.end()
		case <-l.grace:
			c.cancel(c.endError(l.answer))
		case <-l.lost:
			l.lost = nil
			c.cancel(fault.ErrStreamLost)
		case <-l.gone:
			l.gone = nil
			c.cancel(fault.ErrStreamLost)
		case <-l.over:
			l.over = nil
			c.cancel(context.Cause(n.Run))
		case <-c.Wake:
			if err := c.Woken(); err != nil {
				c.cancel(err)
			}
		case <-l.tick:
			l.ask()
		case err := <-l.asked:
			l.asked = nil
			if l.missed(err) {
				c.cancel(fault.ErrPeerGone)
			}
		}
	}
}

// listener is what step listens to.
type listener struct {
	c       *Conversation
	events  <-chan jingle.Event
	lost    <-chan struct{}  // the stream that the session was opened on
	gone    <-chan struct{}  // the connection to the server, for good
	over    <-chan struct{}  // the run decides about nothing any more
	grace   <-chan time.Time // after an end of the session that may be followed by acknowledgements
	late    <-chan time.Time // that long the session's own word on failed is waited for
	failed  error            // how the step ended
	tick    <-chan time.Time
	asked   chan error // the answer of the contact's client
	hangUp  context.CancelFunc
	misses  int
	moves   bool // the file is under way
	answer  bool // an answer of the peer is awaited
	heard   bool // what the peer has written before the end counts
	stopped []func()
}

func (c *Conversation) listen(n Needs) *listener {
	l := &listener{c: c, gone: c.world.Account.Done()}
	if c.Session != nil {
		l.events = c.Session.Events()
	}
	if n.Run != nil {
		l.over = n.Run.Done()
	}
	l.moves, l.answer, l.heard = n.Path, n.Alive, n.Heard
	if n.Server || n.Path && c.Path.Transport == route.IBB {
		l.lost = c.Lost
	}
	if n.Alive && c.Dialect.Form().Seals() {
		t := time.NewTicker(c.world.Timing.Watch)
		l.tick = t.C
		l.stopped = append(l.stopped, t.Stop)
	}
	if c.ended {
		l.end()
	}
	return l
}

// stop joins what the listener has started.
func (l *listener) stop() {
	for _, stop := range l.stopped {
		stop()
	}
	if l.asked != nil {
		l.hangUp()
		if err := <-l.asked; err != nil {
			l.c.world.Log.Debug("a question that nobody waits for any more", "error", err)
		}
	}
}

func (l *listener) after(d time.Duration) <-chan time.Time {
	t := time.NewTimer(d)
	l.stopped = append(l.stopped, func() { t.Stop() })
	return t.C
}

// end ends the session's context, or leaves what is under way in-band time to be
// acknowledged: Conversations says success before it acknowledges the last block. So it
// does for what is still to be heard.
func (l *listener) end() {
	heard := l.heard && l.c.byPeer && l.c.reason.Condition == jingle.Success
	if heard || l.moves && l.c.Path.Settling(l.c.reason, l.c.byPeer) {
		l.grace = l.after(route.LateAcks)
		return
	}
	l.c.cancel(l.c.endError(l.answer))
}

// explains reports whether the session may say more about what ended a step, and has
// step wait for it: a peer that leaves closes its socket as well, and the socket is often
// faster.
func (l *listener) explains(err error) bool {
	if err == nil || l.events == nil || l.c.ended || l.c.Context.Err() != nil || !fault.Of(err).Cut {
		return false
	}
	l.failed, l.late = err, l.after(l.c.world.Timing.Reason)
	return true
}

// verdict prefers the peer's own word on the end of the session over what the end did to
// the step.
func (l *listener) verdict(err error) error {
	if err != nil && l.c.ended && l.c.byPeer && fault.Of(err).Cut {
		return l.c.endError(l.answer)
	}
	return err
}

// ask asks the contact's jetsend whether it still knows the session (XEP-0166 section
// 6.9: a session-info without payload): a process that was killed says no farewell.
func (l *listener) ask() {
	if l.asked != nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.c.Context, l.c.world.Timing.Watch)
	asked := make(chan error, 1)
	l.asked, l.hangUp = asked, cancel
	go func() { // joined by step, which waits for the answer, or by stop
		defer cancel()
		asked <- l.c.Session.Info(ctx, nil)
	}()
}

// missed reports whether the answer to ask means that the contact's client is gone, or
// has not been there for a while: one that lost its server comes back.
func (l *listener) missed(err error) bool {
	if !l.c.tellsGone(err) {
		l.misses = 0
		return false
	}
	var refused *stanza.Error
	l.misses++
	return errors.As(err, &refused) && refused.Condition == stanza.ItemNotFound || l.misses == watchMisses
}

// tellsGone reports whether an answer means that the peer's client is gone. Right
// after a new login of our own it is more likely that the server was away and the
// client, too, is about to come back.
func (c *Conversation) tellsGone(err error) bool {
	var refused *stanza.Error
	if !errors.As(err, &refused) || fault.CodeOfAnswer(refused) != exitcode.Offline {
		return false
	}
	back := c.world.Back()
	return refused.Condition == stanza.ItemNotFound || back == nil || time.Since(*back) > c.world.Timing.LostWord
}
