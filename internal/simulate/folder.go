package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// folder is what is known of a folder that is sent, by the paths below it.
type folder struct {
	had   map[string][][]byte // of each file, all that it has ever held
	dirs  map[string]bool
	links map[string][]string // their targets
	made  int                 // files
}

// edited is what somebody has written into a file at the receiver.
type edited struct {
	source *original
	dir    string // of the folder there
	below  string // path in it
	data   []byte
	again  bool // and then something else, in the same place
}

// modes are those of files.
var modes = []fs.FileMode{0o600, 0o644, 0o755, 0o400}

// makeFolder makes a small folder.
func (w *world) makeFolder(i int) error {
	s := &original{path: filepath.Join(w.romeo.disk.dir, "src", fmt.Sprintf("tree %d", i))}
	s.folder = &folder{had: map[string][][]byte{}, dirs: map[string]bool{}, links: map[string][]string{}}
	w.sources = append(w.sources, s)
	r := w.dice.of("folder", i)
	dirs := []string{"."}
	for n := range r.IntN(4) {
		dirs = append(dirs, filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("d%d", n)))
	}
	for _, d := range dirs {
		s.folder.dirs[d] = true
		if err := os.Mkdir(filepath.Join(s.path, d), 0o755); err != nil {
			return err
		}
	}
	for range r.IntN(8) {
		if err := w.newFile(s, dirs[r.IntN(len(dirs))], r); err != nil {
			return err
		}
	}
	if once(r, 2) {
		return w.newLink(s, "l", fmt.Sprintf("f%d", r.IntN(4)))
	}
	return nil
}

// newFile makes a file in a folder, with another name than any before.
func (w *world) newFile(s *original, in string, r *rand.Rand) error {
	w.mu.Lock()
	name := filepath.Join(in, fmt.Sprintf("f%d", s.folder.made))
	s.folder.made++
	w.mu.Unlock()
	return w.put(s, name, content(r, r.IntN(40<<10)>>r.IntN(8)), modes[r.IntN(len(modes))])
}

func content(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	fill(r, b)
	return b
}

// put gives a file in a folder new content, at once.
func (w *world) put(s *original, below string, b []byte, mode fs.FileMode) error {
	w.mu.Lock()
	s.folder.had[below] = append(s.folder.had[below], b)
	w.mu.Unlock()
	return w.appear(filepath.Join(s.path, below), func(path string) error {
		return errors.Join(os.WriteFile(path, b, mode), os.Chmod(path, mode), date(path))
	})
}

// appear makes something elsewhere, and gives it its name when it is whole.
func (w *world) appear(path string, make func(path string) error) error {
	elsewhere := filepath.Join(w.dir, "new")
	return errors.Join(make(elsewhere), os.Rename(elsewhere, path))
}

func (w *world) newLink(s *original, below, target string) error {
	w.mu.Lock()
	s.folder.links[below] = append(s.folder.links[below], target)
	w.mu.Unlock()
	return w.appear(filepath.Join(s.path, below), func(path string) error { return os.Symlink(target, path) })
}

// date gives a file the time of the simulation: its own passes much faster than that of the
// file system.
func date(path string) error { return os.Chtimes(path, time.Time{}, time.Now()) }

// alter changes a source: a file in a folder is replaced or gets longer, comes or goes, a
// link leads somewhere else.
func (w *world) alter(s *original, what string) {
	w.mu.Lock()
	s.changed = time.Now()
	s.changes++
	r := w.dice.of("alter "+what+s.path[len(w.dir):], s.changes)
	w.isChanged = true
	w.mu.Unlock()
	w.count("source changed")
	var err error
	if s.folder == nil {
		w.trace("world", "%s is changed", filepath.Base(s.path))
		err = w.write(s, r.IntN(40<<10))
	} else {
		err = w.alterIn(s, r)
	}
	if err != nil {
		w.violated("the simulation itself: %v", err)
	}
}

func (w *world) alterIn(s *original, r *rand.Rand) error {
	var files []string
	for below := range s.folder.had {
		if _, err := os.Lstat(filepath.Join(s.path, below)); err == nil {
			files = append(files, below)
		}
	}
	slices.Sort(files)
	say := func(what, below string) { w.trace("world", "%s/%s %s", filepath.Base(s.path), below, what) }
	kind := r.IntN(5)
	if len(files) == 0 {
		kind = 3
	}
	pick := func() string { return files[r.IntN(len(files))] }
	switch kind {
	case 0:
		below := pick()
		say("is replaced", below)
		return w.put(s, below, content(r, r.IntN(40<<10)), 0o644)
	case 1:
		below := pick()
		say("gets longer", below)
		return w.extend(s, below, content(r, 1+r.IntN(2000)))
	case 2:
		below := pick()
		say("is removed", below)
		return os.Remove(filepath.Join(s.path, below))
	case 3:
		dirs := slices.Sorted(maps.Keys(s.folder.dirs))
		say("is where a file comes", dirs[0])
		return w.newFile(s, dirs[r.IntN(len(dirs))], r)
	}
	say("leads elsewhere", "l")
	return w.newLink(s, "l", fmt.Sprintf("f%d", r.IntN(6)))
}

// extend appends to a file in its place, which the sender may have open.
func (w *world) extend(s *original, below string, more []byte) error {
	w.mu.Lock()
	had := s.folder.had[below]
	s.folder.had[below] = append(had, append(slices.Clone(had[len(had)-1]), more...))
	w.mu.Unlock()
	path := filepath.Join(s.path, below)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(more)
	return errors.Join(err, f.Close(), date(path))
}

// editable are the files of folders that have arrived.
func (w *world) editable() (all []edited) {
	for _, s := range w.sources {
		if s.folder == nil {
			continue
		}
		for _, dir := range w.copies(s) {
			for _, below := range slices.Sorted(maps.Keys(s.folder.had)) {
				if info, err := os.Lstat(filepath.Join(dir, below)); err == nil && info.Mode().IsRegular() {
					all = append(all, edited{source: s, dir: dir, below: below})
				}
			}
		}
	}
	return all
}

// edit has somebody at the receiver write into a file of a folder that has arrived.
func (w *world) edit(r *rand.Rand) {
	all := w.editable()
	if len(all) == 0 {
		return
	}
	e := all[r.IntN(len(all))]
	e.data = content(r, 1+r.IntN(1000))
	path := filepath.Join(e.dir, e.below)
	before, _ := os.ReadFile(path) // it is one
	w.trace("juliet", "somebody edits %s", path[len(w.juliet.disk.dir):])
	w.count("edited at the receiver")
	if err := w.appear(path, func(path string) error { return errors.Join(os.WriteFile(path, e.data, 0o644), date(path)) }); err != nil {
		w.violated("the simulation itself: %v", err)
	}
	w.juliet.disk.keeps(path)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, o := range w.edits {
		w.edits[i].again = o.again || o.dir == e.dir && o.below == e.below && bytes.Equal(o.data, before)
	}
	w.edits = append(w.edits, e)
}

// counted is a name with a number, as what is kept gets one.
var counted = regexp.MustCompile(`^(.*) \(\d+\)$`)

// difference says how a folder at the receiver differs from what its source may be there:
// nothing is in it but what was sent in some version, or edited there. If it is whole, all
// that is in the source is in it, as it is now.
func (w *world) difference(s *original, dir string, whole bool) (why string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if err == nil {
			err = w.known(s, path, below, d)
		}
		return err
	})
	if err == nil && whole {
		err = filepath.WalkDir(s.path, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			below, err := filepath.Rel(s.path, path)
			if err != nil {
				return err
			}
			return same(path, filepath.Join(dir, below), d)
		})
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// known reports what is in no version of a source.
func (w *world) known(s *original, path, below string, d fs.DirEntry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case d.IsDir() && s.folder.dirs[below]:
		return nil
	case d.Type()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil || slices.Contains(s.folder.links[below], to) {
			return err
		}
	case d.Type().IsRegular():
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(s.folder.had[below], func(v []byte) bool { return bytes.Equal(v, b) }) || w.isEdit(s, below, b) {
			return nil
		}
		if m := counted.FindStringSubmatch(below); m != nil && w.isEdit(s, m[1], b) {
			return nil
		}
	}
	return fmt.Errorf("%s (%v) was never in the source", below, d.Type())
}

// isEdit reports whether somebody has written that into a file. w.mu is held.
func (w *world) isEdit(s *original, below string, b []byte) bool {
	return slices.ContainsFunc(w.edits, func(e edited) bool {
		return e.source == s && e.below == below && bytes.Equal(e.data, b)
	})
}

// same says how what came differs from what is sent.
func same(path, came string, d fs.DirEntry) error {
	a, err := os.Lstat(path)
	if err != nil {
		return err
	}
	b, err := os.Lstat(came)
	if err != nil {
		return err
	}
	if a.Mode() != b.Mode() {
		return fmt.Errorf("%s: mode %v, and not %v", came, b.Mode(), a.Mode())
	}
	switch {
	case d.Type()&fs.ModeSymlink != 0:
		x, xerr := os.Readlink(path)
		y, yerr := os.Readlink(came)
		if err := errors.Join(xerr, yerr); err != nil || x != y {
			return fmt.Errorf("%s leads to %q, and not %q: %w", came, y, x, err)
		}
	case d.Type().IsRegular():
		x, xerr := os.ReadFile(path)
		y, yerr := os.ReadFile(came)
		if err := errors.Join(xerr, yerr); err != nil || !bytes.Equal(x, y) || !a.ModTime().Equal(b.ModTime()) {
			return fmt.Errorf("%s: %d bytes of %v, and not the %d of %v: %w", came, len(y), b.ModTime(), len(x), a.ModTime(), err)
		}
	}
	return nil
}
