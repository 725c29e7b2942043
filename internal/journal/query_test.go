package journal

import (
	"errors"
	"slices"
	"testing"
	"time"

	"jetsend/internal/jid"
)

func TestGet(t *testing.T) {
	k := newKit(t)
	ids := []string{
		"aaaa1111-0000-4000-8000-000000000000", "aaaa2222-0000-4000-8000-000000000000",
		"bbbb0000-0000-4000-8000-000000000000", "cccc0000-0000-4000-8000-000000000000",
	}
	for _, id := range ids[:3] {
		k.drive(sent(id), Interrupted)
	}
	k.drive(received(ids[2], t.TempDir()), Interrupted)
	k.drive(sent(ids[3]), Forgotten)
	for prefix, want := range map[string]any{
		ids[0]: ids[0], "aaaa1": ids[0], "AAAA2": ids[1], "aaaa": ErrAmbiguous, "": ErrUnknown, "d": ErrUnknown, "%": ErrUnknown,
		"a%": ErrUnknown, "aaaa_": ErrUnknown, ids[0] + "0": ErrUnknown, "é": ErrUnknown, "' OR 1=1 --": ErrUnknown,
		ids[2]: ErrAmbiguous, // in both directions
		"c":    ErrUnknown,
	} {
		r, err := k.Get(t.Context(), prefix)
		if id, ok := want.(string); ok && (err != nil || r.ID != id) || !ok && !errors.Is(err, want.(error)) {
			t.Errorf("%q: got %s, %v; want %v", prefix, r.ID, err, want)
		}
	}
}

func TestList(t *testing.T) {
	k := newKit(t)
	var keys []Key
	add := func(r Row, s State) {
		k.drive(r, s)
		k.clock.add(time.Second)
		keys = append(keys, r.Key)
	}
	add(sent(newID()), Interrupted)
	add(received(newID(), t.TempDir()), Complete)
	mine := sent(newID())
	mine.Peer = juliet
	add(mine, Failed)
	add(sent(newID()), Forgotten)
	for name, c := range map[string]struct {
		f    Filter
		want []Key
	}{
		"all":       {Filter{}, keys[:3]},
		"send":      {Filter{Direction: Send}, []Key{keys[0], keys[2]}},
		"peer":      {Filter{Peer: romeo}, keys[:2]},
		"states":    {Filter{States: []State{Failed, Forgotten}}, keys[2:]},
		"together":  {Filter{Direction: Send, Peer: romeo, States: []State{Interrupted}}, keys[:1]},
		"forgotten": {Filter{States: []State{Forgotten}}, keys[3:]},
	} {
		rows, err := k.List(t.Context(), c.f)
		var got []Key
		for _, r := range rows {
			got = append(got, r.Key)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	k := newKit(t)
	old := k.drive(sent(newID()), Interrupted)
	k.clock.add(time.Second)
	r := k.drive(sent(newID()), Interrupted)
	r.Batch = ""
	if got, err := k.Find(t.Context(), Row{Peer: romeo, Path: old.Path, Name: old.Name, Size: old.Size, MTime: old.MTime}); err != nil || got.ID != r.ID {
		t.Errorf("got %s, want the newest: %v", got.ID, err)
	}
	for name, spoil := range map[string]func(*Row){
		"peer":  func(r *Row) { r.Peer = juliet },
		"path":  func(r *Row) { r.Path += "x" },
		"name":  func(r *Row) { r.Name += "x" },
		"size":  func(r *Row) { r.Size++ },
		"tree":  func(r *Row) { r.Manifest = keyB[:32] },
		"mtime": func(r *Row) { r.MTime = r.MTime.Add(time.Nanosecond) },
	} {
		like := r
		spoil(&like)
		_, err := k.Find(t.Context(), like)
		wantErr(t, name, err, ErrUnknown)
	}
	for _, s := range []State{Complete, Failed, Forgotten} {
		k := newKit(t)
		k.drive(sent(newID()), s)
		plain := sent(newID())
		plain.Profile = false
		k.drive(plain, Interrupted)
		_, err := k.Find(t.Context(), r)
		wantErr(t, "none but "+string(s), err, ErrUnknown)
	}
}

// The same send while somebody is at the transfer is no other transfer.
func TestFindAtWork(t *testing.T) {
	k := newKit(t)
	ctx := t.Context()
	r := sent(newID())
	h := k.begin(r)
	like := sent(newID())
	like.Batch = ""
	steps := map[State]func() error{
		Offered:     func() error { return nil },
		Running:     func() error { return h.Run(ctx) },
		Interrupted: func() error { return h.Interrupt(nil) }, // a pause
	}
	for _, s := range []State{Offered, Running, Interrupted} {
		if err := steps[s](); err != nil {
			t.Fatal(err)
		}
		got, err := k.Find(ctx, like)
		if err != nil || got.ID != r.ID {
			t.Errorf("%s: got %s, %v", s, got.ID, err)
		}
		again := like
		again.ID = got.ID
		_, err = k.Begin(ctx, again)
		wantErr(t, string(s), err, ErrRunning)
	}
	like.Batch = r.Batch
	_, err := k.Find(ctx, like)
	wantErr(t, "a file that goes out twice in one batch", err, ErrUnknown)
}

// TestFindTwice: a file that went out twice in one batch goes on twice in the next.
func TestFindTwice(t *testing.T) {
	k := newKit(t)
	a, b := sent(newID()), sent(newID())
	a.Batch, b.Batch = "one", "one"
	k.drive(a, Interrupted)
	k.drive(b, Interrupted)
	found := map[string]bool{}
	for range 2 {
		like := sent(newID())
		like.Batch = "two"
		got, err := k.Find(t.Context(), like)
		if err != nil {
			t.Fatal(err)
		}
		like.ID, found[got.ID] = got.ID, true
		if _, err := k.Begin(t.Context(), like); err != nil {
			t.Fatal(err)
		}
	}
	if !found[a.ID] || !found[b.ID] {
		t.Errorf("went on with %v", found)
	}
}

// A peer that asks wrongly hears the same.
func TestFinishedAndOffered(t *testing.T) {
	k := newKit(t)
	ctx := t.Context()
	for _, s := range []State{Complete, Forgotten} {
		r := k.drive(received(newID(), t.TempDir()), s)
		if got, err := k.Finished(ctx, r.ID, romeo, keyA); err != nil || got.Size != r.Size || !got.Released {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		for name, ask := range map[string]func() (Row, error){
			"key":  func() (Row, error) { return k.Finished(ctx, r.ID, romeo, keyB) },
			"peer": func() (Row, error) { return k.Finished(ctx, r.ID, juliet, keyA) },
			"id":   func() (Row, error) { return k.Finished(ctx, newID(), romeo, keyA) },
			"send": func() (Row, error) { return k.Offered(ctx, r.ID, romeo, keyA) },
		} {
			if got, err := ask(); err == nil || err.Error() != ErrUnknown.Error() || got.ID != "" {
				t.Errorf("wrong %s: %+v, %v", name, got, err)
			}
		}
		k.clock.add(FinishedFor - time.Millisecond)
		if _, err := k.Finished(ctx, r.ID, romeo, keyA); err != nil {
			t.Errorf("%s, on the last day: %v", s, err)
		}
		k.clock.add(time.Millisecond)
		_, err := k.Finished(ctx, r.ID, romeo, keyA)
		wantErr(t, "after 30 days", err, ErrUnknown)
	}
	for _, s := range []State{Offered, Running, Interrupted, Complete, Failed, Forgotten} { // what has become of it tells the state
		r := k.drive(sent(newID()), s)
		got, err := k.Offered(ctx, r.ID, romeo, keyA)
		if want := k.load(r.Key).State; err != nil || got.State != want {
			t.Errorf("%s: %s, %v", want, got.State, err)
		}
		_, err = k.Offered(ctx, r.ID, jid.MustParse("tybalt@jet.test"), keyA)
		wantErr(t, "to another", err, ErrUnknown)
		_, err = k.Offered(ctx, r.ID, romeo, keyB)
		wantErr(t, "to another key", err, ErrUnknown)
	}
	h := k.begin(sent(newID()))
	if r, err := k.Offered(ctx, h.Row().ID, romeo, keyA); err != nil || !r.State.Live() {
		t.Errorf("while it is sent: %s, %v", r.State, err)
	}
}
