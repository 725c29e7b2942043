package inbox

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// errCut is what a dead process gets: nothing is done any more.
var errCut = errors.New("cut")

// disk is a directory that lacks abilities and dies after some changes. With
// power loss, what was not synced may be undone.
type disk struct {
	t *testing.T
	names
	dir    string
	noMove bool     // no rename without replacing
	noLink bool     // no hard links
	broken bool     // Sync fails
	left   int      // changes until it is dead; negative: lives on
	flaw   int      // changes until one that fails by itself, without power loss; 0: none
	flawed string   // what that was
	undo   []func() // the changes since the last Sync
}

// newDisk puts a disk under d.
func newDisk(t *testing.T, d *Dir) *disk {
	k := &disk{t: t, names: d.names, dir: d.path, left: -1}
	d.names = k
	return k
}

// step counts a change.
func (k *disk) step(what string) error {
	if k.flaw > 0 {
		if k.flaw--; k.flaw == 0 {
			k.flawed = what
			return errCut
		}
	}
	if k.left == 0 {
		return errCut
	}
	k.left--
	return nil
}

// did remembers how a change is undone.
func (k *disk) did(err error, undo func() error) error {
	if err == nil {
		k.undo = append(k.undo, func() {
			if err := undo(); err != nil {
				k.t.Error("undo: ", err)
			}
		})
	}
	return err
}

func (k *disk) path(name string) string { return filepath.Join(k.dir, name) }

// spare keeps a file that is about to lose its name. It returns how to give the
// name back.
func (k *disk) spare(name string) func() error {
	if k.flaw > 0 || k.flawed != "" {
		return func() error { return nil } // a second link to it would be seen
	}
	safe := filepath.Join(k.t.TempDir(), name)
	if err := os.Link(k.path(name), safe); err != nil {
		return func() error { return nil } // there was none
	}
	return func() error { return os.Rename(safe, k.path(name)) }
}

func (k *disk) Move(from, to string) error {
	if k.noMove {
		return errors.ErrUnsupported
	}
	if err := k.step("Move"); err != nil {
		return err
	}
	return k.did(k.names.Move(from, to), func() error { return os.Rename(k.path(to), k.path(from)) })
}

func (k *disk) Link(from, to string) error {
	if k.noLink {
		return errors.ErrUnsupported
	}
	if err := k.step("Link"); err != nil {
		return err
	}
	return k.did(k.names.Link(from, to), func() error { return os.Remove(k.path(to)) })
}

func (k *disk) Rename(from, to string) error {
	if err := k.step("Rename"); err != nil {
		return err
	}
	back := k.spare(to)
	return k.did(k.names.Rename(from, to), func() error {
		return errors.Join(os.Rename(k.path(to), k.path(from)), back())
	})
}

func (k *disk) Hold(name string) error {
	if err := k.step("Hold"); err != nil {
		return err
	}
	return k.did(k.names.Hold(name), func() error {
		if info, err := os.Stat(k.path(name)); err == nil && info.Size() > 0 {
			return nil // replaced since, and that has reached the disk
		}
		return os.Remove(k.path(name))
	})
}

func (k *disk) Date(name string, mtime time.Time) error {
	if err := k.step("Date"); err != nil {
		return err
	}
	return k.names.Date(name, mtime)
}

func (k *disk) Remove(name string) error {
	if err := k.step("Remove"); err != nil {
		return err
	}
	back := k.spare(name)
	return k.did(k.names.Remove(name), back)
}

func (k *disk) Sync() error {
	if k.broken {
		return errCut
	}
	if err := k.step("Sync"); err != nil {
		return err
	}
	k.undo = nil
	return k.names.Sync()
}

// lose is power loss. keep says, bit by bit, which of the changes had reached
// the disk by chance.
func (k *disk) lose(keep int) {
	for i := len(k.undo) - 1; i >= 0; i-- {
		if keep>>i&1 == 0 {
			k.undo[i]()
		}
	}
}

func reopened(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// only fails unless the directory holds this one file.
func only(t *testing.T, path, name, content string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path, name))
	if err != nil || !bytes.Equal(b, []byte(content)) {
		t.Errorf("%s: %q, %v", name, b, err)
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 1 {
		t.Errorf("in the directory: %v, %v", entries, err)
	}
}
