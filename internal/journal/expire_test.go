package journal

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

const day = 24 * time.Hour

func (k *kit) expire(maxAge time.Duration, d Discard) []string {
	k.t.Helper()
	rows, err := k.Expire(k.t.Context(), maxAge, d)
	if err != nil {
		k.t.Error(err)
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestExpire(t *testing.T) {
	k := newKit(t)
	dir := t.TempDir()
	running := k.begin(sent(newID()))
	cut := k.drive(received(newID(), dir), Running)
	parked := k.drive(sent(newID()), Interrupted)
	done := k.drive(received(newID(), dir), Complete)
	failed := k.drive(received(newID(), dir), Failed)
	forgotten := k.drive(received(newID(), dir), Forgotten)
	var discarded []string
	discard := func(r Row) error {
		discarded = append(discarded, r.ID)
		return nil
	}
	step := func(name string, maxAge time.Duration, gone, rest []string) {
		t.Helper()
		discarded = nil
		got := k.expire(maxAge, discard)
		slices.Sort(got)
		slices.Sort(gone)
		slices.Sort(discarded)
		slices.Sort(rest)
		if !slices.Equal(got, gone) || !slices.Equal(discarded, rest) {
			t.Errorf("%s: gone %v, discarded %v; want %v, %v", name, got, discarded, gone, rest)
		}
	}
	k.clock.add(7*day - time.Millisecond)
	step("a moment early", 7*day, nil, nil)
	k.clock.add(time.Millisecond)
	step("never", 0, nil, nil)
	step("7 days", 7*day, []string{cut.ID, parked.ID}, []string{cut.ID, parked.ID})
	k.clock.add(23 * day)
	step("longer", 60*day, nil, nil)
	step("30 days", 7*day, []string{done.ID, failed.ID, forgotten.ID}, []string{done.ID, failed.ID})
	rows, err := k.List(t.Context(), Filter{States: []State{Offered, Running, Interrupted, Complete, Failed, Forgotten}})
	if err != nil || len(rows) != 1 || rows[0].Key != running.Row().Key {
		t.Errorf("left: %v, %v", rows, err)
	}
	if n := k.lockFiles(); n != 1 {
		t.Errorf("%d lock files", n)
	}
}

// TestExpireMany removes more rows than one transaction does. One that somebody is at,
// and one whose remains resist, are in the way of no other.
func TestExpireMany(t *testing.T) {
	k := newKit(t)
	rows := make([]Row, 5*removeAtOnce/2)
	rows[0] = k.drive(sent(newID()), Complete)
	err := k.write(t.Context(), func(tx *sql.Tx) error {
		for i := range rows[1:] {
			rows[i+1] = rows[0]
			rows[i+1].ID = newID()
			if err := save(t.Context(), tx, &rows[i+1]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	busy, stuck := rows[removeAtOnce/2].Key, rows[2*removeAtOnce].Key
	l, err := k.lock(nil, busy)
	if err != nil {
		t.Fatal(err)
	}
	discard := func(r Row) error {
		if r.Key == stuck {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	k.clock.add(FinishedFor)
	gone, err := k.Expire(t.Context(), 0, discard)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(gone) != len(rows)-2 {
		t.Errorf("%d of %d are gone: %v", len(gone), len(rows), err)
	}
	left, err := k.List(t.Context(), Filter{States: []State{Complete}})
	if err != nil || len(left) != 2 || k.load(busy).Key != busy || k.load(stuck).Key != stuck {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if got := k.expire(0, nothing); len(got) != 2 || k.lockFiles() != 0 {
		t.Errorf("then %v, and %d lock files", got, k.lockFiles())
	}
}

func nothing(Row) error { return nil }

// A received file that is whole, and whose release was cut, is no remain of anything.
func TestExpireSparesWhole(t *testing.T) {
	k := newKit(t)
	row := received(newID(), t.TempDir())
	h := k.begin(row)
	ctx := t.Context()
	err := errors.Join(h.Run(ctx), h.Place(filepath.Join(row.Dir, "f"), nil), h.Interrupt(nil), h.Release())
	if err != nil {
		t.Fatal(err)
	}
	k.clock.add(400 * day)
	discard := func(Row) error { t.Error("discarded"); return nil }
	if gone := k.expire(7*day, discard); len(gone) != 0 {
		t.Errorf("a file whose release was cut is gone: %+v", gone)
	}
	if got := k.load(row.Key); got.State != Interrupted || got.Path == "" {
		t.Errorf("left as %+v", got)
	}
}

// A transfer is as old as its last byte: attempts that bring nothing do not keep
// it, however many there are.
func TestExpireRefused(t *testing.T) {
	ctx := t.Context()
	for _, row := range []Row{sent(newID()), received(newID(), t.TempDir())} {
		k := newKit(t)
		h := k.begin(row)
		k.clock.add(time.Hour)
		if err := h.Run(ctx); err != nil {
			t.Fatal(err)
		}
		k.clock.add(time.Hour)
		if row.Direction == Receive { // a sender only knows that some have gone out
			if err := h.Progress(ctx, 500); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(h.Interrupt(nil), h.Release()); err != nil {
			t.Fatal(err)
		}
		last := k.clock.now().Truncate(time.Millisecond)
		for range 7 {
			k.clock.add(day)
			if gone := k.expire(7*day+1, keep); len(gone) != 0 {
				t.Fatalf("%s: expired early", row.Direction)
			}
			h := k.begin(row)
			if err := errors.Join(h.Offer(ctx, "x"), h.Interrupt(errors.New("refused")), h.Release()); err != nil {
				t.Fatal(err)
			}
			if row.Direction == Receive { // a session that carries nothing
				h = k.begin(row)
				if err := errors.Join(h.Run(ctx), h.Progress(ctx, 500), h.Release()); err != nil {
					t.Fatal(err)
				}
			}
		}
		got := k.load(row.Key)
		if !got.Moved.Equal(last) || !got.Updated.Equal(last.Add(7*day)) {
			t.Errorf("%s: moved %s, updated %s; the last byte was at %s", row.Direction, got.Moved, got.Updated, last)
		}
		if gone := k.expire(7*day, keep); len(gone) != 1 {
			t.Errorf("%s: kept by refusals", row.Direction)
		}
	}
}

// While a file is discarded nobody can take the transfer up, and the row knows
// that its bytes do not count any more.
func TestDiscard(t *testing.T) {
	k := newKit(t)
	ctx := t.Context()
	r := received(newID(), t.TempDir())
	part := filepath.Join(r.Dir, ".part")
	if err := os.WriteFile(part, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := k.begin(r)
	if err := errors.Join(h.Run(ctx), h.Progress(ctx, 500), h.Interrupt(nil), h.Release()); err != nil {
		t.Fatal(err)
	}
	stuck := errors.New("disk")
	err := k.Forget(ctx, r.Key, func(row Row) error {
		if row.State != Interrupted || row.Durable != 500 || row.Dir != r.Dir {
			t.Errorf("to discard: %+v", row)
		}
		_, err := k.Begin(ctx, r)
		wantErr(t, "Begin meanwhile", err, ErrRunning)
		if got := k.load(r.Key); got.State != Forgotten || got.Durable != 0 || got.Dir == "" {
			t.Errorf("meanwhile: %+v", got)
		}
		return stuck
	})
	wantErr(t, "Forget", err, stuck)
	// As after a crash in the middle: the next one goes on.
	calls := 0
	gone := k.expire(7*day, func(row Row) error {
		calls++
		return os.Remove(filepath.Join(row.Dir, ".part"))
	})
	if len(gone) != 0 || calls != 1 {
		t.Errorf("%d gone, %d discarded", len(gone), calls)
	}
	if got := k.load(r.Key); got.Dir != "" || got.State != Forgotten {
		t.Errorf("%+v", got)
	}
	k.expire(7*day, func(Row) error { calls++; return nil })
	if calls != 1 {
		t.Error("discarded again")
	}
	if _, err := os.Stat(part); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// One that gets on while others are removed is not old any more.
func TestExpireTakenUp(t *testing.T) {
	k := newKit(t)
	ctx := t.Context()
	rows := []Row{k.drive(sent(newID()), Interrupted), k.drive(sent(newID()), Interrupted)}
	k.clock.add(8 * day)
	gone := k.expire(7*day, func(r Row) error {
		other := rows[0]
		if r.ID == other.ID {
			other = rows[1]
		}
		h, err := k.Begin(ctx, other)
		if err != nil {
			return err
		}
		return errors.Join(h.Run(ctx), h.Progress(ctx, 600), h.Interrupt(nil), h.Release())
	})
	if len(gone) != 1 {
		t.Errorf("gone: %v", gone)
	}
}

// One that cannot be discarded does not keep the others.
func TestExpireErrors(t *testing.T) {
	k := newKit(t)
	a, b := k.drive(sent(newID()), Interrupted), k.drive(sent(newID()), Interrupted)
	k.clock.add(8 * day)
	stuck := errors.New("disk")
	rows, err := k.Expire(t.Context(), 7*day, func(r Row) error {
		if r.ID == a.ID {
			return stuck
		}
		return nil
	})
	wantErr(t, "Expire", err, stuck)
	if len(rows) != 1 || rows[0].ID != b.ID {
		t.Errorf("gone: %v", rows)
	}
	_, err = k.Begin(t.Context(), a)
	wantErr(t, "what is to be removed", err, ErrOver)
}

// TestDrop removes what is interrupted, of whatever age, with and without bytes; nothing
// that is verified, running or over.
func TestDrop(t *testing.T) {
	k := newKit(t)
	dir := t.TempDir()
	empty := k.drive(received(newID(), dir), Interrupted)
	moved := k.drive(received(newID(), dir), Running) // its process is gone
	over := k.drive(received(newID(), dir), Complete)
	running := k.begin(received(newID(), dir))
	taken := k.drive(received(newID(), dir), Interrupted)
	held, err := k.Begin(t.Context(), taken)
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.KeepAlive(held) // its lock goes with it
	rows, err := k.List(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var discarded []string
	gone, err := k.Drop(t.Context(), append(rows, taken), func(r Row) error {
		discarded = append(discarded, r.ID)
		return nil
	})
	var ids []string
	for _, r := range gone {
		ids = append(ids, r.ID)
	}
	want := []string{empty.ID, moved.ID}
	for _, got := range [][]string{ids, discarded, want} {
		slices.Sort(got)
	}
	if err != nil || !slices.Equal(ids, want) || !slices.Equal(discarded, want) {
		t.Errorf("gone %v, discarded %v, want %v (%v)", ids, discarded, want, err)
	}
	for _, key := range []Key{over.Key, running.Row().Key, taken.Key} {
		if _, err := k.Load(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
