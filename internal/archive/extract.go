package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"jetsend/internal/filename"
	"jetsend/internal/fsys"
)

// maxNumbered bounds the search for a free name for the whole tree; a
// directory with so many of one name is somebody's attack on the disk.
const maxNumbered = 10000

// Target says where a tree goes. The zero value is not usable.
type Target struct {
	// ID is the transfer's id. It names the hidden directory, see [TempName].
	ID string
	// Name is the name of the tree, from [filename.Safe]. It takes the place
	// of the one in the stream.
	Name string
	// Place is called before a name is tried, with that name: Name, or Name
	// with a number when that is taken. An error ends it all. May be nil.
	Place func(name string) error
	// Exposed says that others may rename what is in the directory: then what
	// got the name is compared with what was unpacked.
	Exposed bool

	symlink func(root *os.Root, target, path string) error // tests put their own here
}

// Limits bounds what may be unpacked. The zero value allows no data at all.
type Limits struct {
	// Bytes is how many bytes all files may have together: never more than the
	// stream has, so its size does for it.
	Bytes int64
	// Entries is how many files, directories and links there may be; 0 and
	// more than that mean [MaxEntries].
	Entries int
	// Depth is how deep directories may be nested; 0 and more than that mean
	// [MaxDepth].
	Depth int
}

// Tree is what was unpacked.
type Tree struct {
	Name    string // the name that it got
	Files   int
	Dirs    int // with the top
	Links   int
	Bytes   int64 // in files
	Renamed int   // names below the top that had to be changed
	LeftOut int   // links that the file system does not have
	// Changes are the first of both, in the order in which they were met.
	Changes []Change
}

// maxChanges bounds the changes that are told one by one.
const maxChanges = 100

// Change is an entry that is not as it was sent. The paths are below the top, with
// slashes, and not safe to show.
type Change struct {
	Path string // in the archive
	Now  string // on the disk; "" when it was left out
	Err  error  // why it was left out
}

func (t *Tree) changed(c Change) {
	if c.Now == "" {
		t.LeftOut++
	} else {
		t.Renamed++
	}
	if len(t.Changes) < maxChanges {
		t.Changes = append(t.Changes, c)
	}
}

// TempName is the hidden directory that the archive of a transfer is unpacked
// into. While it exists, the tree was not released. Once it is gone again and
// the name that Place was called with last is a directory, it was.
func TempName(id string) string { return ".jetsend-" + id + ".dir" }

// Extract unpacks a verified stream below root. When it returns nil, the tree
// stands in root under its name, nothing was replaced, all of it was synced.
// Otherwise nothing is left, but what a crash leaves: the next Extract of the
// same id, or [Discard], removes that. The caller sees to it that there is only
// one of an id at a time, and that there is space for Limits.Bytes.
//
// Permission bits are kept as far as the umask leaves them, times of files and
// directories too; owners are not. A [RefusedError] when the archive is at
// fault, [ErrNoSpace] when the disk is full.
func Extract(ctx context.Context, r io.Reader, root *os.Root, to Target, limits Limits) (Tree, error) {
	if filename.Safe(to.Name) != to.Name || filename.Safe(to.ID) != to.ID {
		return Tree{}, fmt.Errorf("unpack archive: %q of %q is not a safe name", to.Name, to.ID)
	}
	tree, err := extract(ctx, r, root, to, limits)
	if err != nil {
		if fsys.Full(err) {
			err = fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		return Tree{}, errors.Join(fmt.Errorf("unpack archive: %w", err), Discard(root, to.ID))
	}
	return tree, nil
}

func extract(ctx context.Context, r io.Reader, root *os.Root, to Target, limits Limits) (Tree, error) {
	into, err := hidden(root, to.ID)
	if err != nil {
		return Tree{}, err
	}
	defer func() { _ = into.Close() }() // all of it is synced
	tree, err := unpack(ctx, r, into, to.symlink, limits)
	if err != nil {
		return Tree{}, err
	}
	temp := TempName(to.ID)
	if tree.Name, err = release(root, temp, to); err != nil {
		return Tree{}, err
	}
	if to.Exposed {
		if err := same(root, tree.Name, into); err != nil {
			return Tree{}, err
		}
	}
	if err := syncDir(root); err != nil { // nobody can rely on the name
		return Tree{}, errors.Join(err, root.Rename(tree.Name, temp))
	}
	return tree, nil
}

// hidden makes the hidden directory of a transfer and opens it. Where others may
// make and rename files, what is opened need not be what was made.
func hidden(root *os.Root, id string) (*os.Root, error) {
	temp := TempName(id)
	if err := Discard(root, id); err != nil {
		return nil, err
	}
	if err := root.Mkdir(temp, 0o700); err != nil {
		return nil, err
	}
	into, err := root.OpenRoot(temp)
	if err != nil {
		return nil, err
	}
	if err := same(root, temp, into); err != nil { // a link, for one
		return nil, errors.Join(err, into.Close())
	}
	return into, nil
}

// errExchanged: somebody else put something in the place of what we had made.
var errExchanged = errors.New("another directory was put in the place of the one that was unpacked into")

// same fails when name is not, or not any more, what is open.
func same(root *os.Root, name string, open *os.Root) error {
	named, err := root.Lstat(name)
	if err != nil {
		return err
	}
	opened, err := open.Stat(top)
	if err == nil && !os.SameFile(named, opened) {
		err = errExchanged
	}
	return err
}

// release gives the tree its final name. Renaming a directory replaces no file
// and no link, and of directories only an empty one; [os.Root] refuses that, too.
func release(root *os.Root, temp string, to Target) (string, error) {
	name, err := releaseAs(root, temp, to.Name, to.Place)
	if plain := filename.Plain(to.Name); fsys.Unnameable(err) && plain != to.Name {
		return releaseAs(root, temp, plain, to.Place)
	}
	return name, err
}

func releaseAs(root *os.Root, temp, as string, place func(name string) error) (string, error) {
	for n := range maxNumbered {
		name := filename.Numbered(as, n)
		if taken(root, name) {
			continue
		}
		if place != nil {
			if err := place(name); err != nil {
				return "", err
			}
		}
		err := root.Rename(temp, name)
		if err == nil {
			return name, nil
		}
		if !taken(root, name) {
			return "", err
		}
	}
	return "", fmt.Errorf("release %s: %w", as, fs.ErrExist)
}

func taken(root *os.Root, name string) bool {
	_, err := root.Lstat(name)
	return err == nil
}

// Discard removes what was unpacked of a transfer and not released. It does not
// mind when there is nothing.
func Discard(root *os.Root, id string) error {
	temp := TempName(id)
	err := root.RemoveAll(temp)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// Directories have got their modes already, and one of them does not let
	// its owner in. WalkDir looks into a directory after this was called for it.
	shut, operr := root.OpenRoot(temp)
	if operr != nil {
		return errors.Join(err, operr)
	}
	if err = same(root, temp, shut); err == nil {
		err = fs.WalkDir(shut.FS(), top, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return shut.Chmod(p, 0o700)
		})
	}
	return errors.Join(err, shut.Close(), root.RemoveAll(temp))
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root) error {
	d, err := root.Open(top)
	if err != nil {
		return err
	}
	return errors.Join(fsys.SyncNames(d), d.Close())
}

// trouble reports whether an error has nothing to do with the name of a file.
func trouble(err error) bool {
	return fsys.Failing(err)
}
