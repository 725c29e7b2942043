package archive

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
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

// An owner who may not look into his own directories: the tree is unpacked, and
// removed again when it must be.
func TestShutDirectories(t *testing.T) {
	y := newYard(t)
	give(t, y.base)
	shut, inner, wordless := dir("t/shut/"), dir("t/shut/inner/"), reg("t/shut/inner/f", "x")
	shut.Mode, inner.Mode, wordless.Mode = 0, 0o500, 0
	b := pack(t, dir("t/"), shut, inner, wordless, sym("t/shut/l", "inner"))
	stop := errors.New("stop")
	nobody(t, func() {
		_, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in", Place: func(string) error { return stop }}, all)
		if !errors.Is(err, stop) || errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
		if _, err := y.root.Lstat(TempName("1")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left over: %v", err)
		}
		if _, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in"}, all); err != nil {
			t.Error(err)
		}
		if info, err := y.root.Lstat("in/shut"); err != nil || info.Mode().Perm() != 0 {
			t.Errorf("%v %v", info, err)
		}
	})
	_ = os.Chmod(filepath.Join(y.inbox, "in", "shut"), 0o700) // for the one who cleans up
}

// An entry that cannot be read fails before anything is offered.
func TestUnreadable(t *testing.T) {
	for _, name := range []string{"a", "sub"} {
		d := grove(t)
		give(t, d)
		if err := os.Chmod(filepath.Join(d, name), 0o200); err != nil {
			t.Fatal(err)
		}
		nobody(t, func() {
			_, err := Scan(t.Context(), d, nil)
			var perr *fs.PathError
			if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &perr) || perr.Path != name {
				t.Errorf("%s: %v", name, err)
			}
		})
		_ = os.Chmod(filepath.Join(d, name), 0o700)
	}
}
