package transfer

import (
	"errors"
	"testing"
	"time"

	"jetsend/internal/stanza"
)

// TestTellsGone: a client that the server does not know is gone, but not right
// after the server itself was.
func TestTellsGone(t *testing.T) {
	just, before := time.Now(), time.Now().Add(-2*usual.lostWordTime)
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
		e := &Endpoint{timing: usual}
		e.back.Store(tt.back)
		if got := (&conversation{e: e}).tellsGone(tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}
