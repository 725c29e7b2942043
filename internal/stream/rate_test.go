package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/crypto"
)

// The files of these tests: together they take 200 s at their rate.
const (
	limitedFiles = 20
	limitedSize  = 1000
	limitedRate  = 100
)

// measured is where limited bytes go. It knows the most that may have come so far.
type measured struct {
	mu    sync.Mutex
	start time.Time
	got   int64
	over  string
}

func (w *measured) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got += int64(len(b))
	past := time.Since(w.start)
	// A tag a file is written without being counted.
	if most := limitedRate*(past+burstTime).Seconds() + 1 + limitedFiles*crypto.TagSize; float64(w.got) > most && w.over == "" {
		w.over = fmt.Sprintf("%d bytes after %s", w.got, past)
	}
	return len(b), nil
}

// check wants all the files to have taken the time that the rate gives them.
func (w *measured) check(t *testing.T) {
	t.Helper()
	const want = limitedFiles * limitedSize / limitedRate * time.Second
	if w.over != "" {
		t.Errorf("faster than the limit: %s", w.over)
	}
	if took := time.Since(w.start); took < want-burstTime || took > want+time.Second {
		t.Errorf("took %s, want %s", took, want)
	}
}

// TestLimitRate: all files that share a rate together keep to it in each
// direction, one after the other and at once; none brings a burst of its own.
func TestLimitRate(t *testing.T) {
	send := func(t *testing.T, limit *Rate, w *measured) {
		secret := crypto.NewSecret(crypto.AES256GCM)
		a, b := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = io.Copy(w, b) }()
		if err := Out(t.Context(), a, neverEnding{}, limitedSize, secret, Outgoing{Options: Options{Rate: limit}}); err != nil {
			t.Error(err)
		}
		_ = a.Close()
		<-done
	}
	receive := func(t *testing.T, limit *Rate, w *measured) {
		secret := crypto.NewSecret(crypto.AES256GCM)
		a, b := net.Pipe()
		go func() {
			defer func() { _ = a.Close() }()
			if err := Out(t.Context(), a, neverEnding{}, limitedSize, secret, Outgoing{}); err != nil {
				t.Error(err)
			}
		}()
		if err := In(t.Context(), b, w, limitedSize, secret, Incoming{Options: Options{Rate: limit}, Ends: true}); err != nil {
			t.Error(err)
		}
	}
	for way, move := range map[string]func(*testing.T, *Rate, *measured){"send": send, "receive": receive} {
		t.Run(way+" one by one", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit, w := new(Rate), &measured{start: time.Now()}
				limit.Set(limitedRate)
				for range limitedFiles {
					move(t, limit, w)
				}
				w.check(t)
			})
		})
		t.Run(way+" at once", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit, w := new(Rate), &measured{start: time.Now()}
				limit.Set(limitedRate)
				var files sync.WaitGroup
				for range limitedFiles {
					files.Go(func() { move(t, limit, w) })
				}
				files.Wait()
				w.check(t)
			})
		})
	}
}

// TestRateChange: another limit holds for what runs, what the old one let in
// is not waited for by the new one, and a wait ends with its context.
func TestRateChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limit Rate
		took := func(ctx context.Context, n int) (time.Duration, error) {
			start := time.Now()
			err := limit.wait(ctx, n)
			return time.Since(start), err
		}
		if d, err := took(t.Context(), 1<<30); d != 0 || err != nil || limit.unit() != Chunk {
			t.Errorf("no limit: %s, %v, unit %d", d, err, limit.unit())
		}
		limit.Set(1000)
		if d, err := took(t.Context(), Chunk); d != 0 || err != nil || limit.unit() != 250 {
			t.Errorf("what came before the limit: %s, %v, unit %d", d, err, limit.unit())
		}
		if d, err := took(t.Context(), 250); d != burstTime || err != nil {
			t.Errorf("within the limit: %s, %v", d, err)
		}
		limit.Set(1)
		if d, err := took(t.Context(), 1); d != time.Second || err != nil || limit.unit() != 1 {
			t.Errorf("the least limit: %s, %v, unit %d", d, err, limit.unit())
		}
		stop := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stop)
		if d, err := took(ctx, 1); d != 0 || !errors.Is(err, stop) {
			t.Errorf("stopped: %s, %v", d, err)
		}
		limit.Set(0)
		if d, err := took(t.Context(), Chunk); d != 0 || err != nil {
			t.Errorf("no limit any more: %s, %v", d, err)
		}
	})
}

// TestHold: what is held moves nothing, for however long and with or without a limit, and
// goes on at the pace that it had; the end of its context ends it.
func TestHold(t *testing.T) {
	for _, rate := range []int64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			var r Rate
			r.Set(rate)
			r.Hold(true)
			r.Hold(true)
			begun := time.Now()
			passed := make(chan error)
			go func() { passed <- r.wait(t.Context(), 100) }()
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("over")
			stopped := make(chan error)
			go func() { stopped <- r.wait(ctx, 100) }()
			time.Sleep(time.Hour)
			cancel(why)
			if err := <-stopped; !errors.Is(err, why) {
				t.Errorf("the end of its context: %v", err)
			}
			select {
			case err := <-passed:
				t.Fatalf("held bytes moved: %v", err)
			default:
			}
			r.Hold(false)
			r.Hold(false)
			if err := <-passed; err != nil || time.Since(begun) > time.Hour+time.Second {
				t.Errorf("%v after %s", err, time.Since(begun))
			}
		})
	}
}
