package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"jetsend/internal/fsys"
	"jetsend/internal/machine"
)

// dir is an open directory. All names are base names in it, and none of its calls follows
// a link.
type dir struct {
	f    *os.File
	path string // for the steps of package machine
}

func (d *dir) close() error { return d.f.Close() }

// dir opens a directory.
func (d *dir) dir(name string) (*dir, error) {
	f, err := d.opendir(name)
	if err != nil {
		return nil, err
	}
	return &dir{f, f.Name()}, nil
}

// create makes a file that was not there.
func (d *dir) create(name string) (*os.File, error) {
	if err := machine.Before(machine.Create, d.path, name, 0); err != nil {
		return nil, err
	}
	return d.make(name)
}

// file opens a file that is there, if it is a regular one: opening waits for no writer of
// a FIFO.
func (d *dir) file(name string, writes bool) (*os.File, facts, error) {
	f, err := d.openfile(name, writes)
	if err != nil {
		return nil, facts{}, err
	}
	is, err := factsOf(f)
	if err == nil && !is.kind.IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.EINVAL}
	}
	if err != nil {
		return nil, facts{}, errors.Join(err, f.Close())
	}
	return f, is, nil
}

func (d *dir) mkdir(name string, perm uint32) error {
	if err := machine.Before(machine.Create, d.path, name, 0); err != nil {
		return err
	}
	return d.mkdirat(name, perm)
}

func (d *dir) symlink(target, name string) error {
	if err := machine.Before(machine.Create, d.path, name, 0); err != nil {
		return err
	}
	return d.symlinkat(target, name)
}

// remove removes a name, unless it is a directory's.
func (d *dir) remove(name string) error {
	if err := machine.Before(machine.Remove, d.path, name, 0); err != nil {
		return err
	}
	return d.unlink(name)
}

// replace gives what is named from the name to, in another directory, whatever has it.
func (d *dir) replace(from string, into *dir, to string) error {
	if err := machine.BeforeNaming(machine.Replace, d.path, from, into.rel(d, to)); err != nil {
		return err
	}
	return d.renameat(from, into, to)
}

// rel is a name in this directory as package machine wants it, seen from another one.
func (d *dir) rel(from *dir, name string) string {
	rel, err := filepath.Rel(from.path, filepath.Join(d.path, name))
	if err != nil {
		return name
	}
	return rel
}

// move gives what is named from the name to, in another directory, unless that is taken:
// then the error is fs.ErrExist. Where a file system does not know that, a second name
// does it, or else an empty file that takes the name and is replaced. The rename of a
// directory replaces no more than an empty one, and that only if it was made in this moment.
func (d *dir) move(from string, into *dir, to string) error {
	if err := machine.BeforeNaming(machine.Rename, d.path, from, into.rel(d, to)); err != nil {
		return err
	}
	err := d.renameNoReplace(from, into, to)
	if !fsys.CannotName(err) {
		return err
	}
	is, err := d.lstat(from)
	if err != nil {
		return err
	}
	if is.kind.IsDir() {
		if _, err := into.lstat(to); err == nil {
			return &fs.PathError{Op: "rename", Path: to, Err: syscall.EEXIST}
		}
		return d.renameat(from, into, to)
	}
	if err := d.link(from, into, to); !fsys.CannotName(err) {
		if err != nil {
			return err
		}
		return d.unlink(from)
	}
	held, err := into.create(to)
	if err != nil {
		return err
	}
	if err := errors.Join(held.Close(), d.renameat(from, into, to)); err != nil {
		return errors.Join(err, into.unlink(to))
	}
	return nil
}

// sync makes the names in the directory durable, and what is known of it.
func (d *dir) sync() error {
	if err := machine.Before(machine.SyncNames, d.path, "", 0); err != nil {
		return err
	}
	return fsys.SyncNames(d.f)
}

// facts are what is known of something that has a name.
type facts struct {
	kind   fs.FileMode // type bits
	perm   fs.FileMode
	size   int64
	mtime  time.Time
	device uint64
	inode  uint64
	owner  uint32
	links  uint64
}
