// Package inbox is the download directory: files appear in it under their
// final names whole, verified and durable, or not at all.
//
// A directory, which comes as an archive, is unpacked by Unpack in the place of
// Release, and SettleTree tells of it.
//
// Bytes go to a hidden file, .jetsend-ID.part, that only the owner can read. It
// stays when a transfer is cut, and Reopen goes on with it. Release is the one
// way out of it: the data are synced, the file gets its final name without
// replacing another one, the directory is synced. Settle tells what became of a
// release that was cut. Everything happens below one os.Root, with base names
// only, so that no name and no symbolic link leads out of the directory.
//
// The order of writing, syncing and recording is argued in package journal;
// this package does the first two and calls back for the third.
package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Conflict says what to do when the name is taken.
type Conflict int

// The rules for a name that is taken.
const (
	Rename    Conflict = iota // count up
	Skip                      // fail with ErrExists
	Overwrite                 // replace a regular file
	Update                    // change a folder that an earlier set was put into; otherwise as Rename
)

// Counts reports whether a name that is taken gets a number.
func (c Conflict) Counts() bool { return c == Rename || c == Update }

// Dir is an open download directory.
type Dir struct {
	root  *os.Root
	names names       // its names, changed for a release; tests put their own in between
	path  string      // absolute
	owner uint32      // of the files that we make, which is not us on every file system
	mode  fs.FileMode // of a released file: what the umask leaves
	// exposed says who else can exchange files in it; "" when nobody can.
	exposed string
}

// Open opens the directory and proves that files can be made in it. No path is
// no directory, rather than the current one.
func Open(path string) (*Dir, error) {
	if path == "" {
		return nil, errors.New("download directory: no path")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	return openIn(root, abs)
}

// openIn takes root, and closes it when it is not one that files can be made in.
func openIn(root *os.Root, abs string) (*Dir, error) {
	d := &Dir{root: root, names: rootNames{root, abs}, path: abs}
	info, err := probe(root, 0o666)
	if err != nil {
		var named *fs.PathError
		if errors.As(err, &named) { // the name of the probe would tell nobody anything
			err = named.Err
		}
		return nil, errors.Join(fmt.Errorf("download directory: make a file in %s: %w", abs, noSpace(err)), root.Close())
	}
	self, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("download directory: %w", err), root.Close())
	}
	d.mode, d.owner = info.Mode().Perm(), factsOf(info).owner
	d.exposed = d.exposure(self)
	return d, nil
}

// Close releases the directory; partial files stay as they are.
func (d *Dir) Close() error { return d.root.Close() }

// Path returns the absolute path of name in the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Exists reports whether something has that name, be it a dangling link. The name
// may be one in a directory that Sub opens.
func (d *Dir) Exists(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// Free returns the bytes that an ordinary user can still write.
func (d *Dir) Free() (int64, error) { return free(d.path) }

// Fits is nil when need bytes can be written and minFree stay free besides, and
// ErrNoSpace when they cannot.
func (d *Dir) Fits(need, minFree int64) error {
	avail, err := d.Free()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if need > avail-minFree {
		return ErrNoSpace
	}
	return nil
}

// baseName refuses what is not the plain name of one entry of the directory.
func baseName(name string) error {
	if !filepath.IsLocal(name) || filepath.Base(name) != name || name == "." {
		return fmt.Errorf("%q is not a file name", name)
	}
	return nil
}

const (
	partPrefix = ".jetsend-"
	partSuffix = ".part"
)

// partName returns the name of the partial file of a transfer.
func partName(id string) (string, error) {
	name := partPrefix + id + partSuffix
	return name, baseName(name)
}
