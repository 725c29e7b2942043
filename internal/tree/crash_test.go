package tree

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/machine"
	"jetsend/internal/set"
)

// errDead is what a crashed process gets of the machine.
var errDead = errors.New("the machine has crashed")

// crashing lets the machine take so many steps, and no more.
func crashing(t *testing.T, steps int64) (dead func() bool) {
	var taken atomic.Int64
	machine.Watch(func(machine.Step) error {
		if taken.Add(1) > steps {
			return errDead
		}
		return nil
	})
	t.Cleanup(func() { machine.Watch(nil) })
	return func() bool { return taken.Load() > steps }
}

// try sends all, and returns the first error.
func (s *session) try(send func(s *session) error) error {
	err := send(s)
	if err == nil {
		err = s.Indexed()
	}
	return errors.Join(err, s.Close(err))
}

// trial sends one argument and returns the first error.
func trial(name string, folder []byte, things []thing) func(s *session) error {
	return func(s *session) error {
		s.argument++
		if err := s.Target.Argument(s.argument, set.Argument{Name: name, Folder: folder, Entries: uint64(len(things)), Bytes: 1 << 40}); err != nil {
			return err
		}
		for _, th := range things {
			n := s.next
			s.next++
			s.mu.Lock()
			s.paths = append(s.paths, ":"+th.path)
			s.mu.Unlock()
			w, err := s.Entry(n, th.entry(), th.x)
			if err != nil {
				return err
			}
			if w.Nothing || s.isSettled(n) {
				continue
			}
			if th.data != "" {
				err = s.Write(n, 0, []byte(th.data))
			}
			if err = errors.Join(err, s.End(n, nil)); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestCrashAtEveryStep: the machine ends at each step of a session in turn. The next one
// brings about what would have been without, and nothing twice.
func TestCrashAtEveryStep(t *testing.T) {
	things := ordered(base())
	later := epoch.Add(time.Hour)
	update := ordered(with(base(), thing{path: "a", data: "AA", mtime: later}, thing{path: "b", data: "BB", mtime: later}, thing{path: "l", target: "d"}, thing{path: "n/o", data: "O"}))
	send := func(things []thing) func(s *session) error {
		return func(s *session) error {
			if err := trial("f", folderID, things)(s); err != nil {
				return err
			}
			return trial("g", nil, []thing{{data: "G"}})(s)
		}
	}
	fresh := []string{"./", "f/", "f/a A", "f/b B", "f/d/", "f/d/x X", "f/d/y Y", "f/e/", "f/l -> a", "f/m -> b", "g G"}
	updated := []string{"./", "f/", "f/a AA", "f/b BB", "f/b (1) edited", "f/d/", "f/d/x X", "f/d/y Y", "f/e/", "f/l -> d", "f/m -> b", "f/n/", "f/n/o O", "g G", "g (1) G"}
	for at := int64(0); ; at++ {
		k := newKit(t)
		dead := crashing(t, at)
		done := k.attempt(send(things), dead)
		machine.Watch(nil)
		if !done {
			s := k.open(inbox.Update)
			if err := s.try(send(things)); err != nil {
				t.Fatalf("crash at %d: %v", at, err)
			}
		}
		if got := k.show(""); !slices.Equal(got, fresh) {
			t.Fatalf("crash at %d: %q", at, got)
		}
		k.again()
		k.write("f/b", "edited")
		dead = crashing(t, at)
		again := k.attempt(send(update), dead)
		machine.Watch(nil)
		if !again {
			s := k.open(inbox.Update)
			if err := s.try(send(update)); err != nil {
				t.Fatalf("crash at %d of an update: %v", at, err)
			}
			for _, o := range s.outcomes() {
				if strings.Contains(o, "failed") || strings.Contains(o, "kept") && !strings.Contains(o, "kept b (1)") {
					t.Errorf("crash at %d: %s", at, o)
				}
			}
		}
		if got := k.show(""); !slices.Equal(got, updated) {
			t.Fatalf("crash at %d of an update: %q", at, got)
		}
		if done && again {
			t.Logf("%d steps", at)
			return
		}
	}
}

// attempt is a session whose machine may crash. It reports whether it came to its end.
func (k *kit) attempt(send func(s *session) error, dead func() bool) bool {
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		k.Fatal(err)
	}
	s := &session{kit: k, out: map[uint64]set.Outcome{}, argument: -1}
	target, err := Open(k.Context(), Config{Dir: k.dir, ID: k.id, State: k.state, Conflict: inbox.Update, Bytes: 1 << 40, Ledger: k.book, Settled: s.settled})
	if err == nil {
		s.Target = target
		err = s.try(send)
	}
	if err != nil && !dead() {
		k.Fatal(err)
	}
	return err == nil && !dead()
}

// TestFull: a disk that is full, or too full, ends the session, and what is hidden can go on.
func TestFull(t *testing.T) {
	k := newKit(t)
	var full atomic.Bool
	machine.Watch(func(s machine.Step) error {
		if full.Load() && s.Op == machine.Write {
			return syscall.ENOSPC
		}
		return nil
	})
	t.Cleanup(func() { machine.Watch(nil) })
	s := k.open(inbox.Rename)
	s.begin("f", nil, 3)
	s.tell(thing{dir: true})
	a := thing{path: "a", data: "A"}
	n, w := s.tell(a)
	s.give(n, a, w)
	full.Store(true)
	n, _ = s.tell(thing{path: "b", data: "B"})
	err := s.Write(n, 0, []byte("B"))
	if err == nil { // what is gathered meets the disk with what follows
		err = s.End(n, nil)
	}
	if !errors.Is(err, inbox.ErrNoSpace) {
		t.Error(err)
	}
	if err := s.Close(err); err != nil {
		t.Error(err)
	}
	full.Store(false)
	k.change = func(c *Config) { c.MinFree = 1 << 60 }
	s = k.open(inbox.Rename)
	s.begin("f", nil, 3)
	s.tell(thing{dir: true})
	if _, w := s.tell(a); !w.Nothing {
		t.Error("it is wanted again")
	}
	n, _ = s.tell(thing{path: "b", data: "B"})
	if err := s.Write(n, 0, []byte("B")); !errors.Is(err, inbox.ErrNoSpace) {
		t.Error(err)
	}
	_ = s.Close(errCut)
	// A file that is too large for the file system fails alone.
	k.change = nil
	machine.Watch(func(s machine.Step) error {
		if s.Op == machine.Write && s.Size == 3 {
			return syscall.EFBIG
		}
		return nil
	})
	s = k.open(inbox.Rename)
	s.folder("f", a, thing{path: "b", data: "BBB"}, thing{path: "c", data: "C"})
	s.done().want("new ", "new a", "failed b reason file too large", "new c")
}

// TestBroken: an error of the disk that no call returns is told.
func TestBroken(t *testing.T) {
	k := newKit(t)
	machine.Watch(func(s machine.Step) error {
		if s.Op == machine.Sync && strings.HasPrefix(filepath.Base(s.Path), tempPrefix) {
			return syscall.EIO
		}
		return nil
	})
	t.Cleanup(func() { machine.Watch(nil) })
	told := make(chan error, 1)
	k.change = func(c *Config) { c.Broken = func(err error) { told <- err } }
	s := k.open(inbox.Rename)
	s.file("f", thing{data: "x"})
	if err := <-told; !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := s.Indexed(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := s.Close(nil); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}
