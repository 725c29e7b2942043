package transfer

import (
	"context"

	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
)

// terminate ends the session because of err, and says so to the peer.
func (t *talk) terminate(ctx context.Context, err error) {
	_ = t.sess.Terminate(ctx, t.reason(err)) // the session is over at once, whatever the peer gets to know
}

// reason is what the peer is told about err, with the detail sealed where that changes
// what it keeps.
func (t *talk) reason(err error) jingle.Reason {
	k := fault.Of(err)
	r := k.Reason()
	if t.offer == nil || t.ts == nil || !k.Sealed() {
		return r
	}
	sealed, serr := t.seal(kindReason, t.word(k.Detail, t.sess.Initiator()).Element())
	if serr != nil {
		t.e.log.Warn("seal reason", "transfer", t.offer.Transfer, "error", serr)
		return r
	}
	r.Detail.Add(sealed)
	return r
}

// word is the detail as it is sealed: who says it, about which transfer.
func (t *talk) word(detail string, initiator bool) profile.Reason {
	by := jingle.SenderResponder
	if initiator {
		by = jingle.SenderInitiator
	}
	return profile.Reason{Transfer: t.offer.Transfer, By: by, Detail: detail}
}

// endedWith is the peer's end of the session as an error.
func (t *talk) endedWith(r jingle.Reason) *fault.Ended {
	ended := &fault.Ended{Reason: r}
	if name := fault.DetailOf(r); name != "" && t.offer != nil && t.ts != nil {
		x, err := t.unseal(kindReason, r.Detail.Children...)
		ended.Proven = err == nil && t.word(name, !t.sess.Initiator()).Is(x)
	}
	return ended
}
