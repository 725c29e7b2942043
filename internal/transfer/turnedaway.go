package transfer

import (
	"context"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

const (
	// awayEvery is how often it is told of one contact that its offers are turned away:
	// a sender that tries each of its files would fill the log.
	awayEvery = time.Minute
	// maxAway bounds the contacts of whom that is told within this time.
	maxAway = 100
)

// turnedAway tells that an offer of a contact did not get past the accept policy, which
// looks to the contact as if nobody were there. Strangers are not worth a line: there
// may be as many as somebody likes. It is called on the stream's dispatcher.
func (r *receiver) turnedAway(t *terms, from jid.JID) {
	if t.admits(from) || !r.e.isContact(from.Bare()) { // it is not the policy
		r.e.log.Debug("offer turned away", "peer", from)
		return
	}
	if !r.noteAway(from.Bare(), time.Now()) {
		return
	}
	f := t.away(from.Bare())
	r.e.upkeep.Chore("tell of an offer that was turned away", func(context.Context) error {
		r.e.cfg.Report(FailedEarly{Direction: Receive, Peer: from.String(), Code: int(f.Code), Reason: clean.Error(f), Hints: f.Hints})
		return nil
	})
}

// noteAway reports whether it is to be told of the contact now.
func (r *receiver) noteAway(bare jid.JID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for who, told := range r.away {
		if now.Sub(told) >= awayEvery || now.Before(told) {
			delete(r.away, who)
		}
	}
	if _, told := r.away[bare]; told || len(r.away) >= maxAway {
		return false
	}
	if r.away == nil {
		r.away = map[jid.JID]time.Time{}
	}
	r.away[bare] = now
	return true
}

// away says why offers of a contact are turned away.
func (t *terms) away(bare jid.JID) *fault.Failure {
	who := clean.Text(bare.String())
	f := &fault.Failure{Code: exitcode.Declined, Reason: fmt.Sprintf("an offer was turned away: %s is not among those named with --from", who)}
	if t.Accept == AcceptVerified && t.names(bare) {
		f.Reason = fmt.Sprintf("an offer was turned away: no key of %s is verified", who)
		f.Hints = fault.TrustHints(&omemo.TrustError{JID: bare, Kind: omemo.Unverified})
	}
	return f
}
