package inbox

import (
	"errors"
	"os"
	"time"

	"jetsend/internal/fsys"
	"jetsend/internal/machine"
)

// names are the changes of names that a release is made of, each of them
// atomic. All names are base names in one directory.
type names interface {
	// Move renames, and gives fs.ErrExist when the new name is taken.
	Move(from, to string) error
	// Link gives a file a second name, and fs.ErrExist when that is taken.
	Link(from, to string) error
	// Rename renames, and replaces what has the new name.
	Rename(from, to string) error
	// Hold makes an empty file, and gives fs.ErrExist when its name is taken.
	Hold(name string) error
	// Date sets the time of a file's last change, durably.
	Date(name string, mtime time.Time) error
	// Remove removes a name.
	Remove(name string) error
	// Sync makes all changes before it durable.
	Sync() error
}

// rootNames are the names of a real directory.
type rootNames struct {
	root *os.Root
	path string // absolute
}

func (r rootNames) Link(from, to string) error {
	if err := machine.BeforeNaming(machine.Link, r.path, from, to); err != nil {
		return err
	}
	return r.root.Link(from, to)
}

func (r rootNames) Rename(from, to string) error {
	if err := machine.BeforeNaming(machine.Replace, r.path, from, to); err != nil {
		return err
	}
	return r.root.Rename(from, to)
}

func (r rootNames) Remove(name string) error {
	if err := machine.Before(machine.Remove, r.path, name, 0); err != nil {
		return err
	}
	return r.root.Remove(name)
}

func (r rootNames) Move(from, to string) error {
	if err := machine.BeforeNaming(machine.Rename, r.path, from, to); err != nil {
		return err
	}
	dir, err := r.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(renameNoReplace(dir, from, to), dir.Close())
}

func (r rootNames) Hold(name string) error {
	if err := machine.Before(machine.Create, r.path, name, 0); err != nil {
		return err
	}
	f, err := r.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, partMode)
	if err != nil {
		return err
	}
	return f.Close()
}

func (r rootNames) Date(name string, mtime time.Time) error {
	if err := r.root.Chtimes(name, time.Time{}, mtime); err != nil {
		return err
	}
	f, err := r.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (r rootNames) Sync() error {
	if err := machine.Before(machine.SyncNames, r.path, "", 0); err != nil {
		return err
	}
	f, err := r.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(fsys.SyncNames(f), f.Close())
}
