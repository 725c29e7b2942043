package transfer

import (
	"context"
	"maps"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/batch"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// maxAsking bounds the requests at one time.
const maxAsking = 4

// asked is what a receiver knows about its requests for one transfer.
type asked struct {
	next   time.Time
	pauses backoff.Backoff
	busy   bool
}

// keeper looks after the interrupted transfers of a run: those parked in it and
// those that the journal has from before. Its fields belong to its goroutine.
type keeper struct {
	r      *receiver
	asks   map[string]*asked
	online map[jid.JID]uint64 // the arrivals of clients at the last look
	ended  chan requested
	tidied time.Time
	// settling is closed when the releases that a crash has cut are ended, and nil
	// from then on.
	settling <-chan struct{}
}

// requested is how a request ended.
type requested struct {
	id  string
	err error
}

// keep looks after the interrupted transfers until ctx ends.
func (r *receiver) keep(ctx context.Context) {
	k := &keeper{r: r, asks: map[string]*asked{}, online: map[jid.JID]uint64{}, ended: make(chan requested, maxAsking)}
	// A task, since it may run hooks, and not waited for: to read large files or to
	// unpack directories takes longer than whoever asks whether we are alive waits.
	settled := make(chan struct{})
	if !r.spawn(func() { defer close(settled); k.settle(ctx) }) {
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
		if r.e.sleep(ctx, r.e.timing.lookPause) != nil {
			break
		}
	}
}

// interrupted are the received transfers that could go on.
func (k *keeper) interrupted(ctx context.Context) []journal.Row {
	rows, err := k.r.e.journal.List(ctx, journal.Filter{Direction: journal.Receive, States: []journal.State{journal.Interrupted}})
	if err != nil {
		k.r.e.log.Warn("journal", "error", err)
	}
	return rows
}

// look asks for what is due, and returns how long there is nothing to do.
func (k *keeper) look(ctx context.Context) time.Duration {
	if k.r.terms().Accept == AcceptVerified {
		k.r.renew(func(t *terms) { t.learnVerified(ctx) })
	}
	t, now := k.r.terms(), time.Now()
	idle := k.r.e.timing.lookAtLeast
	rows := k.thin(ctx, t, k.interrupted(ctx))
	if t.AutoResume <= 0 {
		return idle
	}
	online, fresh := k.clients(rows)
	busy := k.forget(rows)
	for _, row := range rows {
		if !row.Profile || row.Paused != journal.NotPaused || now.Sub(row.Moved) > t.AutoResume || !online[row.Peer] || !k.r.wants(t, row) {
			continue
		}
		if row.Phase.Verified() && k.settling != nil { // nothing of it is missing, as far as is known
			continue
		}
		a := k.asks[row.ID]
		if a == nil {
			a = &asked{pauses: k.r.e.timing.requests}
			k.asks[row.ID] = a
		}
		if fresh[row.Peer] {
			a.next = now
			a.pauses.Reset()
		}
		due := row.Updated.Add(k.r.e.timing.firstAsk)
		if due.Sub(now) > 2*k.r.e.timing.firstAsk { // the clock was set back since
			due = now
		}
		due = later(a.next, due)
		switch {
		case a.busy:
		case now.Before(due):
			idle = min(idle, due.Sub(now))
		case busy < maxAsking:
			busy++
			a.busy = k.r.spawn(func() { k.ended <- requested{row.ID, k.r.request(t, row)} }) // ended has room for all of them
		}
	}
	return idle
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// forget drops what is known about requests for transfers that are interrupted no
// more, and returns how many requests are under way.
func (k *keeper) forget(rows []journal.Row) (busy int) {
	interrupted := make(map[string]bool, len(rows))
	for _, row := range rows {
		interrupted[row.ID] = true
	}
	maps.DeleteFunc(k.asks, func(id string, a *asked) bool {
		if a.busy {
			busy++
		}
		return !a.busy && !interrupted[id]
	})
	return busy
}

// clients are the contacts of the rows that have a client online, and those with one
// that was not there at the last look, or has been away since, however shortly.
func (k *keeper) clients(rows []journal.Row) (online, fresh map[jid.JID]bool) {
	online, fresh = map[jid.JID]bool{}, map[jid.JID]bool{}
	arrivals := map[jid.JID]uint64{}
	for _, row := range rows {
		if _, seen := online[row.Peer]; seen {
			continue
		}
		clients := k.r.e.sess.Resources(row.Peer)
		online[row.Peer] = len(clients) > 0
		for _, res := range clients {
			arrivals[res.JID] = res.Arrival
			if k.online[res.JID] != res.Arrival {
				fresh[row.Peer] = true
			}
		}
	}
	k.online = arrivals
	return online, fresh
}

// note plans the next request after one has ended.
func (k *keeper) note(end requested) {
	a := k.asks[end.id]
	a.busy = false
	if end.err == nil {
		a.next = time.Time{}
		a.pauses.Reset()
		return
	}
	pause := a.pauses.Next()
	a.next = time.Now().Add(pause)
	k.r.e.log.Info("request for the rest of a file", "transfer", end.id, "error", end.err, "next", pause)
}

// wants reports whether the run would take the file.
func (r *receiver) wants(t *terms, row journal.Row) bool {
	return !r.isClosed() && r.once.WaitsFor(batch.KeyOf(row.Peer, row.Batch, row.ID)) && t.admits(row.Peer)
}

// request asks for the rest of a file, in one session of its actor. The error says that
// there was nothing to be had for now.
func (r *receiver) request(t *terms, row journal.Row) error {
	to, err := r.e.servants(r.deciding, row.Peer, 0)
	if err != nil {
		return err
	}
	q := &request{terms: t, row: row, to: to, done: make(chan error, 1)}
	if !r.actors.hand(row.Key, q, func() *visits { return newVisits(r, row.Key) }) {
		return errStreamLost
	}
	return <-q.done
}
