package charge

import (
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// MaxInterruptedContact bounds the interrupted transfers that are kept of one contact,
// and of all strangers together where they are let in, and so their partial files. Each
// costs a look at it every minute. An honest contact has a few, who send four files at a time; a sender that goes
// away in each of thousands loses no more than what is missing of the oldest.
const MaxInterruptedContact = 200

// Crowded are the interrupted transfers beyond the bound, of each group of contacts: first
// those of which nothing is here, then those whose bytes moved the longest ago. No
// verified transfer is among them.
func Crowded(rows []journal.Row, group func(jid.JID) jid.JID) (out []journal.Row) {
	if len(rows) <= MaxInterruptedContact {
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
		if of[who]++; of[who] > MaxInterruptedContact {
			out = append(out, row)
		}
	}
	return out
}
