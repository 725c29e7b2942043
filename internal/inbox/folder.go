package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Sub opens a directory in the directory, which is made when it is not there.
// One that others could exchange files in is refused with a [FolderError]. The
// caller closes it.
func (d *Dir) Sub(name string) (*Dir, error) {
	if err := baseName(name); err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	err := d.root.Mkdir(name, fs.ModePerm)
	switch {
	case err == nil:
		err = d.names.Sync()
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	return openFolder(d.root.Lstat, d.root.OpenRoot, name, d.Path(name))
}

// OpenFolder opens a directory that Sub has opened before, by the same rules.
func OpenFolder(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	return openFolder(os.Lstat, os.OpenRoot, abs, abs)
}

// openFolder opens a folder, and checks what was opened: a name in a directory
// that others may write in can mean something else in the next moment.
func openFolder(lstat func(string) (fs.FileInfo, error), open func(string) (*os.Root, error), name, path string) (*Dir, error) {
	named, err := lstat(name)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	if !named.IsDir() {
		return nil, &FolderError{Path: path, Reason: "it is a link, or no directory"}
	}
	root, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	d, err := openIn(root, path)
	if err != nil {
		return nil, err
	}
	if err := d.checkFolder(named); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// checkFolder holds a folder that was opened against the file that had its name,
// and against the files that we make in it.
func (d *Dir) checkFolder(named fs.FileInfo) error {
	info, err := d.root.Stat(".")
	switch {
	case err != nil:
		return fmt.Errorf("download directory: %w", err)
	case !os.SameFile(named, info):
		return &FolderError{Path: d.path, Reason: "another directory was put in its place"}
	}
	return d.alone(info)
}

// FolderError says that a folder in the download directory is not one that we
// alone can change. It is left as it is.
type FolderError struct {
	Path     string // absolute
	Reason   string
	Writable bool // only its mode is wrong
}

// Error names the folder and what is wrong with it.
func (e *FolderError) Error() string {
	return fmt.Sprintf("folder %s is not used: %s", e.Path, e.Reason)
}

// Exposed says why others can put files in the place of received ones, or
// nothing when they cannot. A file that was verified is verified up to its
// release; what becomes of it then is up to them.
func (d *Dir) Exposed() string { return d.exposed }
