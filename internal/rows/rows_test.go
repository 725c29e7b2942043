package rows

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/state"
)

// kit are rows of a journal of its own, and the ids of what was discarded.
func kit(t *testing.T) (r Rows, discarded *[]string) {
	t.Helper()
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	discarded = new([]string)
	return Rows{Journal: j, Log: slog.New(slog.DiscardHandler), Discard: func(row journal.Row) error {
		*discarded = append(*discarded, row.ID)
		return nil
	}}, discarded
}

// interrupted makes a transfer that is interrupted.
func (r Rows) interrupted(t *testing.T, id string, way journal.Direction) journal.Row {
	t.Helper()
	row := journal.Row{
		Key: journal.Key{ID: id, Direction: way}, Peer: jid.MustParse("romeo@jet.test"), Profile: true, Name: "f", Size: 1,
		Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
	}
	if way == journal.Send {
		row.Path = filepath.Join(t.TempDir(), "f")
	} else {
		row.Dir = t.TempDir()
	}
	h, err := r.Journal.Begin(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Interrupt(fault.ErrStreamLost), h.Release()); err != nil {
		t.Fatal(err)
	}
	return h.Row()
}

// TestNow: of a row that is gone nobody learns more than that; one that is paused says so.
func TestNow(t *testing.T) {
	r, _ := kit(t)
	row := r.interrupted(t, "11111111-1111-4111-8111-111111111111", journal.Receive)
	if OverSince(row) != nil {
		t.Error("an interrupted transfer is over")
	}
	r.Pause(row.Key)
	if now, err := r.Now(t.Context(), row); err != nil || now.Paused != journal.PausedHere {
		t.Errorf("%v, %v", now.Paused, err)
	}
	row.ID = "22222222-2222-4222-8222-222222222222"
	if now, err := r.Now(t.Context(), row); err != nil || now.State != journal.Forgotten || OverSince(now) == nil {
		t.Errorf("%s, %v", now.State, err)
	}
}

// TestGone: what fails for good, or of which there is too much, leaves nothing on the disk.
func TestGone(t *testing.T) {
	r, discarded := kit(t)
	failed := r.interrupted(t, "11111111-1111-4111-8111-111111111111", journal.Receive)
	crowd := r.interrupted(t, "22222222-2222-4222-8222-222222222222", journal.Receive)
	stays := r.interrupted(t, "33333333-3333-4333-8333-333333333333", journal.Receive)
	r.interrupted(t, "44444444-4444-4444-8444-444444444444", journal.Send)
	if !r.Fail(failed, fault.ErrAbandoned) {
		t.Error("did not fail")
	}
	if now, err := r.Now(t.Context(), failed); err != nil || OverSince(now) == nil {
		t.Errorf("%s, %v", now.State, err)
	}
	if gone := r.Drop(t.Context(), []journal.Row{crowd, failed}); len(gone) != 1 || gone[0].ID != crowd.ID {
		t.Errorf("dropped: %v", gone)
	}
	if len(*discarded) != 2 || (*discarded)[0] != failed.ID || (*discarded)[1] != crowd.ID {
		t.Errorf("discarded: %v", *discarded)
	}
	if left := r.Interrupted(t.Context()); len(left) != 1 || left[0].ID != stays.ID {
		t.Errorf("left: %v", left)
	}
}
