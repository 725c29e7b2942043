package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/inbox"
)

// TestSwapped: while a folder is updated, somebody who may write in it exchanges its
// directories for links that lead out, and its files too. Nothing outside changes.
func TestSwapped(t *testing.T) {
	k := newKit(t)
	outside := t.TempDir()
	for _, name := range []string{"x", "y", "n0"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte("outside"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, outside)
	var things []thing
	for d := range 10 {
		for _, name := range []string{"x", "y"} {
			things = append(things, thing{path: fmt.Sprintf("d%d/%s", d, name), data: "first"})
		}
	}
	s := k.open(inbox.Update)
	s.folder("f", things...)
	s.done()
	stop, stopped, swaps := make(chan struct{}), make(chan struct{}), atomic.Int64{}
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			d := filepath.Join(k.dir, "f", fmt.Sprintf("d%d", i%10))
			if os.Rename(d, d+"-away") == nil {
				_ = os.Symlink(outside, d)
				swaps.Add(1)
				_ = os.Remove(d)
				_ = os.Rename(d+"-away", d)
			}
			x := filepath.Join(d, "x")
			if os.Rename(x, x+"-away") == nil {
				_ = os.Symlink(filepath.Join(outside, "x"), x)
				_ = os.Remove(x)
				_ = os.Rename(x+"-away", x)
			}
		}
	}()
	for round := range 30 {
		k.again()
		var now []thing
		for _, th := range things {
			th.data, th.mtime, th.mode = fmt.Sprint("round ", round), epoch.Add(time.Duration(round+1)*time.Hour), 0o600
			now = append(now, th, thing{path: filepath.Dir(th.path) + "/n" + fmt.Sprint(round%3), data: "n"})
		}
		s := k.open(inbox.Update)
		s.folder("f", now...)
		if err := errors.Join(s.Indexed(), s.Close(nil)); err != nil {
			t.Fatal(err)
		}
		if len(s.out) != int(s.next) {
			t.Fatalf("%d of %d are settled", len(s.out), s.next)
		}
		if after := listing(t, outside); after != before {
			t.Fatalf("outside: %s\nbefore:  %s", after, before)
		}
	}
	close(stop)
	<-stopped
	t.Log(swaps.Load(), "swaps")
}

// listing is what is in a directory, with what nobody but its owner changes.
func listing(t *testing.T, dir string) (all string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, _ := os.ReadFile(p)
		all += fmt.Sprintln(p, info.Mode(), info.ModTime(), string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPlantedLinks: links that stand in the folder are not followed: neither what they lead
// to nor its mode changes, and no directory that is one is entered.
func TestPlantedLinks(t *testing.T) {
	k := sentOnce(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "A")
	if err := os.WriteFile(secret, []byte("A"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(secret, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	relink(t, filepath.Join(k.dir, "f/a"), secret)
	if err := os.RemoveAll(filepath.Join(k.dir, "f/d")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(k.dir, "f/d")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(k.dir, "f/b")); err != nil {
		t.Fatal(err)
	}
	// A second name of a file that somebody else has: its mode is its owner's.
	if err := os.Link(secret, filepath.Join(k.dir, "f/b")); err != nil {
		t.Fatal(err)
	}
	before := listing(t, outside)
	s := k.open(inbox.Update)
	s.folder("f", with(base(), thing{path: "a", data: "A", mode: 0o777, sha: true}, thing{path: "b", data: "A", mode: 0o777}, thing{path: "d/A", data: "evil"})...)
	s.done()
	if after := listing(t, outside); after != before {
		t.Errorf("outside: %s\nbefore:  %s", after, before)
	}
	for _, o := range s.outcomes() {
		t.Log(o)
	}
}

// TestForeignHidden: what has the name of the hidden directory and is none of ours is
// neither used nor removed.
func TestForeignHidden(t *testing.T) {
	plant := func(t *testing.T, k *kit, what string) {
		path := filepath.Join(k.dir, hiddenName(k.id))
		var err error
		switch what {
		case "link":
			if err = os.Mkdir(path+"x", 0o700); err == nil {
				err = os.Symlink(path+"x", path)
			}
		case "file":
			err = os.WriteFile(path, nil, 0o600)
		case "full":
			if err = os.Mkdir(path, 0o700); err == nil {
				err = os.WriteFile(filepath.Join(path, "t-mine"), nil, 0o600)
			}
		case "writable":
			if err = os.Mkdir(path, 0o700); err == nil {
				err = os.Chmod(path, 0o777)
			}
		case "exchanged":
			s := k.open(inbox.Rename)
			s.begin("f", nil, 3)
			s.tell(thing{dir: true})
			s.cut()
			if err = os.Rename(path, path+"-away"); err == nil {
				if err = os.Mkdir(path, 0o700); err == nil {
					err = os.WriteFile(filepath.Join(path, "t-mine"), nil, 0o600)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"link", "file", "full", "writable", "exchanged"} {
		k := newKit(t)
		if err := os.MkdirAll(k.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		plant(t, k, what)
		before := listing(t, k.dir)
		_, err := Open(t.Context(), Config{Dir: k.dir, ID: k.id, State: k.state, Ledger: k.book, Bytes: 1})
		if !errors.Is(err, inbox.ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
		derr := Discard(k.dir, k.id, k.state)
		if what != "writable" && !errors.Is(derr, inbox.ErrForeign) {
			t.Errorf("%s: discard: %v", what, derr)
		}
		if after := listing(t, k.dir); after != before && what != "writable" {
			t.Errorf("%s: %s\nbefore: %s", what, after, before)
		}
	}
}

// TestFIFO: what nobody writes to is not waited for.
func TestFIFO(t *testing.T) {
	k := sentOnce(t)
	if err := os.Remove(filepath.Join(k.dir, "f/a")); err != nil {
		t.Fatal(err)
	}
	if err := mkfifo(filepath.Join(k.dir, "f/a")); err != nil {
		t.Skip(err)
	}
	s := k.open(inbox.Update)
	s.folder("f", with(base(), thing{path: "a", data: "A", sha: true})...)
	s.done().want("equal ", "failed a reason something else is in its place", "equal b", "equal d", "equal d/x", "equal d/y", "equal e", "equal l", "equal m")
}

// TestBusy: one session at a time is at a folder.
func TestBusy(t *testing.T) {
	k := sentOnce(t)
	s := k.open(inbox.Update)
	s.begin("f", folderID, 10)
	s.tell(thing{dir: true})
	k.again()
	other := k.open(inbox.Update)
	other.folder("f", thing{path: "a", data: "A"})
	if err := errors.Join(other.Indexed(), other.Close(nil)); err != nil {
		t.Error(err)
	}
	other.want("failed  reason another transfer is writing into this folder", "failed a reason another transfer is writing into this folder")
	s.cut()
}
