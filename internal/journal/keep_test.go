package journal

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// step is a call of a handle, and the phase that it has to leave.
type step struct {
	name string
	do   func(*Handle) error
	want Phase
}

// TestPhase: each step leaves the phase that it has to, on the disk too.
func TestPhase(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	offer := func(want Phase) step {
		return step{"offer", func(h *Handle) error { return h.Offer(ctx, "y") }, want}
	}
	run := func(want Phase) step { return step{"run", func(h *Handle) error { return h.Run(ctx) }, want} }
	interrupt := func(want Phase) step {
		return step{"interrupt", func(h *Handle) error { return h.Interrupt(nil) }, want}
	}
	rewind := step{"rewind", func(h *Handle) error { return h.Rewind(0) }, PhaseKnown}
	place := step{"place", func(h *Handle) error { return h.Place(filepath.Join(dir, "f"), nil) }, PhaseVerified}
	pour := step{"pour", func(h *Handle) error { return h.Pour(nil) }, PhasePoured}
	complete := func(want Phase) step {
		return step{"complete", (*Handle).Complete, want}
	}
	fail := func(want Phase) step {
		return step{"fail", func(h *Handle) error { return h.Fail(nil) }, want}
	}
	const first, known = PhaseOffered, PhaseKnown
	for _, steps := range [][]step{
		{offer(first), run(first), interrupt(first), offer(known), run(known), rewind, complete(known)},
		{offer(first), interrupt(first), fail(first)},
		{offer(first), run(first), complete(first)},
	} {
		takeSteps(t, sent(newID()), steps)
	}
	for _, steps := range [][]step{
		{run(first), place, place, complete(PhaseVerified)},
		{run(first), pour, complete(PhasePoured)},
		{run(first), place, interrupt(PhaseVerified), offer(PhaseVerified), rewind, run(known), place, pour, complete(PhasePoured)},
		{run(first), pour, interrupt(PhasePoured), offer(PhasePoured), complete(PhasePoured)},
		{run(first), place, fail(known)},
		{run(first), interrupt(first), offer(known), place, rewind, interrupt(known), fail(known)},
	} {
		takeSteps(t, received(newID(), dir), steps)
	}
}

func takeSteps(t *testing.T, row Row, steps []step) {
	t.Helper()
	k := newKit(t)
	h := k.begin(row)
	for i, s := range steps {
		if err := s.do(h); err != nil {
			t.Errorf("%s, step %d: %v", row.Direction, i, err)
		}
		if got := k.load(row.Key); got.Phase != s.want || h.Row().Phase != s.want {
			t.Errorf("%s, step %d: %s left it %s, want %s", row.Direction, i, s.name, got.Phase, s.want)
		}
	}
}

// TestPhaseAfterCrash: the phase survives the end of a process, and the next one to take the
// transfer up is not its first attempt.
func TestPhaseAfterCrash(t *testing.T) {
	for before, after := range map[Phase]Phase{PhaseOffered: PhaseKnown, PhaseVerified: PhaseVerified, PhasePoured: PhasePoured} {
		k := newKit(t)
		row := received(newID(), t.TempDir())
		h := k.begin(row)
		err := h.Run(t.Context())
		switch before {
		case PhaseVerified:
			err = errors.Join(err, h.Place(filepath.Join(row.Dir, "f"), nil))
		case PhasePoured:
			err = errors.Join(err, h.Pour(nil))
		}
		if err != nil {
			t.Fatal(err)
		}
		k.crash(h)
		if got := k.load(row.Key); got.State != Interrupted || got.Phase != before {
			t.Errorf("%s: after a crash %s, %s", before, got.State, got.Phase)
		}
		if got := k.begin(row).Row(); got.Phase != after {
			t.Errorf("%s: taken up as %s", before, got.Phase)
		}
	}
}

// TestPourAndPlace: neither is for a sender, or for a transfer that nobody is at; a file
// that is poured has no name.
func TestPourAndPlace(t *testing.T) {
	k := newKit(t)
	ctx := t.Context()
	wantErr(t, "a sender pours nothing", k.begin(sent(newID())).Pour(nil), ErrState)
	row := received(newID(), t.TempDir())
	h := k.begin(row)
	if err := h.Interrupt(nil); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "an interrupted one", h.Pour(nil), ErrState)
	if err := errors.Join(h.Offer(ctx, "x"), h.Run(ctx), h.Place(filepath.Join(row.Dir, "f"), nil), h.Pour(keyA[:32])); err != nil {
		t.Fatal(err)
	}
	if got := k.load(row.Key); got.Path != "" || got.Durable != got.Size || len(got.SHA256) != 32 {
		t.Errorf("poured: %+v", got)
	}
	if err := h.Pour(keyA); err == nil {
		t.Error("poured with a hash of 33 bytes")
	}
}

// TestUntil: why a row is there, and until when, by the rule of each run.
func TestUntil(t *testing.T) {
	moved := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	finished := moved.Add(time.Hour)
	var never time.Time
	for name, tt := range map[string]struct {
		row      Row
		why      reason
		for0     time.Time
		for7days time.Time
		for60    time.Time
	}{
		"offered":     {Row{State: Offered}, keepRun, never, never, never},
		"running":     {Row{State: Running, Phase: PhaseVerified}, keepRun, never, never, never},
		"interrupted": {Row{State: Interrupted, Phase: PhaseKnown, Durable: 1}, keepResume, never, moved.Add(7 * day), moved.Add(60 * day)},
		"verified":    {Row{State: Interrupted, Phase: PhaseVerified, Path: "/in/f"}, keepRelease, never, never, never},
		"poured":      {Row{State: Interrupted, Phase: PhasePoured}, keepRelease, never, never, never},
		"complete":    {Row{State: Complete, Released: true}, keepAnswer, finished.Add(FinishedFor), finished.Add(FinishedFor), finished.Add(60 * day)},
		"failed":      {Row{State: Failed}, keepAnswer, finished.Add(FinishedFor), finished.Add(FinishedFor), finished.Add(60 * day)},
		"forgotten":   {Row{State: Forgotten}, keepAnswer, finished.Add(FinishedFor), finished.Add(FinishedFor), finished.Add(60 * day)},
		"cut":         {Row{State: Forgotten, Dir: "/in"}, keepDiscard, finished.Add(FinishedFor), finished.Add(FinishedFor), finished.Add(60 * day)},
	} {
		tt.row.Moved, tt.row.Finished = moved, finished
		if got := tt.row.keep(); got != tt.why {
			t.Errorf("%s is kept for %s", name, got)
		}
		for keepFor, want := range map[time.Duration]time.Time{0: tt.for0, 7 * day: tt.for7days, 60 * day: tt.for60} {
			got, goes := tt.row.until(keepFor)
			if goes != !want.IsZero() || goes && !got.Equal(want) {
				t.Errorf("%s, kept for %v: until %v, %v", name, keepFor, got, goes)
			}
		}
	}
}
