package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
)

// serves tells whether requests of somebody are looked at. It is called on the
// stream's dispatcher and touches no key.
func (r *receiver) serves(from jid.JID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.closed && r.waiting < maxWaiting && r.e.isContact(from.Bare())
}

// serve answers a request for the rest of a file that was offered to the
// contact. What cannot be had is refused in one and the same way, so that nobody
// learns which transfers there are; only the device that a transfer was offered to is
// told, under seal, that it is over or paused.
func (in *incoming) serve(ctx context.Context) {
	defer in.wipe()
	up, err := in.grant(ctx)
	in.r.looked()
	if err == nil {
		err = in.hand(ctx, up)
	}
	if up == nil || !up.told {
		err = notBegun(err)
	}
	if err != nil {
		in.terminate(ctx, err)
	}
	if up == nil {
		in.e.log.Info("request refused", "peer", in.sess.Peer(), "error", err)
		return
	}
	in.served(ctx, up, err)
}

// grant checks a request and takes the transfer that it is for.
func (in *incoming) grant(ctx context.Context) (*upload, error) {
	ctx, cancel := in.e.during(ctx, in.sess)
	defer cancel(nil)
	defer context.AfterFunc(in.r.deciding, func() { cancel(context.Cause(in.r.deciding)) })()
	public, sec, err := in.public(jingle.SenderResponder)
	if err != nil {
		return nil, errRefused
	}
	var distrusted *omemo.TrustError
	if err := in.open(ctx, public, sec); errors.As(err, &distrusted) {
		return nil, errRefused
	} else if err != nil {
		return nil, causeOf(ctx, err)
	}
	o := in.held.offer
	if o == nil || in.terms.NoServe {
		return nil, errRefused
	}
	row, err := in.e.journal.Offered(ctx, o.Transfer, in.dev.JID, in.dev.IdentityKey)
	switch {
	case err != nil && !errors.Is(err, journal.ErrUnknown):
		in.e.log.Error("journal", "error", err)
		return nil, errRefused
	case err != nil, row.Size != o.File.Size:
		return nil, errRefused
	case row.State.Over(): // who was offered it knows that it was
		return nil, errGone
	case row.State.Live():
		return nil, errRunning // our own session for it wins
	case row.Paused == journal.PausedHere:
		return nil, errPaused
	}
	src, err := in.reopen(ctx, &row)
	if errors.Is(err, errSourceChanged) {
		in.e.failRow(ctx, row, err)
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	if err != nil {
		in.e.log.Info("the file that was offered is not there any more", "transfer", row.ID, "error", err)
		return nil, errRefused
	}
	up := &upload{
		e: in.e, src: src, begun: in.begun,
		head: Head{Transfer: row.ID, Direction: Send, Peer: in.sess.Peer().String(), Name: clean.Text(row.Name)},
	}
	if up.row, err = in.e.journal.Begin(ctx, row); err != nil {
		closeSources([]*source{src})
		if !errors.Is(err, journal.ErrRunning) {
			in.e.log.Error("journal", "error", err)
			err = errRefused
		}
		return nil, err
	}
	return up, nil
}

// reopen opens the source of a transfer for the contact. A directory is looked through
// each time.
func (in *incoming) reopen(ctx context.Context, row *journal.Row) (src *source, err error) {
	err = in.r.readings.turn(ctx, in.sess.Peer().Bare(), func(pay payment) error {
		if err := pay(ctx, 1); err != nil {
			return err
		}
		if src, err = in.e.reopen(ctx, row); err != nil || src.Tree == nil {
			return err
		}
		return pay(ctx, src.Tree.Files/filesPerChunk) // more was not known before
	})
	if err != nil && src != nil {
		closeSources([]*source{src})
	}
	return src, err
}

// hand sends what was asked for.
func (in *incoming) hand(ctx context.Context, up *upload) error {
	if err := in.r.places.enter(ctx, in.sess.Peer().Bare(), in.sess); err != nil {
		return in.talk.reasoned(err)
	}
	defer in.r.places.leave(in.sess.Peer().Bare())
	finding, cancel := in.e.during(ctx, in.sess)
	defer cancel(nil)
	s, err := in.wanted(finding, up)
	if err != nil {
		return err
	}
	in.head = up.head
	up.told = true
	in.r.begin(up.head)
	in.e.cfg.Report(Offer{Head: up.head, Size: s.size, ResumedFrom: s.offset, Directory: up.src.Tree != nil})
	path, hangUp, err := in.establish(finding, s, "")
	cancel(nil)
	if err != nil {
		return in.talk.reasoned(err)
	}
	defer hangUp()
	if err := up.transmit(ctx, in.talk, path, s); err != nil {
		in.terminate(ctx, err)
		return err
	}
	if err := up.confirm(context.WithoutCancel(ctx), s.end()); err != nil || !s.last() {
		return errors.Join(err, up.row.Interrupt(context.WithoutCancel(ctx), errNextPart))
	}
	return up.row.Complete(context.WithoutCancel(ctx))
}

// wanted is the span that answers the request: what it asks for, or the file from
// its beginning when the bytes before that are not those of the file.
func (in *incoming) wanted(ctx context.Context, up *upload) (s span, err error) {
	o := in.held.offer
	public, err := jingle.ParseDescription(in.sess.Content().Description)
	if err != nil {
		return s, err
	}
	offset := int64(0)
	if public.Range != nil {
		offset = public.Range.Offset
	}
	if offset > up.src.Size || (offset > 0) != (o.Prefix != "") {
		return s, fmt.Errorf("%w: a request from byte %d", errOffer, offset)
	}
	if offset == 0 { // nothing is read
		return in.e.spanFrom(0, up.src.Size, offered(in.sess.Content())), nil
	}
	err = in.r.readings.turn(ctx, in.sess.Peer().Bare(), func(pay payment) error {
		up.sum = in.r.readings.resume(up.head.Transfer, offset)
		up.sum.Pay = pay
		defer func() { up.sum.Pay = nil }()
		err := up.checkPrefix(ctx, offset, o.Prefix)
		in.r.readings.mark(up.head.Transfer, &up.sum)
		return err
	})
	if errors.Is(err, errPrefix) {
		offset, err = 0, nil
		up.sum.Reset()
	}
	return in.e.spanFrom(offset, up.src.Size, offered(in.sess.Content())), err
}

// served lets go of the transfer and reports how it went.
func (in *incoming) served(ctx context.Context, up *upload, err error) {
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		jerr := error(nil)
		if errors.Is(err, errSourceChanged) || overThere(err) {
			jerr = up.row.Fail(ctx, err)
		} else {
			jerr = park(ctx, up.row, err)
		}
		if jerr != nil {
			in.e.log.Error("journal", "transfer", up.head.Transfer, "error", jerr)
		}
	}
	row := up.row.Row()
	up.src.Settled(row)
	closeSources([]*source{up.src})
	if rerr := up.row.Release(ctx); rerr != nil {
		in.e.log.Error("journal", "transfer", up.head.Transfer, "error", rerr)
	}
	if !up.told {
		in.e.log.Info("request came to nothing", "transfer", up.head.Transfer, "peer", up.head.Peer, "error", err)
		return
	}
	end := sessionEnd{terms: in.terms, head: up.head, done: row.State == journal.Complete, err: err, moved: up.moved, resumable: row.State == journal.Interrupted}
	switch {
	case end.done:
		if merr := in.e.omemo.MarkUsed(ctx, []omemo.Device{in.dev}); merr != nil {
			in.e.log.Warn("remember device", "error", merr)
		}
		up.reportSent(Sent{Head: up.head, Size: up.src.Size, VerifiedByPeer: true, Seconds: time.Since(in.begun).Seconds()})
	case err == nil:
		end.err = errNextPart
	}
	in.r.left(end)
}
