package batch

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"jetsend/internal/jid"
)

// TestAskOnce: a yes is for the files that were asked about and no others, a no for
// all that come with them.
func TestAskOnce(t *testing.T) {
	asked, says := 0, true
	r := NewAnswers()
	put := func(context.Context) (bool, error) { asked++; return says, nil }
	peer := jid.MustParse("romeo@jet.test/a")
	question := func(device uint32, index int, size int64, total int64) Question {
		return Question{From: peer, Size: size, Device: device, Batch: "b", Index: index, Count: 3, Bytes: total}
	}
	for _, tt := range []struct {
		what  string
		q     Question
		asked int
	}{
		{"the first", question(1, 1, 10, 100), 1},
		{"the second", question(1, 2, 10, 100), 1},
		{"the second again", question(1, 2, 10, 100), 2},
		{"the third, larger than what is left", question(1, 3, 1000, 100), 3},
		{"another total", question(1, 3, 10, 1000), 4},
		{"another device", question(2, 3, 10, 1000), 5},
	} {
		if yes, err := r.Ask(t.Context(), tt.q, put); !yes || err != nil || asked != tt.asked {
			t.Errorf("%s: %v, asked %d times, want %d (%v)", tt.what, yes, asked, tt.asked, err)
		}
	}
	says = false
	other := func(device uint32, index int) Question {
		q := question(device, index, 10, 100)
		q.Batch = "c"
		return q
	}
	for _, tt := range []struct {
		what  string
		q     Question
		asked int
	}{
		{"the first that is not wanted", other(1, 1), 6},
		{"the second of those", other(1, 2), 6},
		{"the first once more", other(1, 1), 6},
		{"another device, another no", other(2, 2), 7},
	} {
		if yes, err := r.Ask(t.Context(), tt.q, put); yes || err != nil || asked != tt.asked {
			t.Errorf("%s: %v, asked %d times, want %d (%v)", tt.what, yes, asked, tt.asked, err)
		}
	}
	r.asking <- struct{}{} // another question is being asked
	errInterrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	if yes, err := r.Ask(ctx, question(3, 1, 1, 1), put); yes || !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted while waiting: %v", err)
	}
	<-r.asking
	// Where nobody is asked, what was said before holds.
	says = true
	for _, put := range []func(context.Context) (bool, error){put, nil} {
		if yes, err := r.Ask(t.Context(), question(4, asked, 10, 50), put); !yes || err != nil {
			t.Errorf("of a batch that was said yes to: %v, %v", yes, err)
		}
	}
	if yes, err := r.Ask(t.Context(), question(5, 3, 10, 50), nil); yes || err != nil {
		t.Errorf("never said yes to: %v, %v", yes, err)
	}
}

// TestAskFails: a question that comes to nothing is none that was answered.
func TestAskFails(t *testing.T) {
	r, q := NewAnswers(), Question{From: jid.MustParse("romeo@jet.test"), Batch: "b", Index: 1, Count: 2, Bytes: 2, Size: 1}
	errAway := errors.New("away")
	if yes, err := r.Ask(t.Context(), q, func(context.Context) (bool, error) { return true, errAway }); yes || !errors.Is(err, errAway) {
		t.Errorf("%v, %v", yes, err)
	}
	if yes, err := r.Ask(t.Context(), q, nil); yes || err != nil || len(r.given) != 0 {
		t.Errorf("later: %v, %v", yes, err)
	}
}

// TestAnswersAreBounded exceeds the batches whose answer is remembered: what is
// beyond is asked about for each file.
func TestAnswersAreBounded(t *testing.T) {
	asked := 0
	r := NewAnswers()
	put := func(context.Context) (bool, error) { asked++; return true, nil }
	for i := range maxBatches + 10 {
		for index := 1; index <= 2; index++ {
			q := Question{From: jid.MustParse("romeo@jet.test/a"), Size: 1, Batch: fmt.Sprint(i), Index: index, Count: 2, Bytes: 2}
			if yes, err := r.Ask(t.Context(), q, put); !yes || err != nil {
				t.Fatal(yes, err)
			}
		}
	}
	if len(r.given) != maxBatches || asked != maxBatches+2*10 {
		t.Errorf("%d answers are remembered, %d questions were asked", len(r.given), asked)
	}
}
