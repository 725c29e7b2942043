package tree

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"jetsend/internal/inbox"
)

// base is a folder as it was sent first.
func base() []thing {
	return []thing{
		{path: "a", data: "A"}, {path: "b", data: "B"}, {path: "d/x", data: "X"}, {path: "d/y", data: "Y"},
		{path: "e", dir: true}, {path: "l", target: "a"}, {path: "m", target: "b"},
	}
}

// sentOnce has the folder in its place.
func sentOnce(t *testing.T) *kit {
	k := newKit(t)
	s := k.open(inbox.Update)
	s.folder("f", base()...)
	s.done()
	k.again()
	return k
}

// with are the things, some of them exchanged or added.
func with(things []thing, others ...thing) []thing {
	for _, o := range others {
		if i := slices.IndexFunc(things, func(th thing) bool { return th.path == o.path }); i >= 0 {
			things[i] = o
		} else {
			things = append(things, o)
		}
	}
	return things
}

func TestUpdateEqual(t *testing.T) {
	k := sentOnce(t)
	s := k.open(inbox.Update)
	if wanted := s.folder("f", base()...); len(wanted) > 0 {
		t.Errorf("wanted: %q", wanted)
	}
	s.done().want("equal ", "equal a", "equal b", "equal d", "equal d/x", "equal d/y", "equal e", "equal l", "equal m")
	if a := s.arrivals[0]; a.Equal != 9 || a.Path != filepath.Join(k.dir, "f") || !a.Folder {
		t.Errorf("%+v", a)
	}
}

func TestUpdate(t *testing.T) {
	k := sentOnce(t)
	k.write("f/b", "edited")
	k.write("f/n", "mine")
	k.write("f/own", "mine too")
	if err := os.Remove(filepath.Join(k.dir, "f/d/y")); err != nil {
		t.Fatal(err)
	}
	relink(t, filepath.Join(k.dir, "f/m"), "d")
	later := epoch.Add(time.Hour)
	s := k.open(inbox.Update)
	wanted := s.folder("f", with(base(), thing{path: "a", data: "AA", mtime: later}, thing{path: "b", data: "BB", mtime: later},
		thing{path: "d/x", data: "X", mode: 0o755}, thing{path: "e/new", data: "new"}, thing{path: "l", target: "d/x"}, thing{path: "n", data: "N"})...)
	if !slices.Equal(wanted, []string{"a", "b", "d/y", "e/new", "n"}) {
		t.Errorf("wanted: %q", wanted)
	}
	s.done().want("changed ", "changed a", "changed b kept b (1)", "equal d", "equal d/x", "new d/y", "equal e", "new e/new",
		"changed l", "changed m kept m (1)", "changed n kept n (1)")
	k.shows("f", "f/", "f/a AA", "f/b BB", "f/b (1) edited", "f/d/", "f/d/x X", "f/d/y Y", "f/e/", "f/e/new new",
		"f/l -> d/x", "f/m -> b", "f/m (1) -> d", "f/n N", "f/n (1) mine", "f/own mine too")
	if is, err := os.Stat(filepath.Join(k.dir, "f/d/x")); err != nil || is.Mode().Perm() != 0o755 {
		t.Error(is, err)
	}
	// And again: nothing is left to do.
	k.again()
	s = k.open(inbox.Update)
	wanted = s.folder("f", with(base(), thing{path: "a", data: "AA", mtime: later}, thing{path: "b", data: "BB", mtime: later})...)
	if len(wanted) > 0 {
		t.Errorf("wanted: %q", wanted)
	}
	s.done()
}

func relink(t *testing.T, path, target string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestStaysUpdate: a set that was begun as an update goes on as one, whoever resumes it.
func TestStaysUpdate(t *testing.T) {
	k := sentOnce(t)
	k.open(inbox.Update).cut()
	s := k.open(inbox.Rename)
	s.folder("f", with(base(), thing{path: "a", data: "AA", mtime: epoch.Add(time.Hour)})...)
	s.done()
	k.shows("f", "f/", "f/a AA", "f/b B", "f/d/", "f/d/x X", "f/d/y Y", "f/e/", "f/l -> a", "f/m -> b")
	if others, _ := filepath.Glob(filepath.Join(k.dir, "*")); len(others) != 1 {
		t.Errorf("beside it: %q", others)
	}
}

// TestUpdateKinds: what is of another kind stays, and the entry fails, with what is in it.
func TestUpdateKinds(t *testing.T) {
	k := sentOnce(t)
	s := k.open(inbox.Update)
	s.folder("f", thing{path: "a/in/it", data: "1"}, thing{path: "b", target: "a"}, thing{path: "d", data: "2"}, thing{path: "e", dir: true}, thing{path: "l", data: "3"}, thing{path: "z", data: "z"})
	s.done().want("changed ", "failed a reason a file is in its place", "failed a/in reason the directory that it is in failed",
		"failed a/in/it reason the directory that it is in failed", "failed b reason a file is in its place", "failed d reason a directory is in its place",
		"equal e", "failed l reason a link is in its place", "new z")
	// What was known of them is still known.
	k.again()
	s = k.open(inbox.Update)
	later := epoch.Add(time.Hour)
	s.folder("f", with(base(), thing{path: "d/x", data: "XX", mtime: later}, thing{path: "a", data: "AA", mtime: later})...)
	s.done().want("changed ", "changed a", "equal b", "equal d", "changed d/x", "equal d/y", "equal e", "equal l", "equal m")
}

// TestChecksum: with hashes, only what is another content is sent.
func TestChecksum(t *testing.T) {
	k := sentOnce(t)
	later := epoch.Add(time.Hour)
	s := k.open(inbox.Update)
	wanted := s.folder("f", with(base(), thing{path: "a", data: "A", mtime: later, sha: true}, thing{path: "b", data: "b", sha: true}, thing{path: "d/x", data: "X", sha: true})...)
	if !slices.Equal(wanted, []string{"b"}) {
		t.Errorf("wanted: %q", wanted)
	}
	s.done().want("changed ", "equal a", "changed b", "equal d", "equal d/x", "equal d/y", "equal e", "equal l", "equal m")
	if is, err := os.Stat(filepath.Join(k.dir, "f/a")); err != nil || !is.ModTime().Equal(later) {
		t.Error(is.ModTime(), err)
	}
	k.again()
	s = k.open(inbox.Update)
	if wanted := s.folder("f", with(base(), thing{path: "a", data: "A", mtime: later}, thing{path: "b", data: "b"})...); len(wanted) > 0 {
		t.Errorf("wanted: %q", wanted)
	}
	s.done()
}

// TestSecondName: a file that has another name too, as a backup's, is never changed in its
// place.
func TestSecondName(t *testing.T) {
	k := sentOnce(t)
	if err := os.Link(filepath.Join(k.dir, "f/a"), filepath.Join(k.dir, "backup")); err != nil {
		t.Fatal(err)
	}
	s := k.open(inbox.Update)
	s.folder("f", with(base(), thing{path: "a", data: "A", mode: 0o777})...)
	s.done()
	is, err := os.Stat(filepath.Join(k.dir, "backup"))
	if err != nil || is.Mode().Perm() != 0o644 {
		t.Error(is.Mode(), err)
	}
	if is, err = os.Stat(filepath.Join(k.dir, "f/a")); err != nil || is.Mode().Perm() != 0o755 { // with the umask
		t.Error(is.Mode(), err)
	}
}

// TestUpdateElsewhere: another folder under the name is none that a set was put into.
func TestUpdateElsewhere(t *testing.T) {
	k := sentOnce(t)
	f := filepath.Join(k.dir, "f")
	if err := os.Rename(f, f+"-moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f-moved", f); err != nil {
		t.Fatal(err)
	}
	s := k.open(inbox.Update)
	s.folder("f", thing{path: "a", data: "another"})
	s.done().want("new  renamed f (1)", "new a")
	k.shows("f-moved/a", "f-moved/a A")
}

// TestOwnMode: what somebody has shut here stays shut, as long as it does not change there.
func TestOwnMode(t *testing.T) {
	k := sentOnce(t)
	for path, mode := range map[string]os.FileMode{"f": 0o700, "f/d": 0o500, "f/a": 0o600} {
		if err := os.Chmod(filepath.Join(k.dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	s := k.open(inbox.Update)
	s.folder("f", with(base(), thing{path: "d/new", data: "1"})...)
	s.done()
	for path, mode := range map[string]os.FileMode{"f": 0o700, "f/d": 0o500, "f/a": 0o600} {
		if is, err := os.Stat(filepath.Join(k.dir, path)); err != nil || is.Mode().Perm() != mode {
			t.Error(path, is.Mode(), err)
		}
	}
}
