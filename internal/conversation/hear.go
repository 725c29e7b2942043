package conversation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

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

// HearAll hears what has come.
func (c *Conversation) HearAll() {
	for c.Session != nil {
		select {
		case ev, open := <-c.Session.Events():
			if !open {
				return
			}
			c.hear(ev)
		default:
			return
		}
	}
}

// LookNow gives what has come to look.
func (c *Conversation) LookNow(look func(*xmltree.Element) (bool, error)) (found bool, err error) {
	c.HearAll()
	return c.words.look(look)
}

// hear hands what the session says to whom it is for.
func (c *Conversation) hear(ev jingle.Event) {
	switch ev.Action {
	case jingle.SessionAccept:
		c.accepted <- *ev.Content // once
	case jingle.SessionInfo:
		c.words.add(ev.Payload)
	case jingle.TransportInfo, jingle.TransportReplace:
		if c.looking {
			c.Route.Hear(ev)
		} else {
			c.early = append(c.early, ev)
		}
	case jingle.SessionTerminate:
		c.ended, c.reason, c.byPeer = true, ev.Reason, ev.ByPeer
	}
}

// endError is the end of the session as an error. One that we made in an answer's place
// was because of what the peer said in our back: an answer that does not fit.
func (c *Conversation) endError(answer bool) error {
	switch {
	case c.byPeer:
		return c.EndedWith(c.reason)
	case Gone(c.world.Account):
		return fault.ErrStreamLost
	case !answer:
		return fault.ErrEnded
	}
	return fmt.Errorf("%w: the answer does not fit the offer (%s)", c.Dialect.Form().Misfit(), c.reason.Condition)
}

// Await gives the infos of the session to look until that says that it has what
// it looks for. Those that came right before the end of the session count, and
// late is the error when patience ends first.
func (c *Conversation) Await(patience time.Duration, late error, look func(info *xmltree.Element) (bool, error)) error {
	return c.Step(Needs{Alive: true}, func(ctx context.Context) error {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		lost := c.world.Account.Lost()
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
				timer.Reset(min(patience, c.world.Timing.LostWord))
			}
		}
	})
}

// AwaitAccept waits for the contact's accept, until late, which is the error silent, or
// until look has found what it looks for.
func (c *Conversation) AwaitAccept(n Needs, late <-chan time.Time, silent error, look func(*xmltree.Element) (bool, error)) error {
	return c.Step(n, func(ctx context.Context) error {
		for {
			if found, err := c.words.look(look); found || err != nil {
				return err
			}
			select {
			case c.Agreed = <-c.accepted:
				c.Remote = c.Agreed.Transport
				return nil
			case <-c.words.filled:
			case <-late:
				return silent
			case <-ctx.Done():
				if found, err := c.words.look(look); found || err != nil {
					return err
				}
				return context.Cause(ctx)
			}
		}
	})
}
