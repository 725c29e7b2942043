package backoff

import (
	"slices"
	"testing"
	"time"
)

// The ends of what can be drawn.
func lowest(int64) int64    { return 0 }
func highest(n int64) int64 { return n - 1 }

// pauses are the next n.
func pauses(b *Backoff, n int) (all []time.Duration) {
	for range n {
		all = append(all, b.Next())
	}
	return all
}

func TestNext(t *testing.T) {
	low, high := Backoff{First: time.Second, Last: 5 * time.Second, Draw: lowest}, Backoff{First: time.Second, Last: 5 * time.Second, Draw: highest}
	for range 2 {
		if got, want := pauses(&low, 5), []time.Duration{time.Second / 2, time.Second, 2 * time.Second, 2500 * time.Millisecond, 2500 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("at least %v, want %v", got, want)
		}
		if got, want := pauses(&high, 5), []time.Duration{time.Second - 1, 2*time.Second - 1, 4*time.Second - 1, 5*time.Second - 1, 5*time.Second - 1}; !slices.Equal(got, want) {
			t.Errorf("at most %v, want %v", got, want)
		}
		low.Reset()
		high.Reset()
	}
}

func TestAtLeast(t *testing.T) {
	b := Backoff{First: time.Second, Last: 10 * time.Second, Draw: lowest}
	for _, tt := range []struct{ least, want time.Duration }{
		{0, time.Second / 2},
		{2 * time.Second, 2 * time.Second},
		{0, 4 * time.Second}, // twice as long as the one before
		{2 * time.Second, 5 * time.Second},
		{time.Minute, 5 * time.Second}, // no more than Last
	} {
		if got := b.AtLeast(tt.least); got != tt.want {
			t.Errorf("at least %v: %v, want %v", tt.least, got, tt.want)
		}
	}
}

// TestOwnDraw: without one, pauses are different and within their bounds; the least that
// can be set draws from nothing.
func TestOwnDraw(t *testing.T) {
	b := Backoff{First: time.Second, Last: time.Second}
	all := pauses(&b, 50)
	for _, d := range all {
		if d < time.Second/2 || d >= time.Second {
			t.Errorf("%v", d)
		}
	}
	if slices.Sort(all); len(slices.Compact(all)) == 1 {
		t.Errorf("always %v", all[0])
	}
	if got := pauses(new(Backoff), 2); !slices.Equal(got, []time.Duration{0, 0}) {
		t.Errorf("%v", got)
	}
}

// TestLong: the pauses of years do not overflow.
func TestLong(t *testing.T) {
	b := Backoff{First: time.Second, Last: 1<<62 - 1, Draw: lowest}
	before := time.Duration(0)
	for range 100 {
		if got := b.Next(); got < before {
			t.Fatalf("%v after %v", got, before)
		} else {
			before = got
		}
	}
}
