package backoff

import (
	"testing"
	"time"
)

// TestAdvance: a session that brings bytes is progress, also after the receiver
// has lost what it had; but not for ever.
func TestAdvance(t *testing.T) {
	r := Attempts{Farthest: 500}
	for i, tt := range []struct {
		from, durable int64
		want          bool
	}{
		{500, 500, false}, // nothing came
		{500, 600, true},
		{600, 600, false},
		{0, 128, true}, // it was lost, and comes again
		{128, 256, true},
		{256, 256, false},
		{0, 0, false}, // lost again, and nothing came
		{0, 128, true},
		{0, 128, false}, // the same once more is going round in circles
		{0, 256, true},
	} {
		if got := r.Advance(tt.from, tt.durable); got != tt.want {
			t.Errorf("step %d, from %d to %d: %v", i, tt.from, tt.durable, got)
		}
	}
}

// TestNextAttempt: attempts that do not count are bounded by time
// alone, and by a run that tries nothing again.
func TestNextAttempt(t *testing.T) {
	now, pauses := time.Now(), Backoff{First: time.Second, Last: time.Minute}
	r := Attempts{Pauses: pauses, Retries: 2, For: 10 * time.Minute}
	for i := range 20 {
		pause, more := r.Next(now, false)
		if !more || pause <= 0 || pause > pauses.Last {
			t.Fatalf("after %d: %v %v", i, pause, more)
		}
	}
	for i := range r.Retries { // what breaks counts as ever
		if _, more := r.Next(now, true); !more {
			t.Fatalf("%d failures were too many", i+1)
		}
	}
	if _, more := r.Next(now, true); more {
		t.Error("more failures than retries")
	}
	if _, more := r.Next(now.Add(r.For), false); more {
		t.Error("for longer than it may try")
	}
	r = Attempts{Pauses: pauses, For: 10 * time.Minute}
	if _, more := r.Next(now, false); more {
		t.Error("tried again without retries")
	}
}
