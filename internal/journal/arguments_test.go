package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/set"
)

func sentSet(id string, items int) Row {
	return Row{Key: Key{id, Send}, Peer: romeo, Resource: "x", Profile: true, Name: "2 files", Size: 1000, Source: SourceSet, Items: items, Keys: [][]byte{keyA}}
}

func receivedSet(id, dir string, items int) Row {
	row := sentSet(id, items)
	row.Direction, row.Dir = Receive, dir
	return row
}

func twoArguments() []Argument {
	return []Argument{
		{Number: 0, Name: "a.iso", Path: "/home/juliet/a\xff.iso", Size: 400, Entries: 1},
		{Number: 1, Name: "d", Path: "/home/juliet/d", Exclude: "*.o", Folder: true, Size: 600, Entries: 12},
	}
}

// beginSet begins a set with its two arguments.
func (k *kit) beginSet(row Row) *Handle {
	k.t.Helper()
	h := k.begin(row)
	if err := h.SetArguments(k.t.Context(), twoArguments()); err != nil {
		k.t.Fatal(err)
	}
	return h
}

func (k *kit) arguments(key Key) []Argument {
	k.t.Helper()
	arguments, err := k.ArgumentsOf(k.t.Context(), key)
	if err != nil {
		k.t.Fatal(err)
	}
	return arguments
}

// TestArgumentID: both ends make the same ids, and the one argument of a set is the set.
func TestArgumentID(t *testing.T) {
	const set = "0a3c0000-0000-4000-8000-000000000001"
	if got := ArgumentID(set, 0, 1); got != set {
		t.Errorf("the only one: %s", got)
	}
	want := uuid.NewSHA1(uuid.MustParse(set), []byte("7")).String()
	if got := ArgumentID(set, 7, 8); got != want || got == ArgumentID(set, 0, 8) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestArguments: what they are and how far they have come are told apart.
func TestArguments(t *testing.T) {
	ctx := t.Context()
	for _, direction := range []Direction{Send, Receive} {
		k := newKit(t)
		row := receivedSet(newID(), "/home/romeo/in", 2)
		row.Direction = direction
		if direction == Send {
			row.Dir = ""
		}
		h := k.beginSet(row)
		want := twoArguments()
		if direction == Receive {
			want[0].Path, want[1].Path = "", ""
		}
		if got := k.arguments(row.Key); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: new ones are %+v", direction, got)
		}
		far := want[1]
		far.Durable, far.Done, far.Changed, far.Equal, far.Kept, far.Renamed, far.Failed = 500, 10, 2, 3, 1, 4, 2
		far.State, far.Device, far.Inode, far.LastError = ArgumentPlacing, 1, math.MaxUint64, "permission denied"
		if direction == Receive {
			far.Path = "/home/romeo/in/d"
		}
		if err := h.UpdateArguments(ctx, []Argument{far}); err != nil {
			t.Fatal(err)
		}
		again := twoArguments()
		again[1].Size, again[1].Entries = 700, 13
		if err := h.SetArguments(ctx, again[1:]); err != nil {
			t.Fatal(err)
		}
		far.Size, far.Entries = 700, 13
		got, err := h.Arguments(ctx)
		if err != nil || !reflect.DeepEqual(got, []Argument{want[0], far}) {
			t.Errorf("%s: then they are %+v, %v", direction, got, err)
		}
	}
}

// TestArgumentsRefused: what cannot be an argument is not recorded, nor is what comes with it.
func TestArgumentsRefused(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	h := k.begin(sentSet(newID(), 2))
	for name, spoil := range map[string]func(*Argument){
		"number":   func(a *Argument) { a.Number = 2 },
		"negative": func(a *Argument) { a.Number = -1 },
		"relative": func(a *Argument) { a.Path = "d" },
		"no path":  func(a *Argument) { a.Path = "" },
		"size":     func(a *Argument) { a.Size = -1 },
	} {
		bad := twoArguments()
		spoil(&bad[1])
		if err := h.SetArguments(ctx, bad); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
	if got := k.arguments(h.Row().Key); len(got) > 0 {
		t.Errorf("left: %+v", got)
	}
	wantErr(t, "one that is not known", h.UpdateArguments(ctx, twoArguments()), ErrUnknown)
	placing := twoArguments()[0]
	placing.Path, placing.State = "", ArgumentPlacing
	r := k.beginSet(receivedSet(newID(), t.TempDir(), 2))
	if err := r.UpdateArguments(ctx, []Argument{placing}); err == nil {
		t.Error("placed nowhere")
	}
	if err := k.begin(sent(newID())).SetArguments(ctx, twoArguments()); err == nil {
		t.Error("a file has arguments")
	}
	k.release(h)
	wantErr(t, "after Release", h.SetArguments(ctx, twoArguments()), ErrReleased)
	for name, spoil := range map[string]func(*Row){
		"no arguments": func(r *Row) { r.Items = 0 },
		"too many":     func(r *Row) { r.Items = set.MaxArguments + 1 },
		"a path":       func(r *Row) { r.Path = "/home/juliet/d" },
		"a manifest":   func(r *Row) { r.Manifest = keyA[:32] },
		"no profile":   func(r *Row) { r.Profile = false },
		"a file":       func(r *Row) { r.Source, r.Path = SourceFile, "/home/juliet/d" },
	} {
		bad := sentSet(newID(), 2)
		spoil(&bad)
		if _, err := k.Begin(ctx, bad); err == nil {
			t.Errorf("a set with %s begins", name)
		}
	}
}

// TestSetGoesOn: a set is taken up with whatever is in it now.
func TestSetGoesOn(t *testing.T) {
	ctx := t.Context()
	for _, row := range []Row{sentSet(newID(), 2), receivedSet(newID(), t.TempDir(), 2)} {
		k := newKit(t)
		h := k.beginSet(row)
		if err := errors.Join(h.Run(ctx), h.Progress(ctx, 900), h.Progress(ctx, 700), h.Progress(ctx, 800), h.Interrupt(nil)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "more than all", h.Progress(ctx, 1001), ErrState)
		k.release(h)
		k.clock.add(time.Minute)
		if row.Direction == Send {
			wantErr(t, "Find", errOf(k.Find(ctx, row)), ErrUnknown)
			if got, err := k.FindSet(ctx, romeo, twoArguments()); err != nil || got.ID != row.ID || got.Source != SourceSet || got.Items != 2 {
				t.Errorf("the same send finds %+v, %v", got, err)
			}
		}
		more := row
		more.Items = 3
		wantErr(t, "another number of arguments", errOf(k.Begin(ctx, more)), ErrDiffers)
		file := row
		file.Source, file.Items, file.Path = SourceFile, 0, "/home/juliet/f"
		wantErr(t, "a file", errOf(k.Begin(ctx, file)), ErrDiffers)
		row.Size = 500
		h = k.begin(row)
		if now := h.Row(); now.Size != 500 || now.Durable != 500 || now.Retries != 1 || now.Phase != PhaseKnown {
			t.Errorf("%s: taken up as %+v", row.Direction, now)
		}
		if got := k.arguments(row.Key); len(got) != 2 {
			t.Errorf("%s: arguments %v", row.Direction, got)
		}
		if err := errors.Join(h.Resize(ctx, 2000), h.Run(ctx), h.Progress(ctx, 1500)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "more than all", h.Progress(ctx, 2001), ErrBytes)
		wantErr(t, "less than nothing", h.Progress(ctx, -1), ErrBytes)
		if err := h.Complete(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "when it is over", h.Resize(ctx, 1), ErrState)
		k.release(h)
		if now := k.load(row.Key); now.State != Complete || !now.Released || now.Durable != 2000 || now.Path != "" {
			t.Errorf("%s: complete as %+v", row.Direction, now)
		}
		wantErr(t, "once more", errOf(k.Begin(ctx, row)), ErrOver)
	}
}

func errOf[T any](_ T, err error) error { return err }

// TestFindSet: the same arguments in the same order, the newest set of them that is not over.
func TestFindSet(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	for range 2 {
		k.release(k.beginSet(sentSet(newID(), 2)))
		k.clock.add(time.Second)
	}
	newest := sentSet(newID(), 2)
	k.release(k.beginSet(newest))
	k.clock.add(time.Second)
	k.drive(sent(newID()), Interrupted)
	k.release(k.begin(sentSet(newID(), 2))) // cut before its arguments were recorded
	for name, spoil := range map[string]func(a []Argument) []Argument{
		"same":     func(a []Argument) []Argument { a[1].Size, a[1].Entries = 7, 7; return a },
		"order":    func(a []Argument) []Argument { return []Argument{a[1], a[0]} },
		"path":     func(a []Argument) []Argument { a[0].Path += "x"; return a },
		"name":     func(a []Argument) []Argument { a[0].Name += "x"; return a },
		"patterns": func(a []Argument) []Argument { a[1].Exclude = ""; return a },
		"fewer":    func(a []Argument) []Argument { return a[:1] },
		"none":     func([]Argument) []Argument { return nil },
	} {
		got, err := k.FindSet(ctx, romeo, spoil(twoArguments()))
		if name == "same" && (err != nil || got.ID != newest.ID) || name != "same" && !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %s, %v", name, got.ID, err)
		}
	}
	wantErr(t, "another contact", errOf(k.FindSet(ctx, juliet, twoArguments())), ErrUnknown)
	h := k.begin(newest)
	if err := errors.Join(h.Run(ctx), h.Complete()); err != nil {
		t.Fatal(err)
	}
	k.release(h)
	if got, err := k.FindSet(ctx, romeo, twoArguments()); err != nil || got.ID == newest.ID {
		t.Errorf("one that is complete goes on: %v", err)
	}
}

// TestGetArgument: a set is found by the ids of its arguments too.
func TestGetArgument(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	set := sentSet("0a3c0000-0000-4000-8000-000000000001", 300)
	h := k.begin(set)
	many := make([]Argument, set.Items)
	for i := range many {
		many[i] = Argument{Number: i, Name: "f", Path: "/f"}
	}
	if err := h.SetArguments(ctx, many); err != nil {
		t.Fatal(err)
	}
	only := sentSet("0b3c0000-0000-4000-8000-000000000001", 1)
	if err := k.begin(only).SetArguments(ctx, many[:1]); err != nil {
		t.Fatal(err)
	}
	seventh := ArgumentID(set.ID, 7, set.Items)
	for prefix, want := range map[string]struct {
		id     string
		number int
	}{
		set.ID: {set.ID, -1}, "0a3c00": {set.ID, -1}, seventh: {set.ID, 7}, strings.ToUpper(seventh[:12]): {set.ID, 7}, only.ID: {only.ID, -1},
		seventh[:1]: {set.ID, -1}, // several of the same set, and no other
	} {
		row, number, err := k.GetArgument(ctx, prefix)
		if err != nil || row.ID != want.id || number != want.number {
			t.Errorf("%s: %s, %d, %v", prefix, row.ID, number, err)
		}
	}
	taken := sent(seventh[:8] + "-0000-4000-8000-000000000001")
	k.drive(taken, Interrupted)
	wantErr(t, "another transfer begins like an argument", errOf(k.Get(ctx, seventh[:8])), ErrAmbiguous)
	k.release(h)
	if err := k.Forget(ctx, set.Key, keep); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "forgotten", errOf(k.Get(ctx, seventh)), ErrUnknown)
	for _, a := range k.arguments(set.Key) {
		if a.Name != "" || a.Path != "" {
			t.Fatalf("still known: %+v", a)
		}
	}
}

// TestSetsEnd: for expiring, forgetting, answering and asking, a set is a transfer like others:
// those queries go by state, time, contact and key alone. With the row go its arguments.
func TestSetsEnd(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	dir := t.TempDir()
	// Cut with nothing durable, cut with something, complete; in both directions.
	var rows []Row
	for i := range 6 {
		row := sentSet(newID(), 2)
		if i%2 == 1 {
			row = receivedSet(newID(), dir, 2)
		}
		h := k.beginSet(row)
		k.clock.add(time.Second)
		err := h.Run(ctx)
		if i > 1 {
			err = errors.Join(err, h.Progress(ctx, 400))
		}
		if i > 3 {
			err = errors.Join(err, h.Complete())
		}
		if err != nil {
			t.Fatal(err)
		}
		k.crash(h)
		rows = append(rows, row)
	}
	for i, want := range []reason{keepResume, keepResume, keepResume, keepResume, keepAnswer, keepAnswer} {
		if row := k.load(rows[i].Key); row.keep() != want {
			t.Errorf("%d is kept for %s", i, row.keep())
		}
	}
	if row, err := k.Finished(ctx, rows[5].ID, romeo, keyA); err != nil || row.Items != 2 {
		t.Errorf("a repeated offer: %+v, %v", row, err)
	}
	wantErr(t, "of another key", errOf(k.Finished(ctx, rows[5].ID, romeo, keyB)), ErrUnknown)
	if row, err := k.Offered(ctx, rows[2].ID, romeo, keyA); err != nil || row.Source != SourceSet {
		t.Errorf("asked for the rest: %+v, %v", row, err)
	}
	discarded := map[string]bool{}
	discard := func(r Row) error {
		if r.Source != SourceSet || r.Dir != dir {
			t.Errorf("discard %+v", r)
		}
		discarded[r.ID] = true
		return nil
	}
	if err := k.Forget(ctx, rows[2].Key, discard); err != nil { // what was sent leaves nothing on the disk
		t.Error(err)
	}
	if given, err := k.Abandoned(ctx, romeo, 10); err != nil || len(given) != 1 || given[0].ID != rows[2].ID {
		t.Errorf("given up: %v, %v", given, err)
	}
	if err := k.Forget(ctx, rows[5].Key, discard); err != nil {
		t.Error(err)
	}
	if _, err := k.Finished(ctx, rows[5].ID, romeo, keyA); err != nil {
		t.Errorf("forgotten, and not answered any more: %v", err)
	}
	k.clock.add(7 * day)
	if got := k.expire(7*day, discard); len(got) != 3 || !discarded[rows[1].ID] || !discarded[rows[3].ID] || !discarded[rows[5].ID] {
		t.Errorf("expired: %v, discarded: %v", got, discarded)
	}
	k.clock.add(FinishedFor)
	if got := k.expire(7*day, discard); len(got) != 3 {
		t.Errorf("then expired: %v", got)
	}
	var left int
	if err := k.db.QueryRowContext(ctx, `SELECT count(*) FROM arguments`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d arguments are left: %v", left, err)
	}
	for i, want := range []bool{false, false, false, false, false, true} {
		if spent, err := k.Spent(ctx, rows[i].ID, romeo); err != nil || spent != (want && rows[i].Direction == Receive) {
			t.Errorf("%d is spent: %v, %v", i, spent, err)
		}
	}
	wantErr(t, "played back", errOf(k.Begin(ctx, rows[5])), ErrOver)
}

// TestFailedSet: what was received begins anew, without the arguments of before that have
// not arrived.
func TestFailedSet(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	row := receivedSet(newID(), t.TempDir(), 2)
	h := k.beginSet(row)
	if err := errors.Join(h.Run(ctx), h.Progress(ctx, 400), h.Fail(os.ErrPermission)); err != nil {
		t.Fatal(err)
	}
	k.release(h)
	if now := k.begin(row).Row(); now.Retries != 0 || now.Durable != 0 {
		t.Errorf("begins as %+v", now)
	}
	if left := k.arguments(row.Key); len(left) != 0 {
		t.Errorf("with %+v", left)
	}
	row.ID = newID()
	h = k.beginSet(row)
	a := twoArguments()[0]
	a.State, a.Path, a.Inode = ArgumentPlaced, "/home/romeo/in/a", 5
	if err := errors.Join(h.Run(ctx), h.UpdateArguments(ctx, []Argument{a}), h.Fail(os.ErrPermission)); err != nil {
		t.Fatal(err)
	}
	k.release(h)
	k.begin(row)
	if left := k.arguments(row.Key); !reflect.DeepEqual(left, []Argument{a}) {
		t.Errorf("with %+v", left)
	}
}

// BenchmarkArguments records 5,000 arguments, brings them up to date and finds them: half
// a second, where a transaction for each would take minutes.
func BenchmarkArguments(b *testing.B) {
	for b.Loop() {
		manyArguments(b)
	}
}

// TestManyArguments: all of them are there.
func TestManyArguments(t *testing.T) {
	k, row := manyArguments(t)
	arguments, err := k.ArgumentsOf(t.Context(), row.Key)
	if err != nil || len(arguments) != row.Items {
		t.Fatalf("%d arguments: %v", len(arguments), err)
	}
	for i, a := range arguments {
		if a.Number != i || a.State != ArgumentPlaced {
			t.Fatalf("argument %d is %+v", i, a)
		}
	}
}

func manyArguments(t testing.TB) (*kit, Row) {
	ctx := t.Context()
	k := newKit(t)
	many := make([]Argument, 5000)
	for i := range many {
		many[i] = Argument{Number: i, Name: fmt.Sprint(i), Path: filepath.Join("/home/juliet", fmt.Sprint(i)), Size: 10, Entries: 1}
	}
	h := k.begin(sentSet(newID(), len(many)))
	if err := h.SetArguments(ctx, many); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		many[i].State, many[i].Done, many[i].Durable = ArgumentPlaced, 1, 10
	}
	if err := h.UpdateArguments(ctx, many); err != nil {
		t.Fatal(err)
	}
	if row, err := k.FindSet(ctx, romeo, many); err != nil || row.ID != h.Row().ID {
		t.Error(err)
	}
	return k, h.Row()
}
