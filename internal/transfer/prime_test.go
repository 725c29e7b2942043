package transfer

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// TestPrimeAfterFlood: a round of priming that finds no room among the chores, because
// of the device lists of a long roster, comes as soon as there is some.
func TestPrimeAfterFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := unconnected()
		r := &receiver{e: e}
		r.inForce.Store(&terms{ReceiveOptions: ReceiveOptions{Prime: true}, e: e})
		for e.chore("device list", nil) { // to the last place
		}
		ctx, cancel := context.WithCancel(t.Context())
		var task sync.WaitGroup
		task.Go(func() { r.prime(ctx) })
		synctest.Wait()
		for range maxChores {
			<-e.chores
		}
		time.Sleep(primeEvery / 2)
		synctest.Wait()
		rounds := 0
		for len(e.chores) > 0 {
			if c := <-e.chores; c.what == "prime" {
				rounds++
			}
		}
		if rounds != 1 { // and no other one before it has begun
			t.Errorf("%d rounds", rounds)
		}
		cancel()
		task.Wait()
	})
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
		e := unconnected()
		e.newcomer = make(chan struct{}, 1)
		r := &receiver{e: e}
		r.inForce.Store(&terms{ReceiveOptions: ReceiveOptions{Prime: true, Accept: AcceptFrom}, e: e})
		ctx, cancel := context.WithCancel(t.Context())
		var task sync.WaitGroup
		task.Go(func() { r.prime(ctx) })
		rounds := 0
		begun := time.Now()
		for time.Since(begun) < 10*time.Minute {
			select {
			case e.newcomer <- struct{}{}:
			default:
			}
			time.Sleep(time.Second)
			synctest.Wait()
			for len(e.chores) > 0 {
				if c := <-e.chores; c.what == "prime" {
					rounds++
					if err := c.do(ctx); err != nil {
						t.Error(err)
					}
				}
			}
		}
		if most := primesAtLogin + int(time.Since(begun)/primeRest) + 1; rounds > most || rounds < most/2 {
			t.Errorf("%d rounds in %v", rounds, time.Since(begun))
		}
		cancel()
		task.Wait()
	})
}
