package simulate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"jetsend/internal/machine"
)

// naming is a change of names that a crash may undo: as long as neither of the
// directories that it is about is synced.
type naming struct {
	op       machine.Op
	path, to string
	grave    string // of what was removed or replaced
}

// String says what it is.
func (n naming) String() string { return strings.TrimSpace(string(n.op) + " " + n.path + " " + n.to) }

// name is the name that it makes, or nothing.
func (n naming) name() string {
	switch {
	case n.op == machine.Remove:
		return ""
	case n.to != "":
		return n.to
	}
	return n.path
}

// in reports whether it is about names in a directory.
func (n naming) in(dir string) bool {
	return filepath.Dir(n.path) == dir || n.to != "" && filepath.Dir(n.to) == dir
}

// note notes what a step does.
func (d *disk) note(s machine.Step) error {
	switch s.Op {
	case machine.Commit, machine.Committed, machine.Reserve:
		return nil
	case machine.SyncNames:
		d.naming = slices.DeleteFunc(d.naming, func(n naming) bool { return n.in(filepath.Clean(s.Path)) })
		return nil
	case machine.Create:
		if _, err := os.Lstat(s.Path); errors.Is(err, fs.ErrNotExist) { // or it will fail
			d.files[s.Path] = &file{}
			d.naming = append(d.naming, naming{op: s.Op, path: s.Path})
		}
		return nil
	case machine.Write, machine.Truncate:
		d.writes(s)
		return nil
	case machine.Sync:
		if f := d.files[s.Path]; f != nil { // of one whose writing nobody saw, there is nothing to lose
			f.synced = f.size
		}
		return nil
	}
	return d.names(s)
}

// writes notes a change of the bytes of a file.
func (d *disk) writes(s machine.Step) {
	f := d.files[s.Path]
	if f == nil {
		f = &file{}
		if info, err := os.Lstat(s.Path); err == nil && info.Mode().IsRegular() {
			f.size, f.synced = info.Size(), info.Size()
		}
		d.files[s.Path] = f
	}
	if s.Op == machine.Write {
		f.size += s.Size
		return
	}
	f.size, f.synced = s.Size, min(f.synced, s.Size)
}

// names notes a change of names.
func (d *disk) names(s machine.Step) error {
	n := naming{op: s.Op, path: s.Path, to: s.To}
	var err error
	switch s.Op {
	case machine.Rename:
		if _, err := os.Lstat(s.To); !errors.Is(err, fs.ErrNotExist) {
			return nil // it will fail
		}
		d.moved(s.Path, s.To)
	case machine.Replace:
		if n.grave, err = d.bury(s.To); err != nil {
			return err
		}
		d.moved(s.Path, s.To)
	case machine.Link:
		d.files[s.To] = d.files[s.Path]
	case machine.Remove:
		if n.grave, err = d.bury(s.Path); err != nil || n.grave == "" {
			return err
		}
	}
	d.naming = append(d.naming, n)
	return nil
}

// moved notes that something has another path, and all that is in it.
func (d *disk) moved(from, to string) {
	now := func(path string) string {
		if path == from || strings.HasPrefix(path, from+"/") {
			return to + path[len(from):]
		}
		return path
	}
	delete(d.files, to)
	files := make(map[string]*file, len(d.files))
	for path, f := range d.files {
		files[now(path)] = f
	}
	d.files = files
	for i := range d.naming {
		n := &d.naming[i]
		if strings.HasPrefix(n.path, from+"/") {
			n.path = now(n.path)
		}
		if strings.HasPrefix(n.to, from+"/") {
			n.to = now(n.to)
		}
	}
}

// bury keeps a file that is removed or replaced, for as long as a crash can bring it back.
// Where there is none, there is no grave. What becomes of a directory is for ever.
func (d *disk) bury(path string) (grave string, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return "", nil
	}
	d.graves++
	grave = filepath.Join(d.dir, "graves", strconv.Itoa(d.graves))
	return grave, os.Link(path, grave)
}

// undo undoes a change of names.
func (d *disk) undo(n naming) error {
	switch n.op {
	case machine.Create:
		return os.RemoveAll(n.path)
	case machine.Link:
		return os.Remove(n.to)
	case machine.Remove:
		return os.Rename(n.grave, n.path)
	}
	if err := os.Rename(n.to, n.path); err != nil {
		return err
	}
	d.moved(n.to, n.path)
	if n.grave == "" {
		return nil
	}
	return os.Rename(n.grave, n.to)
}

// keeps notes that somebody else has written a file, which is on the disk.
func (d *disk) keeps(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, path)
}

// durable says why a released file or folder could be gone after a crash, or nothing.
func (d *disk) durable(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.naming {
		if name := n.name(); name == path || name != "" && strings.HasPrefix(path, name+"/") {
			return "its name is not synced"
		}
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if f := d.files[path]; f == nil || f.synced < info.Size() {
		return "its bytes are not synced"
	}
	return ""
}
