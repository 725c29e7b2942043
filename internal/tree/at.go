package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"jetsend/internal/fsys"
	"jetsend/internal/machine"
)

// dir is an open directory. All names are base names in it, and none of its calls follows
// a link.
type dir struct {
	f    *os.File
	path string // for the steps of package machine
}

// openPath opens a directory by its path, through whatever links that has.
func openPath(path string) (*dir, error) {
	fd, err := retried(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &dir{os.NewFile(uintptr(fd), path), path}, nil
}

// retried repeats a call that a signal has cut.
func retried[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// on calls f with the descriptor.
func on[T any](d *dir, op, name string, f func(fd int) (T, error)) (T, error) {
	v, err := retried(func() (T, error) { return f(int(d.f.Fd())) })
	runtime.KeepAlive(d.f)
	if err != nil {
		err = &fs.PathError{Op: op, Path: name, Err: err}
	}
	return v, err
}

func (d *dir) close() error { return d.f.Close() }

func (d *dir) openat(name string, flags int, perm uint32) (*os.File, error) {
	fd, err := on(d, "open", name, func(fd int) (int, error) {
		return unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// dir opens a directory.
func (d *dir) dir(name string) (*dir, error) {
	f, err := d.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
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
	return d.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
}

// file opens a file that is there, if it is a regular one: opening waits for no writer of
// a FIFO.
func (d *dir) file(name string, flags int) (*os.File, facts, error) {
	f, err := d.openat(name, flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, facts{}, err
	}
	is, err := factsOf(f)
	if err == nil && !is.kind.IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: unix.EINVAL}
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
	_, err := on(d, "mkdir", name, func(fd int) (struct{}, error) { return struct{}{}, unix.Mkdirat(fd, name, perm) })
	return err
}

func (d *dir) symlink(target, name string) error {
	if err := machine.Before(machine.Create, d.path, name, 0); err != nil {
		return err
	}
	_, err := on(d, "symlink", name, func(fd int) (struct{}, error) { return struct{}{}, unix.Symlinkat(target, fd, name) })
	return err
}

func (d *dir) readlink(name string) (string, error) {
	b := make([]byte, 4097)
	n, err := on(d, "readlink", name, func(fd int) (int, error) { return unix.Readlinkat(fd, name, b) })
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// remove removes a name, unless it is a directory's.
func (d *dir) remove(name string) error {
	if err := machine.Before(machine.Remove, d.path, name, 0); err != nil {
		return err
	}
	return d.unlink(name, 0)
}

func (d *dir) unlink(name string, flags int) error {
	_, err := on(d, "remove", name, func(fd int) (struct{}, error) { return struct{}{}, unix.Unlinkat(fd, name, flags) })
	return err
}

// replace gives what is named from the name to, in another directory, whatever has it.
func (d *dir) replace(from string, into *dir, to string) error {
	if err := machine.BeforeNaming(machine.Replace, d.path, from, into.rel(d, to)); err != nil {
		return err
	}
	return d.renameat(from, into, to)
}

func (d *dir) renameat(from string, into *dir, to string) error {
	_, err := on(d, "rename", to, func(fd int) (struct{}, error) {
		return struct{}{}, unix.Renameat(fd, from, int(into.f.Fd()), to)
	})
	runtime.KeepAlive(into.f)
	return err
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
	_, err := on(d, "rename", to, func(fd int) (struct{}, error) {
		return struct{}{}, renameNoReplace(fd, from, int(into.f.Fd()), to)
	})
	runtime.KeepAlive(into.f)
	if !fsys.CannotName(err) {
		return err
	}
	is, err := d.lstat(from)
	if err != nil {
		return err
	}
	if is.kind.IsDir() {
		if _, err := into.lstat(to); err == nil {
			return &fs.PathError{Op: "rename", Path: to, Err: unix.EEXIST}
		}
		return d.renameat(from, into, to)
	}
	if err := d.link(from, into, to); !fsys.CannotName(err) {
		if err != nil {
			return err
		}
		return d.unlink(from, 0)
	}
	held, err := into.create(to)
	if err != nil {
		return err
	}
	if err := errors.Join(held.Close(), d.renameat(from, into, to)); err != nil {
		return errors.Join(err, into.unlink(to, 0))
	}
	return nil
}

func (d *dir) link(from string, into *dir, to string) error {
	_, err := on(d, "link", to, func(fd int) (struct{}, error) {
		return struct{}{}, unix.Linkat(fd, from, int(into.f.Fd()), to, 0)
	})
	runtime.KeepAlive(into.f)
	return err
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

func (d *dir) lstat(name string) (facts, error) {
	var s unix.Stat_t
	_, err := on(d, "lstat", name, func(fd int) (struct{}, error) {
		return struct{}{}, unix.Fstatat(fd, name, &s, unix.AT_SYMLINK_NOFOLLOW)
	})
	return factsIn(&s), err
}

func factsOf(f *os.File) (facts, error) {
	var s unix.Stat_t
	_, err := retried(func() (struct{}, error) { return struct{}{}, unix.Fstat(int(f.Fd()), &s) })
	runtime.KeepAlive(f)
	if err != nil {
		err = &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return factsIn(&s), err
}

func factsIn(s *unix.Stat_t) facts {
	is := facts{
		perm: fs.FileMode(s.Mode) & fs.ModePerm, size: s.Size, mtime: time.Unix(s.Mtim.Unix()),
		device: uint64(s.Dev), inode: s.Ino, owner: s.Uid, links: uint64(s.Nlink),
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		is.kind = fs.ModeDir
	case unix.S_IFLNK:
		is.kind = fs.ModeSymlink
	default:
		is.kind = fs.ModeIrregular
	}
	return is
}
