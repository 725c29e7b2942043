package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/filename"
)

var when = time.Date(2001, 2, 3, 4, 5, 6, 789000000, time.UTC)

// write makes a file with the directories above it.
func write(tb testing.TB, name, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(name, when, when); err != nil {
		tb.Fatal(err)
	}
}

// listing is everything below a directory: path to kind, mode, time, content.
// The paths in except are left out, and what is below them, and the time of
// the directory that they are in.
func listing(tb testing.TB, dir string, except ...string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		said := fmt.Sprint(info.Mode())
		timed := true
		for _, e := range except {
			if rel == e && d.IsDir() {
				return filepath.SkipDir
			}
			timed = timed && rel != filepath.Dir(e)
		}
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			said += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			said, timed = "-> "+target, false // a tree that is unpacked does not keep it
		}
		if timed {
			said += " " + info.ModTime().UTC().Format(time.RFC3339Nano)
		}
		out[rel] = said
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func equal(tb testing.TB, what string, got, want map[string]string) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// yard is a download directory with something in it and things around it.
type yard struct {
	base, inbox string
	root        *os.Root
}

func newYard(tb testing.TB) *yard {
	tb.Helper()
	y := &yard{base: tb.TempDir()}
	y.inbox = filepath.Join(y.base, "inbox")
	write(tb, filepath.Join(y.base, "secret"), "outside")
	write(tb, filepath.Join(y.base, "etc", "passwd"), "outside")
	write(tb, filepath.Join(y.inbox, "mine"), "inside, but not of the tree")
	if err := os.Symlink("../etc", filepath.Join(y.inbox, "old-link")); err != nil {
		tb.Fatal(err)
	}
	var err error
	if y.root, err = os.OpenRoot(y.inbox); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = y.root.Close() })
	return y
}

// extract unpacks b as the tree "in" and proves that nothing but it came to be.
func (y *yard) extract(tb testing.TB, b []byte, limits Limits) (Tree, error) {
	tb.Helper()
	before := listing(tb, y.base, "inbox/in")
	tree, err := Extract(tb.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in"}, limits)
	after := listing(tb, y.base, "inbox/in")
	if err != nil {
		after = listing(tb, y.base) // nothing at all is left
		// The times of the directory tell of the temporary one.
		before["inbox"], after["inbox"] = "", ""
	}
	equal(tb, "outside of the tree", after, before)
	if err == nil {
		y.sane(tb, tree)
	}
	return tree, err
}

// sane proves the promises about a tree that was released.
func (y *yard) sane(tb testing.TB, tree Tree) {
	tb.Helper()
	in := filepath.Join(y.inbox, tree.Name)
	root, err := os.OpenRoot(in)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	count := Tree{Name: tree.Name, Renamed: tree.Renamed, LeftOut: tree.LeftOut}
	err = filepath.WalkDir(in, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
			tb.Errorf("%s: %v", p, mode)
		case mode.IsDir():
			count.Dirs++
		case mode.IsRegular():
			count.Files++
			count.Bytes += info.Size()
		case mode.Type() == fs.ModeSymlink:
			count.Links++
			rel, _ := filepath.Rel(in, p)
			if _, err := root.Stat(rel); err != nil && strings.Contains(err.Error(), "escapes") {
				tb.Errorf("%s leads out: %v", p, err)
			}
			// The root stops at the first step out; the kernel is the judge.
			if to, err := filepath.EvalSymlinks(p); err == nil && to != in && !strings.HasPrefix(to, in+"/") {
				tb.Errorf("%s leads to %s", p, to)
			}
		default:
			tb.Errorf("%s: %v", p, mode)
		}
		if name := d.Name(); p == in && filename.Safe(name) != name {
			tb.Errorf("unsafe name %q", p)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if told := len(tree.Changes); told != min(tree.Renamed+tree.LeftOut, maxChanges) {
		tb.Errorf("%d changes told of %d and %d", told, tree.Renamed, tree.LeftOut)
	}
	tree.Changes = nil
	if fmt.Sprintf("%+v", count) != fmt.Sprintf("%+v", tree) {
		tb.Errorf("there is %+v, told %+v", count, tree)
	}
}

// item is an entry of a hostile archive.
type item struct {
	tar.Header
	data string
}

func dir(name string) item {
	return item{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func reg(name, data string) item {
	return item{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}, data}
}

func sym(name, target string) item {
	return item{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func typed(name string, flag byte, target string) item {
	return item{Header: tar.Header{Typeflag: flag, Name: name, Linkname: target}}
}

func pack(tb testing.TB, items ...item) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, it := range items {
		if err := w.WriteHeader(&it.Header); err != nil {
			tb.Fatalf("%q: %v", it.Name, err)
		}
		if _, err := io.WriteString(w, it.data); err != nil {
			tb.Fatalf("%q: %v", it.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func mustScan(tb testing.TB, dir string) *Manifest {
	tb.Helper()
	m, err := Scan(tb.Context(), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func mustOpen(tb testing.TB, m *Manifest) *Reader {
	tb.Helper()
	r, err := m.Open()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

func stream(tb testing.TB, m *Manifest) []byte {
	tb.Helper()
	b, err := io.ReadAll(mustOpen(tb, m))
	if err != nil {
		tb.Fatal(err)
	}
	if int64(len(b)) != m.Size() {
		tb.Fatalf("stream of %d bytes, told %d", len(b), m.Size())
	}
	return b
}
