// Package inbox is the download directory: files appear in it under their
// final names whole, verified and durable, or not at all.
//
// Bytes go to a hidden .part file that only the owner can read. Release is the
// one way out of it: the data are synced, the file gets its final name without
// replacing another one, the directory is synced. Everything happens below one
// os.Root, so that no name and no symbolic link leads out of the directory.
package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"jetsend/internal/filename"
)

// ErrExists means that the name is taken and may not be replaced.
var ErrExists = errors.New("file exists")

// ErrNoSpace means that the file does not fit, now or with the space to be left free.
var ErrNoSpace = errors.New("no space left")

// ErrTooLong means that more bytes were written than were announced.
var ErrTooLong = errors.New("more data than announced")

// maxNumbered bounds the search for a free name; a directory with so many
// files of one name is somebody's attack on the disk.
const maxNumbered = 10000

// Conflict says what to do when the name is taken.
type Conflict int

// The rules for a name that is taken.
const (
	Rename    Conflict = iota // count up
	Skip                      // fail with ErrExists
	Overwrite                 // replace a regular file
)

// Dir is an open download directory.
type Dir struct {
	root *os.Root
	path string      // absolute
	mode fs.FileMode // of a released file: what the umask leaves
}

// Open opens the directory and proves that files can be made in it.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	d := &Dir{root: root, path: abs}
	// The umask can only be read by changing it, for the whole process; a
	// file made without asking for less shows it as well.
	probe := fmt.Sprintf(".jetsend-%d-%d.probe", os.Getpid(), time.Now().UnixNano())
	f, err := root.OpenFile(probe, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("download directory: %w", err), root.Close())
	}
	info, err := f.Stat()
	err = errors.Join(err, f.Close(), root.Remove(probe))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("download directory: %w", err), root.Close())
	}
	d.mode = info.Mode().Perm()
	return d, nil
}

// Close releases the directory; partial files stay as they are.
func (d *Dir) Close() error { return d.root.Close() }

// Path returns the absolute path of name in the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Exists tells whether something has that name, be it a dangling link.
func (d *Dir) Exists(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// Free returns the bytes that an ordinary user can still write.
func (d *Dir) Free() (int64, error) { return free(d.path) }

// Partial is a file on its way. It is written from the start by one goroutine.
type Partial struct {
	dir     *Dir
	f       *os.File
	name    string
	size    int64
	written int64
}

// Create makes the partial file of a transfer and reserves size bytes for it.
// minFree bytes stay free besides; ErrNoSpace when that cannot be.
func (d *Dir) Create(id string, size, minFree int64) (*Partial, error) {
	avail, err := d.Free()
	if err != nil {
		return nil, fmt.Errorf("free space: %w", err)
	}
	if size > avail-minFree {
		return nil, ErrNoSpace
	}
	name := ".jetsend-" + id + ".part"
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create partial file: %w", err)
	}
	p := &Partial{dir: d, f: f, name: name, size: size}
	if err := preallocate(f, size); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = ErrNoSpace
		}
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

// Write appends b. It never writes more than was announced.
func (p *Partial) Write(b []byte) (int, error) {
	if int64(len(b)) > p.size-p.written {
		return 0, ErrTooLong
	}
	n, err := p.f.Write(b)
	p.written += int64(n)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return n, err
}

// Discard removes the partial file. It may be called after a failed Release.
func (p *Partial) Discard() error {
	err := p.f.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	if rerr := p.dir.root.Remove(p.name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("remove partial file: %w", rerr))
	}
	return err
}

// Release gives a complete and verified file its final name and returns the
// absolute path. name must come from package filename. A zero mtime leaves the
// time alone. When it returns nil, file and name have been synced.
func (p *Partial) Release(name string, how Conflict, mtime time.Time) (string, error) {
	if p.written != p.size {
		return "", fmt.Errorf("release %s: %d of %d bytes", name, p.written, p.size)
	}
	if err := p.seal(mtime); err != nil {
		return "", fmt.Errorf("release: %w", err)
	}
	for n := range maxNumbered {
		final := filename.Numbered(name, n)
		err := p.dir.place(p.name, final, how == Overwrite)
		if errors.Is(err, fs.ErrExist) {
			if how == Rename {
				continue
			}
			return "", fmt.Errorf("release %s: %w", final, ErrExists)
		}
		if err != nil {
			return "", fmt.Errorf("release: %w", err)
		}
		if err := p.dir.sync(); err != nil {
			return "", fmt.Errorf("release: %w", err)
		}
		return p.dir.Path(final), nil
	}
	return "", fmt.Errorf("release %s: %w", name, ErrExists)
}

// seal brings the data and their attributes to the disk and closes the file.
func (p *Partial) seal(mtime time.Time) error {
	if err := p.f.Truncate(p.size); err != nil { // preallocation may have rounded up
		return err
	}
	if err := p.f.Chmod(p.dir.mode); err != nil {
		return err
	}
	if !mtime.IsZero() {
		// The time is the peer's wish; one that the file system cannot hold is
		// no reason to throw a verified file away.
		_ = p.dir.root.Chtimes(p.name, time.Time{}, mtime)
	}
	if err := p.f.Sync(); err != nil {
		return err
	}
	return p.f.Close()
}

// place moves the partial file to its final name. Unless replace is set, a
// name that is taken gives fs.ErrExist: a hard link is made and the old name
// removed, since a plain rename would replace.
func (d *Dir) place(from, to string, replace bool) error {
	if replace {
		if info, err := d.root.Lstat(to); err == nil && !info.Mode().IsRegular() {
			return fs.ErrExist // never replace a directory, a link or a device
		}
		return d.root.Rename(from, to)
	}
	err := d.root.Link(from, to)
	switch {
	case err == nil:
		if err := d.root.Remove(from); err != nil { // all or nothing
			return errors.Join(err, d.root.Remove(to))
		}
		return nil
	case errors.Is(err, fs.ErrExist):
		return err
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EMLINK):
	default:
		return err
	}
	// No hard links here (FAT, some network file systems): take the name with
	// an empty file of our own, then replace that one.
	f, err := d.root.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = f.Close()
	if err == nil {
		err = d.root.Rename(from, to)
	}
	if err != nil { // an empty file must not stay under the name
		err = errors.Join(err, d.root.Remove(to))
	}
	return err
}

// sync makes the names in the directory durable.
func (d *Dir) sync() error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // file systems that cannot sync a directory
	}
	return errors.Join(err, f.Close())
}
