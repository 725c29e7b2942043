package transfer

import (
	"context"

	"jetsend/internal/fault"
	"jetsend/internal/journal"
)

// dropAbandoned ends the transfers that the sender of an offer has given up, as far as
// they are of its own key, and removes what there is of them. What somebody is at is
// settled by its own session.
func (in *incoming) dropAbandoned(ctx context.Context) {
	for _, id := range in.d.Sealed().Gone {
		row, err := in.e.journal.Peek(ctx, journal.Key{ID: id, Direction: journal.Receive})
		if err != nil || row.State != journal.Interrupted || row.Phase.Verified() || row.Peer != in.dev.JID.Bare() || !row.HasKey(in.dev.IdentityKey) {
			continue
		}
		if !in.e.failRow(row, fault.ErrAbandoned) {
			continue
		}
		head := headOf(row, in.sess.Peer())
		if !in.r.notify(row.Key, &notice{head: head, err: fault.ErrAbandoned}) {
			in.r.over(head, fault.ErrAbandoned)
		}
		in.e.log.Info("given up by the sender", "transfer", id, "peer", row.Peer)
	}
}
