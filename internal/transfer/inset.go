package transfer

import (
	"context"

	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/journal"
)

// isSet reports whether what is received is a set.
func (d *download) isSet() bool { return d.sink.Row().Source == journal.SourceSet }

// expect has a set that is offered in the book, as far as the offer tells what it is.
func (in *incoming) expect(known journal.Row) {
	s := in.set()
	if s == nil {
		return
	}
	in.down.listed = s.Listed
	in.down.tally = in.e.book.Open(in.head, s.Items, in.down.listed.Beside(in.e.rows().Arguments(known.Key)))
	in.down.tally.Describe(clean.Text(in.file.Description))
}

// moveSet is Move for a set. What is told is told on the way.
func (d *download) moveSet(c *conversation.Conversation) error {
	// We have asked for it; or the end of the session before was told when this one had been
	// offered, and was the end of the arguments as well.
	if d.tally == nil || d.tally.Ended() {
		row := d.sink.Row()
		d.tally = d.e.book.Open(d.head, row.Items, d.listed.Beside(d.e.rows().Arguments(row.Key)))
		d.tally.Describe(row.Description)
	}
	return c.Step(conversation.Needs{Path: true}, func(ctx context.Context) error {
		s, err := d.e.carrier().Begin(ctx, c, func(ctx context.Context) error { return d.sink.Run(ctx, 0) })
		if err != nil {
			return err
		}
		return s.Receive(ctx, d.sink, d.listed, d.tally, d.pay, d.hooked)
	})
}

// hooked tells of an argument, or a file, that was released.
func (d *download) hooked(of event.Received) {
	if d.how.released != nil {
		d.how.released(of)
	}
}

// pay charges the contact who offers what is read here for that.
func (d *download) pay(ctx context.Context, chunks int) error {
	if d.reader == nil {
		return nil
	}
	return d.reader(ctx, func(pay charge.Payment) error { return pay(ctx, chunks) })
}
