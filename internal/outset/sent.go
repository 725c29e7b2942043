package outset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"jetsend/internal/index"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/state"
)

// Sent is the directory of what an account remembers of the folders that it has sent whole: for
// each contact and folder the lines of its index, in a file by the folder's id.
func Sent(stateDir string, account jid.JID) string {
	return state.Path(stateDir, account.Bare()) + ".sent"
}

// Since is what has become of a folder since it was last sent whole.
type Since struct {
	Sent time.Time `json:"sent"` // when that was listed, in UTC
	index.Changes
}

// Remember keeps in dir what a folder of the set is, which has arrived; not one of which
// something has not: what the receiver has of it nobody here knows.
func (s *Set) Remember(dir string, number int, whole bool) error {
	a := s.Arguments()[number]
	if !a.Directory || len(a.Folder) == 0 {
		return nil
	}
	path := filepath.Join(dir, hex.EncodeToString(a.Folder))
	err := s.save(path, number, whole)
	if err != nil || !whole {
		if gone := os.Remove(path); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		return fmt.Errorf("remember what was sent: %w", err)
	}
	return nil
}

// save puts the file in its place whole. Nobody but a dry run looks at it, so a crash may
// leave none; it may not leave half of one.
func (s *Set) save(path string, number int, whole bool) error {
	if !whole {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(s.Save(f, number), f.Sync(), f.Close())
	if err == nil {
		err = os.Chtimes(f.Name(), time.Time{}, s.listed)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Since compares a folder of the set with what dir remembers of it; nil when that is nothing.
func (s *Set) Since(dir string, number int) (*Since, error) {
	a := s.Arguments()[number]
	if len(a.Folder) == 0 {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(dir, hex.EncodeToString(a.Folder)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("what was sent before: %w", err)
	}
	defer func() { _ = f.Close() }() // it was read only
	info, err := f.Stat()
	since := &Since{}
	if err == nil {
		since.Sent = info.ModTime().UTC()
		since.Changes, err = s.Changes(number, f)
	}
	if err != nil {
		return nil, fmt.Errorf("what was sent before: %w", err)
	}
	return since, nil
}

// staleNew is the age of a file that nobody is writing any more.
const staleNew = 24 * time.Hour

// SweepSent removes from dir what is remembered of folders that the journal does not know any
// more, and what crashes have left.
func SweepSent(ctx context.Context, dir string, j *journal.Journal) error {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range names {
		if stale(ctx, e, j) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("sweep what was sent: %w", err)
	}
	return nil
}

func stale(ctx context.Context, e fs.DirEntry, j *journal.Journal) bool {
	id, err := hex.DecodeString(e.Name())
	if err == nil {
		known, err := j.SendsFolder(ctx, id)
		return err == nil && !known
	}
	info, err := e.Info()
	return err == nil && time.Since(info.ModTime()) > staleNew
}
