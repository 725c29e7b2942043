package transfer

import (
	"context"
	"slices"

	"jetsend/internal/charge"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// thin drops what a contact has interrupted beyond the bound, and returns the rest: first
// goes that of which nothing is here, then that whose bytes moved the longest ago. The
// sender has the file, and when it goes on with it, it begins anew. What is verified stays.
func (k *keeper) thin(ctx context.Context, t *terms, rows []journal.Row) []journal.Row {
	crowd := charge.Crowded(rows, t.crowd)
	if len(crowd) == 0 {
		return rows
	}
	gone, err := k.r.e.journal.Drop(ctx, crowd, Discard)
	if err != nil {
		k.r.e.log.Warn("too many interrupted transfers", "error", err)
	}
	dropped := make(map[journal.Key]bool, len(gone))
	for _, row := range gone {
		dropped[row.Key] = true
		k.r.e.log.Info("transfer dropped, its contact has too many interrupted ones", "transfer", row.ID, "peer", row.Peer, "bytes", row.Durable)
		row.State = journal.Forgotten
		k.r.notify(row.Key, &notice{})
	}
	return slices.DeleteFunc(rows, func(row journal.Row) bool { return dropped[row.Key] })
}

// crowd is whose interrupted transfers are counted together. Who is a contact the server
// says: where no strangers are let in, its word must not make one crowd of them all, and
// have what is here of their files thrown away.
func (t *terms) crowd(who jid.JID) jid.JID {
	if t.Accept == AcceptAll && !t.known(who) {
		return jid.JID{}
	}
	return who
}
