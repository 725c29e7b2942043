package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/archive"
	"jetsend/internal/fileid"
	"jetsend/internal/inbox"
	"jetsend/internal/machine"
)

// room is the hidden directory of a set, beside what comes of it, and what its file
// system is like.
type room struct {
	parent *dir
	hide   *dir
	name   string
	umask  fs.FileMode
	grain  time.Duration // of the times of files
	steady bool          // files keep their inodes
	device uint64
	owner  uint32       // of what we make
	prefix string       // of files that have no name yet, in this session
	made   atomic.Int64 // of them
}

// hiddenName is the name of the hidden directory of a set.
func hiddenName(id string) string { return hiddenPrefix + id + hiddenSuffix }

const (
	hiddenPrefix = ".jetsend-"
	hiddenSuffix = ".set"
	treePrefix   = "a" // of a folder that is new, with the number of its argument
	tempPrefix   = "t" // of a file
)

// roomIn returns the hidden directory of the set in a directory.
func (t *Target) roomIn(path string) (*room, error) {
	if r := t.rooms[path]; r != nil {
		return r, nil
	}
	parent, err := openPath(path)
	if err != nil {
		return nil, fmt.Errorf("download directory: %w", err)
	}
	r := &room{parent: parent, name: hiddenName(t.cfg.ID), prefix: tempPrefix + uuid.NewString()[:8] + "-"}
	err = r.enter(t.state)
	if err == nil && t.room != nil { // that of the download directory is swept when it is known what has a name
		err = r.sweep(t.part.temp())
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	t.rooms[path] = r
	return r, nil
}

// enter makes or opens the hidden directory, and learns about its file system.
func (r *room) enter(state string) error {
	known, err := hiddenIn(state)
	if err != nil {
		return err
	}
	err = r.parent.mkdir(r.name, 0o700)
	fresh := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a directory in %s: %w", r.parent.path, ours(err))
	}
	if r.hide, err = r.parent.dir(r.name); err != nil {
		return fmt.Errorf("%w: %w", inbox.ErrForeign, err)
	}
	if r.steady, err = fileid.Steady(r.hide.f); err != nil {
		return err
	}
	if !fresh {
		if err := r.belongs(known[r.parent.path]); err != nil {
			return err
		}
	}
	is, err := factsOf(r.hide.f)
	if err != nil {
		return err
	}
	if err := r.probe(is); err != nil {
		return err
	}
	if known[r.parent.path] == is.inode {
		return nil
	}
	known[r.parent.path] = is.inode
	return errors.Join(writeHidden(state, known), r.parent.sync())
}

// belongs is ErrForeign when the hidden directory is not the one that is known by its inode:
// where others may rename what is in the download directory, somebody may have put one in
// its place that is ours, but no hidden one. One that is not known may be empty, as after
// a crash.
func (r *room) belongs(inode uint64) error {
	is, err := factsOf(r.hide.f)
	if err != nil {
		return err
	}
	steady, err := fileid.Steady(r.hide.f)
	if err != nil || inode != 0 && (is.inode == inode || !steady) {
		return err
	}
	some, err := r.hide.some()
	if err == nil && len(some) > 0 {
		err = inbox.ErrForeign
	}
	return err
}

// probe learns umask and grain by making something, and whose that is; the hidden
// directory has to be of the same owner, who alone may write in it.
func (r *room) probe(is facts) error {
	probe := r.prefix + "p"
	if err := r.hide.mkdir(probe, 0o777); err != nil {
		return err
	}
	made, err := r.hide.dir(probe)
	if err != nil {
		return err
	}
	like, err := factsOf(made.f)
	// An odd second, and all digits behind it.
	at := time.Unix(1_000_000_001, 123_456_789)
	_ = archive.SetTime(made.f, at)
	dated, derr := factsOf(made.f)
	r.grain = grainOf(at, dated.mtime)
	r.device = deviceOf(made.f)
	if err := errors.Join(err, derr, made.close(), r.hide.rmdir(probe)); err != nil {
		return err
	}
	r.umask, r.owner = fs.ModePerm&^like.perm, like.owner
	const othersWrite fs.FileMode = 0o022
	if is.owner != like.owner || is.perm&othersWrite&^like.perm != 0 {
		return inbox.ErrForeign
	}
	return nil
}

// mode is what becomes of a mode that was sent.
func (r *room) mode(sent fs.FileMode, isDir bool) fs.FileMode { return kept(sent&^r.umask, isDir) }

// grains are those of file systems that there are.
var grains = []time.Duration{1, 100, time.Microsecond, time.Millisecond, 10 * time.Millisecond, time.Second, 2 * time.Second}

// grainOf is the grain of a file system that made the one time of the other.
func grainOf(asked, got time.Time) time.Duration {
	for _, g := range grains {
		if sameTime(asked, got, g) && got.UnixNano()%int64(g) == 0 && (asked.Equal(got) || g > 1) {
			return g
		}
	}
	return grains[len(grains)-1]
}

// sameTime reports whether two times are one on a file system of that grain.
func sameTime(a, b time.Time, grain time.Duration) bool {
	if grain >= time.Second {
		s := int64(grain / time.Second)
		return floor(a.Unix(), s) == floor(b.Unix(), s)
	}
	return a.Unix() == b.Unix() && a.Nanosecond()/int(grain) == b.Nanosecond()/int(grain)
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// fits is ErrNoSpace when less than minFree bytes are free where a directory is.
func fits(d *dir, minFree int64) error {
	free, err := d.free()
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if free < minFree {
		return inbox.ErrNoSpace
	}
	return nil
}

// temp is the name of another file that has none yet.
func (r *room) temp() string {
	return r.prefix + strconv.FormatInt(r.made.Add(1), 10)
}

// sweep removes what an earlier session has left, but for folders, and the file keep.
func (r *room) sweep(keep string) error {
	names, err := r.hide.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) || name == keep {
			continue
		}
		if err := r.hide.removeAll(name, 0); err != nil {
			return fmt.Errorf("remove what a session has left: %w", err)
		}
	}
	return nil
}

// remove removes the hidden directory with all that is in it. What is open is emptied,
// whatever has its name meanwhile: that only goes when it is empty itself.
func (r *room) remove() error {
	err := r.hide.clear(0)
	if err == nil {
		err = machine.Before(machine.Remove, r.parent.path, r.name, 0)
	}
	if err == nil {
		err = r.parent.rmdir(r.name)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", r.name, err)
	}
	return r.parent.sync()
}

func (r *room) close() error {
	err := r.parent.close()
	if r.hide != nil {
		err = errors.Join(err, r.hide.close())
	}
	return err
}

// names are all in a directory.
func (d *dir) names() ([]string, error) {
	f, err := d.again()
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// tooDeep bounds what is removed, as what nobody can have made here.
const tooDeep = 2 * archive.MaxDepth

// removeAll removes something, and what is in it. It follows no link.
func (d *dir) removeAll(name string, depth int) error {
	is, err := d.lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !is.kind.IsDir():
		return d.remove(name)
	case depth > tooDeep:
		return fmt.Errorf("remove %s: too deep", name)
	}
	sub, err := d.dir(name)
	if err != nil {
		return err
	}
	if err := errors.Join(sub.clear(depth), sub.close()); err != nil {
		return err
	}
	if err := machine.Before(machine.Remove, d.path, name, 0); err != nil {
		return err
	}
	return d.rmdir(name)
}

// clear removes what is in a directory. What is removed while it is read may hide what
// comes next: it is read anew, until there is nothing.
func (d *dir) clear(depth int) error {
	_ = chmod(d.f, 0o700) // or else the next step says so
	for {
		names, err := d.some()
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := d.removeAll(name, depth+1); err != nil {
				return err
			}
		}
	}
}

// some are the first names in a directory.
func (d *dir) some() ([]string, error) {
	f, err := d.again()
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(1024)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, errors.Join(err, f.Close())
}

// hiddenFile says where a set has hidden directories, and their inodes.
const hiddenFile = "hidden"

func hiddenIn(state string) (map[string]uint64, error) {
	known := map[string]uint64{}
	b, err := os.ReadFile(filepath.Join(state, hiddenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	for one := range strings.SplitSeq(string(b), "\n") {
		var inode uint64
		var path string
		if _, err := fmt.Sscanf(one, "%d %q", &inode, &path); err == nil {
			known[path] = inode
		}
	}
	return known, err
}

func writeHidden(state string, known map[string]uint64) error {
	var b []byte
	for path, inode := range known {
		b = fmt.Appendf(b, "%d %q\n", inode, path)
	}
	return writeFile(filepath.Join(state, hiddenFile), b)
}

// writeFile replaces a small file, durably.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path+freshSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return supersede(path+freshSuffix, path)
}
