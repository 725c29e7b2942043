package simulate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/machine"
	"jetsend/internal/transfer"
)

// world is one run: two machines and the server between them.
type world struct {
	delivered map[string]string // entries of the outbox, and their transfers; belongs to mu
	dice      dice
	plan      *schedule
	dir       string
	srv       *server
	romeo     *end // sends
	juliet    *end // receives
	streams   streams
	began     time.Time

	mu      sync.Mutex
	sources []*original
	lines   []string
	counts  map[string]int
	faults  []string // what was violated
	over    chan struct{}
	calmed  atomic.Bool // before its time
	rounds  int         // that all was sent again
	edits   []edited
	listed  map[string]time.Time // since when a set is offered
	// isChanged: a source was changed.
	isChanged bool
	// isTampered: something was changed on its way, which may be noticed.
	isTampered bool
}

// original is a file to send, in all the versions that it had.
type original struct {
	path     string
	versions [][]byte
	folder   *folder // nil for a file
	sent     bool
	changed  time.Time
	changes  int
}

// Result is what came of a run.
type Result struct {
	Faults []string       // what was violated: none is good
	Trace  []string       // what happened, with the time since the beginning
	Counts map[string]int // what was done to it
}

// Run runs the schedule of a seed, in a bubble of testing/synctest, in an empty directory.
func Run(seed uint64, dir string, t *Template) Result {
	w := &world{
		dice: dice(seed), plan: draw(dice(seed)), dir: dir, began: time.Now(),
		counts: map[string]int{}, over: make(chan struct{}),
	}
	w.trace("world", "%s", w.plan)
	if err := w.run(t); err != nil {
		w.violated("the simulation itself: %v", err)
	}
	return Result{Faults: w.faults, Trace: w.lines, Counts: w.counts}
}

func (w *world) run(t *Template) error {
	w.srv = t.server()
	w.srv.pass = (&tamperer{w: w, plan: w.plan.tampering}).pass
	w.romeo, w.juliet = w.newEnd("romeo", w.plan.romeo), w.newEnd("juliet", w.plan.juliet)
	for _, e := range []*end{w.romeo, w.juliet} {
		if err := t.install(e); err != nil {
			return err
		}
		defer addDisk(e.disk)()
	}
	if err := w.makeSources(); err != nil {
		return err
	}
	var all sync.WaitGroup
	all.Go(w.juliet.receives)
	w.romeo.sends()
	close(w.over)
	all.Wait()
	w.srv.close()
	w.srv.links.Wait()
	w.checkEnd()
	w.trace("world", "steps: romeo %v, juliet %v, packets: romeo %d, juliet %d", w.romeo.disk.ops, w.juliet.disk.ops, w.romeo.net.came, w.juliet.net.came)
	return nil
}

func (w *world) makeSources() error {
	for i, size := range w.plan.sizes {
		s := &original{path: filepath.Join(w.romeo.disk.dir, "src", fmt.Sprintf("file %d", i))}
		w.sources = append(w.sources, s)
		if err := w.write(s, size); err != nil {
			return err
		}
	}
	for i := range w.plan.folders {
		if err := w.makeFolder(i); err != nil {
			return err
		}
	}
	for _, c := range w.plan.changes {
		time.AfterFunc(c.at, func() { w.change(w.sources[c.source%len(w.sources)]) })
	}
	return nil
}

// write gives a source new content.
func (w *world) write(s *original, size int) error {
	w.mu.Lock()
	r := w.dice.of(s.path[len(w.dir):], len(s.versions))
	b := make([]byte, size)
	fill(r, b)
	s.versions = append(s.versions, b)
	w.mu.Unlock()
	return errors.Join(os.WriteFile(s.path, b, 0o600), date(s.path))
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// change changes a source under the sender.
func (w *world) change(s *original) {
	if w.calm() {
		return
	}
	w.alter(s, "change")
}

// calm reports whether everything works from now on.
func (w *world) calm() bool { return w.calmed.Load() || time.Since(w.began) > w.plan.calmIn }

func (w *world) trace(who, format string, args ...any) {
	line := fmt.Sprintf("%12s %-6s %s", time.Since(w.began).Round(time.Millisecond), who, fmt.Sprintf(format, args...))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// violated notes that something does not hold.
func (w *world) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace("BROKEN", "%s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, text)
}

// end is a machine with what runs on it.
type end struct {
	w    *world
	name string
	jid  jid.JID
	disk *disk
	net  *network

	mu   sync.Mutex
	acct *account
	die  chan struct{} // closed by the crash of this life
	ends ends          // of this life
	// receiving: it is one of `receive`.
	receiving bool
	// began is when it began; under world.mu.
	began time.Time
}

func (w *world) newEnd(name string, p *plan) *end {
	e := &end{w: w, name: name, jid: jid.MustParse(name + "@jet.test")}
	e.net = &network{w: w, name: name, base: p.base, slow: p.slow, cuts: p.cuts}
	e.disk = &disk{w: w, name: name, dir: filepath.Join(w.dir, name), troubles: p.troubles, files: map[string]*file{}, ops: map[machine.Op]int{}, crashed: e.crash}
	return e
}

// crash ends the life of a machine. It does not wait.
func (e *end) crash() {
	e.mu.Lock()
	a, die := e.acct, e.die
	e.mu.Unlock()
	if die != nil {
		close(die)
	}
	if a == nil {
		return
	}
	if l := a.kill(); l != nil { // it takes the server a while to see it
		n := e.disk.crashes
		r := e.w.dice.of("notice "+e.name, n)
		time.AfterFunc(between(r, 0, 2*time.Minute), func() { e.w.srv.drop(l, e.net.bounces(1000+n)) })
	}
}

// errCrashed ends what runs on a machine that crashed.
var errCrashed = errors.New("crashed")

// longest is how long one command may take, with all that it waits for.
const longest = 4 * time.Hour

// live runs a command on the machine: it puts the account online, does the work, and
// closes all. A machine that crashed meanwhile begins again; then the error is errCrashed.
func (e *end) live(what string, receiver bool, work func(context.Context, *transfer.Endpoint) error) error {
	e.w.trace(e.name, "begins to %s", what)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	die := make(chan struct{})
	e.mu.Lock()
	e.die, e.acct, e.ends, e.receiving = die, nil, ends{}, strings.HasPrefix(what, "receive")
	e.mu.Unlock()
	e.w.mu.Lock()
	e.began = time.Now()
	e.w.mu.Unlock()
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		late := time.NewTimer(longest)
		defer late.Stop()
		select {
		case <-die:
			cancel(errCrashed)
		case <-late.C:
			e.w.violated("%s does not end: %s\n%s", e.name, what, stacks())
			cancel(errCrashed)
		case <-ended:
		}
	})
	err := e.command(ctx, receiver, work)
	close(ended)
	watch.Wait()
	e.mu.Lock()
	e.die, e.acct = nil, nil
	e.mu.Unlock()
	if e.disk.isDead() {
		err = errCrashed
		e.reboot()
	} else {
		e.checkEnds(what)
	}
	e.w.trace(e.name, "has ended to %s: %v", what, err)
	return err
}

// command is what a process does from its beginning to its end.
func (e *end) command(ctx context.Context, receiver bool, work func(context.Context, *transfer.Endpoint) error) error {
	ep, err := transfer.Connect(ctx, e.config(receiver))
	if err != nil {
		return err
	}
	err = work(ctx, ep)
	if cerr := ep.Close(context.Background()); cerr != nil && !e.disk.isDead() {
		e.w.violated("%s: close: %v", e.name, cerr)
	}
	return err
}

// reboot is the next start of a machine that crashed.
func (e *end) reboot() {
	r := e.w.dice.of("reboot "+e.name, e.disk.crashes)
	e.checkLocks("after a crash")
	lost, err := e.disk.restart()
	if err != nil {
		e.w.violated("the simulation itself: restart: %v", err)
	}
	e.checkDurable(lost)
	<-time.After(between(r, 0, 3*time.Minute))
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}
