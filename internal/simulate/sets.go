package simulate

import (
	"fmt"
	"slices"
	"time"

	"jetsend/internal/machine"
)

// sets is what is drawn of a run in which both ends take sets; the zero value is one
// without.
type sets struct {
	on      bool
	folders int  // that are sent beside the files
	update  bool // what the receiver does with a folder that comes again
	rounds  int  // how many times all is sent again, after some of it was changed
	edits   bool // somebody at the receiver edits a file of a folder between two of these
}

// setCrashes and setFailures are those of [crashes] and [failures] for a receiver of sets.
var (
	setCrashes = many{
		"": 300, machine.Commit: 80, machine.Committed: 80, machine.Create: 20, machine.Write: 20, machine.Truncate: 2, machine.Sync: 18,
		machine.Rename: 12, machine.Replace: 10, machine.Remove: 8, machine.SyncNames: 40,
	}
	setFailures = map[string]many{
		"full":  {machine.Create: 20, machine.Write: 20},
		"fails": {machine.Commit: 80, machine.Sync: 18, machine.SyncNames: 40, machine.Rename: 12, machine.Replace: 10, machine.Remove: 8},
	}
)

// drawSets changes a schedule into one with sets, once in a few seeds.
func (s *schedule) drawSets(d dice) {
	r := d.of("sets", 0)
	if !once(r, 3) || s.hopeless || s.form != "" {
		return
	}
	s.sets = sets{on: true, folders: r.IntN(3), update: once(r, 2), rounds: r.IntN(8) / 3, edits: once(r, 2)}
	if s.folders == 0 || once(r, 3) {
		s.sizes = []int{drawSize(r), drawSize(r)}
	} else {
		s.sizes = s.sizes[:r.IntN(len(s.sizes)+1)]
	}
	for i := range s.sizes {
		s.sizes[i] %= 60 << 10
	}
	all := len(s.sizes) + s.folders
	s.changes = nil
	for range max(0, r.IntN(6)-2) {
		s.changes = append(s.changes, change{r.IntN(all), between(r, 0, 20*time.Minute)})
	}
	s.juliet.troubles = nil
	for _, p := range []*plan{s.romeo, s.juliet} {
		for i := range p.cuts {
			p.cuts[i].after /= 2
		}
	}
	for range r.IntN(4) {
		t := drawTrouble(r, "crash", setCrashes)
		t.after = once(r, 2)
		s.juliet.troubles = append(s.juliet.troubles, t)
	}
	if once(r, 5) {
		kind := []string{"full", "fails"}[r.IntN(2)]
		s.juliet.troubles = append(s.juliet.troubles, drawTrouble(r, kind, setFailures[kind]))
	}
}

// again begins the next round, when everything is sent and another one is drawn: it
// changes what was sent.
func (w *world) again() bool {
	w.mu.Lock()
	more := w.rounds < w.plan.rounds
	w.rounds++
	n := w.rounds
	w.mu.Unlock()
	if !more {
		return false
	}
	r := w.dice.of("round", n)
	w.trace("world", "round %d", n)
	w.count("round")
	if w.plan.edits && !w.juliet.disk.isDead() {
		w.edit(w.dice.of("edit", n))
	}
	for _, s := range w.sources {
		for range r.IntN(4) {
			w.alter(s, fmt.Sprintf("round %d", n))
		}
		w.mu.Lock()
		s.sent = s.folder == nil && !once(r, 3)
		w.mu.Unlock()
	}
	return len(w.unsent()) > 0
}

// offered notes that the sender has offered a set: what it is made of was listed in the
// command of the moment.
func (w *world) offered(set string) {
	if set == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listed == nil {
		w.listed = map[string]time.Time{}
	}
	if _, known := w.listed[set]; !known {
		w.listed[set] = w.romeo.began
	}
}

// asListed reports whether a source is still what it was when a set was first listed.
func (w *world) asListed(s *original, set string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.listed[set]
	return known && s.changed.Before(at)
}

// ends are the terminal events of one process.
type ends struct {
	begun []string        // transfers that were offered
	ended map[string]bool // for good
}

func (e *end) begins(transfer string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(e.ends.begun, transfer) {
		e.ends.begun = append(e.ends.begun, transfer)
	}
}

// finishes notes a terminal event: there is one for each transfer of a run. Where the run is
// one of `receive`, what has failed may go on.
func (e *end) finishes(transfer string, failed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends.ended == nil {
		e.ends.ended = map[string]bool{}
	}
	if e.ends.ended[transfer] {
		e.w.violated("%s: transfer %s has ended twice in one run", e.name, transfer)
	}
	e.ends.ended[transfer] = !failed || !e.receiving
}

// checkEnds finds what was offered in a run that is over, and never ended.
func (e *end) checkEnds(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range e.ends.begun {
		if _, ended := e.ends.ended[id]; !ended {
			e.w.violated("%s: %s is over, and transfer %s has not ended in it", e.name, what, id)
		}
	}
}
