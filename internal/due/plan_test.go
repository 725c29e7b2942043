package due

import (
	"fmt"
	"testing"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// TestPlan follows the requests for one transfer.
func TestPlan(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := Plan{First: 10 * time.Second, Pauses: backoff.Backoff{First: time.Minute, Last: time.Hour, Draw: func(int64) int64 { return 0 }}}
	row := journal.Row{Key: journal.Key{ID: "x"}, Updated: now}
	check := func(what string, fresh bool, after, want time.Duration, free bool) {
		t.Helper()
		now = now.Add(after)
		if got, ok := p.Wait(row, fresh, now); max(got, 0) != want || ok != free {
			t.Errorf("%s: %v, %v; want %v, %v", what, got, ok, want, free)
		}
	}
	check("just cut", false, 0, 10*time.Second, true)
	check("just cut, with a client that has come", true, 4*time.Second, 6*time.Second, true)
	check("due", false, 6*time.Second, 0, true)
	p.Begun("x")
	check("under way", false, time.Hour, 0, false)
	if n := p.Forget(nil); n != 1 {
		t.Errorf("%d under way", n)
	}
	if pause := p.Ended("x", false, now); pause != 30*time.Second {
		t.Errorf("pause %v", pause)
	}
	check("to no avail", false, 10*time.Second, 20*time.Second, true)
	p.Begun("x")
	p.Ended("x", false, now)
	check("again to no avail", false, 0, time.Minute, true)
	check("a client has come", true, 0, 0, true)
	p.Begun("x")
	if pause := p.Ended("x", true, now); pause != 0 {
		t.Errorf("pause %v after a request of use", pause)
	}
	check("of use", false, 0, 0, true)
	row.Updated = now.Add(time.Hour)
	check("the clock was set back", false, 0, 0, true)
	if n := p.Forget(nil); n != 0 || len(p.asks) != 0 {
		t.Errorf("%d under way, %d known", n, len(p.asks))
	}
}

// TestClients: a client that has been away since the last look is a fresh one.
func TestClients(t *testing.T) {
	var p Plan
	romeo, nurse := jid.MustParse("romeo@jet.test"), jid.MustParse("nurse@jet.test")
	orchard := jid.MustParse("romeo@jet.test/orchard")
	rows := []journal.Row{{Peer: romeo}, {Peer: nurse}, {Peer: romeo}}
	for i, tt := range []struct {
		arrival       uint64 // 0: away
		online, fresh bool
	}{{1, true, true}, {1, true, false}, {2, true, true}, {0, false, false}, {2, true, true}} {
		online, fresh := p.Clients(rows, func(who jid.JID) map[jid.JID]uint64 {
			if who != romeo || tt.arrival == 0 {
				return nil
			}
			return map[jid.JID]uint64{orchard: tt.arrival}
		})
		if online[romeo] != tt.online || fresh[romeo] != tt.fresh || online[nurse] || fresh[nurse] {
			t.Errorf("look %d: online %v, fresh %v", i, online, fresh)
		}
	}
}

// TestManyRows: what a look does for each row does not grow with the rows.
func TestManyRows(t *testing.T) {
	const many = 200_000
	p := Plan{asks: map[string]*asked{"gone": {}, "gone, but asked for": {busy: true}}}
	rows := make([]journal.Row, many)
	for i := range rows {
		rows[i] = journal.Row{Key: journal.Key{ID: fmt.Sprintf("%036d", i)}, Peer: jid.MustParse(fmt.Sprintf("u%d@jet.test", i%100))}
		p.asks[rows[i].ID] = &asked{}
	}
	busy := p.Forget(rows) // each with each would be minutes, and more than a test has
	asked := 0
	online, _ := p.Clients(rows, func(jid.JID) map[jid.JID]uint64 { asked++; return nil })
	if asked != 100 {
		t.Errorf("asked %d times for the clients of 100 contacts", asked)
	}
	if busy != 1 || len(p.asks) != many+1 || len(online) != 100 {
		t.Errorf("%d busy, %d known, %d contacts", busy, len(p.asks), len(online))
	}
}
