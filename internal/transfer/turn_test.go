package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
)

// TestArgumentsInOrder: several files are offered in the order in which they were named,
// however large they are.
func TestArgumentsInOrder(t *testing.T) {
	s := prosody(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
	var files []Source
	var want []string
	for i := range 12 {
		name := fmt.Sprintf("%02d", (i*7)%12) // no order of names
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, make([]byte, (12-i)<<12), 0o600); err != nil {
			t.Fatal(err)
		}
		files, want = append(files, Source{Path: path}), append(want, name)
	}
	if err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: files, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	var got []string
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ev := range in.all {
		if offer, ok := ev.(Offer); ok {
			got = append(got, offer.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("offered %q, want %q", got, want)
	}
}

// TestTurnOrder: a file has its first turn after the one before it, whenever they come for
// it; one that never begins is in the way of no other, nor is one that comes again.
func TestTurnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		first, second, third := q.join(), q.join(), q.join()
		var mu sync.Mutex
		var order []string
		var tasks sync.WaitGroup
		run := func(name string, own *turn) {
			tasks.Go(func() {
				end, err := own.take(t.Context())
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
		second.begin() // it has ended before its first session
		tasks.Wait()
		if len(order) != 3 || order[0] != "first" || !slices.Contains(order, "third") {
			t.Errorf("in turn: %q", order)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		q.join()
		late := q.join()
		cancel(errPeerGone)
		if _, err := late.take(ctx); !errors.Is(err, errPeerGone) {
			t.Errorf("waiting for one that does not begin: %v", err)
		}
	})
}
