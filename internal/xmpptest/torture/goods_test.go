package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deliver puts the goods into a download directory, as a receiver does.
func deliver(t *testing.T, g *goods) (inbox string) {
	t.Helper()
	inbox = t.TempDir()
	for _, name := range g.names {
		for p := range g.is[name] { // directories come into being on the way
			copyThing(t, filepath.Join(g.dir, name, p), filepath.Join(inbox, name, p))
		}
	}
	for _, name := range g.names { // what is in a directory changes its time
		for p, is := range g.is[name] {
			if is.mode.IsDir() {
				at := filepath.Join(inbox, name, p)
				if err := os.Chtimes(at, is.mtime, is.mtime); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return inbox
}

func copyThing(t *testing.T, from, to string) {
	t.Helper()
	is, err := thingAt(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	switch {
	case err != nil:
	case is.mode.IsDir():
		if err = os.MkdirAll(to, 0o700); err == nil {
			err = os.Chmod(to, is.mode.Perm())
		}
	case is.target != "":
		err = os.Symlink(is.target, to)
	default:
		var b []byte
		if b, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err == nil {
			err = os.Chmod(to, is.mode)
		}
		if err == nil {
			err = os.Chtimes(to, is.mtime, is.mtime)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestGoods shows that whatever may be wrong with what has come is seen.
func TestGoods(t *testing.T) {
	s := &shape{files: []int64{100}, folders: []folderShape{{40, 500}}, update: true}
	make := func() (*goods, string) {
		g, err := makeGoods(t.TempDir(), 7, s)
		if err != nil {
			t.Fatal(err)
		}
		return g, deliver(t, g)
	}
	g, inbox := make()
	if wrong := g.check(inbox, true); len(wrong) > 0 {
		t.Fatalf("as it should be: %q", wrong)
	}
	for _, tc := range []struct {
		name string
		do   func(inbox string) error
		want string
	}{
		{"a file twice", func(d string) error { return os.WriteFile(d+"/file-0 (1).bin", nil, 0o600) }, "too much"},
		{"one too many inside", func(d string) error { return os.WriteFile(d+"/folder-0/x", nil, 0o600) }, "too much"},
		{"half a file", func(d string) error { return os.Truncate(d+"/file-0.bin", 50) }, "instead of"},
		{"a mode", func(d string) error { return os.Chmod(d+"/file-0.bin", 0o711) }, "instead of"},
		{"hidden", func(d string) error { return os.Mkdir(d+"/.jetsend-x", 0o700) }, "left behind"},
		{"nothing", func(d string) error { return os.RemoveAll(d + "/folder-0") }, "no such file"},
	} {
		g, inbox := make()
		if err := tc.do(inbox); err != nil {
			t.Fatal(err)
		}
		if wrong := strings.Join(g.check(inbox, true), "; "); !strings.Contains(wrong, tc.want) {
			t.Errorf("%s: %q", tc.name, wrong)
		}
	}
}

// TestGoodsChange shows what is allowed while a folder is updated.
func TestGoodsChange(t *testing.T) {
	s := &shape{folders: []folderShape{{60, 500}}, update: true, edits: 3}
	g, err := makeGoods(t.TempDir(), 7, s)
	if err != nil {
		t.Fatal(err)
	}
	inbox := deliver(t, g)
	if err := g.change(7, s, inbox); err != nil {
		t.Fatal(err)
	}
	if g.arrived(inbox) || len(g.edits["folder-0"]) == 0 {
		t.Fatal("nothing has changed")
	}
	if wrong := g.check(inbox, false); len(wrong) > 0 {
		t.Errorf("before the update: %q", wrong)
	}
	if err := os.WriteFile(filepath.Join(inbox, "folder-0", "added"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if wrong := strings.Join(g.check(inbox, false), "; "); !strings.Contains(wrong, "neither what it was") {
		t.Errorf("half a file: %q", wrong)
	}
	for p := range g.edits["folder-0"] {
		if err := os.Remove(filepath.Join(inbox, "folder-0", p)); err != nil {
			t.Fatal(err)
		}
	}
	if wrong := strings.Join(g.check(inbox, false), "; "); !strings.Contains(wrong, "is lost") {
		t.Errorf("an edit that is gone: %q", wrong)
	}
}
