package inbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/filename"
	"jetsend/internal/fsys"
)

// Each name that is tried is announced first, while the partial file is there
// whole; one that is known to be taken is not.
func TestPlacing(t *testing.T) {
	for way, w := range ways {
		if w.how != Rename {
			continue
		}
		d, path := open(t)
		k := newDisk(t, d)
		k.noMove, k.noLink = w.noMove, w.noLink
		writeFile(t, filepath.Join(path, "a.txt"), "taken")
		var placed []string
		got, err := put(t, d, "1", "abc").Release("a.txt", Rename, time.Unix(1e9, 0), func(p string) error {
			placed = append(placed, filepath.Base(p))
			if n, ok, err := d.Remains("1"); n != 3 || !ok || err != nil || len(k.undo) != 0 || d.Exists(filepath.Base(p)) {
				t.Errorf("%s: placing with %d bytes, %v, %v", way, n, ok, err)
			}
			if len(placed) == 1 {
				writeFile(t, p, "somebody was faster")
			}
			return nil
		})
		if err != nil || got != d.Path("a (2).txt") || !slices.Equal(placed, []string{"a (1).txt", "a (2).txt"}) {
			t.Errorf("%s: %s, %v, %v", way, got, placed, err)
		}
		if b, _ := os.ReadFile(d.Path("a (1).txt")); string(b) != "somebody was faster" {
			t.Errorf("%s: replaced with %q", way, b)
		}
		if info, err := os.Stat(got); err != nil || info.ModTime().Unix() != 1e9 || info.Mode().Perm() != d.mode {
			t.Errorf("%s: %v, %v", way, info, err)
		}
	}
}

// An error of placing ends the release, and the file can be released later.
func TestPlacingFails(t *testing.T) {
	for _, how := range []Conflict{Rename, Skip, Overwrite} {
		d, path := open(t)
		full := errors.New("database is full")
		p := put(t, d, "1", "abc")
		if _, err := p.Release("a", how, time.Time{}, func(string) error { return full }); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
		if n, ok, err := d.Remains("1"); n != 3 || !ok || err != nil || d.Exists("a") {
			t.Errorf("partial file: %d, %v, %v", n, ok, err)
		}
		if err := p.Keep(); err != nil {
			t.Error(err)
		}
		p, err := d.Reopen("1", 3, 3, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Release("a", how, time.Time{}, nil); err != nil {
			t.Error(err)
		}
		only(t, path, "a", "abc")
	}
}

// When the directory was removed meanwhile, the error names it, and no partial file.
func TestReleaseNowhere(t *testing.T) {
	for n, how := range []Conflict{Rename, Skip, Overwrite, Rename} {
		d, path := open(t)
		p := put(t, d, "1", "abc")
		if n == 0 {
			p.Permit(0o640)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		_, err := p.Release("a", how, time.Time{}, nil)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+" is not there any more") || strings.Contains(err.Error(), ".part") {
			t.Errorf("%v: %v", how, err)
		}
	}
}

// A name that may not be taken is not announced.
func TestPlacingTaken(t *testing.T) {
	for _, how := range []Conflict{Skip, Overwrite} {
		d, path := open(t)
		if err := os.Mkdir(filepath.Join(path, "a"), 0o700); err != nil {
			t.Fatal(err)
		}
		p := put(t, d, "1", "abc")
		_, err := p.Release("a", how, time.Time{}, func(string) error { t.Error("placed"); return nil })
		if !errors.Is(err, ErrExists) {
			t.Errorf("%v", err)
		}
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
	}
}

// The rename that does not replace replaces nothing, not even a dangling link.
func TestMove(t *testing.T) {
	d, path := open(t)
	writeFile(t, filepath.Join(path, "from"), "abc")
	if err := d.names.Move("from", "to"); fsys.CannotName(err) {
		t.Skip("not to be had here: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(path, "file"), "")
	if err := os.Symlink("nothing", filepath.Join(path, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(path, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, taken := range []string{"file", "link", "dir"} {
		if err := d.names.Move("to", taken); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: %v", taken, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(path, "to")); err != nil || string(b) != "abc" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestCrowded: when every number is taken no file gets the name, which is known before
// one is sent.
func TestCrowded(t *testing.T) {
	d, path := open(t)
	if Crowded(path, "a.txt") {
		t.Error("an empty directory is crowded")
	}
	if err := os.WriteFile(filepath.Join(path, "a.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range maxNumbered {
		if err := os.Link(filepath.Join(path, "a.txt"), filepath.Join(path, filename.Numbered("a.txt", n))); err != nil && n > 0 {
			t.Fatal(err)
		}
	}
	if !Crowded(path, "a.txt") || Crowded(path, "b.txt") {
		t.Error("the name is free, or another one is not")
	}
	_, err := put(t, d, "1", "x").Release("a.txt", Rename, time.Time{}, nil)
	if !errors.Is(err, ErrCrowded) || !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(path, filename.Numbered("a.txt", 7))); err != nil {
		t.Fatal(err)
	}
	if Crowded(path, "a.txt") {
		t.Error("a number that is free is not seen")
	}
}
