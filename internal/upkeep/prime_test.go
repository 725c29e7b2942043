package upkeep

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// rounds primes nobody, and counts the rounds that have begun, until the test ends.
func (u *Upkeep) rounds(t *testing.T) *atomic.Int32 {
	t.Helper()
	var n atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	var task sync.WaitGroup
	task.Go(func() {
		u.Prime(ctx, func() bool { return true }, func(context.Context) ([]jid.JID, error) { n.Add(1); return nil, nil })
	})
	t.Cleanup(func() { cancel(); task.Wait() })
	return &n
}

// TestPrimeAfterFlood: a round of priming that finds no room among the chores, because
// of the device lists of a long roster, comes as soon as there is some.
func TestPrimeAfterFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := begun(t)
		first, last := make(chan struct{}), make(chan struct{})
		for i := 1; ; i++ { // to the last place
			taken := u.Chore("device list", func(context.Context) error {
				switch i {
				case 1:
					<-first
				case maxChores:
					<-last
				}
				return nil
			})
			if !taken {
				break
			}
		}
		rounds := u.rounds(t)
		synctest.Wait()
		close(first)
		for range 20 { // each within the time of the others
			time.Sleep(primePause)
			u.Newcomer()
			synctest.Wait()
		}
		if got := u.waiting("prime"); got != 1 { // and no other one before it has begun
			t.Errorf("%d rounds wait", got)
		}
		close(last)
		synctest.Wait()
		if got := rounds.Load(); got != 1 {
			t.Errorf("%d rounds", got)
		}
	})
}

// waiting counts the chores of a name.
func (u *Upkeep) waiting(what string) (n int) {
	u.work.mu.Lock()
	defer u.work.mu.Unlock()
	for _, c := range u.work.of[ours] {
		if c.what == what {
			n++
		}
	}
	return n
}

// TestTurns: a contact with many clients leaves a round of priming to the others.
func TestTurns(t *testing.T) {
	crowd, one := make([]session.Resource, 64), []session.Resource{{JID: jid.MustParse("romeo@jet.test/orchard")}}
	if got := turns([][]session.Resource{crowd, one}); len(got) != maxPrimesContact+1 || got[maxPrimesContact].JID != one[0].JID {
		t.Errorf("%d clients have their turn", len(got))
	}
	if got := turns(slices.Repeat([][]session.Resource{crowd}, 2*maxPrimes)); len(got) != maxPrimes {
		t.Errorf("%d of many", len(got))
	}
}

// TestPrimeRounds: somebody who comes and goes all the time does not have us look
// through all contacts each time.
func TestPrimeRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := begun(t)
		rounds := u.rounds(t)
		begun := time.Now()
		for time.Since(begun) < 10*time.Minute {
			u.Newcomer()
			time.Sleep(time.Second)
			synctest.Wait()
		}
		n := int(rounds.Load())
		if most := primesAtLogin + int(time.Since(begun)/primeRest) + 1; n > most || n < most/2 {
			t.Errorf("%d rounds in %v", n, time.Since(begun))
		}
	})
}
