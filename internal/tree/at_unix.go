//go:build unix

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
)

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

func (d *dir) openat(name string, flags int, perm uint32) (*os.File, error) {
	fd, err := on(d, "open", name, func(fd int) (int, error) {
		return unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// again opens a directory once more, to be read from its start.
func (d *dir) again() (*os.File, error) { return d.opendir(".") }

func (d *dir) opendir(name string) (*os.File, error) {
	return d.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

func (d *dir) make(name string) (*os.File, error) {
	return d.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
}

func (d *dir) openfile(name string, writes bool) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_NONBLOCK
	if writes {
		flags = unix.O_RDWR | unix.O_NONBLOCK
	}
	return d.openat(name, flags, 0)
}

func (d *dir) mkdirat(name string, perm uint32) error {
	_, err := on(d, "mkdir", name, func(fd int) (struct{}, error) { return struct{}{}, unix.Mkdirat(fd, name, perm) })
	return err
}

func (d *dir) symlinkat(target, name string) error {
	_, err := on(d, "symlink", name, func(fd int) (struct{}, error) { return struct{}{}, unix.Symlinkat(target, fd, name) })
	return err
}

func (d *dir) renameNoReplace(from string, into *dir, to string) error {
	_, err := on(d, "rename", to, func(fd int) (struct{}, error) {
		return struct{}{}, renameNoReplace(fd, from, int(into.f.Fd()), to)
	})
	runtime.KeepAlive(into.f)
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

func (d *dir) unlink(name string) error { return d.unlinkat(name, 0) }

// rmdir removes the name of a directory, which is empty.
func (d *dir) rmdir(name string) error { return d.unlinkat(name, unix.AT_REMOVEDIR) }

func (d *dir) unlinkat(name string, flags int) error {
	_, err := on(d, "remove", name, func(fd int) (struct{}, error) { return struct{}{}, unix.Unlinkat(fd, name, flags) })
	return err
}

func (d *dir) renameat(from string, into *dir, to string) error {
	_, err := on(d, "rename", to, func(fd int) (struct{}, error) {
		return struct{}{}, unix.Renameat(fd, from, int(into.f.Fd()), to)
	})
	runtime.KeepAlive(into.f)
	return err
}

func (d *dir) link(from string, into *dir, to string) error {
	_, err := on(d, "link", to, func(fd int) (struct{}, error) {
		return struct{}{}, unix.Linkat(fd, from, int(into.f.Fd()), to, 0)
	})
	runtime.KeepAlive(into.f)
	return err
}

// free is how many bytes the user can still write where the directory is.
func (d *dir) free() (int64, error) { return fsys.Free(d.f) }

// deviceOf is a number of a file system, by which it is known after a restart as well.
func deviceOf(f *os.File) uint64 {
	if id := fsys.Volume(f); id != 0 {
		return id
	}
	is, err := factsOf(f)
	if err != nil {
		return 0
	}
	return is.device
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

func syncOpen(f *os.File) error { return f.Sync() }

// kept is what a file system keeps of a mode: here, all of it.
func kept(mode fs.FileMode, _ bool) fs.FileMode { return mode }

func chmod(f *os.File, mode fs.FileMode) error { return f.Chmod(mode) }

func (d *dir) dateLink(name string, mtime time.Time) error {
	err := dateLink(int(d.f.Fd()), name, mtime)
	runtime.KeepAlive(d.f)
	return err
}

// openOwn opens a file of ours by its path, with the flags of package os. What is open
// can get another name, or none.
func openOwn(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0o600) }
