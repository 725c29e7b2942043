package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// queued is how many steps wait.
func (t *Target) queued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}

// TestFailedAreHeld: what fails behind a file that does not come is held in memory, and so
// counts as not settled.
func TestFailedAreHeld(t *testing.T) {
	s := newKit(t).open(inbox.Rename)
	s.begin("f", nil, 1<<20)
	s.tell(thing{dir: true})
	s.tell(thing{path: "a", data: "abc"})
	e := set.Entry{Kind: set.File, Extents: -1, Failed: "no"}
	var err error
	n := uint64(2)
	for ; err == nil && n < 2*set.Window; n++ {
		e.Path = []string{fmt.Sprintf("b%06d", n)}
		_, err = s.Entry(n, e, nil)
	}
	if !errors.Is(err, set.ErrMessage) || n > set.Window+2 || s.queued() > set.Window {
		t.Errorf("after %d, with %d steps: %v", n, s.queued(), err)
	}
	_ = s.Close(errCut)
}

// TestLostAreNotHeld: nothing is held of an argument that is lost, or that has arrived before.
func TestLostAreNotHeld(t *testing.T) {
	k := newKit(t)
	if err := os.MkdirAll(filepath.Join(k.dir, "f"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := k.open(inbox.Skip)
	s.file("x", thing{data: "x"})
	s.begin("y", nil, 1)
	s.tell(thing{data: "never sent"})
	s.begin("f", nil, 1<<20)
	s.tell(thing{dir: true})
	for n := range 3 * set.Window {
		s.tell(thing{path: fmt.Sprintf("b%06d", n), dir: true})
	}
	if n := s.queued(); n > 10 {
		t.Errorf("%d steps", n)
	}
	_ = s.Close(errCut)
}

// TestFullOfNames: directories and links take room too, though they have no data.
func TestFullOfNames(t *testing.T) {
	for name, th := range map[string]thing{"directories": {dir: true}, "links": {target: "x"}} {
		k := newKit(t)
		s := k.open(inbox.Rename)
		s.begin("f", nil, 5000)
		s.tell(thing{dir: true})
		s.Target.cfg.MinFree, s.Target.unchecked = 1<<62, 0 // of which the goroutine of the session alone asks
		th.path = "a"
		e := th.entry()
		if _, err := s.Entry(1, e, nil); !errors.Is(err, inbox.ErrNoSpace) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close(errCut)
	}
}

// TestLateIsBounded: lines that come too late for their place are held in a bounded memory.
func TestLateIsBounded(t *testing.T) {
	base := filepath.Join(t.TempDir(), "r")
	r, err := openRecord(base)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{kind: set.Link, key: "k", target: string(make([]byte, set.MaxPath-1)), name: "n"}
	for range 2 * maxLate / set.MaxPath {
		if err := r.amend(l); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := os.Stat(base + lateSuffix); err != nil || is.Size() > maxLate || r.held != int(is.Size()) {
		t.Errorf("%d bytes are held: %v, %v", r.held, is, err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
}

// TestFullOfWords: so do the names of arguments, of which nothing need come, in the journal,
// and the lines of records.
func TestFullOfWords(t *testing.T) {
	k := newKit(t)
	k.change = func(c *Config) { c.MinFree = 1 << 62 }
	s := k.open(inbox.Rename)
	s.Target.lines = 0
	if err := s.Argument(0, set.Argument{Name: "f", Entries: 1}); !errors.Is(err, inbox.ErrNoSpace) {
		t.Error(err)
	}
	_ = s.Close(errCut)
	k.change = nil
	s = k.open(inbox.Rename)
	s.begin("f", folderID, 10)
	s.tell(thing{dir: true})
	s.Target.spare, s.Target.lines = 1<<62, 0
	e := thing{path: "a", data: "a"}
	if _, err := s.Entry(1, e.entry(), nil); !errors.Is(err, inbox.ErrNoSpace) {
		t.Error(err)
	}
	_ = s.Close(errCut)
}

// TestChecksumIsPaid: what a sender has read here, of files that are to be equal and of the one
// that goes on, is paid for before.
func TestChecksumIsPaid(t *testing.T) {
	k := newKit(t)
	data := large(5*chunk + 10)
	s := k.open(inbox.Update)
	s.folder("f", thing{path: "a", data: data}, thing{path: "b", data: data})
	s.done()
	k.again()
	var paid atomic.Int64
	poor := errors.New("the account is empty")
	k.change = func(c *Config) {
		c.Pay = func(_ context.Context, chunks int) error {
			if paid.Add(int64(chunks)) > 9 {
				return poor
			}
			return nil
		}
	}
	s = k.open(inbox.Update)
	s.folder("f", thing{path: "a", data: data, sha: true})
	s.done()
	if n := paid.Load(); n < 5 || n > 7 {
		t.Errorf("%d chunks of 6", n)
	}
	k.again()
	s = k.open(inbox.Update)
	s.begin("f", folderID, 3)
	s.tell(thing{dir: true})
	b := thing{path: "b", data: data, sha: true}
	if _, err := s.Entry(1, b.entry(), nil); !errors.Is(err, poor) {
		t.Errorf("read for nothing: %v", err)
	}
	_ = s.Close(errCut)
}
