package archive

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// Whatever has the name already stays as it is.
func TestNothingReplaced(t *testing.T) {
	y := newYard(t)
	write(t, filepath.Join(y.inbox, "in"), "a file")
	if err := errors.Join(
		os.Symlink("nowhere", filepath.Join(y.inbox, "in (1)")),
		os.Symlink("../etc", filepath.Join(y.inbox, "in (2)")),
		os.Mkdir(filepath.Join(y.inbox, "in (3)"), 0o700), // empty: rename(2) would replace it
	); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(y.inbox, "in (4)", "x"), "in a directory")
	before := listing(t, y.base, "inbox/in (5)")
	var placed []string
	place := func(name string) error {
		if _, err := y.root.Lstat(TempName("1")); err != nil {
			t.Errorf("placed without a tree: %v", err)
		}
		placed = append(placed, name)
		return nil
	}
	b := pack(t, dir("t/"), reg("t/a", "x"))
	tree, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in", Place: place}, all)
	if err != nil || tree.Name != "in (5)" || !slices.Equal(placed, []string{"in (5)"}) {
		t.Errorf("%+v, placed %q, %v", tree, placed, err)
	}
	equal(t, "outside", listing(t, y.base, "inbox/in (5)"), before)
	y.sane(t, tree)
}

// A name that is taken between the look and the renaming is not replaced.
func TestTakenMeanwhile(t *testing.T) {
	y := newYard(t)
	made := []func(p string) error{
		func(p string) error { return os.WriteFile(p, []byte("theirs"), 0o600) },
		func(p string) error { return os.Symlink("nowhere", p) },
		func(p string) error { return os.Mkdir(p, 0o700) },
		func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.WriteFile(p+"/x", nil, 0o600)) },
	}
	var placed []string
	place := func(name string) error {
		placed = append(placed, name)
		if n := len(placed) - 1; n < len(made) {
			return made[n](filepath.Join(y.inbox, name))
		}
		return nil
	}
	b := pack(t, dir("t/"), reg("t/a", "x"))
	tree, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in", Place: place}, all)
	if err != nil || tree.Name != "in (4)" || len(placed) != 5 {
		t.Errorf("%+v, placed %q, %v", tree, placed, err)
	}
	got := listing(t, y.inbox)
	if got["in (1)"] != "-> nowhere" || got["in"][0] != '-' || got["in (2)"][0] != 'd' || got["in (3)/x"] == "" || got["in (4)/a"] == "" {
		t.Errorf("%q", got)
	}
}

func TestPlaceRefuses(t *testing.T) {
	y := newYard(t)
	stop := errors.New("stop")
	b := pack(t, dir("t/"), reg("t/a", "x"))
	_, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in", Place: func(string) error { return stop }}, all)
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	if got := listing(t, y.inbox); len(got) != 3 {
		t.Errorf("left: %q", got)
	}
}

// An entry that a crash left, or somebody planted, under the hidden name is in
// nobody's way and leads nowhere.
func TestLeftOver(t *testing.T) {
	for name, plant := range map[string]func(p string) error{
		"tree": func(p string) error {
			return errors.Join(os.MkdirAll(p+"/a/b", 0o700), os.WriteFile(p+"/a/x", nil, 0o600))
		},
		"file": func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"link": func(p string) error { return os.Symlink("../etc", p) },
	} {
		y := newYard(t)
		if err := plant(filepath.Join(y.inbox, TempName("1"))); err != nil {
			t.Fatal(err)
		}
		b := pack(t, dir("t/"), reg("t/a", name))
		if _, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in"}, all); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := listing(t, y.base)
		if _, left := got["inbox/"+TempName("1")]; left || got["etc/passwd"] == "" || got["inbox/in/a"] == "" || len(got) != 9 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if err := Discard(newYard(t).root, "2"); err != nil {
		t.Errorf("nothing to discard: %v", err)
	}
}

func TestUmask(t *testing.T) {
	y := newYard(t)
	old := setUmask(0o027)
	defer setUmask(old)
	open, shut := reg("t/f", "x"), reg("t/s", "x")
	open.Mode, shut.Mode = 0o777, 0o400
	wide := dir("t/")
	wide.Mode = 0o777
	if _, err := y.extract(t, pack(t, wide, open, shut, dir("t/d/")), all); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o750, "f": 0o750, "s": 0o400, "d": 0o750} {
		if info, err := os.Lstat(filepath.Join(y.inbox, "in", name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v %v", name, info.Mode(), err)
		}
	}
}

// While it is unpacked, nobody else can look into the tree.
func TestHiddenWhile(t *testing.T) {
	y := newYard(t)
	wide := dir("t/")
	wide.Mode = 0o777
	head := pack(t, wide, reg("t/a", "x"))
	looked := false
	look := readerFunc(func(b []byte) (int, error) {
		n := copy(b, head)
		head = head[n:]
		if len(head) == 0 && !looked {
			looked = true
			if info, err := y.root.Lstat(TempName("1")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v %v", info, err)
			}
		}
		return n, nil
	})
	if _, err := Extract(t.Context(), look, y.root, Target{ID: "1", Name: "in"}, all); err != nil || !looked {
		t.Error(looked, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestNoSpace(t *testing.T) {
	y := newYard(t)
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		place := func(string) error { return &fs.PathError{Op: "write", Path: "x", Err: full} }
		b := pack(t, dir("t/"), reg("t/a", "x"))
		_, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in", Place: place}, all)
		if !errors.Is(err, ErrNoSpace) {
			t.Error(err)
		}
	}
}
