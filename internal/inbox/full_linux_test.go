package inbox

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const diskSize = 1 << 20

// small opens a directory on a disk of diskSize bytes of its own.
func small(t *testing.T) (*Dir, string) {
	t.Helper()
	path := t.TempDir()
	if err := syscall.Mount("none", path, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("only where a file system may be mounted: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, 0); err != nil {
			t.Error(err)
		}
	})
	return reopened(t, path), path
}

// fill leaves no room.
func fill(t *testing.T, path string) {
	t.Helper()
	err := os.WriteFile(filepath.Join(path, "ballast"), make([]byte, 2*diskSize), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// A file whose space cannot be reserved is not begun. No file is as long as this one.
func TestReserveTooMuch(t *testing.T) {
	d, path := open(t)
	p, err := d.Create("1", 1<<62, -1<<62)
	if err == nil && p != nil {
		t.Skip("nothing is reserved here: ", p.Discard())
	}
	if entries, derr := os.ReadDir(path); err == nil || derr != nil || len(entries) > 0 {
		t.Errorf("%v, left %v, %v", err, entries, derr)
	}
}

// The space that a running transfer has reserved is its own, whatever fills the disk.
func TestReservedWhenFull(t *testing.T) {
	const size, at, cut = diskSize / 2, 64 << 10, 32 << 10
	d, path := small(t)
	p, err := d.Create("1", size, 0)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, string(bytes.Repeat([]byte{'a'}, at)))
	fill(t, path)
	if _, err := d.Create("2", 1, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("create on a full disk: %v", err)
	}
	write(t, p, string(bytes.Repeat([]byte{'c'}, at)))
	if err := p.close(); err != nil { // a crash: nothing is given back
		t.Fatal(err)
	}
	if p, err = d.Reopen("1", size, cut, 1<<40); err != nil {
		t.Fatal("all of it was reserved: ", err)
	}
	if err := p.Rewind(cut / 2); err != nil {
		t.Fatal(err)
	}
	if info, err := p.f.Stat(); err != nil || factsOf(info).allocated < size {
		t.Errorf("the rest is not reserved any more: %+v, %v", factsOf(info), err)
	}
	write(t, p, string(bytes.Repeat([]byte{'b'}, size-cut/2)))
	if _, err := p.Release("a", Rename, time.Time{}, nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(path, "a"))
	if err != nil || len(b) != size || bytes.Count(b, []byte{'a'}) != cut/2 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// An interrupted transfer holds the disk for what came, not for what it said would
// come: a byte of a file as large as the disk would else keep everybody out. Going
// on reserves the rest again, or says that there is no space for it.
func TestKeepGivesBack(t *testing.T) {
	const size, at = diskSize * 3 / 4, 64 << 10
	d, _ := small(t)
	kept(t, d, size, at)
	other, err := d.Create("2", size, 0)
	if err != nil {
		t.Fatal("the next one: ", err)
	}
	if _, err := d.Reopen("1", size, at, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("gone on with: %v", err)
	}
	if n, ok, err := d.Remains("1"); n != at || !ok || err != nil {
		t.Errorf("remains: %d, %v, %v", n, ok, err)
	}
	if err := other.Discard(); err != nil {
		t.Fatal(err)
	}
	p, err := d.Reopen("1", size, at, 0)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := p.f.Stat(); err != nil || factsOf(info).allocated < size {
		t.Errorf("the rest is not reserved again: %+v, %v", factsOf(info), err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
}

// The same on whatever the tests run on.
func TestKeepGivesBackHere(t *testing.T) {
	d, _ := open(t)
	kept(t, d, 64<<20, 64<<10)
}

// kept makes an interrupted transfer of which at bytes came.
func kept(t *testing.T, d *Dir, size, at int64) {
	t.Helper()
	p, err := d.Create("1", size, 0)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, string(make([]byte, at)))
	if err := errors.Join(p.Sync(), p.Keep(), p.Keep()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(p.Path())
	if err != nil {
		t.Fatal(err)
	}
	if got := factsOf(info).allocated; info.Size() != at || got > 2*at {
		t.Errorf("kept %d bytes, which take %d", info.Size(), got)
	}
}

// A full disk refuses to go on and takes nothing away; with room it goes on.
func TestReopenWhenFull(t *testing.T) {
	const size, at = diskSize / 2, 64 << 10
	d, path := small(t)
	writeFile(t, filepath.Join(path, ".jetsend-1.part"), string(make([]byte, at+1)))
	fill(t, path)
	if _, err := d.Reopen("1", size, at, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("on a full disk: %v", err)
	}
	if n, ok, err := d.Remains("1"); n != at+1 || !ok || err != nil {
		t.Errorf("remains: %d, %v, %v", n, ok, err)
	}
	if err := os.Remove(filepath.Join(path, "ballast")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reopen("1", size, at, diskSize*3/4); !errors.Is(err, ErrNoSpace) {
		t.Errorf("with space to be left: %v", err)
	}
	p, err := d.Reopen("1", size, at, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
}

// Where nothing can be reserved, the disk is full while writing; Written
// then counts nothing that is not there.
func TestWriteWhenFull(t *testing.T) {
	d, path := small(t)
	f, err := os.OpenFile(filepath.Join(path, ".jetsend-1.part"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p := &Partial{dir: d, f: f, name: ".jetsend-1.part", size: 2 * diskSize}
	n, err := p.Write(make([]byte, 2*diskSize))
	if !errors.Is(err, ErrNoSpace) || int64(n) != p.Written() {
		t.Errorf("%d written, %d counted: %v", n, p.Written(), err)
	}
	if have, _, err := d.Remains("1"); have < p.Written() || err != nil {
		t.Errorf("%d there, %d counted: %v", have, p.Written(), err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
}
