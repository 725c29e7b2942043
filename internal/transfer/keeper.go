package transfer

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/batch"
	"jetsend/internal/conversation"
	"jetsend/internal/due"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
)

// maxAsking bounds the requests at one time.
const maxAsking = 4

// keeper looks after the interrupted transfers of a run: those parked in it and
// those that the journal has from before. Its fields belong to its goroutine.
type keeper struct {
	r      *receiver
	plan   due.Plan
	ended  chan requested
	tidied time.Time
	// settling is closed when the releases that a crash has cut are ended, and nil
	// from then on.
	settling <-chan struct{}
}

// requested is how a request, or the end of a release, ended.
type requested struct {
	id  string
	err error
}

// keep looks after the interrupted transfers until ctx ends.
func (r *receiver) keep(ctx context.Context) {
	k := &keeper{
		r: r, plan: due.Plan{First: r.e.timing.firstAsk, Pauses: r.e.timing.requests}, ended: make(chan requested, maxAsking),
	}
	// A task, since it may run hooks, and not waited for: to read large files or to
	// unpack directories takes longer than whoever asks whether we are alive waits.
	settled := make(chan struct{})
	if !r.work.Task(func() { defer close(settled); k.settle(ctx) }) {
		return
	}
	k.settling = settled
	var probe chan struct{} // somebody wants to know that we are alive
	for ctx.Err() == nil {
		changed := r.e.sess.PresenceChanged()
		if k.settling == nil { // else it might throw away what is being ended
			k.tidy(ctx)
		}
		timer := time.NewTimer(k.look(ctx))
		if probe != nil {
			close(probe)
			probe = nil
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-changed:
		case <-r.kick:
		case <-k.settling:
			k.settling = nil
		case probe = <-r.alive:
		case a := <-k.ended:
			k.note(a)
		}
		timer.Stop()
		if conversation.Sleep(ctx, r.e.sess, r.e.timing.lookPause) != nil {
			break
		}
	}
}

// look asks for what is due, and returns how long there is nothing to do.
func (k *keeper) look(ctx context.Context) time.Duration {
	if k.r.terms().Accept == policy.Verified {
		k.r.renew(func(t *terms) { k.r.learn(ctx, t) })
	}
	t, now := k.r.terms(), time.Now()
	idle := k.r.e.timing.lookAtLeast
	rows := k.thin(ctx, t, k.r.e.rows().Interrupted(ctx))
	online, fresh := k.plan.Clients(rows, k.arrivals)
	busy := k.plan.Forget(rows)
	for _, row := range rows {
		task := k.task(ctx, t, row, online[row.Peer], now)
		if task == nil {
			continue
		}
		wait, free := k.plan.Wait(row, fresh[row.Peer] && !row.Phase.Verified(), now)
		switch {
		case !free:
		case wait > 0:
			idle = min(idle, wait)
		case busy < maxAsking:
			if k.r.work.Task(func() { k.ended <- requested{row.ID, task()} }) { // ended has room for all of them
				k.plan.Begun(row.ID)
			}
			busy++
		}
	}
	return idle
}

// task is what to do for an interrupted transfer, nil for nothing. A transfer that is
// verified needs nobody else.
func (k *keeper) task(ctx context.Context, t *terms, row journal.Row, online bool, now time.Time) func() error {
	switch {
	case row.Phase.Verified() && k.settling != nil:
		return nil
	case row.Phase.Verified():
		return func() error { return k.finish(ctx, t, row) }
	case t.AutoResume <= 0, k.r.places.Held(), !row.Profile, row.Paused != journal.NotPaused, now.Sub(row.Moved) > t.AutoResume, !online, !k.r.wants(t, row):
		return nil
	}
	return func() error { return k.r.request(t, row) }
}

// arrivals are the clients of a contact that are online, with the number of their arrival.
func (k *keeper) arrivals(who jid.JID) map[jid.JID]uint64 {
	clients := map[jid.JID]uint64{}
	for _, res := range k.r.e.sess.Resources(who) {
		clients[res.JID] = res.Arrival
	}
	return clients
}

// note plans the next task for a transfer after one has ended.
func (k *keeper) note(end requested) {
	pause := k.plan.Ended(end.id, end.err == nil, time.Now())
	if end.err != nil {
		k.r.e.log.Info("interrupted transfer", "transfer", end.id, "error", end.err, "next", pause)
	}
}

// wants reports whether the run would take the file.
func (r *receiver) wants(t *terms, row journal.Row) bool {
	return !r.work.Closed() && r.once.WaitsFor(batch.KeyOf(row.Peer, row.Batch, row.ID)) && t.rules().Admits(row.Peer)
}

// request asks for the rest of a file, in one session of its actor. The error says that
// there was nothing to be had for now.
func (r *receiver) request(t *terms, row journal.Row) error {
	to, err := r.e.servants(r.deciding, row.Peer, 0)
	if err != nil {
		return err
	}
	q := &request{terms: t, row: row, to: to, done: make(chan error, 1)}
	if !r.actors.Tell(row.Key, q, r.visit) {
		return fault.ErrStreamLost
	}
	return <-q.done
}

// look has the keeper look at once.
func (r *receiver) look() {
	select {
	case r.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// errNoReceiver: there is no run of Receive that could be alive.
var errNoReceiver = errors.New("not receiving")

// Alive returns nil when the run of Receive is at work: when its keeper has
// been through a whole look, which needs the locks of the run and the database.
// It does not need the server. It waits for that until ctx ends.
func (e *Endpoint) Alive(ctx context.Context) error {
	r := e.receiver.Load()
	if r == nil {
		return errNoReceiver
	}
	looked := make(chan struct{})
	select {
	case r.alive <- looked:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
