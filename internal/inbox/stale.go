package inbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/archive"
)

// maxStale bounds what one sweep finds; the next one finds the rest.
const maxStale = 1000

// listed is how many entries of the directory are looked at at a time.
const listed = 256

// Stale returns the ids of partial files that nothing has changed for so long:
// candidates for Remove, if no transfer claims them. now is passed in so that
// everything is measured by one clock.
func (d *Dir) Stale(olderThan time.Duration, now time.Time) ([]string, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("list download directory: %w", err)
	}
	var ids []string
	for err == nil && len(ids) < maxStale {
		var entries []fs.DirEntry
		entries, err = dir.ReadDir(listed)
		for _, e := range entries {
			if id := partID(e.Name()); id != "" && stale(e, now.Add(-olderThan)) {
				ids = append(ids, id)
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("list download directory: %w", err)
	}
	return ids[:min(len(ids), maxStale)], nil
}

// partID returns the id in the name of a partial file, or nothing.
func partID(name string) string {
	id, ours := strings.CutPrefix(name, partPrefix)
	id, part := strings.CutSuffix(id, partSuffix)
	if !ours || !part || len(id) != len(uuid.UUID{}.String()) || uuid.Validate(id) != nil {
		return ""
	}
	return id
}

// stale reports whether an entry is a file that was not changed since before. The
// time of its content alone would not do: Release sets it to the peer's wish.
func stale(e fs.DirEntry, before time.Time) bool {
	if !e.Type().IsRegular() {
		return false
	}
	info, err := e.Info()
	return err == nil && info.ModTime().Before(before) && factsOf(info).changed.Before(before)
}

// Remove removes the partial file of a transfer, and what was unpacked of it,
// from a directory, durably. It is no error when there is no such file or no
// such directory. Something else under that name is left alone, with ErrForeign.
func Remove(dir, id string) error {
	name, err := partName(id)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove partial file: %w", err)
	}
	info, err := lstatPart(root, name)
	if err == nil {
		err = archive.Discard(root, id)
	}
	if info != nil && err == nil {
		names := rootNames{root, dir}
		err = names.Remove(name)
		if err == nil {
			err = names.Sync()
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return fmt.Errorf("remove partial file: %w", err)
	}
	return nil
}
