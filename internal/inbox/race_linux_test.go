package inbox

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// swaps is how often the racer exchanges a directory for a link.
const swaps = 100_000

// outside makes a directory whose every change can be seen, with what is unpacked
// in the race under the same names.
func outside(t *testing.T) (path string, look func() string) {
	t.Helper()
	path = t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(path, "sub"), 0o711), os.WriteFile(filepath.Join(path, "sub", "kept"), []byte("theirs"), 0o640),
		os.WriteFile(filepath.Join(path, "report.pdf"), []byte("theirs"), 0o640))
	if err != nil {
		t.Fatal(err)
	}
	return path, func() string {
		var b strings.Builder
		err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(p)
			if err != nil {
				return err
			}
			s := info.Sys().(*syscall.Stat_t)
			fmt.Fprintln(&b, p, info.Mode(), info.Size(), s.Mtim, s.Ctim, s.Nlink) // the time of the last change of anything: nobody can set it
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
}

// race exchanges each of names below path for a link to outside and back, as fast
// as it can, until it has done that often enough.
func race(t *testing.T, path, outside string, names ...string) (done *atomic.Int64, wait func()) {
	t.Helper()
	done = new(atomic.Int64)
	trap := filepath.Join(t.TempDir(), "trap") // on the same file system
	if err := os.Symlink(outside, trap); err != nil {
		t.Fatal(err)
	}
	exchange := func(name string) {
		// The racer itself follows no link: what it finds outside is not to be touched.
		parent, err := unix.Open(filepath.Join(path, filepath.Dir(name)), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		_ = unix.Renameat2(parent, filepath.Base(name), unix.AT_FDCWD, trap, unix.RENAME_EXCHANGE) // often it is not there
		_ = unix.Close(parent)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for done.Load() < swaps {
			for _, name := range names {
				exchange(name)
				done.Add(1)
			}
		}
	}()
	return done, func() { <-over }
}

// Parent directories that somebody exchanges for links while an archive is
// unpacked and gets its name: nothing outside changes, modes and times neither.
func TestRaceUnpack(t *testing.T) {
	d, path := open(t)
	away, look := outside(t)
	before := look()
	hidden := ".jetsend-" + sharedID + ".dir"
	done, wait := race(t, path, away, hidden, filepath.Join(hidden, "sub"), "top", filepath.Join("top", "sub"))
	stream := packed(t, tar.Header{Name: "top/sub/", Typeflag: tar.TypeDir, Mode: 0o700, ModTime: time.Unix(1e9, 0)},
		tar.Header{Name: "top/sub/kept", Typeflag: tar.TypeReg, Mode: 0o777, Size: 3, ModTime: time.Unix(1e9, 0)},
		tar.Header{Name: "top/sub/link", Typeflag: tar.TypeSymlink, Linkname: "kept"})
	rounds, failed := 0, 0
	for ; done.Load() < swaps; rounds++ {
		p, err := d.Create(sharedID, int64(len(stream)), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write([]byte(stream)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Unpack(t.Context(), "top", Skip, nil); err != nil {
			failed++
		}
		_ = p.Discard()
		_ = d.root.RemoveAll("top")
	}
	wait()
	t.Logf("%d rounds, %d failed", rounds, failed)
	if after := look(); after != before {
		t.Errorf("outside changed:\n%s\nwas:\n%s", after, before)
	}
}

// The same for the release of a file into the folder of a contact.
func TestRaceRelease(t *testing.T) {
	d, path := open(t)
	away, look := outside(t)
	before := look()
	done, wait := race(t, path, away, contact, filepath.Join(contact, ".jetsend-"+sharedID+".part"))
	rounds, failed := 0, 0
	for ; done.Load() < swaps; rounds++ {
		err := func() error {
			folder, err := d.Sub(contact)
			if err != nil {
				return err
			}
			defer func() { _ = folder.Close() }()
			p, err := folder.Create(sharedID, 3, 0)
			if err != nil {
				return err
			}
			defer func() { _ = p.Discard() }()
			p.Permit(0o777)
			if _, err := p.Write([]byte("abc")); err != nil {
				return err
			}
			_, err = p.Release("report.pdf", Overwrite, time.Unix(1e9, 0), nil)
			return err
		}()
		if err != nil {
			failed++
			_ = d.root.RemoveAll(contact)
		}
	}
	wait()
	t.Logf("%d rounds, %d failed", rounds, failed)
	if after := look(); after != before {
		t.Errorf("outside changed:\n%s\nwas:\n%s", after, before)
	}
}
