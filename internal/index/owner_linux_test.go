package index

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"jetsend/internal/source"
)

// nobody runs f as a user whom permissions bind; root is not.
func nobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	const uid = 65534
	probe := filepath.Join(t.TempDir(), "probe") // in a directory of root's
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		// It returns the old one and no error: look at what it did.
		_ = syscall.Setfsuid(uid)
		if err := os.WriteFile(probe, nil, 0o600); !errors.Is(err, fs.ErrPermission) {
			done <- errors.New("still root")
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Skip(err)
	}
}

// give makes nobody the owner of everything below base, and lets him get there.
func give(t *testing.T, base string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(base, func(p string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(p, 65534, 65534))
	})
	if err := errors.Join(err, os.Chmod(filepath.Dir(t.TempDir()), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadable: what cannot be read fails alone.
func TestUnreadable(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "top")
	for _, name := range []string{"a", "shut/in", "words/in", "z", "unnamed/in"} {
		write(t, filepath.Join(dir, name), "text")
	}
	give(t, base)
	for name, mode := range map[string]os.FileMode{"a": 0, "shut": 0o300, "unnamed": 0o400} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	state := t.TempDir()
	if err := os.Chmod(state, 0o777); err != nil {
		t.Fatal(err)
	}
	nobody(t, func() {
		for _, checksum := range []bool{false, true} {
			ix, err := Make(t.Context(), []source.Named{{Path: dir}}, state, Options{Checksum: checksum})
			if err != nil {
				t.Error(err)
				return
			}
			const no = ": permission denied"
			want := []string{"[top]", "", "a", "shut" + no, "unnamed", "unnamed/in" + no, "words", "words/in", "z"}
			if checksum {
				want[2] += no
			}
			compare(t, paths(t, ix), want)
			it := find(t, ix, "a")
			if _, err := ix.Open(it); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, source.ErrChanged) || err == nil {
				t.Error(err)
			}
			_ = ix.Close()
		}
		if _, err := Make(t.Context(), []source.Named{{Path: filepath.Join(dir, "shut")}}, state, Options{}); !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
	})
	for _, name := range []string{"a", "shut", "unnamed"} { // for the one who cleans up
		_ = os.Chmod(filepath.Join(dir, name), 0o700)
	}
}
