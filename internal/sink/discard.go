package sink

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/journal"
)

// Discard removes the partial file of a received transfer, and nothing of a sent one.
func Discard(row *journal.Row) error {
	if row.Direction != journal.Receive || row.Dir == "" {
		return nil
	}
	err := inbox.Remove(row.Dir, row.ID)
	if errors.Is(err, fs.ErrNotExist) { // the directory is gone, and the file with it
		return nil
	}
	return err
}

// Sweep removes the partial files in dir that no row knows of and that nobody has written
// to for longer than keep.
func (s Store) Sweep(ctx context.Context, dir *inbox.Dir, keep time.Duration, now time.Time) error {
	stale, err := dir.Stale(keep, now)
	for _, id := range stale {
		_, lerr := s.Journal.Load(ctx, journal.Key{ID: id, Direction: journal.Receive})
		if errors.Is(lerr, journal.ErrUnknown) {
			err = errors.Join(err, inbox.Remove(dir.Path(""), id))
		}
	}
	return err
}
