package jingle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// begun is a Begin that hands over nothing: the test looks at what was begun, and answers.
type begun struct {
	mu       sync.Mutex
	actions  []string
	answered []func(error)
	refuse   Action
	came     chan struct{}
}

func (b *begun) begin(_ context.Context, _ jid.JID, e *xmltree.Element, answered func(error)) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse == Action(e.Attr("action")) {
		b.came <- struct{}{}
		return nil, errors.New("stream lost")
	}
	b.actions = append(b.actions, e.Attr("action"))
	b.answered = append(b.answered, answered)
	b.came <- struct{}{}
	return func() {}, nil
}

// TestConclude: the end of the session follows the last word at once, in order, and the
// session is over when that was acknowledged; without an acknowledgement it is not, and
// the word can be told again.
func TestConclude(t *testing.T) {
	offline := stanza.NewError(stanza.RecipientUnavailable)
	for name, tt := range map[string]struct {
		word, end error
		refuse    Action
		want      error
		over      bool
		said      []string
	}{
		"acknowledged":         {said: []string{"session-info", "session-terminate"}, over: true},
		"end not acknowledged": {end: offline, said: []string{"session-info", "session-terminate"}, over: true},
		"nobody there":         {word: offline, end: offline, want: offline, said: []string{"session-info", "session-terminate"}},
		"end not sent":         {refuse: SessionTerminate, said: []string{"session-info"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &begun{refuse: tt.refuse, came: make(chan struct{}, 2)}
			x, y := newPair(t, func(c *Config) { c.Begin = b.begin })
			_, s := active(t, x, y)
			ended := make(chan error, 1)
			go func() { ended <- s.Conclude(t.Context(), nil, Reason{Condition: Success}) }()
			for range 2 { // though nothing was answered
				select {
				case <-b.came:
				case <-time.After(limit):
					t.Fatal("not sent")
				}
			}
			if s.State() != Active {
				t.Error("over before the word was acknowledged")
			}
			b.answered[0](tt.word)
			if len(b.answered) > 1 {
				b.answered[1](tt.end)
			}
			if err := await(t, ended); !errors.Is(err, tt.want) {
				t.Error(err)
			}
			if !slices.Equal(b.actions, tt.said) || (s.State() == Ended) != tt.over {
				t.Errorf("said %v, then %s", b.actions, s.State())
			}
			before := y.count(SessionTerminate)
			if err := s.Terminate(t.Context(), Reason{Condition: Success}); err != nil {
				t.Error(err)
			}
			if again := y.count(SessionTerminate) > before; again == tt.over {
				t.Errorf("its end told once more: %t", again)
			}
			wantEnd(t, s, Success, false)
			if err := s.Conclude(t.Context(), nil, Reason{Condition: Success}); !errors.Is(err, ErrEnded) {
				t.Error(err)
			}
		})
	}
}
