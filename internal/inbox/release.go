package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"jetsend/internal/archive"
	"jetsend/internal/filename"
	"jetsend/internal/fsys"
)

// maxNumbered bounds the search for a free name; a directory with so many
// files of one name is somebody's attack on the disk.
const maxNumbered = 10000

// Release gives a complete and verified file its final name and returns the
// absolute path. name must come from package filename. A zero mtime leaves the
// time alone. When it returns nil, file and name have been synced.
//
// placing, unless nil, is called with the absolute path before each name that
// is tried, when all bytes are durable: the place to record it. Its error ends
// the release with the partial file where it was. After any error the file is
// closed, and Keep or Discard says what becomes of it; it has its name only if that
// could not be taken back when the directory could not be synced, which Settle tells.
func (p *Partial) Release(name string, how Conflict, mtime time.Time, placing func(path string) error) (string, error) {
	if at := p.Written(); at != p.size {
		return "", fmt.Errorf("release %s: %d of %d bytes", name, at, p.size)
	}
	if err := baseName(name); err != nil {
		return "", fmt.Errorf("release: %w", err)
	}
	defer func() { _ = p.close() }() // everything is synced; until then it is known for itself
	if err := p.seal(mtime); err != nil {
		return "", fmt.Errorf("release: %w", p.dir.gone(err))
	}
	final, err := p.releaseAs(name, how, mtime, placing)
	if plain := filename.Plain(name); fsys.Unnameable(err) && plain != name {
		return p.releaseAs(plain, how, mtime, placing)
	}
	return final, err
}

func (p *Partial) releaseAs(name string, how Conflict, mtime time.Time, placing func(path string) error) (string, error) {
	for n := range maxNumbered {
		final := filename.Numbered(name, n)
		err := p.tryName(final, how, mtime, placing)
		if errors.Is(err, errTaken) {
			if how.Counts() {
				continue
			}
			return "", fmt.Errorf("release %s: %w", final, ErrExists)
		}
		if err == nil {
			err = p.settled(final, how)
		}
		if err != nil {
			return "", fmt.Errorf("release: %w", p.dir.gone(err))
		}
		return p.dir.Path(final), nil
	}
	return "", fmt.Errorf("release %s: %w", name, ErrCrowded)
}

// settled makes the new name durable. Where that cannot be, the file gets its old name
// back: the sender is told that it has not arrived. Syncing again would prove nothing,
// since an error is told once. A file that was overwritten cannot come back, so there
// the new name stays.
func (p *Partial) settled(final string, how Conflict) error {
	err := p.dir.names.Sync()
	if err == nil || how == Overwrite || p.placed(final) != nil {
		return err
	}
	return errors.Join(err, p.dir.back(final, p.name))
}

// gone names the directory when that is what does not exist any more: the name of a
// partial file would mean nothing to anybody.
func (d *Dir) gone(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, serr := os.Lstat(d.path); errors.Is(serr, fs.ErrNotExist) {
		return fmt.Errorf("the download directory %s is not there any more (%w)", d.path, fs.ErrNotExist)
	}
	return err
}

// Crowded reports whether a file could get neither that name nor one with a number in
// the directory, so that nobody needs to send it.
func Crowded(dir, name string) bool {
	for n := maxNumbered - 1; n >= 0; n-- { // there most often is none of the last number
		if _, err := os.Lstat(filepath.Join(dir, filename.Numbered(name, n))); err != nil {
			return false
		}
	}
	return true
}

// seal brings the data and their attributes to the disk.
func (p *Partial) seal(mtime time.Time) error {
	if err := p.truncate(p.size); err != nil { // somebody may have appended
		return err
	}
	if err := p.permit(); err != nil {
		return err
	}
	if !mtime.IsZero() {
		// The time is the peer's wish; one that the file system cannot hold is
		// no reason to throw a verified file away.
		_ = archive.SetTime(p.f, mtime)
	}
	return p.Sync()
}

// errTaken means that a name is taken and cannot be ours.
var errTaken = errors.New("name is taken")

// tryName gives the partial file a name. One that is known to be taken is not
// announced: what was recorded as placed must not be somebody else's file.
func (p *Partial) tryName(final string, how Conflict, mtime time.Time, placing func(path string) error) error {
	info, err := p.dir.root.Lstat(final)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case how != Overwrite, !info.Mode().IsRegular(): // never replace a directory, a link or a device
		return errTaken
	}
	if placing != nil {
		if err := placing(p.dir.Path(final)); err != nil {
			return err
		}
	}
	if how == Overwrite {
		err = p.dir.names.Rename(p.name, final)
	} else {
		err = p.dir.place(p.name, final, mtime)
	}
	switch {
	case errors.Is(err, fs.ErrExist) && how != Overwrite:
		return errTaken
	case err != nil:
		return err
	}
	return p.placed(final)
}

// placed fails when what got the name is not the file that was verified: where
// others may rename files, they may have put theirs in its place before. It is
// not asked elsewhere, because not every file system numbers its files as if
// they stayed the same.
func (p *Partial) placed(final string) error {
	if p.dir.exposed == "" {
		return nil
	}
	verified, err := p.f.Stat()
	if err != nil {
		return err
	}
	named, err := p.dir.root.Lstat(final)
	if err != nil {
		return err
	}
	if !os.SameFile(verified, named) {
		return fmt.Errorf("%w: another file was put in its place", ErrForeign)
	}
	return nil
}
