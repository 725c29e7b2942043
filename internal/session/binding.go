package session

import (
	"context"
	"fmt"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// priority is a lane of the writer.
type priority int

// The lanes: bulk waits while there is control.
const (
	controlPriority priority = iota // requests, answers, presence, messages
	bulkPriority                    // file data
)

// binding is a resource bound at the server (RFC 6120 section 7): it begins
// with a login and lasts as long as its stream, or those that resume it
// (XEP-0198). The stanzas that wait to be sent and the callers that wait for an
// answer belong to it.
type binding struct {
	full    jid.JID
	mech    string // of the login
	direct  bool   // the login was by direct TLS
	ahead   bool   // the server knows approval in advance
	version bool   // and versions of the roster
	control chan []byte
	bulk    chan []byte
	closing <-chan struct{} // closed when the session is: nothing more is taken
	sm      management
	pending pending

	ctx  context.Context // ended by fail: lost for good
	fail context.CancelCauseFunc
}

func newBinding(closing <-chan struct{}) *binding {
	b := &binding{
		control: make(chan []byte, controlLane),
		bulk:    make(chan []byte, bulkLane),
		closing: closing,
		sm:      management{wake: make(chan struct{}, 1)},
	}
	b.ctx, b.fail = context.WithCancelCause(context.Background())
	return b
}

// offers notes what the server can do for who is bound.
func (b *binding) offers(features *xmltree.Element) {
	b.ahead = features.Child(nsPreApproval, "sub") != nil
	b.version = features.Child(nsRosterVersion, "ver") != nil
}

// lose ends b: every caller that waits for something of it is told why. It
// returns how many stanzas may not have arrived. Only the first call counts.
func (b *binding) lose(why error) (unacked int) {
	if b.ctx.Err() != nil {
		return 0
	}
	b.fail(why)
	b.pending.failAll(lost(why))
	return b.sm.unacked() + len(b.control) + len(b.bulk)
}

// queue hands a stanza to the writer. It waits while the lane is full, and
// takes it while the stream is to be resumed.
func (b *binding) queue(ctx context.Context, stanza []byte, p priority) error {
	lane := b.control
	if p == bulkPriority {
		lane = b.bulk
	}
	select {
	case <-b.ctx.Done():
		return lost(context.Cause(b.ctx))
	case <-b.closing:
		return lost(ErrClosed)
	default:
	}
	select {
	case lane <- stanza:
		if b.ctx.Err() != nil { // at the same moment: nobody reads the lane any more
			return lost(context.Cause(b.ctx))
		}
		return nil
	case <-b.ctx.Done():
		return lost(context.Cause(b.ctx))
	case <-b.closing:
		return lost(ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("queue stanza: %w", context.Cause(ctx))
	}
}
