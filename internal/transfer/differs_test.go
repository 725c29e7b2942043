package transfer

import (
	"testing"

	"jetsend/internal/event"
	"jetsend/internal/source"
)

// collected are the events of an endpoint that is not online.
func collected() (*Endpoint, *[]event.Event) {
	events := new([]event.Event)
	e := unconnected()
	e.cfg.Report = func(ev event.Event) { *events = append(*events, ev) }
	return e, events
}

// TestDifferencesOfSent: the receiver's word counts, else the rules for names, and
// of other clients nothing is known.
func TestDifferencesOfSent(t *testing.T) {
	src := &source.Source{Name: ".verona", Tree: &source.Tree{}}
	for name, tt := range map[string]struct {
		said   *event.Differences
		sealed bool
		want   event.Differences
	}{
		"said":           {&event.Differences{Renamed: 5, LeftOut: 2}, true, event.Differences{Renamed: 5, LeftOut: 2}},
		"said none":      {&event.Differences{}, true, event.Differences{}},
		"older receiver": {nil, true, event.Differences{Renamed: 1}},
		"another client": {nil, false, event.Differences{}},
	} {
		e, events := collected()
		u := &upload{e: &e.core, src: src, differs: tt.said}
		u.reportSent(event.Sent{VerifiedByPeer: tt.sealed})
		sent, ok := (*events)[len(*events)-1].(event.Sent)
		if !ok || sent.Differences != tt.want || (len(*events) == 2) != (tt.want.LeftOut > 0) {
			t.Errorf("%s: %+v", name, *events)
		}
	}
}
