package transfer

import (
	"context"

	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/records"
	"jetsend/internal/set"
	"jetsend/internal/tally"
)

// isSet reports whether what is received is a set.
func (d *download) isSet() bool { return d.sink.Row().Source == journal.SourceSet }

// expect has a set that is offered in the book, as far as the offer tells what it is.
func (in *incoming) expect(known journal.Row) {
	s := in.set()
	if s == nil {
		return
	}
	all := in.e.rows().Arguments(known.Key)
	in.down.listed = s.Listed
	for i := len(all); i < len(s.Listed); i++ {
		l := s.Listed[i]
		all = append(all, journal.Argument{Number: i, Name: l.Name, Folder: l.Directory, Size: l.Bytes, Entries: l.Entries})
	}
	in.down.tally = in.e.book.Open(in.head, s.Items, all)
	in.down.tally.Describe(clean.Text(in.file.Description))
}

// listedAs reports whether the offer of a set lists what is known of it: what was said yes
// to is not exchanged for something else between two sessions.
func (in *incoming) listedAs(known journal.Row) bool {
	listed := in.set().Listed
	for i, a := range in.e.rows().Arguments(known.Key) {
		if i < len(listed) && (profile.AsListed(a.Name) != listed[i].Name || a.Folder != listed[i].Directory) {
			return false
		}
	}
	return true
}

// inscribe writes down what the offer of a set lists, which another offer has to list as well
// to go on with it. What is known by an index says more.
func (d *download) inscribe(ctx context.Context) error {
	known, err := d.sink.Handle().Arguments(ctx)
	if err != nil {
		return err
	}
	var more []journal.Argument
	for i := len(known); i < len(d.listed); i++ {
		l := d.listed[i]
		more = append(more, journal.Argument{Number: i, Name: l.Name, Folder: l.Directory, Size: l.Bytes, Entries: l.Entries})
	}
	return d.sink.Handle().SetArguments(ctx, more)
}

// hold refuses an argument that has another name, or is of another kind, than was offered.
func (d *download) hold(number int, a set.Argument) error {
	offered := d.tally.Name(number)
	if number < len(d.listed) {
		if l := d.listed[number]; l.Directory != (len(a.Folder) > 0) {
			return set.Refuse("argument %d is not the file, or the directory, that was offered", number)
		}
		offered = d.listed[number].Name
	}
	if offered != "" && profile.AsListed(offered) != profile.AsListed(a.Name) {
		return set.Refuse("argument %d is %.80q, which was offered as %.80q", number, a.Name, offered)
	}
	return nil
}

// moveSet is Move for a set. What is told is told on the way.
func (d *download) moveSet(c *conversation.Conversation) error {
	if d.tally == nil { // we have asked for it
		row := d.sink.Row()
		d.tally = d.e.book.Open(d.head, row.Items, d.e.rows().Arguments(row.Key))
		d.tally.Describe(row.Description)
	}
	return c.Step(conversation.Needs{Path: true}, func(ctx context.Context) error {
		if err := c.Session.BeginStream(); err != nil {
			return err
		}
		if err := d.sink.Run(ctx, 0); err != nil {
			return err
		}
		link, err := records.Open(ctx, c.Dialect, c.Path, &d.e.sending, &d.e.receiving)
		if err != nil {
			return err
		}
		d.e.goesOn(d.head, d.sink.Row())
		run := tally.NewRun(d.tally, d.sink.Handle(), d.e.log, d.sink.Row().Size)
		defer run.Close(true)
		run.Ended = func(e event.Event) {
			if of, is := e.(event.Received); is && d.how.released != nil {
				d.how.released(of)
			}
		}
		var into *tally.Followed
		reading, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		row := d.sink.Row()
		r := set.NewReceiver(link, set.ReceiveOptions{
			Arguments: row.Items, Entries: uint64(row.Entries), Patience: setPatience, Ended: stop,
			Moved: func(number uint64, n int) { into.Moved(number, n) },
		})
		into = run.Follow(r.Settled)
		into.Hold = d.hold
		if err := d.sink.Set(reading, into, d.pay, r.Fail); err != nil {
			return err
		}
		_, err = r.Run(ctx, into)
		return err
	})
}

// goesOn reports that a session goes on with a set.
func (e *core) goesOn(head event.Head, row journal.Row) {
	if row.Durable > 0 {
		e.cfg.Report(event.Resumed{Head: head, Offset: row.Durable})
	}
}

// pay charges the contact who offers what is read here for that.
func (d *download) pay(ctx context.Context, chunks int) error {
	if d.reader == nil {
		return nil
	}
	return d.reader(ctx, func(pay charge.Payment) error { return pay(ctx, chunks) })
}
