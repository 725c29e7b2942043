package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// goods are the arguments of a set on the sender's disk, and what may become of them.
type goods struct {
	dir   string
	names []string                    // of the arguments
	was   map[string]map[string]thing // of each, as an earlier set has brought it; by path
	is    map[string]map[string]thing // as it is now
	edits map[string]map[string]thing // what was changed at the receiver, by the path that it had
}

// thing is a file, a directory or a link as it stands on a disk.
type thing struct {
	mode    fs.FileMode
	content hash   // of a file
	size    int64  // likewise
	target  string // of a link
	mtime   time.Time
}

// same reports whether two things hold the same, whatever their times and modes.
func (t thing) same(as thing) bool {
	return t.mode.Type() == as.mode.Type() && t.content == as.content && t.target == as.target
}

// equal reports whether two things are the same, but for the time of a link.
func (t thing) equal(to thing) bool {
	return t.same(to) && t.mode == to.mode && (t.mode.Type() == fs.ModeSymlink || t.mtime.Equal(to.mtime))
}

// awkward are names that stand in every folder that is large enough.
func awkward() []string {
	return []string{".hidden", "with space ", "aux.c", "\xff\xfe", "ende.", "-rf", "ein\nzeile", "u\u0308"}
}

// makeGoods makes what is sent.
func makeGoods(dir string, seed uint64, s *shape) (*goods, error) {
	g := &goods{dir: dir, was: map[string]map[string]thing{}, is: map[string]map[string]thing{}, edits: map[string]map[string]thing{}}
	rnd := rand.New(rand.NewPCG(seed, 3))
	for i, size := range s.files {
		name := fmt.Sprintf("file-%d.bin", i)
		g.names = append(g.names, name)
		if err := put(rnd, filepath.Join(dir, name), size); err != nil {
			return nil, err
		}
	}
	for i, f := range s.folders {
		name := fmt.Sprintf("folder-%d", i)
		g.names = append(g.names, name)
		if err := fill(rnd, filepath.Join(dir, name), f); err != nil {
			return nil, err
		}
	}
	return g, g.look()
}

// fill makes a folder.
func fill(rnd *rand.Rand, root string, f folderShape) error {
	if err := os.Mkdir(root, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	dirs := []string{root}
	names := awkward()
	for i := range f.entries {
		name := fmt.Sprintf("%d", i)
		if len(names) > 0 && f.entries > 2*len(awkward()) && i%2 == 1 {
			name, names = names[0], names[1:]
		}
		at := filepath.Join(pick(rnd, dirs...), name)
		var err error
		switch n := rnd.IntN(20); {
		case n == 0:
			err = os.Symlink(name, at+"-link")
		case n < 3:
			dirs = append(dirs, at)
			err = os.Mkdir(at, pick[fs.FileMode](rnd, 0o755, 0o700))
		default:
			err = put(rnd, at, size(rnd, f.top))
		}
		if err != nil {
			return fmt.Errorf("fill folder: %w", err)
		}
	}
	return nil
}

// put makes a file, with a time in the past.
func put(rnd *rand.Rand, at string, size int64) error {
	b := make([]byte, size)
	var key [32]byte
	for i := range key {
		key[i] = byte(rnd.Uint32())
	}
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	if err := os.WriteFile(at, b, 0o600); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	then := time.Unix(1_600_000_000+rnd.Int64N(1e8), rnd.Int64N(1e9))
	return errors.Join(os.Chtimes(at, then, then), os.Chmod(at, pick[fs.FileMode](rnd, 0o644, 0o644, 0o755, 0o600, 0o444)))
}

// look takes note of what there is.
func (g *goods) look() (err error) {
	for _, name := range g.names {
		if g.is[name], err = scan(filepath.Join(g.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// count is how many bytes and entries there are.
func (g *goods) count() (bytes int64, entries int) {
	for _, things := range g.is {
		entries += len(things)
		for _, t := range things {
			bytes += t.size
		}
	}
	return bytes, entries
}

// fresh is how many bytes are in files that are not as they were.
func (g *goods) fresh() (bytes int64) {
	for name, things := range g.is {
		for p, t := range things {
			if _, edited := g.edits[name][p]; edited || !t.same(g.was[name][p]) {
				bytes += t.size
			}
		}
	}
	return bytes
}

// paths are those of the arguments.
func (g *goods) paths() (paths []string) {
	for _, name := range g.names {
		paths = append(paths, filepath.Join(g.dir, name))
	}
	return paths
}

// change changes what was sent, and some files that came at the receiver, so that it can
// be sent again.
func (g *goods) change(seed uint64, s *shape, inbox string) error {
	rnd := rand.New(rand.NewPCG(seed, 4))
	for i, name := range g.names {
		g.was[name] = g.is[name]
		paths := slices.Sorted(maps.Keys(g.is[name]))
		for _, p := range paths {
			if err := g.alter(rnd, filepath.Join(g.dir, name, p), g.is[name][p], s.folders[i].top); err != nil {
				return fmt.Errorf("change %s: %w", p, err)
			}
		}
		if err := put(rnd, filepath.Join(g.dir, name, "added"), s.folders[i].top); err != nil {
			return err
		}
		if err := g.edit(rnd, name, paths, s.edits, inbox); err != nil {
			return fmt.Errorf("edit %s: %w", name, err)
		}
	}
	return g.look()
}

// alter may change one thing.
func (g *goods) alter(rnd *rand.Rand, at string, t thing, top int64) error {
	then := time.Unix(1_700_000_000+rnd.Int64N(1e6), rnd.Int64N(1e9))
	switch n := rnd.IntN(8); {
	case t.mode.IsDir() && n == 0:
		return put(rnd, filepath.Join(at, "new"), size(rnd, top))
	case !t.mode.IsRegular() || n > 3:
		return nil
	case n == 0:
		return os.Chmod(at, t.mode^0o100)
	case n == 1:
		return os.Chtimes(at, then, then)
	}
	if err := os.Remove(at); err != nil {
		return err
	}
	return put(rnd, at, size(rnd, top))
}

// edit changes files that the receiver has got.
func (g *goods) edit(rnd *rand.Rand, name string, paths []string, n int, inbox string) error {
	g.edits[name] = map[string]thing{}
	for range n {
		p := pick(rnd, paths...)
		if !g.was[name][p].mode.IsRegular() {
			continue
		}
		at := filepath.Join(inbox, name, p)
		if err := os.WriteFile(at, fmt.Appendf(nil, "edited %d", rnd.Uint64()), 0o600); err != nil {
			return err
		}
		var err error
		if g.edits[name][p], err = thingAt(at); err != nil {
			return err
		}
	}
	return nil
}

// scan looks at all that there is below a path, "." for itself.
func scan(root string) (map[string]thing, error) {
	all := map[string]thing{}
	err := filepath.WalkDir(root, func(at string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, at)
		if err == nil {
			all[below], err = thingAt(at)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", filepath.Base(root), err)
	}
	return all, nil
}

func thingAt(at string) (t thing, err error) {
	info, err := os.Lstat(at)
	if err != nil {
		return t, err
	}
	t = thing{mode: info.Mode(), mtime: info.ModTime()}
	switch {
	case info.Mode().IsRegular():
		var b []byte
		b, err = os.ReadFile(at)
		t.content, t.size = sha256.Sum256(b), int64(len(b))
	case info.Mode().Type() == fs.ModeSymlink:
		t.target, err = os.Readlink(at)
	}
	return t, err
}

// missing says what is not as it should be in the end of an argument in the download
// directory; "" when all of it is there.
func (g *goods) missing(inbox, name string) string {
	there, err := scan(filepath.Join(inbox, name))
	if err != nil {
		return err.Error()
	}
	more := maps.Clone(there)
	for p := range g.is[name] {
		delete(more, p)
	}
	for p := range g.edits[name] {
		if !takeKept(more, p, g.edits[name][p]) {
			return fmt.Sprintf("what was edited of %s is not kept", path.Join(name, p))
		}
	}
	for p := range more {
		return fmt.Sprintf("%s is too much", path.Join(name, p))
	}
	for p, t := range g.is[name] {
		got, is := there[p]
		switch {
		case !is:
			return fmt.Sprintf("%s is missing", path.Join(name, p))
		case !got.equal(t):
			return fmt.Sprintf("%s is %+v instead of %+v", path.Join(name, p), got, t)
		}
	}
	return ""
}

// takeKept takes out what was edited and is kept beside its path.
func takeKept(there map[string]thing, p string, edited thing) bool {
	for q, t := range there {
		if path.Dir(q) == path.Dir(p) && t.same(edited) {
			delete(there, q)
			return true
		}
	}
	return false
}

// wrong says what may never be there of an argument: what is neither as it was, nor as it
// is, nor as it was edited. A folder that is new is there whole or not at all.
func (g *goods) wrong(inbox, name string) string {
	if g.was[name] == nil {
		return g.missing(inbox, name)
	}
	there, err := scan(filepath.Join(inbox, name))
	if err != nil {
		return err.Error()
	}
	for p := range g.edits[name] {
		if !takeKept(there, p, g.edits[name][p]) {
			return fmt.Sprintf("what was edited of %s is lost", path.Join(name, p))
		}
	}
	for p, t := range there {
		was, old := g.was[name][p]
		is, now := g.is[name][p]
		if !(old && t.same(was)) && !(now && t.same(is)) {
			return fmt.Sprintf("%s is neither what it was nor what it is: %+v", path.Join(name, p), t)
		}
	}
	return ""
}

// arrived reports whether all arguments are there.
func (g *goods) arrived(inbox string) bool {
	return !slices.ContainsFunc(g.names, func(name string) bool { return g.missing(inbox, name) != "" })
}

// check says what is wrong with the download directory, and in the end, what is missing.
func (g *goods) check(inbox string, over bool) (problems []string) {
	l, err := list(inbox)
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range l.visible {
		if !slices.Contains(g.names, name) {
			problems = append(problems, fmt.Sprintf("%q is too much", name))
		} else if text := g.wrong(inbox, name); text != "" {
			problems = append(problems, text)
		}
	}
	if !over {
		return problems
	}
	if len(l.hidden) > 0 {
		problems = append(problems, fmt.Sprintf("left behind: %q", l.hidden))
	}
	for _, name := range g.names {
		if text := g.missing(inbox, name); text != "" {
			problems = append(problems, text)
		}
	}
	return problems
}

// leftovers are what sets have left in the state directory of an account.
func leftovers(home string) (paths []string) {
	sets, _ := filepath.Glob(filepath.Join(home, "state", "*.sets", "*")) // the pattern is well formed
	for _, p := range sets {
		if filepath.Base(p) != "folders" {
			paths = append(paths, strings.TrimPrefix(p, home))
		}
	}
	lists, _ := filepath.Glob(filepath.Join(home, "state", ".index-*"))
	return append(paths, lists...)
}
