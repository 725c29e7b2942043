package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errGone = errors.New("gone")

// TestTurnOrder: a file has its first turn after the one before it, whenever they come for
// it; one that never begins is in the way of no other, nor is one that comes again.
func TestTurnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue()
		first, second, third := q.Join(), q.Join(), q.Join()
		var mu sync.Mutex
		var order []string
		var tasks sync.WaitGroup
		run := func(name string, own *Turn) {
			tasks.Go(func() {
				end, err := own.Take(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				time.Sleep(time.Second)
				end()
				end()
			})
			synctest.Wait()
		}
		run("third", third)
		run("first", first)
		run("first again", first)
		second.Begin() // it has ended before its first session
		tasks.Wait()
		if len(order) != 3 || order[0] != "first" || !slices.Contains(order, "third") {
			t.Errorf("in turn: %q", order)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		q.Join()
		late := q.Join()
		cancel(errGone)
		if _, err := late.Take(ctx); !errors.Is(err, errGone) {
			t.Errorf("waiting for one that does not begin: %v", err)
		}
	})
}
