package simulate

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/transfer"
)

// inBand is the only path of bytes.
var inBand = route.Options{Transports: []string{route.IBB}}

// config is that of the processes of a machine.
func (e *end) config(receiver bool) transfer.Config {
	return transfer.Config{
		Session: session.Config{JID: e.jid},
		Account: func(c session.Config) transfer.Account {
			a := newAccount(e.w.srv, e.net, c)
			e.mu.Lock()
			e.acct = a
			e.mu.Unlock()
			if e.disk.isDead() {
				a.kill()
			}
			return a
		},
		StateDir: filepath.Join(e.disk.dir, "state"), Receiver: receiver, Priority: -1,
		S5B:          route.S5BConfig{Proxies: []string{"none"}},
		IBBBlockSize: e.w.plan.block, SessionLimit: e.w.plan.limit, Report: e.report, NoSets: !e.w.plan.sets.on,
	}
}

// report takes the events of a process. A dead one says nothing.
func (e *end) report(ev event.Event) {
	if e.disk.isDead() {
		return
	}
	if _, often := ev.(event.Progress); !often {
		e.w.trace(e.name, "%s %+v", ev.Kind(), ev)
	}
	switch ev := ev.(type) {
	case event.Offer:
		e.begins(ev.Transfer)
		if e == e.w.romeo {
			e.w.offered(ev.Set)
		}
	case event.Sent:
		e.finishes(ev.Transfer, false)
		e.w.checkSent(ev)
	case event.Received:
		e.finishes(ev.Transfer, false)
		e.w.checkReceived(ev)
	case event.Failed:
		e.finishes(ev.Transfer, true)
		e.w.checkFailed(e, ev)
		// In the forms of other clients a success behind a block that was never acknowledged
		// may be that of a client that could not open the file.
		guess := e.w.plan.form != "" && ev.Direction == event.Send
		if ev.Code == int(exitcode.Integrity) && !e.w.mayNotice() && !guess {
			e.w.violated("%s says that somebody has changed something on its way: %s", e.name, ev.Reason)
		}
	case event.Resumed:
		e.w.streams.offset(ev.Offset)
	}
}

// receives runs `receive` on a machine until the simulation is over, and then once more if
// it has crashed: what was verified is to be released all the same.
func (e *end) receives() {
	var err error
	for n := 0; ; n++ {
		over := e.w.isOver()
		if over && !errors.Is(err, errCrashed) {
			return
		}
		r := e.w.dice.of("receive", n)
		stop, calm := make(chan struct{}), e.w.calm()
		err = e.live("receive", true, func(ctx context.Context, ep *transfer.Endpoint) error {
			after := e.restartAfter(r, over)
			go func() { // ends with the run, or with the restart
				defer close(stop)
				e.untilRestart(ctx, after, over)
			}()
			return ep.Receive(ctx, e.receiveOptions(stop))
		})
		if err != nil && calm && !errors.Is(err, errCrashed) {
			e.w.violated("receive fails although everything works: %v", err)
			return
		}
		e.checkLocks("after receive")
		e.between(n)
		select {
		case <-e.w.over:
		case <-time.After(between(r, 0, 2*time.Minute)):
		}
	}
}

// isOver reports whether the simulation is over.
func (w *world) isOver() bool {
	select {
	case <-w.over:
		return true
	default:
		return false
	}
}

// restartAfter is how long a run has until it is to end: where the plan has restarts; a last
// one ends by itself. 0 is for ever.
func (e *end) restartAfter(r *rand.Rand, last bool) time.Duration {
	switch {
	case last:
		return 10 * time.Minute
	case e.w.plan.restarts && !e.w.calm():
		return between(r, time.Second, 10*time.Minute)
	}
	return 0
}

// untilRestart waits until a run is to end: for its restart, with the simulation unless it is
// a last one, after that, or with ctx.
func (e *end) untilRestart(ctx context.Context, after time.Duration, last bool) {
	over := e.w.over
	if last {
		over = nil
	}
	var until <-chan time.Time
	if after > 0 {
		until = time.After(after)
	}
	select {
	case <-over:
	case <-until:
	case <-ctx.Done():
	}
}

// between is what happens at the receiver between two runs of `receive`.
func (e *end) between(n int) {
	if !e.w.plan.rot && !e.w.plan.asks || e.w.calm() {
		return
	}
	rows, err := e.rows(journal.Receive)
	if err != nil {
		e.w.violated("the simulation itself: %v", err)
	}
	r := e.w.dice.of("between", n)
	var keys []journal.Key
	for _, row := range rows {
		if row.State != journal.Interrupted {
			continue
		}
		if keys = append(keys, row.Key); e.w.plan.rot && !row.Phase.Verified() && row.Items == 0 { // what is verified is released as it is
			e.disk.decay(r, partOf(row))
		}
	}
	if e.w.plan.asks && len(keys) > 0 {
		e.resume(1000+n, keys)
	}
}

// partOf is the partial file of a transfer, or the hidden directory of a set.
func partOf(row record) string {
	suffix := ".part"
	if row.Items > 0 {
		suffix = ".set"
	}
	return filepath.Join(row.Dir, ".jetsend-"+row.ID+suffix)
}

func (e *end) receiveOptions(stop <-chan struct{}) transfer.ReceiveOptions {
	return transfer.ReceiveOptions{
		OnConflict: e.w.conflict(),
		Dir:        filepath.Join(e.disk.dir, "in"), Accept: policy.Contacts, Route: inBand,
		Drain: 10 * time.Second, Retry: e.w.plan.retry, AutoResume: 24 * time.Hour, Stop: stop,
	}
}

// conflict is the rule of the receiver.
func (w *world) conflict() inbox.Conflict {
	if w.plan.update {
		return inbox.Update
	}
	return inbox.Rename
}

// patient is how many commands may fail when everything works.
const patient = 5

// sends has the user of a machine send until everything is sent.
func (e *end) sends() {
	for n, calm := 0, 0; ; n++ {
		left := e.w.unsent()
		if len(left) == 0 && e.w.plan.queues && calm <= patient && e.undelivered() {
			calm++
			e.deliver(n, nil)
			continue
		}
		if len(left) == 0 {
			if !e.w.again() {
				return
			}
			calm = 0
			continue
		}
		if e.w.calm() {
			calm++
		}
		if calm > patient {
			e.w.violated("everything works, and still is not sent: %s", strings.Join(names(left), ", "))
			return
		}
		r := e.w.dice.of("command", n)
		rows, err := e.rows(journal.Send)
		if err != nil {
			e.w.violated("the simulation itself: %v", err)
			return
		}
		e.choose(r, n, calm, left, interrupted(rows, left))
		if e.w.plan.hopeless { // one command is to give up
			e.w.calmed.Store(true)
		}
		e.checkLocks("after a command")
		<-time.After(between(r, 0, 3*time.Minute))
	}
}

// choose draws the next command of the user, the n-th, and the calm-th when everything works.
func (e *end) choose(r *rand.Rand, n, calm int, left []*original, keys []journal.Key) {
	switch {
	case e.w.plan.serves && n > 0 && len(keys) > 0 && !e.w.calm() && once(r, 2):
		e.serve(between(r, time.Minute, 20*time.Minute))
	case len(keys) > 0 && (e.w.calm() && calm <= 2 || once(r, 2)):
		e.resume(n, keys)
	case e.w.plan.queues:
		e.deliver(n, left)
	default:
		e.send(n, left)
	}
}

// serve runs `receive` at the sender for a while, so that it hands out what is asked for.
func (e *end) serve(long time.Duration) {
	stop := make(chan struct{})
	end := time.AfterFunc(long, func() { close(stop) })
	defer end.Stop()
	_ = e.live("receive and serve", true, func(ctx context.Context, ep *transfer.Endpoint) error {
		return ep.Receive(ctx, e.receiveOptions(stop))
	})
}

// interrupting is the context of a command whose user may press Ctrl-C.
func (e *end) interrupting(ctx context.Context, n int) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if !e.w.plan.stops || e.w.calm() {
		return ctx, func() { cancel(nil) }
	}
	r := e.w.dice.of("stop", n)
	late := time.AfterFunc(between(r, 0, 3*time.Minute), func() {
		e.w.count("interrupted by hand")
		cancel(fault.ErrInterrupted)
	})
	return ctx, func() { late.Stop(); cancel(nil) }
}

func (e *end) send(n int, left []*original) {
	var files []source.Named
	for _, s := range left {
		files = append(files, source.Named{Path: s.path})
	}
	_ = e.live("send "+strings.Join(names(left), ", "), false, func(ctx context.Context, ep *transfer.Endpoint) error {
		ctx, done := e.interrupting(ctx, n)
		defer done()
		return ep.Send(ctx, transfer.SendOptions{
			To: e.w.juliet.jid, Files: files, Wait: 5 * time.Minute, AnswerTimeout: 10 * time.Minute,
			Route: inBand, Retry: e.w.plan.retry, Encryption: e.w.plan.form,
		})
	})
}

func (e *end) resume(n int, keys []journal.Key) {
	_ = e.live("resume", false, func(ctx context.Context, ep *transfer.Endpoint) error {
		ctx, done := e.interrupting(ctx, n)
		defer done()
		return ep.Resume(ctx, transfer.ResumeOptions{
			Transfers: keys, Named: true, OnConflict: e.w.conflict(), Wait: 5 * time.Minute, AnswerTimeout: 10 * time.Minute,
			Route: inBand, Retry: e.w.plan.retry,
		})
	})
}

// unsent are the sources that nobody has said `sent` of.
func (w *world) unsent() (left []*original) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if !s.sent {
			left = append(left, s)
		}
	}
	return left
}

func names(all []*original) (names []string) {
	for _, s := range all {
		names = append(names, filepath.Base(s.path))
	}
	return names
}

// interrupted are the transfers of sources that can be resumed.
func interrupted(rows []record, of []*original) (keys []journal.Key) {
	for _, r := range rows {
		for _, s := range of {
			if r.State == journal.Interrupted && r.is(s) && !slices.Contains(keys, r.Key) {
				keys = append(keys, r.Key)
			}
		}
	}
	return keys
}
