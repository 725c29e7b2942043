package transfer

import (
	"fmt"
	"testing"
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
	var texts []string
	for i := range 100 {
		texts = append(texts, fmt.Sprintf("verona: .%d arrived as _%d", i, i))
	}
	e.tellChanges("verona", len(texts), texts)
	if len(*events) != maxChangesShown+1 {
		t.Fatalf("%d warnings", len(*events))
	}
	for i, want := range map[int]string{0: texts[0], 1: texts[1], maxChangesShown: "verona: 90 more are not as they were sent"} {
		if w, ok := (*events)[i].(Warning); !ok || w.Text != want {
			t.Errorf("%+v", (*events)[i])
		}
	}
}
