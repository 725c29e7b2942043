package journal

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/fileid"
	"jetsend/internal/state"
)

// version4 is a state file that holds a row of each kind, as the program wrote them when
// the journal had four steps.
//
//go:embed testdata/version4.sql
var version4 string

// old is the id of the transfer with that number in version4.
func old(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// fromVersion4 opens it.
func fromVersion4(t *testing.T) *kit {
	t.Helper()
	return fromDump(t, version4, time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC))
}

// fromDump opens a state file that an earlier version wrote.
func fromDump(t *testing.T, dump string, now time.Time) *kit {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), dump)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return openKit(t, path, &clock{t: now})
}

// TestVersion4: what was interrupted goes on, from where it was, and what is over stays so.
func TestVersion4(t *testing.T) {
	k := fromVersion4(t)
	for n, want := range map[int]struct {
		name      string
		direction Direction
		state     State
		durable   int64
		phase     Phase
		source    Source
		goesOn    bool
	}{
		1:  {"sent in part", Send, Interrupted, 400, PhaseOffered, SourceFile, true},
		2:  {"received in part", Receive, Interrupted, 400, PhaseOffered, SourceFile, true},
		3:  {"verified", Receive, Interrupted, 1000, PhaseVerified, SourceFile, true},
		4:  {"poured", Receive, Interrupted, 1000, PhasePoured, SourceFile, true},
		5:  {"spooled", Send, Interrupted, 400, PhaseOffered, SourceSpool, true},
		6:  {"received", Receive, Complete, 1000, PhaseVerified, SourceFile, false},
		7:  {"sent", Send, Complete, 1000, PhaseOffered, SourceFile, false},
		8:  {"", Send, Forgotten, 400, PhaseOffered, SourceFile, false},
		9:  {"", Receive, Forgotten, 1000, PhaseVerified, SourceFile, false},
		10: {"declined", Send, Failed, 0, PhaseOffered, SourceFile, false},
		11: {"running", Receive, Interrupted, 600, PhaseOffered, SourceFile, true},
		12: {"tree", Send, Interrupted, 0, PhaseOffered, SourceTree, true},
	} {
		row := k.load(Key{old(n), want.direction})
		if row.Name != want.name || row.State != want.state || row.Durable != want.durable || row.Phase != want.phase || row.Source != want.source || row.Paused != NotPaused || row.Declined || row.Origin != nil || !row.HasKey(keyA) {
			t.Errorf("%d: %+v", n, row)
		}
		if want.state == Forgotten { // there is nothing left to begin with
			continue
		}
		h, err := k.Begin(t.Context(), row)
		if !want.goesOn {
			wantErr(t, want.name, err, ErrOver)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", want.name, err)
			continue
		}
		if want.direction == Send {
			err = h.Offer(t.Context(), "x", keyA)
		}
		err = errors.Join(err, h.Run(t.Context()))
		if want.direction == Receive && !row.Phase.Verified() { // before all of it is there
			err = errors.Join(err, h.Progress(t.Context(), row.Size), h.Place("/home/romeo/in/f", make([]byte, 32)))
		}
		if err = errors.Join(err, h.Complete()); err != nil {
			t.Errorf("%s: %v", want.name, err)
		}
		k.release(h)
	}
}

// TestVersion4Sources: the same `send` finds its transfer again. Of which file it was is
// not known, so that path, size and time have to do.
func TestVersion4Sources(t *testing.T) {
	k := fromVersion4(t)
	row := k.load(Key{old(1), Send})
	again := row
	again.ID, again.State, again.Origin, again.Keys = newID(), "", bytes.Repeat([]byte{1}, fileid.Size), nil
	if found, err := k.Find(t.Context(), again); err != nil || found.ID != row.ID {
		t.Errorf("found %s, %v", found.ID, err)
	}
	again.ID = row.ID
	k.release(k.begin(again))
	again.MTime = again.MTime.Add(1)
	_, err := k.Begin(t.Context(), again)
	wantErr(t, "another file", err, ErrDiffers)
}

// TestVersion4Replays: what was received stays known, also when its row goes.
func TestVersion4Replays(t *testing.T) {
	k := fromVersion4(t)
	if _, err := k.Finished(t.Context(), old(6), juliet, keyA); err != nil {
		t.Errorf("the receipt of a received one: %v", err)
	}
	k.clock.add(1000 * time.Hour)
	if _, err := k.Expire(t.Context(), time.Hour, keep); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{6: true, 9: true, 2: false} {
		if got, err := k.Spent(t.Context(), old(n), juliet); err != nil || got != want {
			t.Errorf("%d: %v, %v", n, got, err)
		}
	}
}
