package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/inbox"
)

// Discard removes what is hidden of a set that is given up: in the download directory dir,
// and wherever else the state says, and the state itself. It does not mind when there is
// nothing. Nobody is at the set. What is not known to be ours is left alone, with
// [inbox.ErrForeign].
func Discard(dir, id, state string) error {
	if _, err := uuid.Parse(id); err != nil {
		return fmt.Errorf("discard set: %w", err)
	}
	own := filepath.Join(state, id)
	known, err := hiddenIn(own)
	if err != nil {
		return fmt.Errorf("discard set: %w", err)
	}
	if _, ok := known[dir]; !ok {
		known[dir] = 0
	}
	for path, inode := range known {
		err = errors.Join(err, discardIn(path, hiddenName(id), inode))
	}
	if err == nil {
		err = os.RemoveAll(own)
	}
	if err != nil {
		return fmt.Errorf("discard set: %w", err)
	}
	return nil
}

// discardIn removes the hidden directory in another one. inode is what it is known to have,
// or 0: then it goes only when it is empty.
func discardIn(path, name string, inode uint64) error {
	parent, err := openPath(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r := &room{parent: parent, name: name}
	defer func() { _ = r.close() }() // everything is synced
	is, err := parent.lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !is.kind.IsDir():
		return inbox.ErrForeign
	}
	if r.hide, err = parent.dir(name); err != nil {
		return err
	}
	if err := r.belongs(inode); err != nil {
		return err
	}
	return r.remove()
}

// Remains reports whether something of a set is hidden in its download directory.
func Remains(dir, id string) bool {
	is, err := os.Lstat(filepath.Join(dir, hiddenName(id)))
	return err == nil && is.IsDir()
}

// maxStale bounds what one sweep finds; the next one finds the rest.
const maxStale = 1000

// Stale returns the ids of sets that have a hidden directory which nothing has changed for
// so long: candidates for Discard, if no transfer claims them.
func Stale(dir string, olderThan time.Duration, now time.Time) (ids []string, err error) {
	d, err := openPath(dir)
	if err != nil {
		return nil, fmt.Errorf("list download directory: %w", err)
	}
	names, err := d.names()
	for _, name := range names {
		id, ours := strings.CutPrefix(name, hiddenPrefix)
		id, hidden := strings.CutSuffix(id, hiddenSuffix)
		if !ours || !hidden || uuid.Validate(id) != nil || len(id) != len(uuid.UUID{}.String()) || len(ids) == maxStale {
			continue
		}
		if is, err := d.lstat(name); err == nil && is.kind.IsDir() && is.mtime.Before(now.Add(-olderThan)) {
			ids = append(ids, id)
		}
	}
	if err = errors.Join(err, d.close()); err != nil {
		return nil, fmt.Errorf("list download directory: %w", err)
	}
	return ids, nil
}

// Remembered returns the ids of the sets of which something is remembered.
func Remembered(state string) (ids []string, err error) {
	names, err := namesIn(state)
	for _, name := range names {
		if len(name) == len(uuid.UUID{}.String()) && uuid.Validate(name) == nil {
			ids = append(ids, name)
		}
	}
	return ids, err
}

// Forget removes the records of folders that nothing has changed for so long, but for those
// of folders at the paths that are known.
func Forget(state string, known []string, olderThan time.Duration, now time.Time) error {
	keep := map[string]bool{}
	for _, path := range known {
		keep[filepath.Base(recordOf(state, path))] = true
	}
	folders := filepath.Join(state, foldersDir)
	names, err := namesIn(folders)
	for _, name := range names {
		base, _, _ := strings.Cut(name, ".")
		if keep[base] {
			continue
		}
		is, lerr := os.Lstat(filepath.Join(folders, name))
		if lerr == nil && is.ModTime().Before(now.Add(-olderThan)) {
			lerr = os.Remove(filepath.Join(folders, name))
		}
		err = errors.Join(err, gone(lerr))
	}
	if err != nil {
		return fmt.Errorf("records of folders: %w", err)
	}
	return nil
}

// namesIn are the names in a directory; none when there is none.
func namesIn(path string) ([]string, error) {
	d, err := openPath(path)
	if err != nil {
		return nil, gone(err)
	}
	names, err := d.names()
	return names, errors.Join(err, d.close())
}
