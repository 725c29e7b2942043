package inbox

import (
	"errors"
	"io/fs"
	"time"

	"jetsend/internal/fsys"
)

// place moves the partial file to its final name. A name that is taken gives
// fs.ErrExist, and nothing is ever replaced. Of three ways the first that the
// file system has is taken:
//
//   - a rename that does not replace: Linux, nearly everywhere. A crash finds
//     the file under one name or the other.
//   - a hard link to the final name, then the removal of the partial one. A
//     crash may find both, and Settle sees that they are one file.
//   - where there are no hard links either (exFAT elsewhere than on Linux, some
//     FUSE and network file systems): an empty file of our own takes the name,
//     and is replaced. See hold.
//
// With an error other than fs.ErrExist the partial file has its old name,
// unless undoing failed too.
func (d *Dir) place(part, final string, mtime time.Time) error {
	err := d.names.Move(part, final)
	if !fsys.CannotName(err) {
		return err
	}
	err = d.names.Link(part, final)
	if fsys.CannotName(err) {
		return d.hold(part, final, mtime)
	}
	if err != nil {
		return err
	}
	// Synced in between, because the two changes could reach the disk in the
	// other order, and a power loss would then take both names.
	err = d.names.Sync()
	if err == nil {
		err = d.names.Remove(part)
	}
	if err != nil { // all or nothing
		err = errors.Join(err, d.names.Remove(final))
	}
	return err
}

// heldBack is how far a partial file is dated back while its final name is
// held: the mark by which Settle knows, after a crash, that an empty file under
// that name can be ours. File systems without hard links keep times, if nothing
// else; FAT keeps none before 1980.
const heldBack = 20 * 365 * 24 * time.Hour

// holdTolerance is by how much the time of our empty file may differ from the
// mark: FAT counts in steps of 2 seconds, and a disk may be busy.
const holdTolerance = 5 * time.Second

// hold takes the final name with an empty file, then replaces that one. The
// partial file is marked first, so that an empty file which a crash leaves
// behind can be told from one that somebody else made: ours came at the very
// time that the mark names. Where the file system has another clock than we
// have, such an empty file stays; that is better than to remove a stranger's.
func (d *Dir) hold(part, final string, mtime time.Time) error {
	now := time.Now()
	if err := d.names.Date(part, now.Add(-heldBack)); err != nil {
		return err
	}
	if err := d.names.Hold(final); err != nil {
		return err
	}
	if err := d.names.Rename(part, final); err != nil {
		return errors.Join(err, d.names.Remove(final))
	}
	if err := d.names.Sync(); err != nil { // the mark stays as long as the names can come back
		return errors.Join(err, d.back(final, part))
	}
	if mtime.IsZero() {
		mtime = now
	}
	_ = d.names.Date(final, mtime) // no reason to throw a verified file away
	return nil
}

// back gives a file its partial name back.
func (d *Dir) back(final, part string) error {
	return errors.Join(d.names.Rename(final, part), d.names.Sync())
}

// held reports whether final is an empty file with which hold took the name for part.
func (d *Dir) held(part, final fs.FileInfo) bool {
	if !final.Mode().IsRegular() || final.Size() != 0 || factsOf(final).owner != d.owner {
		return false
	}
	age := final.ModTime().Sub(part.ModTime().Add(heldBack))
	return age.Abs() <= holdTolerance
}
