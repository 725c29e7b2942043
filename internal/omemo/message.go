package omemo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// How many OMEMO messages are opened. A person writes a few a minute, and a
// message that is passed over is no loss: the ratchet skips it.
const (
	// messageWindow is the time in which messages are counted.
	messageWindow = time.Minute
	// messagesPerSender and messagesPerWindow bound those of one bare JID and of
	// all. A message costs a commit to the disk.
	messagesPerSender = 100
	messagesPerWindow = 500
	// introductionCost is for how many messages one of a device counts whose key
	// is not known: it makes us ask two things of the sender's server.
	introductionCost = 20
)

// quota counts the messages of the current window.
type quota struct {
	mu      sync.Mutex
	began   time.Time
	total   int
	senders map[jid.JID]int // no more than messagesPerWindow
}

// take reports whether a message may be opened now.
func (q *quota) take(now time.Time, of jid.JID, cost int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if passed := now.Sub(q.began); passed < 0 || passed >= messageWindow {
		q.began, q.total, q.senders = now, 0, make(map[jid.JID]int)
	}
	if q.total+cost > messagesPerWindow || q.senders[of]+cost > messagesPerSender {
		return false
	}
	q.total += cost
	q.senders[of] += cost
	return true
}

// HandleMessage takes in an <encrypted/> that came in a message of from (its
// full JID) rather than in an offer: a key transport, by which the other side
// answers us or begins a session, or the copy of a chat message. The ratchet
// goes on, by the rules of [Account.Unwrap] for who may send; what the message
// says is dropped unread.
//
// Of each sender, and of all, only so many are opened in a minute, and only as much
// is done for each sender as in [Account.Unwrap]: ErrTooMany.
// The other errors are those of Unwrap; ErrNotForUs is no reason to worry in a
// message. Afterwards the bundle may have to be published again
// ([Account.KeepAnnounced]) and a step be due ([Account.DueSteps]).
func (a *Account) HandleMessage(ctx context.Context, p PEP, from jid.JID, encrypted *xmltree.Element) error {
	if err := a.handleMessage(ctx, p, from, encrypted); err != nil {
		return fmt.Errorf("omemo message of %s: %w", from, err)
	}
	return nil
}

func (a *Account) handleMessage(ctx context.Context, p PEP, from jid.JID, encrypted *xmltree.Element) error {
	h, err := parseEnvelope(encrypted, a.deviceID)
	var u *unwrapping
	if err == nil {
		u, err = a.unwrapping(p, from, h)
	}
	if errors.Is(err, ErrEnvelope) && !a.messages.take(a.cfg.Now(), from.Bare(), 1) {
		return ErrTooMany // each is told to the log
	}
	if err != nil {
		return err
	}
	d, _, err := a.device(ctx, a.db, u.addr.jid, u.addr.device)
	if err != nil {
		return err
	}
	cost := 1
	if d.IdentityKey == nil {
		cost = introductionCost
	}
	if !a.messages.take(a.cfg.Now(), u.addr.jid, cost) {
		return ErrTooMany
	}
	u.charge = a.refusing(u.addr.jid)
	_, _, err = u.firstThatOpens(ctx, h.keys)
	return err
}
