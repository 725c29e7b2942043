package conversation

import (
	"errors"
	"testing"
	"time"

	"jetsend/internal/event"

	"jetsend/internal/stanza"
)

// TestTellsGone: a client that the server does not know is gone, but not right
// after the server itself was.
func TestTellsGone(t *testing.T) {
	const lostWord = 40 * time.Second
	just, before := time.Now(), time.Now().Add(-2*lostWord)
	for _, tt := range []struct {
		what string
		err  error
		back *time.Time
		want bool
	}{
		{"no answer", errors.New("timeout"), nil, false},
		{"an answer", nil, nil, false},
		{"not online", stanza.NewError(stanza.ServiceUnavailable), nil, true},
		{"not online yet", stanza.NewError(stanza.ServiceUnavailable), &just, false},
		{"still not online", stanza.NewError(stanza.RecipientUnavailable), &before, true},
		{"online, and does not know the session", stanza.NewError(stanza.ItemNotFound), &just, true},
		{"online, and knows no such question", stanza.NewError(stanza.FeatureNotImplemented), nil, false},
	} {
		c := New(t.Context(), World{Timing: Timing{LostWord: lostWord}, Back: func() *time.Time { return tt.back }}, event.Head{})
		if got := c.tellsGone(tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}
