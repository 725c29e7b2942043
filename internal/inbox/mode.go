package inbox

import (
	"errors"
	"io/fs"
	"os"

	"github.com/google/uuid"

	"jetsend/internal/fsys"
)

// Permit asks for permission bits: Release gives the file those that the umask
// leaves. Bits that are no permissions (setuid and the like) are not looked at;
// 0 asks for nothing in particular.
func (p *Partial) Permit(mode fs.FileMode) { p.mode = mode.Perm() }

// permit gives the file its permissions. A file system that keeps none of its
// own says no to some; then the usual ones have to do.
func (p *Partial) permit() error {
	if p.mode != 0 {
		umask, err := p.dir.umask()
		if err != nil {
			return err
		}
		if p.f.Chmod(p.mode&^umask) == nil {
			return nil
		}
	}
	err := p.f.Chmod(p.dir.mode)
	if fsys.Lacking(err) {
		return nil // where permissions are the mount's
	}
	return err
}

// umask learns the umask as Open does, from a file that asks for everything.
func (d *Dir) umask() (fs.FileMode, error) {
	info, err := probe(d.root, fs.ModePerm)
	if err != nil {
		return 0, err
	}
	return fs.ModePerm &^ info.Mode().Perm(), nil
}

// probe makes a file in a directory and says what it is. It shows whether files can be made
// there, and the umask, which can only be read by changing it, for the whole process. The file
// has no name where that can be: a crash leaves nothing then. Elsewhere it is named like a partial
// file, so that Stale finds one that a crash has left.
func probe(root *os.Root, perm fs.FileMode) (fs.FileInfo, error) {
	info, err := nameless(root, perm)
	if err == nil {
		return info, nil
	}
	name := partPrefix + uuid.NewString() + partSuffix
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err := errors.Join(err, f.Close(), root.Remove(name)); err != nil {
		return nil, err
	}
	return info, nil
}
