package sink

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/tree"
)

// Discard removes the partial file of a received transfer, or what there is of a set that
// has not arrived, and nothing of a sent one. sets is that of [Sets].
func Discard(sets string, row *journal.Row) error {
	if row.Direction != journal.Receive || row.Dir == "" {
		return nil
	}
	remove := inbox.Remove
	if row.Source == journal.SourceSet {
		remove = func(dir, id string) error { return tree.Discard(dir, id, sets) }
	}
	err := remove(row.Dir, row.ID)
	if errors.Is(err, fs.ErrNotExist) { // the directory is gone, and the file with it
		return nil
	}
	return err
}

// Sweep removes the partial files and the hidden directories of sets in dir that no row knows
// of and that nobody has written to for longer than keep, and what is remembered of sets
// and folders that are no more.
func (s Store) Sweep(ctx context.Context, dir *inbox.Dir, keep time.Duration, now time.Time) error {
	stale, err := dir.Stale(keep, now)
	err = errors.Join(err, s.each(ctx, stale, func(id string) error { return inbox.Remove(dir.Path(""), id) }))
	hidden, herr := tree.Stale(dir.Path(""), keep, now)
	remembered, rerr := tree.Remembered(s.Sets)
	err = errors.Join(err, herr, rerr, s.each(ctx, append(hidden, remembered...), func(id string) error { return tree.Discard(dir.Path(""), id, s.Sets) }))
	paths, perr := s.Journal.FolderPaths(ctx)
	if perr == nil {
		perr = tree.Forget(s.Sets, paths, keep, now)
	}
	return errors.Join(err, perr)
}

// each does something for each transfer that no row knows of.
func (s Store) each(ctx context.Context, ids []string, do func(id string) error) (err error) {
	for _, id := range ids {
		_, lerr := s.Journal.Load(ctx, journal.Key{ID: id, Direction: journal.Receive})
		if errors.Is(lerr, journal.ErrUnknown) {
			err = errors.Join(err, do(id))
		}
	}
	return err
}
