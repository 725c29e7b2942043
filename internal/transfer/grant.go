package transfer

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/charge"
	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/goods"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/source"
	"jetsend/internal/tally"
)

// serves reports whether requests of somebody are looked at. It is called on the
// stream's dispatcher and touches no key.
func (r *receiver) serves(from jid.JID) bool {
	return r.work.HasRoom() && r.e.people().IsContact(from.Bare())
}

// ungranted logs a request that came to nothing.
func (in *incoming) ungranted(err error) {
	in.e.log.Info("request refused", "peer", in.sess.Peer(), "error", fault.NotBegun(err))
}

// grant checks a request for the rest of a file that was offered to the contact, and
// takes the transfer that it is for. A file that cannot be had is refused in one and
// the same way, so that nobody learns which transfers there are; only the device that a
// transfer was offered to is told, under seal, that it is over or paused.
func (in *incoming) grant(ctx context.Context) (done bool, err error) {
	if err := in.public(jingle.SenderResponder); err != nil {
		return false, fault.ErrRefused
	}
	var distrusted *omemo.TrustError
	if err := in.open(ctx); errors.As(err, &distrusted) {
		return false, fault.ErrRefused
	} else if err != nil {
		return false, err
	}
	o := in.d.Sealed()
	if !in.seals() || in.terms.NoServe {
		return false, fault.ErrRefused
	}
	row, err := in.e.journal.Offered(ctx, o.Transfer, in.dev.JID, in.dev.IdentityKey)
	switch {
	case err != nil && !errors.Is(err, journal.ErrUnknown):
		in.e.log.Error("journal", "error", err)
		return false, fault.ErrRefused
	case err != nil, row.Size != o.File.Size:
		return false, fault.ErrRefused
	case row.State.Over(): // a device that was offered it knows that it was
		return false, fault.ErrGone
	case row.State.Live():
		return false, fault.ErrRunning // our own session for it wins
	case row.Paused == journal.PausedHere:
		return false, fault.ErrPaused
	}
	g, err := in.reopen(ctx, &row)
	if errors.Is(err, source.ErrChanged) {
		in.e.rows().Fail(row, err)
		return false, fmt.Errorf("%w: %w", fault.ErrGone, err)
	}
	if err != nil {
		in.e.log.Info("the file that was offered is not there any more", "transfer", row.ID, "error", err)
		return false, fault.ErrRefused
	}
	handle, err := in.e.journal.Begin(ctx, row)
	if err != nil {
		g.Close()
		if !errors.Is(err, journal.ErrRunning) {
			in.e.log.Error("journal", "error", err)
			err = fault.ErrRefused
		}
		return false, err
	}
	in.head = tally.HeadOfRow(row, in.sess.Peer())
	in.talk.Head = in.head
	in.up = &upload{
		e: in.e, src: g.Sources[0], set: g.Set, row: handle, form: dialect.FormJetsend, begun: in.begun, head: in.head, accepted: true,
		reader: in.reader, paths: in.terms.Route, marks: &in.r.readings,
	}
	if err := in.up.enter(ctx); err != nil {
		in.e.log.Error("journal", "error", err)
		return false, fault.ErrRefused
	}
	in.looked()
	return false, nil
}

// reader reads for the contact, whose sessions take turns and who is charged for it.
func (in *incoming) reader(ctx context.Context, f func(charge.Payment) error) error {
	return in.r.readings.Turn(ctx, in.sess.Peer().Bare(), f)
}

// errGrown says that a set has more than was offered, which the contact would refuse.
var errGrown = errors.New("there is more than was offered")

// reopen opens the source of a transfer for the contact. A directory is looked through
// each time.
func (in *incoming) reopen(ctx context.Context, row *journal.Row) (g *goods.Goods, err error) {
	err = in.reader(ctx, func(pay charge.Payment) error {
		if err := pay(ctx, 1); err != nil {
			return err
		}
		if g, err = in.e.opener().Again(ctx, row); err != nil {
			return err
		}
		if err := pay(ctx, g.Inside()/charge.FilesPerChunk); err != nil { // more was not known before
			return err
		}
		if g.Set != nil && g.Set.Grown(row, in.e.rows().Arguments(row.Key)) {
			return errGrown
		}
		return nil
	})
	if err != nil && g != nil {
		g.Close()
	}
	return g, err
}
