package conversation

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// slowLine answers every request after a while.
type slowLine time.Duration

func (l slowLine) IQ(ctx context.Context, _ jid.JID, _ stanza.IQType, _ *xmltree.Element) (*xmltree.Element, error) {
	select {
	case <-time.After(time.Duration(l)):
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// TestSlowOffer: behind what an in-band stream has under way the acknowledgement of
// an offer may take as long as a path may be silent.
func TestSlowOffer(t *testing.T) {
	for _, tt := range []struct {
		takes time.Duration
		want  error
	}{{stream.Idle - time.Second, nil}, {stream.Idle + time.Second, fault.ErrNotThere}} {
		synctest.Test(t, func(t *testing.T) {
			self, to := jid.MustParse("romeo@jet.test/a"), jid.MustParse("juliet@jet.test/b")
			m := jingle.NewManager(jingle.Config{Port: slowLine(tt.takes), Self: func() jid.JID { return self }})
			err := New(t.Context(), World{}, event.Head{}).Initiate(t.Context(), m, to, "sid", jingle.Content{Creator: jingle.SenderInitiator, Name: dialect.ContentName}, 0)
			if !errors.Is(err, tt.want) {
				t.Errorf("after %v: %v", tt.takes, err)
			}
		})
	}
}
