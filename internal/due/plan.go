// Package due plans when a receiver asks for the rest of which transfer: some time after
// it was cut, at once when a client of the contact comes online, and after pauses that
// grow while it is to no avail. It asks nobody itself.
package due

import (
	"maps"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// Plan is that of one run. It is not for several goroutines.
type Plan struct {
	First  time.Duration   // for which a transfer that was cut is left alone
	Pauses backoff.Backoff // after requests for one transfer that were to no avail

	asks     map[string]*asked
	arrivals map[jid.JID]uint64 // of clients, at the last look
}

// asked is what is known about the requests for one transfer.
type asked struct {
	next   time.Time
	pauses backoff.Backoff
	busy   bool
}

// Forget drops what is known about requests for transfers that are interrupted no more,
// of which rows are all, and returns how many requests are under way.
func (p *Plan) Forget(rows []journal.Row) (busy int) {
	interrupted := make(map[string]bool, len(rows))
	for _, row := range rows {
		interrupted[row.ID] = true
	}
	maps.DeleteFunc(p.asks, func(id string, a *asked) bool {
		if a.busy {
			busy++
		}
		return !a.busy && !interrupted[id]
	})
	return busy
}

// Clients returns the contacts of the rows that have a client online, and those with one
// that was not there at the last look, or has been away since, however shortly. arrivals
// are the clients of a contact that are online, with the number of their arrival.
func (p *Plan) Clients(rows []journal.Row, arrivals func(jid.JID) map[jid.JID]uint64) (online, fresh map[jid.JID]bool) {
	online, fresh = map[jid.JID]bool{}, map[jid.JID]bool{}
	now := map[jid.JID]uint64{}
	for _, row := range rows {
		if _, seen := online[row.Peer]; seen {
			continue
		}
		clients := arrivals(row.Peer)
		online[row.Peer] = len(clients) > 0
		for client, arrival := range clients {
			now[client] = arrival
			if p.arrivals[client] != arrival {
				fresh[row.Peer] = true
			}
		}
	}
	p.arrivals = now
	return online, fresh
}

// Wait returns how long the request for an interrupted transfer has to wait; not above 0:
// it is due. fresh says that a client of the contact has come. ok is false while one is
// under way.
func (p *Plan) Wait(row journal.Row, fresh bool, now time.Time) (wait time.Duration, ok bool) {
	a := p.asks[row.ID]
	if a == nil {
		a = &asked{pauses: p.Pauses}
		if p.asks == nil {
			p.asks = map[string]*asked{}
		}
		p.asks[row.ID] = a
	}
	if fresh {
		a.next = now
		a.pauses.Reset()
	}
	wait = row.Updated.Add(p.First).Sub(now)
	if wait > 2*p.First { // the clock was set back since
		wait = 0
	}
	return max(wait, a.next.Sub(now)), !a.busy
}

// Begun notes that a transfer, which was waited for, is asked for now.
func (p *Plan) Begun(id string) { p.asks[id].busy = true }

// Ended plans the next request after one has ended, and returns the pause before it; 0
// when this one was of use.
func (p *Plan) Ended(id string, useful bool, now time.Time) (pause time.Duration) {
	a := p.asks[id]
	a.busy = false
	if useful {
		a.next = time.Time{}
		a.pauses.Reset()
		return 0
	}
	pause = a.pauses.Next()
	a.next = now.Add(pause)
	return pause
}
