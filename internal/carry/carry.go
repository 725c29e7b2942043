// Package carry brings sets through the sessions of a transfer, at either end: over the
// records of the path of each, with what is written down and told of them, and held to what
// was offered.
package carry

import (
	"context"
	"log/slog"
	"time"

	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/records"
	"jetsend/internal/set"
	"jetsend/internal/sink"
	"jetsend/internal/stream"
	"jetsend/internal/tally"
)

// patience is how long the other end of a set may get nothing on: it may have a large
// file to read, or a slow disk to write to.
const patience = 15 * time.Minute

// Carrier carries the sets of an endpoint.
type Carrier struct {
	Book *tally.Book
	// Sending and Receiving are the rates of the process.
	Sending, Receiving *stream.Rate
	Report             func(event.Event)
	Log                *slog.Logger
}

// Enter writes down what a set is made of that is sent, and has it in the book.
func (k Carrier) Enter(ctx context.Context, head event.Head, s *outset.Set, row *journal.Handle) (*tally.Set, error) {
	if err := row.SetArguments(ctx, s.Entries()); err != nil {
		return nil, err
	}
	all, err := row.Arguments(ctx)
	if err != nil {
		return nil, err
	}
	return k.Book.Open(head, len(all), all), nil
}

// Arrived writes down and reports the arguments of a set that is sent of which the stream has
// not told the end: of one that had arrived before, by the receiver's word that so many
// entries have failed.
func (k Carrier) Arrived(book *tally.Set, row *journal.Handle, failed int64) {
	ended := book.Arrived(failed)
	if len(ended) == 0 {
		return
	}
	if err := row.UpdateArguments(context.Background(), ended); err != nil {
		k.Log.Error("journal", "transfer", row.Row().ID, "error", err)
	}
}

// Session is a session from its first byte on.
type Session struct {
	carrier Carrier
	link    set.Records
	head    event.Head
}

// Begin begins to move. run notes that in the row, before a byte goes out.
func (k Carrier) Begin(ctx context.Context, c *conversation.Conversation, run func(context.Context) error) (*Session, error) {
	if err := c.Session.BeginStream(); err != nil {
		return nil, err
	}
	if err := run(ctx); err != nil {
		return nil, err
	}
	link, err := records.Open(ctx, c.Dialect, c.Path, k.Sending, k.Receiving)
	if err != nil {
		return nil, err
	}
	return &Session{carrier: k, link: link, head: c.Head}, nil
}

// Send sends a set whose row is held. It returns how many bytes need not be sent again.
func (s *Session) Send(ctx context.Context, of *outset.Set, book *tally.Set, row *journal.Handle) (durable int64, err error) {
	s.goesOn(row.Row())
	run := tally.NewRun(book, row, s.carrier.Log, of.Bytes())
	_, err = set.Send(ctx, s.link, of.Begin(row.Row().ID), set.SendOptions{Settled: run.Settled, Moved: run.Moved, Patience: patience})
	return run.Close(false), err
}

// Receive receives a set. pay is called before what is here is read, and released is told
// of every argument that is there.
func (s *Session) Receive(ctx context.Context, into *sink.File, listed Listed, book *tally.Set, pay sink.Reading, released func(event.Received)) error {
	row := into.Row()
	s.goesOn(row)
	run := tally.NewRun(book, into.Handle(), s.carrier.Log, row.Size)
	defer run.Close(true)
	run.Ended = func(e event.Event) {
		if of, is := e.(event.Received); is {
			released(of)
		}
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var target *tally.Followed
	r := set.NewReceiver(s.link, set.ReceiveOptions{
		Arguments: row.Items, Entries: uint64(row.Entries), Patience: patience, Ended: stop,
		Moved: func(number uint64, n int) { target.Moved(number, n) },
	})
	target = run.Follow(r.Settled)
	target.Hold = func(number int, a set.Argument) error { return listed.hold(number, a, book.Name(number)) }
	if err := into.Set(reading, target, pay, r.Fail); err != nil {
		return err
	}
	_, err := r.Run(ctx, target)
	return err
}

// goesOn reports that a session goes on with a set.
func (s *Session) goesOn(row journal.Row) {
	if row.Durable > 0 {
		s.carrier.Report(event.Resumed{Head: s.head, Offset: row.Durable})
	}
}
