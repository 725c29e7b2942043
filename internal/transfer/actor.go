package transfer

import (
	"context"

	"jetsend/internal/conversation"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/profile"
)

// Who owns what:
//
//  1. The endpoint owns the table of actors. Every goroutine of the package belongs to
//     an actor, to the endpoint or to a run, or is a child that one of these joins.
//  2. An actor has two contexts: its life, which ends with a cause by stop, and that of
//     its session of the moment, a child that [conversation.Conversation.Step] cancels. Nobody else
//     derives one; deadlines are timers of step.
//  3. A function that ends a row takes no context: nothing may keep the end from being
//     written down.
//  4. A function that the dispatcher of the stream calls hands sessions over and does
//     nothing else.
//  5. To supersede a session of this process its actor is told of the newer one, which
//     it takes when the older one has ended. Polling is for other processes only.
//  6. The end of a transfer is reported once, by the opener of its actor.

// end is one end of a transfer, as far as a session of it goes.
type end interface {
	// Accept agrees with the other end on what of the transfer the session carries.
	Accept(c *conversation.Conversation) (profile.Span, error)
	// Move brings that over the path, which stands.
	Move(c *conversation.Conversation, s profile.Span) error
	// Confirm has both ends know that it is there.
	Confirm(c *conversation.Conversation, s profile.Span) error
}

// opener brings about the sessions of a transfer: we open them, or the contact does.
type opener interface {
	// Open returns the next session, and the end that it is for: nil when there is nothing
	// left to be done in one.
	Open() (*conversation.Conversation, end, error)
	// After is told how that ended: nil, when it has carried what was agreed. It writes
	// that down, and reports whether there may be another session; else the end of the
	// transfer in this run has been reported.
	After(err error) (more bool)
}

// run is the life of an actor, which is one transfer in this process: it takes one session
// after the other. life is the context of them all.
func run(life context.Context, o opener) {
	for more := true; more; {
		c, x, err := o.Open()
		if err == nil && x != nil {
			err = converse(c, x)
		}
		if c != nil {
			c.Close()
		}
		more = o.After(fault.Cause(life, err))
	}
}

// converse takes a session to its end: it agrees on what it carries, finds the path, moves
// and confirms. An error goes to the peer before the path ends, so that it knows why.
func converse(c *conversation.Conversation, x end) error {
	s, err := x.Accept(c)
	if err == nil {
		err = c.Connect()
	}
	if err == nil {
		err = x.Move(c, s)
	}
	if err == nil {
		err = x.Confirm(c, s)
	}
	if err != nil {
		c.Terminate(err)
	}
	return err
}

// left is how a session left its transfer.
type left struct {
	err       error
	done      bool          // the transfer is complete, which has been reported
	code      exitcode.Code // of one that is
	moved     int64         // bytes of the file so far
	resumable bool
	lost      error // that could not be written down, or let go of
}
