package inbox

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/archive"
)

// packed is a directory with one file in it, as a tar stream.
func packed(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range append([]tar.Header{
		{Name: "top/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "top/a", Typeflag: tar.TypeReg, Mode: 0o6755, Size: 3},
	}, entries...) {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// treeOnly fails unless the one tree is all there is.
func treeOnly(t *testing.T, path, name string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("%v, want %s: %v", entries, name, err)
	}
	got, err := os.ReadFile(filepath.Join(path, name, "a"))
	if err != nil || string(got) != "abc" {
		t.Errorf("%q: %v", got, err)
	}
	info, err := os.Stat(filepath.Join(path, name, "a"))
	if err != nil || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
}

func TestUnpack(t *testing.T) {
	d, path := open(t)
	var placed string
	got, _, err := put(t, d, "x", packed(t)).Unpack(t.Context(), "tree", Skip, func(p string) error {
		placed = p
		return nil
	})
	if err != nil || got != d.Path("tree") || placed != got {
		t.Fatalf("%s, placed as %s: %v", got, placed, err)
	}
	treeOnly(t, path, "tree")
	for how, want := range map[Conflict]error{Rename: nil, Skip: ErrExists, Overwrite: ErrExists} {
		p := put(t, d, "x", packed(t))
		got, _, err := p.Unpack(t.Context(), "tree", how, nil)
		if !errors.Is(err, want) || err == nil && got != d.Path("tree (1)") {
			t.Errorf("%v: %s, %v", how, got, err)
		}
		if err := errors.Join(p.Discard(), os.RemoveAll(d.Path("tree (1)"))); err != nil {
			t.Error(err)
		}
	}
	treeOnly(t, path, "tree")
}

// A refused archive leaves nothing but the partial file, and Discard not even that.
func TestUnpackRefused(t *testing.T) {
	d, path := open(t)
	for name, h := range map[string]tar.Header{
		"traversal": {Name: "top/../../b", Typeflag: tar.TypeReg}, "absolute": {Name: "/etc/x", Typeflag: tar.TypeReg},
		"link": {Name: "top/l", Typeflag: tar.TypeSymlink, Linkname: "../../x"}, "device": {Name: "top/d", Typeflag: tar.TypeChar},
	} {
		p := put(t, d, "x", packed(t, h))
		_, _, err := p.Unpack(t.Context(), "tree", Rename, nil)
		var refused *archive.RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
		if p.Written() == 0 {
			t.Errorf("%s: the partial file is gone", name)
		}
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
		if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v is left: %v", name, entries, err)
		}
	}
}

// A release that was cut at any step is told from one that was not, and ends
// with one tree.
func TestSettleTree(t *testing.T) {
	cut := errors.New("cut")
	for name, c := range map[string]struct {
		spoil func(t *testing.T, d *Dir) // what a crash leaves
		want  Outcome
	}{
		"before the rename": {func(t *testing.T, d *Dir) { mkdir(t, d, archive.TempName("x")) }, NotReleased},
		"before the rename, a stranger's": {func(t *testing.T, d *Dir) {
			mkdir(t, d, archive.TempName("x"))
			mkdir(t, d, "tree")
		}, NotReleased},
		"nothing there":         {func(*testing.T, *Dir) {}, NotReleased},
		"after the rename":      {func(t *testing.T, d *Dir) { mkdir(t, d, "tree") }, Released},
		"a file, not a tree":    {func(t *testing.T, d *Dir) { writeFile(t, d.Path("tree"), "abc") }, NotReleased},
		"after the removal":     {func(t *testing.T, d *Dir) { mkdir(t, d, "tree"); remove(t, d) }, Released},
		"everything taken away": {func(t *testing.T, d *Dir) { remove(t, d) }, Lost},
	} {
		d, _ := open(t)
		p := put(t, d, "x", packed(t))
		if _, _, err := p.Unpack(t.Context(), "tree", Rename, func(string) error { return cut }); !errors.Is(err, cut) {
			t.Fatal(err)
		}
		if err := p.Keep(); err != nil {
			t.Fatal(err)
		}
		c.spoil(t, d)
		got, err := d.SettleTree("x", "tree")
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if _, there, _ := d.Remains("x"); there != (c.want == NotReleased) {
			t.Errorf("%s: partial file %v", name, there)
		}
	}
}

func mkdir(t *testing.T, d *Dir, name string) {
	t.Helper()
	if err := os.Mkdir(d.Path(name), 0o700); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, d *Dir) {
	t.Helper()
	if err := os.Remove(d.Path(".jetsend-x.part")); err != nil {
		t.Fatal(err)
	}
}

func TestPermit(t *testing.T) {
	d, _ := open(t)
	umask, err := d.umask()
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"run": 0o755, "private": 0o600, "all": 0o777, "suid": 0o755 | fs.ModeSetuid} {
		p := put(t, d, "x", "abc")
		p.Permit(mode)
		final, err := p.Release(name, Rename, time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(final); err != nil || info.Mode() != mode.Perm()&^umask {
			t.Errorf("%s: %v: %v", name, info.Mode(), err)
		}
	}
}

func TestSub(t *testing.T) {
	d, path := open(t)
	for range 2 {
		s, err := d.Sub("a@b")
		if err != nil {
			t.Fatal(err)
		}
		if s.Path("x") != filepath.Join(path, "a@b", "x") {
			t.Error(s.Path("x"))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Symlink(t.TempDir(), d.Path("out")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"out", "..", ".", "", "a/b", "/"} {
		if s, err := d.Sub(name); err == nil {
			t.Errorf("%q was opened: %v", name, s.Close())
		}
	}
}
