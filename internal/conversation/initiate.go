package conversation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
)

// ackTime bounds the acknowledgement of an offer, which no person has to give. It
// is as long as a path may be silent: where the line is slow, what an in-band stream
// has under way is in front of the offer, for half a minute on a modem's.
const ackTime = stream.Idle

// Initiate delivers our offer, and has its session from then on, also when that comes with
// an error. A client that does not even acknowledge it is not there; one that shall
// answer within patience, which is 0 for ever, does not answer.
func (c *Conversation) Initiate(ctx context.Context, m *jingle.Manager, to jid.JID, sid string, content jingle.Content, patience time.Duration) (err error) {
	late := fault.ErrNotThere
	if patience > 0 && patience < ackTime {
		late = fault.ErrNoAnswer
	} else {
		patience = ackTime
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.Session, err = m.Initiate(wait, to, sid, content)
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return late
	}
	var answer *stanza.Error
	if errors.As(err, &answer) {
		err = &fault.OfferError{Answer: answer}
	}
	return fmt.Errorf("offer to %s: %w", to, err)
}
