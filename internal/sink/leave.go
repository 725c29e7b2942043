package sink

import (
	"context"
	"errors"

	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/tree"
)

// Leave writes down how a session ended, with nil that it carried its part of the file, and
// closes the file. row is as that left it, and lost what could not be written down or let
// go of; it has been logged.
func (f *File) Leave(err error) (row journal.Row, lost error) {
	switch {
	case f.row.Row().State.Over():
	case err == nil:
		lost = f.row.Interrupt(fault.ErrNextPart)
	default:
		lost = f.writeDown(err)
	}
	row = f.row.Row()
	if lost = errors.Join(lost, f.Close()); lost != nil {
		f.log.Error("interrupted download", "transfer", row.ID, "error", lost)
	}
	return row, lost
}

// writeDown records the end of a session that failed.
func (f *File) writeDown(cause error) (err error) {
	k := fault.Of(cause)
	if f.part != nil && f.row.Row().State == journal.Running && k.Spoils == fault.Nothing {
		if err = f.part.Sync(); err == nil {
			err = f.row.Progress(context.Background(), max(f.part.Written(), f.row.Row().Durable))
		}
	}
	if !k.Resumable(f.standing()) {
		return errors.Join(err, f.row.Fail(cause), f.discard())
	}
	if f.part != nil && k.Spoils != fault.Nothing {
		err = f.rewind(k.Sound(f.from, f.part.Written()))
	}
	return errors.Join(err, f.row.Pause(k.Paused, cause))
}

// discard removes the partial file.
func (f *File) discard() error {
	if f.part != nil {
		return f.part.Discard()
	}
	row := f.row.Row()
	return Discard(f.sets, &row)
}

// Close lets go of row, partial file and directory. A partial file of which no byte is
// wanted is removed.
func (f *File) Close() error {
	var err error
	switch {
	case f.part == nil:
	case f.row.Row().Durable == 0:
		err = f.part.Discard()
	default:
		err = f.part.Keep() // does nothing after a release or a discard
	}
	if f.dir != nil {
		err = errors.Join(err, f.dir.Close())
	}
	return errors.Join(err, f.row.Release())
}

// standing is how the transfer stands, for package fault.
func (f *File) standing() fault.Standing {
	row := f.row.Row()
	return fault.Standing{
		Receiving: true, Resumes: row.Profile, // other clients begin anew, under another id
		Accepted: f.opt.Known, Phase: row.Phase, Durable: row.Durable,
		Remains: func() bool {
			if f.dir == nil {
				return false
			}
			if row.Source == journal.SourceSet {
				return tree.Remains(row.Dir, row.ID)
			}
			_, there, err := f.dir.Remains(row.ID) // not without its directory
			return there && err == nil
		},
	}
}
