package index

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"jetsend/internal/ntfile"
)

const (
	regularFile kind = iota + 1
	directory
	link
)

func factsIn(is ntfile.Facts) facts {
	a := facts{mode: is.Perm, size: is.Size, mtime: is.MTime.UTC(), room: is.Allocated, dev: is.Volume, ino: is.Index}
	switch {
	case is.Kind.IsRegular():
		a.kind = regularFile
	case is.Kind.IsDir():
		a.kind = directory
	case is.Kind == fs.ModeSymlink:
		a.kind = link
	}
	return a
}

// look describes what has the name, be it a link.
func (d *folder) look(name string) (facts, error) {
	is, err := ntfile.Lstat(d.f, name)
	return factsIn(is), err
}

// openFolder opens a directory that the user named, be it through a link.
func openFolder(path string) (*folder, error) {
	f, err := ntfile.OpenPath(path)
	if err != nil {
		return nil, err
	}
	return &folder{f}, nil
}

// folder opens a directory.
func (d *folder) folder(name string) (*folder, error) {
	f, err := ntfile.Open(d.f, name, ntfile.How{Dir: true})
	if err != nil {
		return nil, err
	}
	return &folder{f}, nil
}

// file opens a regular file.
func (d *folder) file(name string) (*os.File, facts, error) {
	f, err := ntfile.Open(d.f, name, ntfile.How{})
	if err != nil {
		return nil, facts{}, err
	}
	return regular(f)
}

// openFile opens a regular file by its path.
func openFile(path string) (*os.File, facts, error) {
	in, err := ntfile.OpenPath(filepath.Dir(path))
	if err != nil {
		return nil, facts{}, err
	}
	f, a, err := (&folder{in}).file(filepath.Base(path))
	return f, a, errors.Join(err, in.Close())
}

// of describes an open file.
func of(f *os.File) (facts, error) {
	is, err := ntfile.Stat(f)
	return factsIn(is), err
}

// target is that of a link.
func (d *folder) target(name string) (string, error) { return ntfile.Readlink(d.f, name) }

// openNamed opens what a user names.
func openNamed(path string) (*os.File, error) { return os.Open(path) }

// brief makes a file that is gone when it is closed, be it by the end of the process.
func brief(dir string) (*os.File, error) {
	d, err := ntfile.OpenPath(dir)
	if err != nil {
		return nil, err
	}
	f, err := ntfile.Open(d, indexPrefix+rand.Text(), ntfile.How{Write: true, Create: true, Brief: true})
	return f, errors.Join(err, d.Close())
}
