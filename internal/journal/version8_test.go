package journal

import (
	_ "embed"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/state"
)

// version8 is a state file that holds a row of each kind, as the program wrote them when
// the journal had eight steps: the last of those that said by other columns how far a
// transfer had come.
//
//go:embed testdata/version8.sql
var version8 string

// version8Time is when its last row was written, to the day.
var version8Time = time.Date(2026, 12, 12, 0, 5, 0, 0, time.UTC)

// migrated is what has to become of a row of version8.
type migrated struct {
	name      string
	direction Direction
	state     State
	durable   int64
	phase     Phase
	source    Source
	keep      reason
	path      string // in /home/romeo
}

var migrations8 = map[int]migrated{
	1:  {"sent in part", Send, Interrupted, 400, PhaseOffered, SourceFile, keepResume, "sent in part"},
	2:  {"sent twice", Send, Interrupted, 600, PhaseKnown, SourceFile, keepResume, "sent twice"},
	3:  {"received in part", Receive, Interrupted, 400, PhaseOffered, SourceFile, keepResume, ""},
	4:  {"received twice", Receive, Interrupted, 600, PhaseKnown, SourceFile, keepResume, ""},
	5:  {"verified", Receive, Interrupted, 1000, PhaseVerified, SourceFile, keepRelease, "in/verified"},
	6:  {"in a hidden directory", Receive, Interrupted, 1000, PhaseVerified, SourceFile, keepRelease, ".in/in a hidden directory"},
	7:  {"poured", Receive, Interrupted, 1000, PhasePoured, SourceFile, keepRelease, ""},
	8:  {"written to an output", Receive, Complete, 1000, PhasePoured, SourceFile, keepAnswer, ""},
	9:  {"spooled", Send, Interrupted, 400, PhaseOffered, SourceSpool, keepResume, spool8 + old(9)},
	10: {"spooled and sent", Send, Complete, 1000, PhaseOffered, SourceSpool, keepAnswer, spool8 + old(10)},
	11: {"paused here", Send, Interrupted, 400, PhaseOffered, SourceFile, keepResume, "paused here"},
	12: {"paused there", Receive, Interrupted, 400, PhaseOffered, SourceFile, keepResume, ""},
	13: {"declined", Send, Failed, 0, PhaseOffered, SourceFile, keepAnswer, "declined"},
	14: {"failed", Receive, Failed, 0, PhaseOffered, SourceFile, keepAnswer, ""},
	15: {"", Send, Forgotten, 400, PhaseOffered, SourceFile, keepAnswer, ""},
	16: {"", Receive, Forgotten, 1000, PhaseVerified, SourceFile, keepAnswer, ""},
	17: {"half forgotten", Receive, Forgotten, 0, PhaseOffered, SourceFile, keepDiscard, ""},
	18: {"of a batch 18", Send, Interrupted, 400, PhaseOffered, SourceFile, keepResume, "of a batch 18"},
	19: {"of a batch 19", Send, Complete, 1000, PhaseOffered, SourceFile, keepAnswer, "of a batch 19"},
	20: {"tree", Send, Interrupted, 400, PhaseOffered, SourceTree, keepResume, "tree"},
	21: {"received tree", Receive, Interrupted, 1000, PhaseVerified, SourceTree, keepRelease, "in/received tree"},
	22: {"received", Receive, Complete, 1000, PhaseVerified, SourceFile, keepAnswer, "in/received"},
	23: {"sent", Send, Complete, 1000, PhaseOffered, SourceFile, keepAnswer, "sent"},
	24: {"plain", Receive, Complete, 1000, PhaseVerified, SourceFile, keepAnswer, "in/plain"},
	// Of processes that were killed.
	25: {"only offered", Send, Interrupted, 0, PhaseOffered, SourceFile, keepResume, "only offered"},
	26: {"sending", Send, Interrupted, 400, PhaseOffered, SourceFile, keepResume, "sending"},
	27: {"receiving", Receive, Interrupted, 600, PhaseOffered, SourceFile, keepResume, ""},
	28: {"placed", Receive, Interrupted, 1000, PhaseVerified, SourceFile, keepRelease, "in/placed"},
	29: {"just poured", Receive, Interrupted, 1000, PhasePoured, SourceFile, keepRelease, ""},
}

const spool8 = ".local/state/jetsend/romeo@jet.test.db.spools/.spool-"

// TestVersion8: what other columns said is what phase and source say, and nothing else
// has changed.
func TestVersion8(t *testing.T) {
	k := fromDump(t, version8, version8Time)
	for n, want := range migrations8 {
		row := k.load(Key{old(n), want.direction})
		if want.path != "" {
			want.path = filepath.Join("/home/romeo", want.path)
		}
		got := migrated{row.Name, row.Direction, row.State, row.Durable, row.Phase, row.Source, row.keep(), row.Path}
		if got != want {
			t.Errorf("%d:\n got %+v\nwant %+v", n, got, want)
		}
		if err := row.check(); err != nil && want.state != Forgotten { // of which less is kept
			t.Errorf("%d: %v", n, err)
		}
	}
	for n, want := range map[int]Pause{1: NotPaused, 11: PausedHere, 12: PausedThere} {
		if row := k.load(Key{old(n), migrations8[n].direction}); row.Paused != want {
			t.Errorf("%d is paused %q", n, row.Paused)
		}
	}
	if row := k.load(Key{old(13), Send}); !row.Declined {
		t.Error("not declined any more")
	}
	if spent, err := k.Spent(t.Context(), old(99), juliet); err != nil || !spent {
		t.Errorf("spent: %v, %v", spent, err)
	}
	if listed, err := k.List(t.Context(), Filter{}); err != nil || len(listed) != len(migrations8)-3 {
		t.Errorf("%d rows are listed: %v", len(listed), err)
	}
}

// TestVersion8GoesOn: what can be resumed goes on from where it was, and what is verified
// needs but its release.
func TestVersion8GoesOn(t *testing.T) {
	k := fromDump(t, version8, version8Time)
	ctx := t.Context()
	for n, was := range migrations8 {
		if was.state == Forgotten { // nothing is left to begin with
			continue
		}
		row := k.load(Key{old(n), was.direction})
		h, err := k.Begin(ctx, row)
		if was.keep == keepAnswer {
			wantErr(t, was.name, err, ErrOver)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", was.name, err)
			continue
		}
		if now := h.Row(); !now.Phase.Known() || now.Phase.Verified() != (was.keep == keepRelease) || now.Durable != was.durable {
			t.Errorf("%s goes on as %+v", was.name, now)
		}
		switch {
		case was.keep == keepRelease:
		case was.direction == Send:
			err = errors.Join(h.Offer(ctx, "x", keyA), h.Run(ctx))
		default:
			err = errors.Join(h.Run(ctx), h.Progress(ctx, 900), h.Place("/home/romeo/in/f", nil))
		}
		if err = errors.Join(err, h.Complete(), h.Release()); err != nil {
			t.Errorf("%s: %v", was.name, err)
		}
	}
}

// TestVersion8Expires: what was interrupted goes by the rule of the run, what is verified
// stays, and what is over goes in its time.
func TestVersion8Expires(t *testing.T) {
	for keepFor, after := range map[time.Duration]time.Duration{7 * day: 7 * day, 0: 400 * day} {
		k := fromDump(t, version8, version8Time)
		k.clock.add(after)
		discarded := map[string]bool{}
		gone := k.expire(keepFor, func(r Row) error { discarded[r.ID] = true; return nil })
		left := map[string]bool{}
		for n, row := range migrations8 {
			if _, err := k.Load(t.Context(), Key{old(n), row.direction}); err == nil {
				left[old(n)] = true
			}
		}
		for n, row := range migrations8 {
			goes := row.keep == keepResume
			if keepFor == 0 {
				goes = row.keep == keepAnswer || row.keep == keepDiscard
			}
			if left[old(n)] == goes {
				t.Errorf("kept for %v: %q is left: %v", keepFor, row.name, left[old(n)])
			}
		}
		if len(gone)+len(left) != len(migrations8) || !discarded[old(17)] || discarded[old(5)] {
			t.Errorf("kept for %v: %d are gone, %d left, discarded %v", keepFor, len(gone), len(left), discarded)
		}
	}
}

// TestVersion8StillRunning: what a process of that version writes, which was running when
// the journal got its ninth step, says in the new columns too what it says in the others.
func TestVersion8StillRunning(t *testing.T) {
	k := fromDump(t, version8, version8Time)
	id := old(50)
	const begin = `INSERT INTO transfers (id, direction, batch, peer, resource, profile, name, dir, path, size, state, durable, released, retries,
		created, updated, error, manifest) VALUES (?, ?, '', 'juliet@jet.test', '', 1, 'f', ?, ?, 1000, 'interrupted', 400, 0, 0, 1, 1, '', ?)`
	sources := map[Source][]any{
		SourceFile:  {old(51), "send", "", "/home/romeo/f", nil},
		SourceTree:  {old(52), "send", "", "/home/romeo/d", keyA[:32]},
		SourceSpool: {old(53), "send", "", "/home/romeo/" + spool8 + old(53), nil},
	}
	for want, row := range sources {
		if err := state.Exec(t.Context(), k.db, begin, row...); err != nil {
			t.Fatal(err)
		}
		key := Key{row[0].(string), Direction(row[1].(string))}
		if got := k.load(key); got.Source != want || got.Phase != PhaseOffered {
			t.Errorf("%s: entered as %s, %s", want, got.Source, got.Phase)
		}
	}
	if err := state.Exec(t.Context(), k.db, begin, id, "receive", "/home/romeo/in", "", keyA[:32]); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		change string
		want   Phase
	}{
		{`updated = 2`, PhaseOffered},
		{`durable = 1000, path = '/home/romeo/in/f'`, PhaseVerified},
		{`path = '/home/romeo/in/f (2)'`, PhaseVerified},
		{`durable = 0, path = ''`, PhaseKnown},
		{`retries = 1`, PhaseKnown},
		{`durable = 1000, path = '/home/romeo/in/.jetsend-` + id + `.part'`, PhasePoured},
		{`released = 1, state = 'complete'`, PhasePoured},
	} {
		if err := state.Exec(t.Context(), k.db, `UPDATE transfers SET `+tt.change+` WHERE id = ?`, id); err != nil {
			t.Fatal(err)
		}
		if got := k.load(Key{id, Receive}); got.Phase != tt.want || got.Source != SourceTree {
			t.Errorf("step %d: %s, %s, want %s", i, got.Phase, got.Source, tt.want)
		}
	}
}
