package transfer

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"jetsend/internal/archive"
)

// collected are the events of an endpoint that is not online.
func collected() (*Endpoint, *[]Event) {
	events := new([]Event)
	e := unconnected()
	e.cfg.Report = func(ev Event) { *events = append(*events, ev) }
	return e, events
}

// TestDifferencesOfSent: the receiver's word counts, else the rules for names, and
// of other clients nothing is known.
func TestDifferencesOfSent(t *testing.T) {
	src := &source{Name: "verona", Tree: &tree{Renamed: 3}}
	for name, tt := range map[string]struct {
		said   *Differences
		sealed bool
		want   Differences
	}{
		"said":           {&Differences{Renamed: 5, LeftOut: 2}, true, Differences{Renamed: 5, LeftOut: 2}},
		"said none":      {&Differences{}, true, Differences{}},
		"older receiver": {nil, true, Differences{Renamed: 3}},
		"another client": {nil, false, Differences{}},
	} {
		e, events := collected()
		u := &upload{e: e, src: src, differs: tt.said}
		u.reportSent(Sent{VerifiedByPeer: tt.sealed})
		sent, ok := (*events)[len(*events)-1].(Sent)
		if !ok || sent.Differences != tt.want || (len(*events) == 2) != (tt.want.LeftOut > 0) {
			t.Errorf("%s: %+v", name, *events)
		}
	}
}

// TestTellChanges: the first are told one by one, to people.
func TestTellChanges(t *testing.T) {
	e, events := collected()
	tree := archive.Tree{Renamed: 99, LeftOut: 1, Changes: []archive.Change{{Path: "a/link\x1b", Err: syscall.EPERM}}}
	for i := range 99 {
		tree.Changes = append(tree.Changes, archive.Change{Path: fmt.Sprintf(".%d", i), Now: fmt.Sprintf("_%d", i)})
	}
	d := &download{e: e, head: Head{Name: "verona"}}
	d.released(tree)
	if *d.differs != (Differences{Renamed: 99, LeftOut: 1}) || len(*events) != maxChangesShown+1 {
		t.Fatalf("%+v, %d warnings", d.differs, len(*events))
	}
	for i, want := range map[int]string{0: "verona: a/link", 1: "verona: .0 arrived as _0", maxChangesShown: "verona: 90 more are not as they were sent"} {
		if w, ok := (*events)[i].(Warning); !ok || !strings.HasPrefix(w.Text, want) || strings.Contains(w.Text, "\x1b") {
			t.Errorf("%+v", (*events)[i])
		}
	}
}
