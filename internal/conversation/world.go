// Package conversation is one Jingle session about one transfer: what is said in it, in
// its order, what is awaited, and what ends it. [Conversation.Step] is the one place that
// knows all the ways in which a session ends.
package conversation

import (
	"context"
	"log/slog"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/event"
	"jetsend/internal/fault"
)

// Account is what a conversation needs of the account online.
type Account interface {
	// Done is closed when the connection to the server is gone for good.
	Done() <-chan struct{}
	// Lost is closed when the stream that is up now is lost for good; WaitOnline
	// returns when one is up.
	Lost() <-chan struct{}
	WaitOnline(context.Context) error
}

// Timing are the waits of a conversation.
type Timing struct {
	// Word bounds one try to bring the peer a word of ours, and Words are the pauses
	// between the tries while one of us cannot be reached.
	Word  time.Duration
	Words backoff.Backoff
	// Watch is the pace of asking whether the peer still knows the session.
	Watch time.Duration
	// LostWord is how long a word is awaited that the peer may have sent while we
	// were away; it tries again for about as long.
	LostWord time.Duration
	// Reason is how long a lost path waits for the peer's own word on it.
	Reason time.Duration
	// Goodbye is how long a sender waits for the receiver's terminate after the
	// receipt, before it ends the session itself.
	Goodbye time.Duration
	// Checksum is how long a receiver that has the whole file, its tag verified, waits
	// for a checksum that the offer announced. The document does not oblige the sender to
	// tell it.
	Checksum time.Duration
}

// World is what is around a conversation.
type World struct {
	Account Account
	Timing  Timing
	// Back is when the latest login after the first was, nil for none.
	Back   func() *time.Time
	Report func(event.Event)
	Log    *slog.Logger
}

// Gone reports whether the account is offline for good.
func Gone(a Account) bool {
	select {
	case <-a.Done():
		return true
	default:
		return false
	}
}

// Sleep waits, unless ctx or the connection to the server ends before.
func Sleep(ctx context.Context, a Account, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.Done():
		return fault.ErrStreamLost
	}
}
