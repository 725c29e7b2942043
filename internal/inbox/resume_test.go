package inbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestReopen(t *testing.T) {
	d, path := open(t)
	if _, err := d.Reopen("1", 8, 0, 0); !errors.Is(err, ErrGone) {
		t.Errorf("no file: %v", err)
	}
	if n, ok, err := d.Remains("1"); n != 0 || ok || err != nil {
		t.Errorf("remains of nothing: %d, %v, %v", n, ok, err)
	}
	p, err := d.Create("1", 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, "abcXX")
	if err := errors.Join(p.Sync(), p.Keep(), p.Keep()); err != nil {
		t.Fatal(err)
	}
	if n, ok, err := d.Remains("1"); n != 5 || !ok || err != nil {
		t.Errorf("remains: %d, %v, %v", n, ok, err)
	}
	if _, err := d.Create("1", 8, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	var short *ShortError
	if _, err := d.Reopen("1", 8, 6, 0); !errors.As(err, &short) || short.Have != 5 {
		t.Errorf("short: %v", err)
	}
	for _, at := range []int64{-1, 9} {
		if _, err := d.Reopen("1", 8, at, 0); err == nil {
			t.Errorf("reopened at %d of 8", at)
		}
	}
	if _, err := d.Reopen("1", 1<<60, 3, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("1 EiB: %v", err)
	}
	if n, _, _ := d.Remains("1"); n != 5 {
		t.Errorf("a refused Reopen left %d bytes", n)
	}
	if p, err = d.Reopen("1", 8, 3, 0); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := d.Remains("1"); n != 3 || p.Written() != 3 {
		t.Errorf("cut to %d, goes on at %d", n, p.Written())
	}
	prefix := make([]byte, 3)
	if _, err := p.ReadAt(prefix, 0); err != nil || string(prefix) != "abc" {
		t.Errorf("prefix %q, %v", prefix, err)
	}
	write(t, p, "defgh")
	if _, err := p.Write([]byte("i")); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, err := p.Release("a", Rename, time.Time{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Keep(), p.Discard()); err != nil {
		t.Errorf("after the release: %v", err)
	}
	only(t, path, "a", "abcdefgh")
}

func write(t *testing.T, p *Partial, text string) {
	t.Helper()
	if _, err := p.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestRewind(t *testing.T) {
	d, path := open(t)
	p := put(t, d, "1", "abcdef")
	for _, n := range []int64{-1, 7} {
		if err := p.Rewind(n); err == nil {
			t.Errorf("rewound to %d of 6", n)
		}
	}
	if err := errors.Join(p.Sync(), p.Rewind(2)); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := d.Remains("1"); n != 2 || p.Written() != 2 {
		t.Errorf("cut to %d, goes on at %d", n, p.Written())
	}
	write(t, p, "XYZ")
	if _, err := p.Release("a", Rename, time.Time{}, nil); err == nil {
		t.Error("released though incomplete")
	}
	write(t, p, "!")
	if _, err := p.Release("a", Rename, time.Time{}, nil); err != nil {
		t.Fatal(err)
	}
	only(t, path, "a", "abXYZ!")
}

// Discard takes the file away even after Keep.
func TestDiscardKept(t *testing.T) {
	d, path := open(t)
	p := put(t, d, "1", "abc")
	if err := errors.Join(p.Keep(), p.Discard(), p.Discard(), p.Keep()); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(path); len(entries) != 0 {
		t.Errorf("left over: %v", entries)
	}
	if err := p.Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("sync of a closed file: %v", err)
	}
}

// One writes while another syncs: what Written said before a Sync is there.
func TestSyncWhileWriting(t *testing.T) {
	const piece, pieces = 4 << 10, 200
	d, _ := open(t)
	p, err := d.Create("1", piece*pieces, 0)
	if err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	ended := make(chan struct{})
	g.Go(func() {
		defer close(ended)
		b := make([]byte, piece)
		for range pieces {
			if _, err := p.Write(b); err != nil {
				t.Error(err)
			}
		}
	})
	g.Go(func() {
		for last := false; !last; {
			select {
			case <-ended:
				last = true
			default:
			}
			n := p.Written()
			if err := p.Sync(); err != nil {
				t.Error(err)
			}
			if have, _, err := d.Remains("1"); err != nil || have < n {
				t.Errorf("%d bytes written, %d there, %v", n, have, err)
			}
		}
	})
	g.Wait()
	if p.Written() != piece*pieces {
		t.Errorf("%d bytes", p.Written())
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
}

// The entry of the directory is synced once, with the first Sync of the file;
// a Sync that failed is never taken back, and nothing is released after it.
func TestSyncDirectory(t *testing.T) {
	d, _ := open(t)
	k := newDisk(t, d)
	k.left = 1
	p := put(t, d, "1", "abc")
	if err := errors.Join(p.Sync(), p.Sync()); err != nil || k.left != 0 {
		t.Errorf("%v, %d", err, k.left)
	}
	k.left = -1
	p, err := d.Create("2", 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, "abc")
	k.broken = true
	if err := p.Sync(); !errors.Is(err, errCut) {
		t.Error(err)
	}
	k.broken = false
	if err := p.Sync(); !errors.Is(err, errCut) {
		t.Errorf("a failed Sync was taken back: %v", err)
	}
	_, err = p.Release("a", Rename, time.Time{}, func(string) error { t.Error("placed"); return nil })
	if !errors.Is(err, errCut) {
		t.Errorf("released: %v", err)
	}
	if err := p.Keep(); err != nil {
		t.Error(err)
	}
	if p, err = d.Reopen("2", 3, 1, 0); err != nil {
		t.Fatal(err)
	}
	write(t, p, "BC")
	if err := errors.Join(p.Sync(), p.Discard()); err != nil {
		t.Error(err)
	}
}

// A release that was cut may have widened the permissions; others' writing is
// refused all the same.
func TestReopenPermissions(t *testing.T) {
	d, path := open(t)
	part := filepath.Join(path, ".jetsend-1.part")
	if err := put(t, d, "1", "abc").Keep(); err != nil {
		t.Fatal(err)
	}
	for perm, ok := range map[fs.FileMode]bool{0o600: true, 0o644: true, d.mode: true, 0o602: d.mode == 0o602, 0o620: d.mode == 0o620} {
		if err := os.Chmod(part, perm); err != nil {
			t.Fatal(err)
		}
		p, err := d.Reopen("1", 3, 3, 0)
		if !ok {
			if !errors.Is(err, ErrForeign) {
				t.Errorf("%o: %v", perm, err)
			}
			continue
		}
		if err == nil {
			err = p.Keep()
		}
		if info, serr := os.Stat(part); err != nil || serr != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%o: %v, %v, %v", perm, info, err, serr)
		}
	}
}
