package sink

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"

	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/stream"
)

// open opens the directory and the partial file of the row.
func (f *File) open(ctx context.Context) error {
	row := f.row.Row()
	if err := f.enter(&row); err != nil {
		return &stream.SinkError{Err: err}
	}
	if row.Source == journal.SourceSet {
		return nil
	}
	if row.Phase.Verified() {
		if done, err := f.settle(ctx, row); done || err != nil {
			return err
		}
		row = f.row.Row()
	}
	err := f.openPart(&row)
	if err != nil && !errors.Is(err, inbox.ErrNoSpace) {
		err = &stream.SinkError{Err: err}
	}
	return err
}

// enter sees that the directory is that of the row, which may have been begun in another.
func (f *File) enter(row *journal.Row) error {
	if row.Dir == f.dir.Path("") {
		return nil
	}
	err := f.dir.Close()
	var oerr error
	f.dir, oerr = openDir(row)
	return errors.Join(err, oerr)
}

// openPart opens the partial file as far as row and file agree, or makes it.
func (f *File) openPart(row *journal.Row) (err error) {
	minFree := f.opt.spare(row)
	f.part, err = f.dir.Reopen(row.ID, row.Size, row.Durable, minFree)
	var short *inbox.ShortError
	switch {
	case errors.As(err, &short):
		if err = f.row.Rewind(short.Have); err == nil {
			f.part, err = f.dir.Reopen(row.ID, row.Size, short.Have, minFree)
		}
	case errors.Is(err, inbox.ErrGone):
		if err = f.row.Rewind(0); err == nil {
			f.part, err = f.dir.Create(row.ID, row.Size, minFree)
		}
	}
	return err
}

// settle ends a release that was cut after the file had been verified.
func (f *File) settle(ctx context.Context, row journal.Row) (done bool, err error) {
	if row.Phase == journal.PhasePoured {
		return true, f.settlePoured(&row)
	}
	outcome, err := f.settleRelease(&row, filepath.Base(row.Path))
	if err != nil {
		return false, &stream.SinkError{Err: err}
	}
	switch outcome {
	case inbox.Released:
		f.final = row.Path
		return true, f.complete()
	case inbox.NotReleased:
		return f.releaseAgain(ctx, row)
	}
	return false, f.row.Rewind(0)
}

// settleRelease asks the directory what became of a release that was cut.
func (f *File) settleRelease(row *journal.Row, name string) (inbox.Outcome, error) {
	if row.Source == journal.SourceTree {
		return f.dir.SettleTree(row.ID, name)
	}
	return f.dir.Settle(row.ID, name, row.Size)
}

// releaseAgain releases a file that was verified before a crash, if it is still
// that file.
func (f *File) releaseAgain(ctx context.Context, row journal.Row) (done bool, err error) {
	f.part, err = f.dir.Reopen(row.ID, row.Size, row.Size, 0)
	var short *inbox.ShortError
	if errors.As(err, &short) { // somebody cut it
		return false, f.row.Rewind(short.Have)
	}
	if err == nil && row.SHA256 != nil {
		err = f.sum.Advance(ctx, f.part, row.Size)
	}
	if err != nil {
		return false, &stream.SinkError{Err: err}
	}
	if row.SHA256 != nil && !bytes.Equal(f.sum.Sum(), row.SHA256) {
		err := f.Restart()
		return false, errors.Join(err, f.part.Keep())
	}
	return true, f.Release(ctx, row.SHA256)
}
