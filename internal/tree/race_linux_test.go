package tree

import (
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

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// swaps is how often the racer exchanges something for a link.
const swaps = 100_000

// racer exchanges things for a link to outside and back, as fast as it can, until it has done
// that often enough.
func racer(t *testing.T, path, outside string, names ...string) (done *atomic.Int64, wait func()) {
	t.Helper()
	done = new(atomic.Int64)
	trap := filepath.Join(t.TempDir(), "trap") // on the same file system
	if err := os.Symlink(outside, trap); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := 0; done.Load() < swaps; i++ {
			name := filepath.Join(path, names[i%len(names)])
			// The racer itself follows no link in the folder.
			parent, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(name), &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
			if err == nil {
				_ = unix.Renameat2(parent, filepath.Base(name), unix.AT_FDCWD, trap, unix.RENAME_EXCHANGE) // often it is not there
				_ = unix.Close(parent)
			}
			done.Add(1)
		}
	}()
	return done, func() { <-over }
}

// changes is what is in a directory, with the time of the last change of anything, which
// nobody can set.
func changes(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err == nil {
			s := info.Sys().(*syscall.Stat_t)
			_, err = fmt.Fprintln(&b, p, info.Mode(), info.Size(), s.Mtim, s.Ctim, s.Nlink)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRaceUpdate: directories and files of a folder, and the hidden directory with what grows
// in it, are exchanged for links 10^5 times, while sets update the folder, resume, and bring
// new ones. Nothing outside changes, modes and times neither.
func TestRaceUpdate(t *testing.T) {
	hidden := hiddenName(setID)
	for name, exchanged := range map[string][]string{
		"folder": {"f/d", "f/d", "f/x", "f/x", "f/d/sub", "f/d/sub", "f/d/x", "f/d/x"},
		"hidden": {hidden + "/a1", hidden + "/a1", "f", "f", hidden, hidden},
	} {
		t.Run(name, func(t *testing.T) { raceUpdate(t, exchanged) })
	}
}

func raceUpdate(t *testing.T, exchanged []string) {
	k, outside := newKit(t), t.TempDir()
	for _, name := range []string{"x", "sub/x", "a1/x", "d/x", "t-1"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(outside, name)), 0o711), os.WriteFile(filepath.Join(outside, name), []byte("theirs"), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	things := func(round int) []thing {
		at, data := epoch.Add(time.Duration(round)*time.Hour), fmt.Sprint(round%7)
		return []thing{
			{path: "d/x", data: data, mtime: at, mode: 0o777}, {path: "d/sub", dir: true, mtime: at, mode: 0o777}, {path: "d/sub/x", data: data, mtime: at},
			{path: "d/new" + data, data: data}, {path: "x", data: data, mtime: at}, {path: "l", target: "d/" + data},
		}
	}
	s := k.open(inbox.Update)
	s.folder("f", things(0)...)
	s.done()
	before := changes(t, outside)
	done, wait := racer(t, k.dir, outside, exchanged...)
	why := map[string]int{}
	for round := 1; done.Load() < swaps; round++ {
		if err := k.raced(round, things(round)); err != nil {
			why[reason(err)]++
		} else {
			why["arrived"]++
		}
		if round%20 == 0 {
			_ = Discard(k.dir, setID, k.state)
		}
	}
	wait()
	t.Log(why)
	if after := changes(t, outside); after != before {
		t.Errorf("outside changed:\n%s\nwas:\n%s", after, before)
	}
}

// raced is a session whose errors are those of a race.
func (k *kit) raced(round int, things []thing) (err error) {
	k.book.mu.Lock()
	k.book.placed, k.book.placing = map[int]Placement{}, map[int]Placement{}
	k.book.mu.Unlock()
	cfg := Config{Dir: k.dir, ID: setID, State: k.state, Conflict: inbox.Update, Bytes: 1 << 40, Ledger: k.book}
	to, err := Open(k.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close(err)) }()
	n := uint64(0)
	for argument, id := range [][]byte{folderID, append([]byte{byte(round)}, folderID[1:]...)} {
		all := ordered(things)
		if err := to.Argument(argument, set.Argument{Name: "f", Folder: id, Entries: uint64(len(all)), Bytes: 1 << 40}); err != nil {
			return err
		}
		for _, th := range all {
			w, err := to.Entry(n, th.entry(), nil)
			if err == nil && !w.Nothing {
				err = errors.Join(to.Write(n, 0, []byte(th.data)), to.End(n, nil))
			}
			if err != nil || round%5 == 0 && n == 9 {
				return errors.Join(err, errCut)
			}
			n++
		}
	}
	return to.Indexed()
}
