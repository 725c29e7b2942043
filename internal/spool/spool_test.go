package spool

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, bufferSize, 3*bufferSize + 17} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(data),
			"late":  iotest.DataErrReader(bytes.NewReader(data)),
			"half":  iotest.HalfReader(bytes.NewReader(data)),
		} {
			f, err := Create(t.Context(), r, dir, "1", int64(size))
			if err != nil {
				t.Fatalf("%s %d: %v", name, size, err)
			}
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, data) || f.Size() != int64(size) || f.Name() != Path(dir, "1") {
				t.Errorf("%s %d: %d bytes, size %d, %v", name, size, len(got), f.Size(), err)
			}
			if info, err := os.Lstat(Path(dir, "1")); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v %v", info, err)
			}
			if _, err := Create(t.Context(), r, dir, "1", 0); !errors.Is(err, fs.ErrExist) {
				t.Errorf("again: %v", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			again, err := Open(Path(dir, "1"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, data) || again.Size() != int64(size) {
				t.Errorf("opened again: %d bytes, %v", len(got), err)
			}
			if err := again.Remove(); err != nil {
				t.Error(err)
			}
			if err := f.Remove(); err != nil {
				t.Errorf("closed and gone: %v", err)
			}
			if left := names(t, dir); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		}
	}
}

type reads func([]byte) (int, error)

func (r reads) Read(b []byte) (int, error) { return r(b) }

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	endless := reads(func(b []byte) (int, error) { return len(b), nil })
	for name, tt := range map[string]struct {
		r    io.Reader
		max  int64
		want error
	}{
		"a byte too many": {bytes.NewReader(make([]byte, 1001)), 1000, ErrTooLarge},
		"endless":         {endless, 10 << 20, ErrTooLarge},
		"read error":      {io.MultiReader(bytes.NewReader(make([]byte, 1000)), iotest.ErrReader(broken)), 0, broken},
		"disk full":       {iotest.ErrReader(&fs.PathError{Op: "write", Err: syscall.ENOSPC}), 0, ErrNoSpace},
	} {
		dir := t.TempDir()
		f, err := Create(t.Context(), tt.r, dir, "1", tt.max)
		if f != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("%s left %q", name, left)
		}
	}
	for _, id := range []string{"../1", "", "a/b"} {
		if _, err := Create(t.Context(), bytes.NewReader(nil), t.TempDir(), id, 0); err == nil {
			t.Errorf("%q", id)
		}
	}
	if _, err := Create(t.Context(), bytes.NewReader(nil), filepath.Join(t.TempDir(), "missing"), "1", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// A reader that blocks does not keep Create.
func TestCancel(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	reading := make(chan struct{})
	done := make(chan error)
	first := true
	go func() {
		_, err := Create(ctx, reads(func(b []byte) (int, error) {
			if !first {
				close(reading)
			}
			first = false
			return r.Read(b)
		}), dir, "1", 0)
		done <- err
	}()
	if _, err := w.WriteString("some"); err != nil {
		t.Fatal(err)
	}
	<-reading
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	_ = w.Close() // the goroutine ends with its Read: goleak looks
}

func TestOpenNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/other", nil, 0o600), os.Symlink("other", dir+"/.spool-link"),
		os.Mkdir(dir+"/.spool-dir", 0o700), mkfifo(dir+"/.spool-fifo")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"other", ".spool-link", ".spool-dir", ".spool-fifo", ".spool-missing"} {
		if f, err := Open(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was opened", name)
			_ = f.Close()
		}
	}
	if _, err := Open(Path(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A spool that a backup has brought back is closed to others.
func TestOpenCloses(t *testing.T) {
	path := Path(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("plaintext"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{".spool-dead", ".spool-known", ".spool-young", "state.db"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != ".spool-young" {
			if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	open, err := Create(t.Context(), bytes.NewReader(nil), dir, "open", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(open.Name(), old, old); err != nil {
		t.Fatal(err)
	}
	keep := func(id string) bool { return id == "known" }
	if n, err := Sweep(dir, keep); n != 1 || err != nil {
		t.Error(n, err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := Sweep(dir, keep); n != 1 || err != nil {
		t.Error(n, err)
	}
	if left := names(t, dir); len(left) != 3 {
		t.Errorf("left: %q", left)
	}
}
