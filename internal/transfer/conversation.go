package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// conversation is one Jingle session about one transfer, in one dialect, and what its
// sealed elements are bound to. Either end may be the one that sends the file, and
// either one may have opened the session.
//
// Its steps run one after the other, each as a child of [conversation.step], which alone
// hears what the session says and alone ends the session's context.
type conversation struct {
	e    *Endpoint
	head Head
	sess *jingle.Session // nil until the peer has our offer
	d    dialect.Dialect // nil before the offer of a contact is read
	// devices are those of the other end that have the secret.
	devices []omemo.Device

	paths   RouteOptions // of the answer to an offer of the contact
	route   *route.Route
	early   []jingle.Event   // about the path, before it is looked for
	looking bool             // for the path
	remote  *xmltree.Element // the peer's transport
	path    *bytestream      // once it stands
	found   func()           // called when it does, or will not; may be nil
	leave   func()           // gives back the place of the session; may be nil

	agreed jingle.Content // the contact's accept of our offer
	prefix string         // SHA-256 in hex of what the receiver has, as its accept says

	ctx    context.Context         // of the session: what ended it is its cause
	cancel context.CancelCauseFunc // called by step
	// wake says that the actor has been told something, which woken looks at: an error
	// ends the session. Both are nil for an actor that is told nothing.
	wake  <-chan struct{}
	woken func() error
	lost  <-chan struct{} // the stream to the server that the session was opened on

	// Of step.
	accepted chan jingle.Content
	words    mailbox
	ended    bool
	reason   jingle.Reason // why it ended
	byPeer   bool          // and by whom
}

// converseIn is a conversation that has no session yet. life is the context of its actor.
func (e *Endpoint) converseIn(life context.Context, head Head) *conversation {
	c := &conversation{
		e: e, head: head,
		accepted: make(chan jingle.Content, 1), words: mailbox{filled: make(chan struct{}, 1)},
	}
	c.ctx, c.cancel = context.WithCancelCause(life)
	return c
}

// close lets go of the path and wipes the secret. What is still to be said is said
// before: it may be sealed.
func (c *conversation) close() {
	if c.path != nil {
		_ = c.path.Close()
	}
	if c.route != nil {
		c.route.Close()
	}
	if c.d != nil {
		c.d.Secret().Wipe()
	}
	if c.found != nil {
		c.found()
	}
	if c.leave != nil {
		c.leave()
	}
	c.cancel(nil)
}

// mailbox holds the session-infos that nobody has looked at. How many a peer can have in
// it is bounded by package jingle.
type mailbox struct {
	mu     sync.Mutex
	list   []*xmltree.Element
	filled chan struct{} // something came
}

func (m *mailbox) add(x *xmltree.Element) {
	m.mu.Lock()
	m.list = append(m.list, x)
	m.mu.Unlock()
	select {
	case m.filled <- struct{}{}:
	default: // known already
	}
}

// look gives what came to f, in order, until that has what it looks for.
func (m *mailbox) look(f func(*xmltree.Element) (bool, error)) (found bool, err error) {
	for {
		m.mu.Lock()
		if len(m.list) == 0 {
			m.mu.Unlock()
			return false, nil
		}
		x := m.list[0]
		m.list = m.list[1:]
		m.mu.Unlock()
		if found, err := f(x); found || err != nil {
			return found, err
		}
	}
}

// needs says on what a step depends beside the session.
type needs struct {
	run    context.Context // of what is not decided yet, in a run of Receive; may be nil
	server bool            // the stream to the server that the session was opened on
	path   bool            // the path, over which the file goes: in-band, over that stream as well
	alive  bool            // the contact's jetsend, which is asked whether it still knows the session
}

// step runs f as its child while it listens: to the session, to the stream to the server
// and to the actor. This is the one place that knows all the ways in which a session
// ends: each of them ends the context of f, which is that of the session, and is its
// cause. What f looks at came before.
func (c *conversation) step(n needs, f func(ctx context.Context) error) error {
	c.hearAll()
	l := c.listen(n)
	defer l.stop()
	done := make(chan error, 1)
	go func() { done <- f(c.ctx) }()
	for {
		select {
		case err := <-done:
			if l.explains(err) {
				done = nil // the session may say more
				break
			}
			return causeOf(c.ctx, l.verdict(err))
		case <-l.late:
			return causeOf(c.ctx, l.verdict(l.failed))
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
				return causeOf(c.ctx, l.verdict(l.failed))
			}
			l.end()
		case <-l.grace:
			c.cancel(c.endError())
		case <-l.lost:
			l.lost = nil
			c.cancel(errStreamLost)
		case <-l.gone:
			l.gone = nil
			c.cancel(errStreamLost)
		case <-l.over:
			l.over = nil
			c.cancel(context.Cause(n.run))
		case <-c.wake:
			if err := c.woken(); err != nil {
				c.cancel(err)
			}
		case <-l.tick:
			l.ask()
		case err := <-l.asked:
			l.asked = nil
			if l.missed(err) {
				c.cancel(errPeerGone)
			}
		}
	}
}

// listener is what step listens to.
type listener struct {
	c       *conversation
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
	stopped []func()
}

func (c *conversation) listen(n needs) *listener {
	l := &listener{c: c, gone: c.e.sess.Done()}
	if c.sess != nil {
		l.events = c.sess.Events()
	}
	if n.run != nil {
		l.over = n.run.Done()
	}
	l.moves = n.path
	if n.server || n.path && c.path.Transport == IBB {
		l.lost = c.lost
	}
	if n.alive && c.d.Form().Seals() {
		t := time.NewTicker(c.e.timing.watchEvery)
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
		<-l.asked
	}
}

func (l *listener) after(d time.Duration) <-chan time.Time {
	t := time.NewTimer(d)
	l.stopped = append(l.stopped, func() { t.Stop() })
	return t.C
}

// end ends the session's context, or leaves what is under way in-band time to be
// acknowledged: Conversations says success before it acknowledges the last block.
func (l *listener) end() {
	if l.moves && l.c.path.Settling(l.c.reason, l.c.byPeer) {
		l.grace = l.after(lateAcks)
		return
	}
	l.c.cancel(l.c.endError())
}

// explains reports whether the session may say more about what ended a step, and has
// step wait for it: a peer that leaves closes its socket as well, and the socket is often
// faster.
func (l *listener) explains(err error) bool {
	if err == nil || l.c.ended || l.c.ctx.Err() != nil || !fault.Of(err).Cut {
		return false
	}
	l.failed, l.late = err, l.after(l.c.e.timing.reasonTime)
	return true
}

// verdict prefers the peer's own word on the end of the session over what the end did to
// the step.
func (l *listener) verdict(err error) error {
	if err != nil && l.c.ended && l.c.byPeer && fault.Of(err).Cut {
		return l.c.endError()
	}
	return err
}

// ask asks the contact's jetsend whether it still knows the session (XEP-0166 section
// 6.9: a session-info without payload): a process that was killed says no farewell.
func (l *listener) ask() {
	if l.asked != nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.c.ctx, l.c.e.timing.watchEvery)
	asked := make(chan error, 1)
	l.asked, l.hangUp = asked, cancel
	go func() { // joined by step, which waits for the answer, or by stop
		defer cancel()
		asked <- l.c.sess.Info(ctx, nil)
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
func (c *conversation) tellsGone(err error) bool {
	var refused *stanza.Error
	if !errors.As(err, &refused) || codeOfIQ(refused) != exitcode.Offline {
		return false
	}
	back := c.e.back.Load()
	return refused.Condition == stanza.ItemNotFound || back == nil || time.Since(*back) > c.e.timing.lostWordTime
}

// hearAll hears what has come.
func (c *conversation) hearAll() {
	for c.sess != nil {
		select {
		case ev, open := <-c.sess.Events():
			if !open {
				return
			}
			c.hear(ev)
		default:
			return
		}
	}
}

// lookNow gives what has come to look.
func (c *conversation) lookNow(look func(*xmltree.Element) (bool, error)) (found bool, err error) {
	c.hearAll()
	return c.words.look(look)
}

// hear hands what the session says to whom it is for.
func (c *conversation) hear(ev jingle.Event) {
	switch ev.Action {
	case jingle.SessionAccept:
		c.accepted <- *ev.Content // once
	case jingle.SessionInfo:
		c.words.add(ev.Payload)
	case jingle.TransportInfo, jingle.TransportReplace:
		if c.looking {
			c.route.Hear(ev)
		} else {
			c.early = append(c.early, ev)
		}
	case jingle.SessionTerminate:
		c.ended, c.reason, c.byPeer = true, ev.Reason, ev.ByPeer
	}
}

// endError is the end of the session as an error. When we ended it ourselves, that
// was because of what the peer said in our back: an answer that does not fit.
func (c *conversation) endError() error {
	switch {
	case c.byPeer:
		return c.endedWith(c.reason)
	case c.e.gone():
		return errStreamLost
	}
	return fmt.Errorf("%w: the answer does not fit the offer (%s)", c.d.Form().Misfit(), c.reason.Condition)
}

// await gives the infos of the session to look until that says that it has what
// it looks for. Those that came right before the end of the session count, and
// late is the error when patience ends first.
func (c *conversation) await(patience time.Duration, late error, look func(info *xmltree.Element) (bool, error)) error {
	return c.step(needs{alive: true}, func(ctx context.Context) error {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		lost := c.e.sess.Lost()
		for {
			if found, err := c.words.look(look); found || err != nil {
				return err
			}
			select {
			case <-c.words.filled:
			case <-timer.C:
				return late
			case <-ctx.Done():
				if found, err := c.words.look(look); found || err != nil {
					return err
				}
				return context.Cause(ctx)
			case <-lost: // what is awaited may have been lost with it
				lost = nil
				timer.Reset(min(patience, c.e.timing.lostWordTime))
			}
		}
	})
}
