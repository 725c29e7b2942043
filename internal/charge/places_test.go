package charge

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"jetsend/internal/jid"
)

// TestPlaces exceeds the transfers that may run at once, of one contact and of
// all.
func TestPlaces(t *testing.T) {
	var p Places
	who := func(n int) jid.JID { return jid.MustParse(fmt.Sprintf("u%d@jet.test", n)) }
	for n := range MaxRunning / MaxRunningContact {
		for range MaxRunningContact {
			if p.take(who(n)) != nil {
				t.Fatalf("no place for contact %d", n)
			}
		}
		if n == 0 && (p.take(who(0)) == nil || p.take(who(1)) != nil) {
			t.Fatal("a contact has more than its share, or leaves nothing for others")
		}
		if n == 0 {
			p.Leave(who(1))
		}
	}
	freed := p.take(who(99))
	if freed == nil {
		t.Fatal("more run than may")
	}
	p.Leave(who(0))
	<-freed
	if p.take(who(99)) != nil {
		t.Error("the place that was freed is not to be had")
	}
	for n := range MaxRunning / MaxRunningContact {
		for range MaxRunningContact {
			if n > 0 {
				p.Leave(who(n))
			}
		}
	}
	if p.Leave(who(99)); p.all != MaxRunningContact-1 || len(p.of) != 1 {
		t.Errorf("%d places are taken, by %v", p.all, p.of)
	}
}

// TestHooksWaiting exceeds the hooks that may wait: no transfer begins until one of
// them has its turn, or all are given up.
func TestHooksWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Places
		ctx, cancel := context.WithCancel(t.Context())
		var entered atomic.Int64
		for range MaxRunningContact + maxHooksWaiting {
			go func() {
				if p.EnterHook(ctx) == nil {
					entered.Add(1)
				}
			}()
		}
		synctest.Wait()
		romeo := jid.MustParse("romeo@jet.test")
		var transfers atomic.Int64
		for range 2 {
			go func() {
				_ = p.Enter(t.Context(), romeo)
				transfers.Add(1)
			}()
			synctest.Wait()
			if n := transfers.Load(); n != 0 {
				t.Fatalf("%d transfers run beside %d hooks that wait", n, p.hooks)
			}
		}
		p.LeaveHook()
		synctest.Wait()
		if n := entered.Load(); n != MaxRunningContact+1 || transfers.Load() != 2 {
			t.Errorf("%d hooks, %d transfers after one hook has ended", n, transfers.Load())
		}
		cancel()
		synctest.Wait()
		if p.hooks != 0 || p.all != MaxRunningContact+2 {
			t.Errorf("%d hooks wait, %d places are taken", p.hooks, p.all)
		}
	})
}

// TestPlacesHold: held places are given to nobody but hooks, and those who wait get theirs
// afterwards.
func TestPlacesHold(t *testing.T) {
	var p Places
	who := jid.MustParse("romeo@jet.test")
	if err := p.Enter(t.Context(), who); err != nil {
		t.Fatal(err)
	}
	p.Hold(true)
	if err := p.EnterHook(t.Context()); err != nil || !p.Held() {
		t.Fatal(err, p.Held())
	}
	freed := p.take(who)
	if freed == nil {
		t.Fatal("a held place was given away")
	}
	p.Leave(who)
	<-freed
	if freed = p.take(who); freed == nil {
		t.Fatal("a held place was given away")
	}
	p.Hold(false)
	<-freed
	if p.take(who) != nil || p.Held() {
		t.Error("there is no place")
	}
}
