package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"jetsend/internal/xmpptest/pair"
)

// stopLimit is how long a process that was asked to stop may take: a daemon gives
// its transfers ten seconds, a command its peer two.
const stopLimit = 20 * time.Second

// actor is a process of a round with what was done to it.
type actor struct {
	*pair.Process
	end  end
	role role
	way  way // of a command
	name string

	bytes int64 // of the last event; only for observe

	mu     sync.Mutex
	struck []kind
}

// signals are what the kinds send.
func signals() map[kind]os.Signal {
	return map[kind]os.Signal{kill: syscall.SIGKILL, interrupt: syscall.SIGINT, terminate: syscall.SIGTERM}
}

// strike sends the signal of a kind and remembers it.
func (a *actor) strike(k kind) {
	a.mu.Lock()
	a.struck = append(a.struck, k)
	a.mu.Unlock()
	a.Signal(signals()[k])
}

func (a *actor) wasStruck(k kind) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.struck, k)
}

// start starts a jetsend of the round.
func (r *round) start(e end, ro role, w way, args ...string) (*actor, error) {
	r.mu.Lock()
	r.actors++
	a := &actor{end: e, role: ro, way: w, name: fmt.Sprintf("%s %s %d", e, ro, r.actors)}
	r.mu.Unlock()
	account := r.couple.accounts[e]
	account.Server = r.wires.stream[e].Addr
	args = append([]string{"--json", "--log-level", "debug"}, args...)
	r.story.add(a.name, "starts: %q", args)
	p, err := account.Start(r.wires.config(e, ro), func(v pair.Event) { r.observe(a, v) }, args...)
	if err != nil {
		return nil, err
	}
	a.Process = p
	r.mu.Lock()
	r.all = append(r.all, a)
	r.mu.Unlock()
	return a, nil
}

// finish waits for the end of a process and has it judged.
func (r *round) finish(a *actor) {
	code := a.ExitCode()
	r.story.add(a.name, "ended with %d", code)
	r.mu.Lock()
	r.codes[code]++
	r.mu.Unlock()
	for _, problem := range judgeEnd(a, code, a.Events(), r.circumstances()) {
		r.blame("%s: %s", a.name, problem)
	}
}

// stop asks a process to stop as its documents say and has it judged. One that was
// asked before, by a fault, is on its way: a second SIGTERM means at once.
func (r *round) stop(a *actor) {
	if !a.Gone() && !a.wasStruck(terminate) {
		a.strike(terminate)
	}
	late := time.NewTimer(stopLimit)
	defer late.Stop()
	select {
	case <-a.Done():
	case <-late.C:
		r.blame("%s did not stop within %v", a.name, stopLimit)
		a.strike(kill)
	}
	r.finish(a)
}

// keeper keeps a daemon running, as systemd would.
type keeper struct {
	r      *round
	end    end
	args   []string
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	now     *actor
	changed chan struct{} // closed when now changes
	pause   time.Duration // before the next start
}

// restartPause is how long systemd, and so a keeper, waits before it starts a
// daemon again.
const restartPause = 100 * time.Millisecond

// keep starts a daemon of an end and keeps it running until [keeper.stop].
func (r *round) keep(e end, args ...string) *keeper {
	k := &keeper{r: r, end: e, args: args, changed: make(chan struct{})}
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	k.wg.Go(func() { k.run(ctx) })
	return k
}

func (k *keeper) run(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			k.r.count("daemon started again")
		}
		a, err := k.r.start(k.end, daemon, "", k.args...)
		if err != nil {
			k.r.blame("start a daemon: %v", err)
			return
		}
		k.set(a)
		select {
		case <-a.Done():
			k.r.finish(a)
		case <-ctx.Done():
			k.r.stop(a)
		}
		k.mu.Lock()
		pause := max(k.pause, restartPause)
		k.pause = 0
		k.mu.Unlock()
		sleep(ctx, pause)
	}
}

func (k *keeper) set(a *actor) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = a
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *keeper) get() (*actor, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now, k.changed
}

// holdOff makes the next start wait so long.
func (k *keeper) holdOff(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pause = d
}

// online waits until the daemon is online.
func (k *keeper) online(ctx context.Context) error {
	for {
		a, changed := k.get()
		var online <-chan struct{}
		if a != nil && !a.Gone() {
			online = a.Online()
		}
		select {
		case <-online:
			return nil
		case <-changed:
		case <-time.After(restartPause): // it may have ended meanwhile
		case <-ctx.Done():
			return fmt.Errorf("wait for the daemon of the %s to be online: %w", k.end, context.Cause(ctx))
		}
	}
}

// stop ends the daemon and waits for it. A keeper that was never made is stopped.
func (k *keeper) stop() {
	if k == nil {
		return
	}
	k.cancel()
	k.wg.Wait()
}

// sleep waits so long, or less when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
