package inbox

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/google/uuid"
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
	if errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		return nil // where permissions are the mount's
	}
	return err
}

// umask learns the umask as Open does, from a file that asks for everything.
func (d *Dir) umask() (fs.FileMode, error) {
	probe := partPrefix + uuid.NewString() + partSuffix
	f, err := d.root.OpenFile(probe, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.ModePerm)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close(), d.root.Remove(probe)); err != nil {
		return 0, err
	}
	return fs.ModePerm &^ info.Mode().Perm(), nil
}
