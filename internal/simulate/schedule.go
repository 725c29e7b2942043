package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/machine"
	"jetsend/internal/transfer"
)

// schedule is what is drawn from a seed before the run begins.
type schedule struct {
	sizes    []int
	limit    int64 // bytes that one session carries
	block    int   // of in-band bytestreams
	retry    transfer.RetryOptions
	calmIn   time.Duration // until everything works
	romeo    *plan
	juliet   *plan
	changes  []change
	stops    bool // the sender's user interrupts it
	restarts bool // the receiver is stopped and started
	queues   bool // the sender writes down what it sends, and delivers
	serves   bool // the sender also runs `receive`, and hands out what is asked for
	asks     bool // the receiver's user runs `resume`
	rot      bool // bytes of a partial file change while nobody has it open
	hopeless bool // streams are cut again and again
	form     dialect.Choice
	tampering
	sets
}

// plan is what happens to one end.
type plan struct {
	base     time.Duration
	slow     int
	cuts     []cut
	troubles []trouble
}

// change is a change of a source.
type change struct {
	source int
	at     time.Duration
}

// draw makes the schedule of a seed.
func draw(d dice) *schedule {
	r := d.of("schedule", 0)
	s := &schedule{
		block:  []int{512, 4096, 4096}[r.IntN(3)],
		retry:  transfer.RetryOptions{Retries: r.IntN(8), For: between(r, 0, 2*time.Hour)},
		calmIn: between(r, time.Minute, 30*time.Minute), stops: once(r, 4), restarts: once(r, 4), serves: once(r, 3),
	}
	for range 1 + r.IntN(2)*r.IntN(3) {
		s.sizes = append(s.sizes, drawSize(r))
	}
	if once(r, 2) {
		s.limit = int64(4<<10 + r.IntN(60<<10))
	}
	if once(r, 10) { // large enough for being synced under way
		s.sizes, s.block, s.limit = []int{1<<20 + r.IntN(3<<20)}, 32<<10, int64(r.IntN(2))<<20
	}
	s.romeo, s.juliet = drawPlan(d, "romeo"), drawPlan(d, "juliet")
	for range r.IntN(8) / 6 {
		s.changes = append(s.changes, change{r.IntN(len(s.sizes)), between(r, 0, 2*time.Minute)})
	}
	s.asks, s.rot, s.hopeless = s.serves && once(r, 2), once(r, 6), once(r, 30)
	if s.hopeless {
		s.despair(r)
	}
	s.queues = once(d.of("queue", 0), 4)
	if once(r, 12) {
		s.flip = 1 + r.IntN(40)
	}
	if once(r, 12) {
		s.success = 1 + r.IntN(20)
	}
	s.restarts = s.restarts || s.rot
	if (s.rot || s.flip > 0) && once(r, 3) { // what is thrown away then is thrown away in an order
		s.juliet.troubles = append(s.juliet.troubles, trouble{kind: "crash", of: machine.Truncate, at: 1 + r.IntN(4), steps: 1, after: true})
	}
	if once(r, 8) {
		s.form = []dialect.Choice{dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile}[r.IntN(3)]
	}
	s.drawSets(d)
	return s
}

// despair has nothing arrive for longer than any command may take.
func (s *schedule) despair(r *rand.Rand) {
	s.calmIn, s.retry = longest+time.Hour, transfer.RetryOptions{Retries: 1 + r.IntN(3), For: between(r, 0, 10*time.Minute)}
	s.sizes, s.romeo.cuts = []int{1 + r.IntN(50<<10)}, nil
	every := 8 + r.IntN(6)
	for n := range 1000 {
		s.romeo.cuts = append(s.romeo.cuts, cut{n: n, after: 10 + n*every, down: time.Second, login: time.Second})
	}
}

func drawSize(r *rand.Rand) int {
	switch r.IntN(8) {
	case 0:
		return r.IntN(3)
	case 1:
		return r.IntN(2000)
	}
	return r.IntN(150 << 10)
}

// many is about how many steps of a kind an end takes.
type many map[machine.Op]int

// crashes are the steps that a machine can crash at.
var crashes = map[string]many{
	"romeo":  {"": 150, machine.Commit: 70, machine.Committed: 70},
	"juliet": {"": 250, machine.Commit: 70, machine.Committed: 70, machine.Create: 4, machine.Write: 100, machine.Reserve: 5, machine.Truncate: 5, machine.Sync: 20, machine.Rename: 3, machine.Remove: 5, machine.SyncNames: 8},
}

// failures are the steps that can fail while the machine goes on.
var failures = map[string]many{
	"full":  {machine.Create: 4, machine.Write: 100, machine.Reserve: 5},
	"fails": {machine.Commit: 70, machine.Sync: 20, machine.SyncNames: 8, machine.Rename: 3, machine.Remove: 5, machine.Truncate: 5},
}

func drawTrouble(r *rand.Rand, kind string, of many) trouble {
	ops := slices.Sorted(maps.Keys(of))
	op := ops[r.IntN(len(ops))]
	t := trouble{kind: kind, of: op, at: 1 + r.IntN(of[op]), steps: 1}
	if kind == "full" {
		t.steps = 1 + r.IntN(20)
	}
	return t
}

func drawPlan(d dice, name string) *plan {
	r := d.of("plan of "+name, 0)
	p := &plan{base: between(r, time.Millisecond, 300*time.Millisecond), slow: 50 + r.IntN(2000)}
	for n := range r.IntN(4) {
		p.cuts = append(p.cuts, cut{
			n: n, after: r.IntN(300), resumed: once(r, 3), arrive: r.IntN(4),
			down: between(r, 0, time.Minute), login: between(r, 0, time.Minute),
		})
	}
	slices.SortFunc(p.cuts, func(a, b cut) int { return cmp.Compare(a.after, b.after) })
	for range r.IntN(3) {
		t := drawTrouble(r, "crash", crashes[name])
		t.after = once(r, 2)
		p.troubles = append(p.troubles, t)
	}
	if once(r, 4) {
		kinds := []string{"full", "fails"}
		kind := kinds[r.IntN(len(kinds))]
		p.troubles = append(p.troubles, drawTrouble(r, kind, failures[kind]))
	}
	return p
}

// String says what is to happen to an end.
func (p *plan) String() string {
	cuts := p.cuts[:min(len(p.cuts), 5)]
	return fmt.Sprintf("packets take %v, one in %d is late; %d cuts, such as %+v; troubles %+v", p.base, p.slow, len(p.cuts), cuts, p.troubles)
}

// String says what is to happen.
func (s *schedule) String() string {
	return fmt.Sprintf("files of %v bytes, sessions of %d, blocks of %d, retry %+v, calm in %v, stops %v, restarts %v, serves %v, queues %v, asks %v, rot %v, hopeless %v, form %q, tampering %+v, sets %+v, changes %v\nromeo %+v\njuliet %+v",
		s.sizes, s.limit, s.block, s.retry, s.calmIn, s.stops, s.restarts, s.serves, s.queues, s.asks, s.rot, s.hopeless, s.form, s.tampering, s.sets, s.changes, s.romeo, s.juliet)
}
