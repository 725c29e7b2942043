package transfer

import (
	"context"
	"errors"

	"jetsend/internal/crypto"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
)

// giveUp records the end of an attempt and lets go of row and partial file. It
// tells by its row whether the transfer can go on.
func (d *download) giveUp(ctx context.Context, cause error) (err error) {
	ctx = context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	if d.row.Row().State.Over() {
		return nil
	}
	if d.part != nil && d.row.Row().State == journal.Running && !spoilt(cause) {
		if err = d.part.Sync(); err == nil {
			err = d.row.Progress(ctx, max(d.part.Written(), d.row.Row().Durable))
		}
	}
	if !d.resumable(cause) {
		return errors.Join(err, d.row.Fail(ctx, cause), d.discard())
	}
	if d.part != nil && spoilt(cause) {
		err = d.rewind(ctx, d.sound(cause))
	}
	return errors.Join(err, park(ctx, d.row, cause))
}

// park records that a transfer was interrupted and may go on. One that somebody has
// stopped by hand, at this end or at the other, goes on when they say so.
func park(ctx context.Context, row *journal.Handle, cause error) error {
	return row.Pause(ctx, fault.Of(cause).Paused, cause)
}

// discard removes the partial file.
func (d *download) discard() error {
	if d.part != nil {
		return d.part.Discard()
	}
	row := d.row.Row()
	return inbox.Remove(row.Dir, row.ID)
}

// close lets go of what is held.
func (d *download) close(ctx context.Context) error {
	var err error
	switch {
	case d.part == nil:
	case d.row.Row().Durable == 0: // nothing in it is wanted
		err = d.part.Discard()
	default:
		err = d.part.Keep() // does nothing after a release or a discard
	}
	if d.own {
		err = errors.Join(err, d.dir.Close())
	}
	err = errors.Join(err, d.row.Release(ctx))
	d.e.letGo(d.head.Transfer, d)
	return err
}

// spoilt tells whether the bytes that came are known to be wrong. What a peer or a
// server says about them is no such knowledge.
func spoilt(cause error) bool {
	return errors.Is(cause, errChecksum) || errors.Is(cause, crypto.ErrAuthentication) || errors.Is(cause, crypto.ErrTrailingData) ||
		errors.Is(cause, inbox.ErrTooLong)
}

// sound is how many bytes are left when those that came are wrong: what was there
// before the session, which the sender compares each time, so that a bit flipped on the
// path costs no more than the session. Nothing, when the whole is not the sender's.
func (d *download) sound(cause error) int64 {
	if errors.Is(cause, errChecksum) {
		return 0
	}
	return d.from
}

// resumable tells whether the transfer can go on after what ended its session.
func (d *download) resumable(cause error) bool {
	var sink *sinkError
	var ended *endedByPeer
	var no *refusal
	switch {
	case !d.row.Row().Profile:
		return false // other clients begin anew, under another id
	case errors.Is(cause, inbox.ErrExists), errors.Is(cause, inbox.ErrTooLong), errors.Is(cause, inbox.ErrFileSize), refusedArchive(cause):
		return false
	case d.row.Row().Phase.Verified():
		return true // its release was cut
	case overThere(cause):
		return false
	case errors.Is(cause, inbox.ErrNoSpace):
		return d.row.Row().Durable > 0 || d.row.Row().Phase.Known()
	case errors.As(cause, &sink):
		if d.dir == nil {
			return false
		}
		_, there, err := d.dir.Remains(d.head.Transfer) // not without its directory
		return there && err == nil && d.row.Row().Durable > 0
	case errors.As(cause, &ended):
		// Whatever else the reason: it is nobody's proof. But when nothing came and the
		// sender cannot know of the transfer nothing is lost.
		return d.taken || d.row.Row().Durable > 0
	case errors.As(cause, &no):
		return d.row.Row().Phase.Known()
	}
	return true
}
