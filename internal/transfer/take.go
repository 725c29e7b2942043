package transfer

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
)

// take opens a transfer that another process may be at, and waits for a while until that
// lets go of it.
func (d *download) take(ctx context.Context, row journal.Row, dir *inbox.Dir) error {
	late := time.NewTimer(d.e.timing.takeTime)
	defer late.Stop()
	for {
		err := d.open(ctx, row, dir)
		if !errors.Is(err, journal.ErrRunning) {
			return err
		}
		select {
		case <-time.After(d.e.timing.takePause):
		case <-late.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// open takes the row of a transfer, makes or finds its partial file, and sees to what a
// crash has left. dir is the directory for a transfer that is new. When the file turns
// out to be released, final is set and part is nil.
func (d *download) open(ctx context.Context, row journal.Row, dir *inbox.Dir) (err error) {
	row.Dir = dir.Path("")
	if d.row, err = d.e.journal.Begin(ctx, row); err != nil {
		return err
	}
	if err = d.openPart(ctx, dir); err != nil {
		return errors.Join(err, d.leave(err).lost)
	}
	return nil
}

// openPart opens the directory and the partial file of the row.
func (d *download) openPart(ctx context.Context, dir *inbox.Dir) (err error) {
	row := d.row.Row()
	d.dir = dir
	if row.Dir != dir.Path("") {
		if d.dir, err = openDir(&row); err != nil {
			return &sinkError{Err: err}
		}
		d.own = true
	}
	if row.Phase.Verified() {
		if done, err := d.settle(ctx, row); done || err != nil {
			return err
		}
		row = d.row.Row()
	}
	minFree := d.spare(&row)
	d.part, err = d.dir.Reopen(row.ID, row.Size, row.Durable, minFree)
	var short *inbox.ShortError
	switch {
	case errors.As(err, &short):
		if err = d.row.Rewind(short.Have); err == nil {
			d.part, err = d.dir.Reopen(row.ID, row.Size, short.Have, minFree)
		}
	case errors.Is(err, inbox.ErrGone):
		if err = d.row.Rewind(0); err == nil {
			d.part, err = d.dir.Create(row.ID, row.Size, minFree)
		}
	}
	if err != nil && !errors.Is(err, inbox.ErrNoSpace) {
		err = &sinkError{Err: err}
	}
	return err
}

// settle ends a release that was cut after the file had been verified.
func (d *download) settle(ctx context.Context, row journal.Row) (done bool, err error) {
	if row.Phase == journal.PhasePoured {
		return true, d.settlePoured(&row)
	}
	outcome, err := d.settleRelease(&row, filepath.Base(row.Path))
	if err != nil {
		return false, &sinkError{Err: err}
	}
	switch outcome {
	case inbox.Released:
		d.final = row.Path
		return true, d.row.Complete()
	case inbox.NotReleased:
		return d.releaseAgain(ctx, row)
	}
	return false, d.row.Rewind(0)
}

// releaseAgain releases a file that was verified before a crash, if it is still
// that file.
func (d *download) releaseAgain(ctx context.Context, row journal.Row) (done bool, err error) {
	d.part, err = d.dir.Reopen(row.ID, row.Size, row.Size, 0)
	var short *inbox.ShortError
	if errors.As(err, &short) { // somebody cut it
		return false, d.row.Rewind(short.Have)
	}
	if err == nil && row.SHA256 != nil {
		err = d.sum.Advance(ctx, d.part, row.Size)
	}
	if err != nil {
		return false, &sinkError{Err: err}
	}
	if row.SHA256 != nil && !bytes.Equal(d.sum.Sum(), row.SHA256) {
		err := d.restart(ctx)
		return false, errors.Join(err, d.part.Keep())
	}
	return true, d.release(ctx, row.SHA256)
}

// release gives the verified file its name, in the order that package journal
// argues. ctx ends what may take long and can be done again.
func (d *download) release(ctx context.Context, sum []byte) error {
	row := d.row.Row()
	switch {
	case d.how.out != nil:
		return d.pour(ctx, sum)
	case row.Source == journal.SourceTree:
		return d.unpack(ctx, sum)
	}
	d.part.Permit(row.Mode)
	final, err := d.part.Release(d.name, d.how.conflict, d.file.Date, func(path string) error { return d.row.Place(path, sum) })
	if err != nil {
		return &sinkError{Err: err}
	}
	d.final = final
	return d.row.Complete()
}

// left is how a session left its transfer.
type left struct {
	err       error
	done      bool  // the transfer is complete, which has been reported
	moved     int64 // bytes of the file so far
	resumable bool
	lost      error // that could not be written down, or let go of
}

// leave writes down how the session ended and lets go of row and partial file.
func (d *download) leave(err error) left {
	l := left{err: err, done: err == nil && d.final != ""}
	switch {
	case d.row.Row().State.Over():
	case err == nil:
		l.err, l.lost = errNextPart, d.row.Interrupt(errNextPart)
	default:
		l.lost = d.writeDown(err)
	}
	row := d.row.Row()
	l.moved, l.resumable = row.Durable, row.State == journal.Interrupted
	l.lost = errors.Join(l.lost, d.close())
	if l.lost != nil {
		d.e.log.Error("interrupted download", "transfer", d.head.Transfer, "error", l.lost)
	}
	return l
}

// writeDown records the end of a session that failed.
func (d *download) writeDown(cause error) (err error) {
	ctx, k := context.Background(), fault.Of(cause)
	if d.part != nil && d.row.Row().State == journal.Running && k.Spoils == fault.Nothing {
		if err = d.part.Sync(); err == nil {
			err = d.row.Progress(ctx, max(d.part.Written(), d.row.Row().Durable))
		}
	}
	if !k.Resumable(d.standing()) {
		return errors.Join(err, d.row.Fail(cause), d.discard())
	}
	if d.part != nil && k.Spoils != fault.Nothing {
		err = d.rewind(ctx, k.Sound(d.from, d.part.Written()))
	}
	return errors.Join(err, park(d.row, cause))
}

// park records that a transfer was interrupted and may go on. One that somebody has
// stopped by hand, at this end or at the other, goes on when they say so.
func park(row *journal.Handle, cause error) error {
	return row.Pause(fault.Of(cause).Paused, cause)
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
func (d *download) close() error {
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
	return errors.Join(err, d.row.Release())
}

// standing is how the transfer stands, for package fault.
func (d *download) standing() fault.Standing {
	row := d.row.Row()
	return fault.Standing{
		Receiving: true, Resumes: row.Profile, // other clients begin anew, under another id
		Accepted: d.taken, Phase: row.Phase, Durable: row.Durable,
		Remains: func() bool {
			if d.dir == nil {
				return false
			}
			_, there, err := d.dir.Remains(d.head.Transfer) // not without its directory
			return there && err == nil
		},
	}
}
