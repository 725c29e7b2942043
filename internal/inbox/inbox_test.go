package inbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T) (*Dir, string) {
	t.Helper()
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, path
}

func put(t *testing.T, d *Dir, id, content string) *Partial {
	t.Helper()
	p, err := d.Create(id, int64(len(content)), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return p
}

// An empty path, as a row without a directory has it, is not the current directory.
func TestOpenNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	if d, err := Open(""); err == nil {
		t.Errorf("opened %s", d.Path(""))
		_ = d.Close()
	}
	d, err := Open(".")
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
}

func TestRelease(t *testing.T) {
	d, path := open(t)
	p := put(t, d, "1", "hello")
	if info, err := os.Stat(filepath.Join(path, ".jetsend-1.part")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("partial file: %v %v", info, err)
	}
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	got, err := p.Release("a.txt", Rename, when, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got != filepath.Join(path, "a.txt") {
		t.Errorf("path %s", got)
	}
	info, err := os.Stat(got)
	if err != nil || info.Size() != 5 || !info.ModTime().Equal(when) || info.Mode().Perm() != d.mode {
		t.Errorf("%v %v", info, err)
	}
	if entries, _ := os.ReadDir(path); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
}

func TestConflicts(t *testing.T) {
	d, path := open(t)
	if err := os.WriteFile(filepath.Join(path, "a.txt"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nonexistent", filepath.Join(path, "a (1).txt")); err != nil {
		t.Fatal(err)
	}
	got, err := put(t, d, "1", "new").Release("a.txt", Rename, time.Time{}, nil)
	if err != nil || filepath.Base(got) != "a (2).txt" {
		t.Errorf("rename: %s %v", got, err)
	}
	p := put(t, d, "2", "new")
	if _, err := p.Release("a.txt", Skip, time.Time{}, nil); !errors.Is(err, ErrExists) {
		t.Errorf("skip: %v", err)
	}
	if err := p.Discard(); err != nil {
		t.Errorf("discard: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(path, "a.txt")); string(b) != "old" {
		t.Errorf("replaced: %q", b)
	}
	if _, err := put(t, d, "3", "new").Release("a.txt", Overwrite, time.Time{}, nil); err != nil {
		t.Errorf("overwrite: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(path, "a.txt")); string(b) != "new" {
		t.Errorf("not replaced: %q", b)
	}
	if _, err := put(t, d, "4", "new").Release("a (1).txt", Overwrite, time.Time{}, nil); !errors.Is(err, ErrExists) {
		t.Errorf("a link was replaced: %v", err)
	}
}

func TestBounds(t *testing.T) {
	d, path := open(t)
	p, err := d.Create("1", 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create("1", 3, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second partial file of one transfer: %v", err)
	}
	if _, err := p.Write([]byte("four")); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, err := p.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Release("a", Rename, time.Time{}, nil); err == nil {
		t.Error("an incomplete file was released")
	}
	if err := p.Discard(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(path); len(entries) != 0 {
		t.Errorf("left over: %v", entries)
	}
	if _, err := d.Create("2", 1<<60, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("1 EiB: %v", err)
	}
	if _, err := d.Create("3", 1, 1<<60); !errors.Is(err, ErrNoSpace) {
		t.Errorf("minimum free: %v", err)
	}
	if entries, _ := os.ReadDir(path); len(entries) != 0 {
		t.Errorf("left over: %v", entries)
	}
}

func TestEscapes(t *testing.T) {
	d, path := open(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(path, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "link/x", filepath.Join(outside, "x")} {
		p := put(t, d, "1", "x")
		if got, err := p.Release(name, Rename, time.Time{}, nil); err == nil {
			t.Errorf("%s was released as %s", name, got)
		}
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("outside: %v", entries)
	}
	if _, err := Open(filepath.Join(path, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	long := strings.Repeat("n", 251) + ".txt"
	for range 2 {
		if _, err := put(t, d, "2", "x").Release(long, Rename, time.Time{}, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatSystemsSay: what a system says to a write is told apart by what helps.
func TestWhatSystemsSay(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{syscall.ENOSPC: ErrNoSpace, syscall.EDQUOT: ErrNoSpace, syscall.EFBIG: ErrFileSize} {
		if err := noSpace(&os.PathError{Op: "write", Path: "x", Err: errno}); !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := noSpace(syscall.EIO); errors.Is(err, ErrNoSpace) || errors.Is(err, ErrFileSize) {
		t.Error(err)
	}
}
