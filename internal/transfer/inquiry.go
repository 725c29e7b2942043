package transfer

import (
	"context"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/session"
)

const (
	// discoWait is how long a resource may take to say what it can do.
	discoWait = 5 * time.Second
	// grace is how long the others have, at least, once a client that suits has
	// answered; as long again as that one took when that is more. A phone that sleeps
	// never answers.
	grace = 500 * time.Millisecond
)

// inquiry asks clients of a contact what they can take, and knows for how long that is
// worth waiting.
type inquiry struct {
	// ask asks one of them; nil when it does not answer.
	ask func(context.Context, session.Resource) *peer
	// least is the form from which a client suits, most the best that the offer may have.
	least, most form
}

// run asks all of them at once and returns the answers that came in time. It has ended
// what it began when it returns.
func (q *inquiry) run(ctx context.Context, clients []session.Resource) (answered []*peer) {
	ctx, cancel := context.WithTimeout(ctx, discoWait)
	type answer struct {
		from jid.JID
		peer *peer
	}
	answers := make(chan answer, len(clients)) // never full
	pending := map[jid.JID]session.Resource{}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	for _, c := range clients {
		pending[c.JID] = c
		asking.Go(func() { answers <- answer{c.JID, q.ask(ctx, c)} })
	}
	begun, best := time.Now(), formNone
	var until time.Time // for the others, once one suits
	timer := time.NewTimer(discoWait)
	defer timer.Stop()
	for len(pending) > 0 {
		select {
		case a := <-answers:
			delete(pending, a.from)
			if a.peer == nil {
				break
			}
			answered = append(answered, a.peer)
			if best = max(best, a.peer.form); best >= q.least && until.IsZero() {
				until = time.Now().Add(max(grace, time.Since(begun)))
			}
		case <-timer.C:
		case <-ctx.Done():
			return answered
		}
		switch {
		case until.IsZero(), best < q.most && claimsProfile(pending):
			continue // to the end of discoWait
		case best == formJetsend && !claimsProfile(pending), !time.Now().Before(until):
			return answered
		}
		timer.Reset(time.Until(until))
	}
	return answered
}

// claimsProfile reports whether one of them says by its presence that it is a jetsend.
func claimsProfile(clients map[jid.JID]session.Resource) bool {
	for _, c := range clients {
		if c.Caps.Node == session.CapsNode {
			return true
		}
	}
	return false
}
