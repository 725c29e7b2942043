package tally

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/set"
	"jetsend/internal/state"
)

// told are the events that a book reports.
type told struct {
	mu  sync.Mutex
	all []event.Event
}

func (t *told) report(e event.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, e)
}

// names are the kinds of the events since the last call, each with its name.
func (t *told) names() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.all {
		h, _ := event.Of(e)
		names = append(names, e.Kind()+" "+h.Name)
	}
	t.all = nil
	return names
}

func (t *told) want(tt *testing.T, want ...string) {
	tt.Helper()
	if got := t.names(); !slices.Equal(got, want) {
		tt.Errorf("%q, want %q", got, want)
	}
}

const id = "0f6c0a1e-0000-4000-8000-000000000001"

// three are the arguments of a set: a file that has arrived, a folder, and a file.
func three() []journal.Argument {
	return []journal.Argument{
		{Number: 0, Name: "a", Size: 1, Entries: 1, Done: 1, State: journal.ArgumentPlaced},
		{Number: 1, Name: "b", Size: 5, Entries: 3, Folder: true, Durable: 2},
		{Number: 2, Name: "c", Size: 7, Entries: 1},
	}
}

func headOf(d event.Direction) event.Head {
	return event.Head{Transfer: id, Set: id, Direction: d, Peer: "romeo@jet.test/a", Name: "a and 2 more"}
}

// TestBook: what is told of a set is told of each argument that has not ended, and its end
// once.
func TestBook(t *testing.T) {
	var got told
	b := NewBook(got.report, func(journal.Key) []journal.Argument { return three() })
	head := headOf(event.Send)
	s := b.Open(head, 3, three())
	b.Report(event.Offer{Head: head, Size: 13})
	if o, is := got.all[0].(event.Offer); !is || o.Size != 5 || o.SetSize != 13 || o.Items != 3 || o.ResumedFrom != 2 || o.Transfer != journal.ArgumentID(id, 1, 3) || o.Set != id {
		t.Errorf("%+v", got.all[0])
	}
	got.want(t, "offer b", "offer c")
	b.Report(event.Resumed{Head: head, Offset: 3})
	got.want(t, "resumed b")
	s.Argument(1, func(a *Argument) {
		for range a.Entries {
			a.Settled("", set.Outcome{How: set.New}, got.report)
		}
	})
	s.End(1)
	s.End(1)
	got.want(t, "sent b")
	b.Report(event.Failed{Head: head, Code: int(exitcode.Interrupted)})
	got.want(t, "failed c")
	if s.Code() != exitcode.Interrupted || len(b.open) != 0 {
		t.Errorf("%v, %d open", s.Code(), len(b.open))
	}
	b.Report(event.Sent{Head: head}) // by another process, as the journal has it
	got.want(t, "sent a", "sent b", "sent c")
	b.Report(event.Online{JID: "x"})
	got.want(t, "online ")
}

// TestSameID: a set of another contact is another one, though it has the id.
func TestSameID(t *testing.T) {
	var got told
	b := NewBook(got.report, func(journal.Key) []journal.Argument { return nil })
	s := b.Open(headOf(event.Receive), 3, three())
	other := headOf(event.Receive)
	other.Peer = "tybalt@jet.test/a"
	if b.Open(other, 3, three()) == s {
		t.Error("it is the same one")
	}
	b.Report(event.Failed{Head: other, Code: int(exitcode.Declined)})
	got.want(t, "failed b", "failed c")
	if s.left != 2 || len(b.open) != 1 {
		t.Errorf("%d left, %d open", s.left, len(b.open))
	}
}

// TestHookOfOne: the one argument of a set has the id of the set; what is about it alone
// stays about it.
// TestNothingKnown: a set that ended before its arguments were written down is told of itself.
func TestNothingKnown(t *testing.T) {
	var said told
	b := NewBook(said.report, func(journal.Key) []journal.Argument { return nil })
	b.Report(event.Failed{Head: event.Head{Transfer: id, Set: id, Direction: event.Receive, Name: "folder"}, Code: int(exitcode.Interrupted)})
	said.want(t, "failed folder")
}

func TestHookOfOne(t *testing.T) {
	var got told
	b := NewBook(got.report, func(journal.Key) []journal.Argument { return three()[:1] })
	b.Report(event.Hook{Head: headOf(event.Receive)})
	got.want(t, "hook a and 2 more")
}

// TestCrashBeforeTold: an argument that has its place, and was not counted before a crash,
// is told of in the next session.
func TestCrashBeforeTold(t *testing.T) {
	var got told
	b := NewBook(got.report, nil)
	known := three()
	known[0].Done = 0
	s := b.Open(headOf(event.Receive), 3, known)
	s.Argument(0, func(a *Argument) { a.Settled("", set.Outcome{How: set.Equal}, got.report) })
	s.End(0)
	got.want(t, "received a")
}

// TestMeet: a receiver learns of arguments as they come.
func TestMeet(t *testing.T) {
	var got told
	b := NewBook(got.report, nil)
	s := b.Open(headOf(event.Receive), 3, three()[:2])
	s.Describe("for you")
	s.Meet(journal.Argument{Number: 1, Size: 9, Entries: 4, Folder: true})
	got.want(t)
	s.Meet(journal.Argument{Number: 2, Name: "c", Size: 3, Entries: 1})
	if o, is := got.all[0].(event.Offer); !is || o.Description != "for you" || o.Size != 3 {
		t.Errorf("%+v", got.all[0])
	}
	got.want(t, "offer c", "accepted c")
}

// TestManyFail: entries that fail are told up to a bound, and all of them are counted.
func TestManyFail(t *testing.T) {
	var got told
	a := Argument{Argument: journal.Argument{Name: "b", Folder: true, Path: "/in/b"}, Head: headOf(event.Receive)}
	for i := range event.MaxEntries + 5 {
		a.Settled(fmt.Sprint(i), set.Outcome{Reason: "permission denied"}, got.report)
	}
	a.Settled("", set.Outcome{How: set.New}, got.report)
	if n := len(got.all); n != event.MaxEntries {
		t.Errorf("%d are told", n)
	}
	f, is := a.End().(event.Failed)
	if !is || f.EntriesFailed != event.MaxEntries+5 || f.Entries != event.MaxEntries+6 || f.Path != "/in/b" || f.Code != int(exitcode.LocalFile) {
		t.Errorf("%+v", a.End())
	}
}

// handle is the row of a set of so many arguments.
func handle(t *testing.T, d journal.Direction, items int) *journal.Handle {
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
	row := journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: d}, Peer: jid.MustParse("romeo@jet.test"), Profile: true, Name: "a", Source: journal.SourceSet,
		Items: items, Size: 100, Dir: "/in", Keys: [][]byte{make([]byte, 33)},
	}
	if d == journal.Send {
		row.Dir = ""
	}
	h, err := j.Begin(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Release() })
	if err := h.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// quiet is a target that takes everything.
type quiet struct{ set.Target }

func (quiet) Argument(int, set.Argument) error { return nil }
func (quiet) Entry(uint64, set.Entry, []set.Extent) (set.Want, error) {
	return set.Want{}, nil
}

// TestRun: a receiver's run writes down how far each argument has come, and tells its end
// behind that.
func TestRun(t *testing.T) {
	var got told
	h := handle(t, journal.Receive, 2)
	head := headOf(event.Receive)
	head.Transfer, head.Set = h.Row().ID, h.Row().ID
	s := NewBook(got.report, nil).Open(head, 2, nil)
	r := NewRun(s, h, slog.New(slog.DiscardHandler), 100)
	var ended []event.Event
	r.Ended = func(e event.Event) { ended = append(ended, e) }
	next := 0
	f := r.Follow(func(set.Outcome) { next++ })
	f.Target = quiet{}
	say := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	say(f.Argument(0, set.Argument{Name: "a", Entries: 1, Bytes: 40}))
	_, err := f.Entry(0, set.Entry{Kind: set.File, Size: 40, Extents: -1}, nil)
	say(err)
	say(f.Argument(1, set.Argument{Name: "b", Folder: make([]byte, 16), Entries: 2, Bytes: 60}))
	_, err = f.Entry(1, set.Entry{Kind: set.Directory, Extents: -1}, nil)
	say(err)
	_, err = f.Entry(2, set.Entry{Kind: set.File, Path: []string{"x"}, Size: 60, Extents: -1}, nil)
	say(err)
	f.Moved(0, 40)
	say(r.Place([]int{0}, func(a *journal.Argument) { a.State, a.Path = journal.ArgumentPlacing, "/in/a" }))
	f.Settled(set.Outcome{Number: 0, How: set.New})
	f.Moved(2, 25) // and then it is cut
	if n := r.Close(true); n != 65 || next != 1 {
		t.Errorf("%d bytes, %d outcomes", n, next)
	}
	if len(ended) != 1 || h.Row().Durable != 65 {
		t.Errorf("%+v, %+v", ended, h.Row())
	}
	all, err := h.Arguments(t.Context())
	if err != nil || len(all) != 2 || all[0].State != journal.ArgumentPlaced || all[0].Done != 1 || all[0].Path != "/in/a" || all[1].State != "" || all[1].Durable != 25 {
		t.Errorf("%+v, %v", all, err)
	}
	got.want(t, "offer a", "accepted a", "offer b", "accepted b", "received a")
}

// TestOtherNames: what has another name at the receiver is told up to a bound, then counted;
// a name that its reader knows already is not.
func TestOtherNames(t *testing.T) {
	var got told
	s := NewBook(got.report, nil).Open(headOf(event.Send), 3, three())
	for i := range maxSaid + 3 {
		s.Argument(1, func(a *Argument) {
			a.Settled(fmt.Sprint(i), set.Outcome{How: set.Changed, Kept: "k (1)\x1b"}, s.report)
		})
	}
	if n := len(got.all); n != maxSaid || got.all[0] != event.Event(event.Warning{Text: "b: 0 was edited at the receiver, and is kept there as k (1)\ufffd"}) {
		t.Errorf("%d: %+v", n, got.all[:1])
	}
	s.End(1)
	s.End(2)
	if last := got.all[len(got.all)-1]; last != event.Event(event.Warning{Text: "a and 2 more: 3 more have other names at the receiver"}) {
		t.Errorf("%+v", last)
	}
	for direction, want := range map[event.Direction]string{event.Send: "[.x arrived as _x (1)]", event.Receive: "[]"} {
		a := Argument{Argument: journal.Argument{Name: ".x"}, Head: event.Head{Direction: direction, Name: ".x"}}
		if texts := fmt.Sprint(a.changes("", set.Outcome{Renamed: "_x (1)"})); texts != want {
			t.Errorf("%s: %s", direction, texts)
		}
		if texts := a.changes("", set.Outcome{Renamed: "_x"}); texts != nil {
			t.Errorf("%s: %q", direction, texts)
		}
	}
}

// TestEndTooLate: the end of a session that is told after the next one was offered ends the set that
// both found in the book. The next one finds that, and takes another.
func TestEndTooLate(t *testing.T) {
	head := event.Head{Transfer: "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6", Set: "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6", Direction: event.Receive, Peer: "romeo@montague.example/x"}
	var told []event.Event
	b := NewBook(func(e event.Event) { told = append(told, e) }, func(journal.Key) []journal.Argument { return nil })
	known := []journal.Argument{{Number: 0, Name: "a"}, {Number: 1, Name: "b"}}
	first := b.Open(head, 2, known)
	next := b.Open(head, 2, known)
	b.Report(event.Failed{Head: head, Code: 11})
	if first != next || !next.Ended() || len(told) != 2 {
		t.Errorf("ended: %v, told %d", next.Ended(), len(told))
	}
	again := b.Open(head, 2, known)
	if again == next || again.Ended() {
		t.Error("what has ended is in the book")
	}
	for n := range known {
		again.Argument(n, func(a *Argument) { a.State = journal.ArgumentPlaced })
		if e := again.End(n); e == nil {
			t.Errorf("argument %d has no end", n)
		}
	}
	if len(told) != 4 || !again.Ended() {
		t.Errorf("told %d", len(told))
	}
}
