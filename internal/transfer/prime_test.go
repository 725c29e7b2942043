package transfer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPrimeAfterFlood: a round of priming that finds no room among the chores, because
// of the device lists of a long roster, comes as soon as there is some.
func TestPrimeAfterFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := unconnected()
		r := &receiver{e: e}
		r.options.Store(&ReceiveOptions{Prime: true})
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
