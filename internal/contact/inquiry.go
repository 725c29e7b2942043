package contact

import (
	"context"
	"sync"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/session"
)

const (
	// DiscoWait is how long a resource may take to say what it can do.
	DiscoWait = 5 * time.Second
	// grace is how long the others have, at least, once a client that suits has
	// answered; as long again as that one took when that is more. A phone that sleeps
	// never answers.
	grace = 500 * time.Millisecond
)

// inquiry asks clients of a contact what they can take, and knows for how long that is
// worth waiting.
type inquiry struct {
	// ask asks one of them; nil when it does not answer.
	ask func(context.Context, session.Resource) *Peer
	// least is the form from which a client suits, most the best that the offer may have.
	least, most dialect.Form
}

// run asks all of them at once and returns the answers that came in time. It has ended
// what it began when it returns.
func (q *inquiry) run(ctx context.Context, clients []session.Resource) (answered []*Peer) {
	ctx, cancel := context.WithTimeout(ctx, DiscoWait)
	type answer struct {
		from jid.JID
		peer *Peer
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
	begun, best := time.Now(), dialect.FormNone
	var until time.Time // for the others, once one suits
	timer := time.NewTimer(DiscoWait)
	defer timer.Stop()
	for len(pending) > 0 {
		select {
		case a := <-answers:
			delete(pending, a.from)
			if a.peer == nil {
				break
			}
			answered = append(answered, a.peer)
			if best = max(best, a.peer.Form); best >= q.least && until.IsZero() {
				until = time.Now().Add(max(grace, time.Since(begun)))
			}
		case <-timer.C:
		case <-ctx.Done():
			return answered
		}
		switch {
		case until.IsZero(), best < q.most && claimsProfile(pending):
			continue // to the end of DiscoWait
		case best == dialect.FormJetsend && !claimsProfile(pending), !time.Now().Before(until):
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
