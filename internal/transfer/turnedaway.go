package transfer

import (
	"context"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// turnedAway tells that an offer of a contact did not get past the accept policy, which
// looks to the contact as if nobody were there. Strangers are not worth a line: there
// may be as many as somebody likes. It is called on the stream's dispatcher.
func (r *receiver) turnedAway(t *terms, from jid.JID) {
	if t.admits(from) || !r.e.isContact(from.Bare()) { // it is not the policy
		r.e.log.Debug("offer turned away", "peer", from)
		return
	}
	if !r.away.Due(from.Bare(), time.Now()) {
		return
	}
	f := t.away(from.Bare())
	r.e.upkeep.Chore("tell of an offer that was turned away", func(context.Context) error {
		r.e.cfg.Report(event.FailedEarly{Direction: event.Receive, Peer: from.String(), Code: int(f.Code), Reason: clean.Error(f), Hints: f.Hints})
		return nil
	})
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
