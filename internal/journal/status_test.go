package journal

import (
	"errors"
	"path/filepath"
	"testing"
)

// The drawn changes and no others, by the calls that people make.
func TestStateChanges(t *testing.T) {
	all := []State{Offered, Running, Interrupted, Complete, Failed}
	calls := map[string]struct {
		call func(*Handle) error
		from map[State]State
	}{
		"Offer":     {func(h *Handle) error { return h.Offer(t.Context(), "y") }, map[State]State{Offered: Offered, Interrupted: Offered}},
		"Run":       {func(h *Handle) error { return h.Run(t.Context()) }, map[State]State{Offered: Running}},
		"Interrupt": {func(h *Handle) error { return h.Interrupt(nil) }, map[State]State{Offered: Interrupted, Running: Interrupted, Interrupted: Interrupted}},
		"Complete":  {(*Handle).Complete, map[State]State{Offered: Complete, Running: Complete}},
		"Fail":      {func(h *Handle) error { return h.Fail(nil) }, map[State]State{Offered: Failed, Running: Failed, Interrupted: Failed}},
		"Progress":  {func(h *Handle) error { return h.Progress(t.Context(), 1) }, map[State]State{Running: Running}},
		"Rewind":    {func(h *Handle) error { return h.Rewind(0) }, map[State]State{Offered: Offered, Running: Running, Interrupted: Interrupted}},
		"Hash":      {func(h *Handle) error { return h.Hash(t.Context(), keyA[:32]) }, map[State]State{Offered: Offered, Running: Running, Interrupted: Interrupted}},
		"Release":   {(*Handle).Release, map[State]State{Offered: Interrupted, Running: Interrupted, Interrupted: Interrupted, Complete: Complete, Failed: Failed}},
	}
	k := newKit(t)
	for name, c := range calls {
		for _, from := range all {
			h := k.begin(sent(newID()))
			if from != Offered {
				err := map[State]func() error{
					Running:     func() error { return h.Run(t.Context()) },
					Interrupted: func() error { return h.Interrupt(nil) },
					Complete:    h.Complete,
					Failed:      func() error { return h.Fail(nil) },
				}[from]()
				if err != nil {
					t.Fatal(err)
				}
			}
			before := h.Row()
			err := c.call(h)
			want, legal := c.from[from]
			if !legal {
				want = from
				wantErr(t, name+" from "+string(from), err, ErrState)
			} else if err != nil {
				t.Errorf("%s from %s: %v", name, from, err)
			}
			got := k.load(before.Key)
			if got.State != want {
				t.Errorf("%s made %s from %s, want %s", name, got.State, from, want)
			}
			if !legal && (got.Durable != before.Durable || got.LastError != before.LastError || got.Resource != before.Resource) {
				t.Errorf("%s from %s failed and changed the row", name, from)
			}
			k.release(h)
		}
	}
}

// Forget works from everything that nobody is at.
func TestForgetStates(t *testing.T) {
	k := newKit(t)
	for _, from := range []State{Offered, Running, Interrupted, Complete, Failed} {
		r := k.drive(sent(newID()), from)
		if err := k.Forget(t.Context(), r.Key, keep); err != nil {
			t.Errorf("from %s: %v", from, err)
		}
		got := k.load(r.Key)
		if got.State != Forgotten || got.Released != (from == Complete) || got.Finished.IsZero() || got.Path != "" || got.Name != "" {
			t.Errorf("from %s: %+v", from, got)
		}
		wantErr(t, "once more", k.Forget(t.Context(), r.Key, keep), ErrUnknown)
	}
	wantErr(t, "no such row", k.Forget(t.Context(), Key{newID(), Send}, keep), ErrUnknown)
	if n := k.lockFiles(); n != 0 {
		t.Errorf("%d lock files", n)
	}
}

// leadsTo is exactly the list in its documentation.
func TestLeadsTo(t *testing.T) {
	want := map[[2]State]bool{
		{"", Offered}: true, {Offered, Offered}: true, {Offered, Running}: true, {Offered, Complete}: true, {Offered, Interrupted}: true,
		{Offered, Failed}: true, {Running, Complete}: true, {Running, Interrupted}: true, {Running, Failed}: true,
		{Interrupted, Offered}: true, {Interrupted, Interrupted}: true, {Interrupted, Failed}: true, {Interrupted, Forgotten}: true,
		{Complete, Forgotten}: true, {Failed, Forgotten}: true,
	}
	all := []State{"", Offered, Running, Interrupted, Complete, Failed, Forgotten, "else"}
	for _, from := range all {
		for _, to := range all {
			r := Row{State: from}
			err := r.change(to, 1)
			if (err == nil) != want[[2]State{from, to}] {
				t.Errorf("%q to %q: %v", from, to, err)
			}
			if err != nil && (r.State != from || !r.Updated.IsZero() || !errors.Is(err, ErrState)) {
				t.Errorf("%q to %q failed and left %+v", from, to, r)
			}
		}
	}
}

func TestDurable(t *testing.T) {
	k := newKit(t)
	ctx := t.Context()
	dir := t.TempDir()
	h := k.begin(received(newID(), dir))
	final := filepath.Join(dir, "a.iso")
	check := func(what string, err, want error, durable int64, path string) {
		t.Helper()
		wantErr(t, what, err, want)
		if got := k.load(h.Row().Key); got.Durable != durable || got.Path != path {
			t.Errorf("%s: %d durable, path %q", what, got.Durable, got.Path)
		}
	}
	check("too early", h.Progress(ctx, 1), ErrState, 0, "")
	if err := h.Run(ctx); err != nil {
		t.Fatal(err)
	}
	check("forward", h.Progress(ctx, 500), nil, 500, "")
	check("backward", h.Progress(ctx, 499), ErrBytes, 500, "")
	check("beyond", h.Progress(ctx, 1001), ErrBytes, 500, "")
	check("complete too early", h.Complete(), ErrState, 500, "")
	check("rewind forward", h.Rewind(501), ErrBytes, 500, "")
	check("rewind to before the file", h.Rewind(-1), ErrBytes, 500, "")
	check("rewind", h.Rewind(100), nil, 100, "")
	if err := h.Place("/else/a.iso", nil); err == nil {
		t.Error("placed in another directory")
	}
	if err := h.Place(final, []byte("short")); err == nil {
		t.Error("placed with half a hash")
	}
	check("place", h.Place(final, keyA[:32]), nil, 1000, final)
	check("next name", h.Place(final+"1", nil), nil, 1000, final+"1")
	check("thrown away", h.Rewind(0), nil, 0, "")
	check("complete without a file", h.Complete(), ErrState, 0, "")
	check("place again", h.Place(final, nil), nil, 1000, final)
	check("cut after it", h.Interrupt(nil), nil, 1000, final)
	k.release(h)
	h = k.begin(received(h.Row().ID, dir))
	check("complete after all", h.Complete(), nil, 1000, final)
	if got := h.Row(); len(got.SHA256) != 32 || !got.Released {
		t.Errorf("%+v", got)
	}

	s := k.begin(sent(newID()))
	wantErr(t, "a sender places nothing", s.Place("/home/x", nil), ErrState)
	if err := errors.Join(s.Run(ctx), s.Progress(ctx, 10), s.Rewind(0)); err != nil || s.Row().Path == "" {
		t.Errorf("a source without a path: %v", err)
	}
	f := k.begin(received(newID(), dir))
	if err := errors.Join(f.Run(ctx), f.Progress(ctx, 10), f.Fail(nil)); err != nil || f.Row().Durable != 0 {
		t.Errorf("failed with %d durable bytes: %v", f.Row().Durable, err)
	}
}

// TestPause: a pause is of an interrupted row, survives what others do to the journal,
// and ends with the next attempt or with the transfer.
func TestPause(t *testing.T) {
	k := newKit(t)
	for _, by := range []Pause{PausedHere, PausedThere, NotPaused} {
		for name, next := range map[string]func(*Handle) error{
			"Offer": func(h *Handle) error { return h.Offer(t.Context(), "y") },
			"Fail":  func(h *Handle) error { return h.Fail(nil) },
			"Begin": func(h *Handle) error {
				k.release(h)
				k.begin(h.Row())
				return nil
			},
		} {
			h := k.begin(sent(newID()))
			if err := h.Pause(by, errors.New("stopped")); err != nil {
				t.Fatal(err)
			}
			if r := k.load(h.Row().Key); r.Paused != by || r.State != Interrupted || r.LastError != "stopped" {
				t.Errorf("paused %q: %+v", by, r)
			}
			if err := next(h); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if r := k.load(h.Row().Key); r.Paused != NotPaused {
				t.Errorf("%s left it paused %q", name, r.Paused)
			}
			k.release(h)
		}
	}
	h := k.begin(sent(newID()))
	if err := h.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.crash(h)
	if r := k.load(h.Row().Key); r.State != Interrupted || r.Paused != NotPaused {
		t.Errorf("a crash is a pause: %+v", r)
	}
}
