package transfer

import (
	"context"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// maxInterruptedContact bounds the interrupted transfers that are kept of one contact, and of
// all strangers together where they are let in, and so their partial files. Each costs a look at it every
// minute. An honest contact has a few, who send four files at a time; a sender that goes
// away in each of thousands loses no more than what is missing of the oldest.
const maxInterruptedContact = 200

// thin drops what a contact has interrupted beyond the bound, and returns the rest: first
// goes that of which nothing is here, then that whose bytes moved the longest ago. The
// sender has the file, and when it goes on with it, it begins anew. What is verified stays.
func (k *keeper) thin(ctx context.Context, t *terms, rows []journal.Row) []journal.Row {
	crowd := crowded(rows, t.crowd)
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

// crowded are the rows of each group of contacts beyond the bound.
func crowded(rows []journal.Row, group func(jid.JID) jid.JID) (out []journal.Row) {
	if len(rows) <= maxInterruptedContact {
		return nil
	}
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, func(a, b journal.Row) int { // those to keep first
		if (a.Durable > 0) != (b.Durable > 0) {
			if a.Durable > 0 {
				return -1
			}
			return 1
		}
		return b.Moved.Compare(a.Moved)
	})
	of := map[jid.JID]int{}
	for _, row := range sorted {
		if row.Phase.Verified() {
			continue
		}
		who := group(row.Peer)
		if of[who]++; of[who] > maxInterruptedContact {
			out = append(out, row)
		}
	}
	return out
}
