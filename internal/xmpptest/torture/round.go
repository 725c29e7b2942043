package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"jetsend/internal/xmpptest"
)

// round is one transfer from its plan to its end.
type round struct {
	world  *world
	plan   plan
	o      options
	couple *couple
	wires  *wires
	story  *story

	dir, source, inbox, outbox string
	logged                     int // what the server had logged before
	sum                        hash
	goods                      *goods // of a set; nil: source is a file

	// Of the goroutine that runs the round:
	tries    int
	finisher way // the way that ended it
	took     time.Duration
	wire     int64 // bytes that the carriers took in

	mu       sync.Mutex
	actors   int
	all      []*actor
	front    *actor // the command that works at the moment, or nil
	daemons  map[end]*keeper
	waiting  []waiter
	received map[string]int       // process and transfer -> how often
	complete map[string]time.Time // end and transfer -> when a process there first said so
	id       map[end]string       // the transfer, as that end's last event of it named it
	sent     bool                 // the sender knows that the file is there
	told     map[string]bool      // names that the sender was told of as complete
	resumed  int64                // bytes that were not sent again, all sessions together
	sessions int
	faults   []fault // that happened
	fired    map[kind]bool
	counts   map[string]int
	codes    map[int]int
	problems []string
	abandon  context.CancelCauseFunc // ends the attempts; nil before and after
}

// waiter waits for an event of an end.
type waiter struct {
	end   end
	event string
	said  chan struct{}
}

// errAbandoned ends a round as soon as something is wrong with it: what follows
// would only hide it.
var errAbandoned = errors.New("abandoned")

// errUndone is returned for a round whose tries came to nothing.
var errUndone = errors.New("the transfer is not done after all tries")

// newRound prepares a round in a directory of its own.
func newRound(ctx context.Context, w *world, p plan, o options) (*round, error) {
	r := &round{
		world: w, plan: p, o: o, story: newStory(), daemons: map[end]*keeper{}, received: map[string]int{}, complete: map[string]time.Time{},
		logged: len(w.server.Log()), id: map[end]string{}, fired: map[kind]bool{}, told: map[string]bool{}, counts: map[string]int{}, codes: map[int]int{},
	}
	var err error
	if r.couple, err = w.couple(ctx, p.fresh); err != nil {
		return nil, err
	}
	r.dir = filepath.Join(w.dir, fmt.Sprintf("round-%d", p.seed))
	r.source = filepath.Join(r.dir, fmt.Sprintf("source-%d.bin", p.seed))
	r.inbox, r.outbox = filepath.Join(r.dir, "inbox"), filepath.Join(r.dir, "outbox")
	for _, d := range []string{r.dir, r.inbox, r.outbox} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	if err := r.makeSources(); err != nil {
		return nil, err
	}
	r.wires, err = layWires(r.dir, w.server, r.plan)
	return r, err
}

// makeSources makes what is sent.
func (r *round) makeSources() (err error) {
	p := &r.plan
	if p.set == nil {
		r.sum, err = makeSource(r.source, p.seed, p.size)
		return err
	}
	dir := filepath.Join(r.dir, "sources")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if r.goods, err = makeGoods(dir, p.seed, p.set); err == nil {
		p.pace(r.goods.count())
	}
	return err
}

// run makes the attempts until the transfer is done, ends every process, and
// looks at what there is. The failures are in problems.
func (r *round) run(ctx context.Context) {
	begin := time.Now()
	r.story.add("PLAN", "seed %d: %s", r.plan.seed, r.plan)
	defer r.wires.close()
	trying, cancel := context.WithCancelCause(ctx)
	r.setAbandon(cancel)
	err := r.before(trying)
	if err == nil {
		err = r.attempts(trying)
	}
	r.setAbandon(nil)
	cancel(nil)
	r.endDaemons()
	r.wire, r.took = r.wires.passed(), time.Since(begin)
	if err != nil && !errors.Is(err, errAbandoned) {
		r.blame("%v", err)
	}
	r.checkInbox(err == nil)
	if err == nil && !r.o.dry {
		r.nothingLeft(ctx)
	}
	for _, a := range r.all {
		if text := a.Stderr(); text != "" && len(r.problems) > 0 {
			r.story.add(a.name, "standard error:\n%s", text)
		}
	}
}

func (r *round) attempts(ctx context.Context) error {
	for i, a := range r.plan.attempts {
		if clean := i - (len(r.plan.attempts) - cleanTries); clean > 0 && !r.o.dry {
			sleep(ctx, patience(clean))
		}
		if ctx.Err() != nil { // also while it slept
			return context.Cause(ctx)
		}
		r.tries++
		a.way = r.suitable(a.way)
		if err := r.attempt(ctx, a); err != nil {
			return fmt.Errorf("%s: %w", a.way, err)
		}
		r.checkInbox(false)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.done() {
			r.finisher = a.way
			return nil
		}
	}
	return errUndone
}

// patience is how long a try that follows a clean one waits: the peer may hold a
// session that the other end has lost until no byte has come for a minute.
func patience(clean int) time.Duration {
	return []time.Duration{0, time.Second, 3 * time.Second, 10 * time.Second, 65 * time.Second}[clean]
}

// suitable is the planned way, or another one where that cannot do it.
func (r *round) suitable(planned way) way {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case planned == bySend:
		return planned
	case r.goods == nil && len(r.received) > 0 || r.released():
		// Sending again would be another transfer if the sender knows already.
		return bySender
	case r.id[sender] == "":
		return byAgain // nothing to resume
	case r.id[receiver] == "" && planned != bySender:
		return byAgain
	}
	return planned
}

// done reports whether the file is there and the sender knows.
func (r *round) done() bool {
	r.mu.Lock()
	sent := r.sent
	r.mu.Unlock()
	return sent && r.released()
}

// attempt runs one command, or lets the daemons find each other, with the faults
// of the plan.
func (r *round) attempt(ctx context.Context, a attempt) error {
	r.story.add("ATTEMPT", "%s, %d faults planned", a.way, len(a.faults))
	if err := r.stage(ctx, a); err != nil {
		return err
	}
	base := map[*xmpptest.Relay]int64{}
	for _, relay := range r.wires.carriers() {
		c := relay.Carried()
		base[relay] = c.UpCount + c.DownCount
	}
	during, over := context.WithCancel(ctx)
	var faults sync.WaitGroup
	defer faults.Wait()
	defer over()
	for _, f := range a.faults {
		said := r.listen(f.when)
		faults.Go(func() { r.misfortune(during, f, base, said) })
	}
	if a.way == byDaemon {
		return r.byThemselves(during)
	}
	return r.command(during, a)
}

// stage makes sure that the daemons run that the way needs, and no others.
func (r *round) stage(ctx context.Context, a attempt) error {
	sends, receives := false, true
	if a.way == byReceiver {
		sends, receives = true, a.beside
	}
	r.setDaemon(sender, sends)
	r.setDaemon(receiver, receives)
	online, cancel := context.WithTimeoutCause(ctx, onlineLimit, errors.New("not online in time"))
	defer cancel()
	for _, e := range []end{sender, receiver} {
		if k := r.daemons[e]; k != nil {
			if err := k.online(online); err != nil {
				return err
			}
		}
	}
	return nil
}

// onlineLimit is how long a daemon may take to be online with nothing in its way.
const onlineLimit = 60 * time.Second

// drain is how long a daemon that is told to stop lets its transfers go on: some
// end by themselves, most are parked.
const drain = "1s"

// setDaemon starts or stops the daemon of an end.
func (r *round) setDaemon(e end, on bool) {
	k := r.daemons[e] // only this goroutine writes it
	if on == (k != nil) {
		return
	}
	if on {
		dir := r.inbox
		if e == sender {
			dir = r.outbox
		}
		k = r.keep(e, "receive", "--accept", "contacts", "--dir", dir, "--drain", drain)
	} else {
		k.stop()
		k = nil
	}
	r.mu.Lock()
	r.daemons[e] = k
	r.mu.Unlock()
}

func (r *round) endDaemons() {
	r.setDaemon(sender, false)
	r.setDaemon(receiver, false)
}

// command runs the command of an attempt to its end.
func (r *round) command(ctx context.Context, a attempt) error {
	who, args := sender, []string{"resume"}
	switch a.way {
	case bySend, byAgain:
		args = []string{"send", "--wait", "20s"}
		if r.plan.apart {
			args = append(args, "--all-or-nothing")
		}
	case byReceiver:
		who = receiver
	}
	if r.plan.rate > 0 {
		args = append(args, "--limit-rate", strconv.FormatInt(r.plan.rate, 10))
	}
	if !r.o.dry {
		args = append(args, "--retries", strconv.Itoa(r.plan.retries), "--retry-for", "60s")
	}
	r.mu.Lock()
	id := r.id[who]
	r.mu.Unlock()
	switch {
	case args[0] == "send":
		args = append(append(args, r.sources()...), r.couple.accounts[receiver].JID)
	case a.named && id != "":
		args = append(args, id)
	}
	p, err := r.start(who, command, a.way, args...)
	if err != nil {
		return err
	}
	r.setFront(p)
	defer r.setFront(nil)
	select {
	case <-p.Done():
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, errAbandoned) {
			r.blame("%s was still running: %v", p.name, cause)
		}
		p.strike(kill)
	}
	r.finish(p)
	if p.end == sender && args[0] == "resume" && p.ExitCode() == codeDone && r.released() {
		r.mu.Lock()
		r.sent = true // it said so before, or was killed when it was about to
		r.mu.Unlock()
	}
	return nil
}

func (r *round) setFront(a *actor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.front = a
}

// byThemselves brings the sender's daemon online and waits for what the
// receiver's makes of it.
func (r *round) byThemselves(ctx context.Context) error {
	r.setDaemon(sender, true)
	ctx, cancel := context.WithTimeout(ctx, daemonLimit)
	defer cancel()
	for !r.done() && ctx.Err() == nil {
		sleep(ctx, 20*time.Millisecond)
	}
	return nil // not done: the next attempt does it
}

// daemonLimit is how long the daemons get to take a transfer up by themselves.
const daemonLimit = 30 * time.Second

// nothingLeft asks both ends to resume whatever there is: nothing.
func (r *round) nothingLeft(ctx context.Context) {
	for _, e := range []end{sender, receiver} {
		a, err := r.start(e, command, bySender, "resume")
		if err != nil {
			r.blame("%v", err)
			return
		}
		select {
		case <-a.Done():
		case <-ctx.Done():
			a.strike(kill)
		}
		r.finish(a)
		for _, v := range a.Events() {
			if v.Transfer != "" {
				r.blame("%s finds something to resume in a finished round: %s", a.name, v.Line)
			}
		}
	}
}
