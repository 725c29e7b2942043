package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	juliet = jid.MustParse("juliet@jet.test")
	romeo  = jid.MustParse("romeo@jet.test/x")
	keyA   = bytes.Repeat([]byte{5}, keySize)
	keyB   = bytes.Repeat([]byte{6}, keySize)
	mtime  = time.Date(2026, 11, 22, 1, 2, 3, 456789123, time.UTC)
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// kit is a journal in a directory of its own.
type kit struct {
	*Journal
	t     testing.TB
	path  string // of the database
	clock *clock
}

func newKit(t testing.TB) *kit {
	t.Helper()
	return openKit(t, filepath.Join(t.TempDir(), "state.db"), &clock{t: mtime.Add(time.Hour)})
}

// openKit opens a journal on its own connections, as another process would.
func openKit(t testing.TB, path string, c *clock) *kit {
	t.Helper()
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	j, err := Open(t.Context(), db, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return &kit{j, t, path, c}
}

func sent(id string) Row {
	return Row{
		Key: Key{id, Send}, Batch: "b", Peer: romeo, Resource: "x", Profile: true, Name: "a.iso", Description: "the balcony scene", Exclude: "*.o\n!keep.o",
		Path: "/home/juliet/a\xff.iso", Size: 1000, Source: SourceFile, MTime: mtime, Keys: [][]byte{keyA},
	}
}

func received(id, dir string) Row {
	return Row{Key: Key{id, Receive}, Peer: romeo, Resource: "x", Profile: true, Name: "a.iso", Description: "the balcony scene", Dir: dir, Size: 1000, Source: SourceFile, Keys: [][]byte{keyA}}
}

func newID() string { return uuid.NewString() }

func (k *kit) begin(r Row) *Handle {
	k.t.Helper()
	h, err := k.Begin(k.t.Context(), r)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { k.release(h) })
	return h
}

func (k *kit) release(h *Handle) {
	k.t.Helper()
	if err := h.Release(); err != nil {
		k.t.Error(err)
	}
}

func (k *kit) load(key Key) Row {
	k.t.Helper()
	r, err := k.Load(k.t.Context(), key)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// crash frees the lock as the end of a process does.
func (k *kit) crash(h *Handle) {
	k.t.Helper()
	if err := h.take().Release(); err != nil {
		k.t.Fatal(err)
	}
}

// locks counts the lock files.
func (k *kit) lockFiles() int {
	k.t.Helper()
	entries, err := os.ReadDir(k.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.t.Fatal(err)
	}
	return len(entries)
}

// drive takes a new row to a state and gives its lock back.
func (k *kit) drive(r Row, to State) Row {
	k.t.Helper()
	h := k.begin(r)
	ctx := k.t.Context()
	var err error
	switch to {
	case Offered: // as the dead leave it
		k.crash(h)
		return h.Row()
	case Running:
		if err := h.Run(ctx); err != nil {
			k.t.Fatal(err)
		}
		k.crash(h)
		return h.Row()
	case Interrupted:
		err = errors.Join(h.Run(ctx), h.Interrupt(errors.New("lost")))
	case Complete, Forgotten:
		err = h.Run(ctx)
		if r.Direction == Receive {
			err = errors.Join(err, h.Place(filepath.Join(r.Dir, "a.iso"), nil))
		}
		err = errors.Join(err, h.Complete())
	case Failed:
		err = h.Fail(errors.New("no"))
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.release(h)
	if to == Forgotten {
		if err := k.Forget(ctx, r.Key, keep); err != nil {
			k.t.Fatal(err)
		}
	}
	return h.Row()
}

// keep discards nothing.
func keep(Row) error { return nil }

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}
