//go:build linux || darwin

package inbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// An entry that somebody else put under the name of a partial file is refused
// by everything, neither followed nor touched.
func TestPlanted(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	writeFile(t, outside, "secret")
	const theirs = "inside"
	plants := map[string]func(part string) error{
		"link to outside": func(part string) error { return os.Symlink(outside, part) },
		"link to inside":  func(part string) error { return os.Symlink(theirs, part) },
		"dangling link":   func(part string) error { return os.Symlink("nothing", part) },
		"directory":       func(part string) error { return os.Mkdir(part, 0o700) },
		"fifo":            func(part string) error { return syscall.Mkfifo(part, 0o600) },
		"hard link":       func(part string) error { return os.Link(filepath.Join(filepath.Dir(part), theirs), part) },
	}
	if os.Geteuid() == 0 {
		plants["another user's"] = func(part string) error {
			return errors.Join(os.WriteFile(part, []byte("abc"), 0o600), os.Chown(part, 12345, -1))
		}
	}
	for what, plant := range plants {
		d, path := open(t)
		writeFile(t, filepath.Join(path, theirs), "abcdef")
		part := filepath.Join(path, ".jetsend-1.part")
		if err := plant(part); err != nil {
			t.Fatal(what, err)
		}
		before, err := os.Lstat(part)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Create("1", 3, 0); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: create: %v", what, err)
		}
		if _, err := d.Reopen("1", 3, 1, 0); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: reopen: %v", what, err)
		}
		if !before.Mode().IsRegular() {
			if _, ok, err := d.Remains("1"); ok || !errors.Is(err, ErrForeign) {
				t.Errorf("%s: remains: %v, %v", what, ok, err)
			}
			if got, err := d.Settle("1", theirs, 6); !errors.Is(err, ErrForeign) {
				t.Errorf("%s: settle: outcome %d, %v", what, got, err)
			}
			if err := Remove(path, "1"); !errors.Is(err, ErrForeign) {
				t.Errorf("%s: remove: %v", what, err)
			}
		}
		after, err := os.Lstat(part)
		if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() || after.Size() != before.Size() {
			t.Errorf("%s: %v, %v", what, after, err)
		}
		for file, text := range map[string]string{outside: "secret", filepath.Join(path, theirs): "abcdef"} {
			if b, err := os.ReadFile(file); err != nil || string(b) != text {
				t.Errorf("%s: %s has %q, %v", what, file, b, err)
			}
		}
		if d.Exists("nothing") {
			t.Errorf("%s was followed", what)
		}
	}
}

// An id does not lead out of the directory.
func TestEscapingID(t *testing.T) {
	d, path := open(t)
	if err := os.Mkdir(filepath.Join(path, ".jetsend-x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x/y", "x/../y", "/y", "x/../../y"} {
		if _, err := d.Create(id, 1, 0); err == nil {
			t.Errorf("%s: created", id)
		}
		if _, err := d.Reopen(id, 1, 0, 0); err == nil || errors.Is(err, ErrGone) {
			t.Errorf("%s: reopen: %v", id, err)
		}
		if _, _, err := d.Remains(id); err == nil {
			t.Errorf("%s: remains", id)
		}
		if _, err := d.Settle(id, "a", 1); err == nil {
			t.Errorf("%s: settled", id)
		}
		if err := Remove(path, id); err == nil {
			t.Errorf("%s: removed", id)
		}
	}
}

func TestStale(t *testing.T) {
	d, path := open(t)
	const id, other = "0b6d7bb2-6d39-4a5c-8d2f-6f0c5a4f6f00", "0b6d7bb2-6d39-4a5c-8d2f-6f0c5a4f6f01"
	if err := put(t, d, id, "abc").Keep(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.part", other + ".part", ".jetsend-" + other, ".jetsend-1.part", "jetsend-" + other + ".part", ".jetsend-" + other + ".part.txt",
		".jetsend-{" + other[:34] + "}.part", ".jetsend-" + other[:35] + "z.part"} {
		writeFile(t, filepath.Join(path, name), "")
	}
	if err := os.Symlink("a.part", filepath.Join(path, ".jetsend-"+other+".part")); err != nil {
		t.Fatal(err)
	}
	// A release that is under way has given the file the peer's time already.
	if err := os.Chtimes(filepath.Join(path, ".jetsend-"+id+".part"), time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if got, err := d.Stale(time.Hour, now); err != nil || len(got) != 0 {
		t.Errorf("young: %v, %v", got, err)
	}
	if got, err := d.Stale(time.Hour, now.Add(2*time.Hour)); err != nil || len(got) != 1 || got[0] != id {
		t.Errorf("old: %v, %v", got, err)
	}
	for range 2 {
		if err := Remove(path, id); err != nil {
			t.Error(err)
		}
	}
	if got, err := d.Stale(time.Hour, now.Add(2*time.Hour)); err != nil || len(got) != 0 {
		t.Errorf("removed: %v, %v", got, err)
	}
	if err := Remove(filepath.Join(path, "missing"), id); err != nil {
		t.Errorf("no directory: %v", err)
	}
}

// More partial files than one reading of the directory holds are all found.
func TestStaleMany(t *testing.T) {
	d, path := open(t)
	const n = maxStale + listed
	for i := range n {
		id := []byte("0b6d7bb2-6d39-4a5c-8d2f-6f0c5a4f0000")
		for at, left := len(id)-1, i; left > 0; at, left = at-1, left/10 {
			id[at] = byte('0' + left%10)
		}
		writeFile(t, filepath.Join(path, partPrefix+string(id)+partSuffix), "")
	}
	found := 0
	for _, want := range []int{maxStale, n - maxStale, 0} {
		ids, err := d.Stale(0, time.Now().Add(time.Hour))
		if err != nil || len(ids) != want {
			t.Errorf("%d found, not %d: %v", len(ids), want, err)
		}
		for _, id := range ids {
			if err := Remove(path, id); err != nil {
				t.Fatal(err)
			}
		}
		found += len(ids)
	}
	if entries, _ := os.ReadDir(path); len(entries) != 0 || found != n {
		t.Errorf("%d found, %d left", found, len(entries))
	}
}
