package tree

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"

	"jetsend/internal/archive"
	"jetsend/internal/ntfile"
)

// openPath opens a directory by its path, through whatever links that has.
func openPath(path string) (*dir, error) {
	f, err := ntfile.OpenPath(path)
	if err != nil {
		return nil, err
	}
	return &dir{f, path}, nil
}

// again opens a directory once more, to be read from its start.
func (d *dir) again() (*os.File, error) { return ntfile.Again(d.f) }

func (d *dir) opendir(name string) (*os.File, error) {
	return ntfile.Open(d.f, name, ntfile.How{Dir: true, Attrs: true})
}

func (d *dir) make(name string) (*os.File, error) {
	return ntfile.Open(d.f, name, ntfile.How{Write: true, Create: true})
}

func (d *dir) openfile(name string, writes bool) (*os.File, error) {
	return ntfile.Open(d.f, name, ntfile.How{Write: writes, Attrs: true})
}

// mkdirat makes a directory with the rights of the one that it is in.
func (d *dir) mkdirat(name string, _ uint32) error { return ntfile.Mkdir(d.f, name) }

func (d *dir) symlinkat(target, name string) error { return ntfile.Symlink(target, d.f, name) }

func (d *dir) readlink(name string) (string, error) { return ntfile.Readlink(d.f, name) }

func (d *dir) unlink(name string) error { return ntfile.Remove(d.f, name, false) }

// rmdir removes the name of a directory, which is empty.
func (d *dir) rmdir(name string) error { return ntfile.Remove(d.f, name, true) }

func (d *dir) renameat(from string, into *dir, to string) error {
	return ntfile.Rename(d.f, from, into.f, to, true)
}

func (d *dir) renameNoReplace(from string, into *dir, to string) error {
	return ntfile.Rename(d.f, from, into.f, to, false)
}

func (d *dir) link(from string, into *dir, to string) error {
	return ntfile.Link(d.f, from, into.f, to)
}

// free is how many bytes the user can still write where the directory is.
func (d *dir) free() (int64, error) { return ntfile.Free(d.path) }

// dateLink sets the time of a link itself.
func (d *dir) dateLink(name string, mtime time.Time) error {
	f, err := ntfile.Open(d.f, name, ntfile.How{Any: true})
	if err != nil {
		return err
	}
	return errors.Join(archive.SetTime(f, mtime), f.Close())
}

// deviceOf is a number of a file system, by which it is known after a restart as well.
func deviceOf(f *os.File) uint64 {
	is, err := ntfile.Stat(f)
	if err != nil {
		return 0
	}
	return is.Volume
}

func (d *dir) lstat(name string) (facts, error) {
	f, err := ntfile.Open(d.f, name, ntfile.How{Any: true})
	if err != nil {
		return facts{}, err
	}
	is, err := factsOf(f)
	return is, errors.Join(err, f.Close())
}

func factsOf(f *os.File) (facts, error) {
	is, err := ntfile.Stat(f)
	return facts{
		kind: is.Kind, perm: is.Perm, size: is.Size, mtime: is.MTime,
		device: is.Volume, inode: is.Index, owner: ntfile.Owner(f), links: is.Links,
	}, err
}

// bornAt would be when a file was made: here, no number of a file comes again, and a file
// that has got the name of one that is just gone gets the time of that as well.
func bornAt(*os.File) time.Time { return time.Time{} }

// flush would let the system begin to write a file to the disk: here, syncing does it.
func flush(*os.File) {}

// syncOpen syncs a file. One that is open for its attributes alone cannot be, and needs not:
// the file system's log has them.
func syncOpen(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return nil
	}
	return err
}

// kept is what a file system keeps of a mode: whether a file may be written.
func kept(mode fs.FileMode, isDir bool) fs.FileMode {
	const ownerWrites fs.FileMode = 0o200
	switch {
	case isDir:
		return fs.ModePerm
	case mode&ownerWrites == 0:
		return 0o444
	}
	return 0o666
}

func chmod(f *os.File, mode fs.FileMode) error {
	is, err := ntfile.Stat(f)
	if err != nil || is.Kind.IsDir() || is.Perm == kept(mode, false) {
		return err
	}
	return f.Chmod(mode)
}

// openOwn opens a file of ours by its path, with the flags of package os. What is open
// can get another name, or none.
func openOwn(path string, flags int) (*os.File, error) { return ntfile.OpenFile(path, flags) }
