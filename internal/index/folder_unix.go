//go:build unix

package index

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	regularFile kind = unix.S_IFREG
	directory   kind = unix.S_IFDIR
	link        kind = unix.S_IFLNK
)

// blockSize is the unit of st_blocks, whatever that of the file system is.
const blockSize = 512

func factsOf(s *unix.Stat_t) facts {
	return facts{
		kind: kind(s.Mode) & unix.S_IFMT, mode: fs.FileMode(s.Mode) & fs.ModePerm, size: s.Size,
		mtime: time.Unix(s.Mtim.Unix()).UTC(), room: s.Blocks * blockSize, dev: uint64(s.Dev), ino: s.Ino,
	}
}

// again calls f until no signal interrupts it.
func again[T any](f func() (T, error)) (T, error) {
	for {
		v, err := f()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

func (d *folder) fd() int { return int(d.f.Fd()) }

// look describes what has the name, be it a link.
func (d *folder) look(name string) (facts, error) {
	var s unix.Stat_t
	_, err := again(func() (struct{}, error) {
		return struct{}{}, unix.Fstatat(d.fd(), name, &s, unix.AT_SYMLINK_NOFOLLOW)
	})
	return factsOf(&s), err
}

func (d *folder) open(name string, flags int) (int, error) {
	return again(func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|flags, 0)
	})
}

// openFolder opens a directory that the user named, be it through a link.
func openFolder(path string) (*folder, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &folder{f}, nil
}

// folder opens a directory.
func (d *folder) folder(name string) (*folder, error) {
	fd, err := d.open(name, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &folder{os.NewFile(uintptr(fd), name)}, nil
}

// file opens a regular file.
func (d *folder) file(name string) (*os.File, facts, error) {
	fd, err := d.open(name, 0)
	if err != nil {
		return nil, facts{}, err
	}
	return regular(os.NewFile(uintptr(fd), name))
}

// openFile opens a regular file by its path.
func openFile(path string) (*os.File, facts, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, facts{}, err
	}
	return regular(f)
}

// of describes an open file.
func of(f *os.File) (facts, error) {
	var s unix.Stat_t
	_, err := again(func() (struct{}, error) { return struct{}{}, unix.Fstat(int(f.Fd()), &s) })
	return factsOf(&s), err
}

// maxTarget is longer than any target that a link may have in a set.
const maxTarget = 4 << 10

// target is that of a link.
func (d *folder) target(name string) (string, error) {
	b := make([]byte, maxTarget)
	n, err := again(func() (int, error) { return unix.Readlinkat(d.fd(), name, b) })
	return string(b[:max(n, 0)]), err
}

// openNamed opens what a user names: opening waits for no writer of a FIFO.
func openNamed(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// brief makes a file that has its name for a moment only.
func brief(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, indexPrefix+"*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
