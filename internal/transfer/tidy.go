package transfer

import (
	"context"
	"errors"
	"slices"
	"time"

	"jetsend/internal/batch"
	"jetsend/internal/charge"
	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
)

// tidyEvery is the pace of throwing away what is too old.
const tidyEvery = 24 * time.Hour

// thin drops what a contact has interrupted beyond the bound, and returns the rest: first
// goes that of which nothing is here, then that whose bytes moved the longest ago. The
// sender has the file, and when it goes on with it, it begins anew. Transfers that are
// verified stay.
func (k *keeper) thin(ctx context.Context, t *terms, rows []journal.Row) []journal.Row {
	crowd := charge.Crowded(rows, t.rules().Crowd)
	if len(crowd) == 0 {
		return rows
	}
	dropped := map[journal.Key]bool{}
	for _, row := range k.r.e.rows().Drop(ctx, crowd) {
		dropped[row.Key] = true
		k.r.notify(row.Key, &notice{})
	}
	return slices.DeleteFunc(rows, func(row journal.Row) bool { return dropped[row.Key] })
}

// settle ends the releases that a crash has cut.
func (k *keeper) settle(ctx context.Context) {
	t := k.r.terms()
	for _, row := range k.r.e.rows().Interrupted(ctx) {
		if row.Phase.Verified() {
			_ = k.finish(ctx, t, row) // it is logged, and tried again
		}
	}
}

// errNotReleased: the log says why.
var errNotReleased = errors.New("not released")

// finish ends a release that was cut.
func (k *keeper) finish(ctx context.Context, t *terms, row journal.Row) error {
	how := k.r.keeping(t)
	how.Out = nil // that is for the one transfer of the run
	ours := t.Out == nil && row.Phase != journal.PhasePoured && k.r.once.Open(batch.KeyOf(row.Peer, row.Batch, row.ID)) && t.rules().Names(row.Peer.Bare())
	if !k.r.e.settle(ctx, row, how) {
		return errNotReleased
	}
	if ours {
		k.r.once.End(row.ID, exitcode.OK) // it is one that has arrived
	}
	return nil
}

// tidy throws away what is too old, at the start of a run and then once a day.
func (k *keeper) tidy(ctx context.Context) {
	now := time.Now()
	if now.Sub(k.tidied) < tidyEvery {
		return
	}
	k.tidied = now
	keep := k.r.terms().KeepFor
	k.r.e.rows().Expire(ctx, keep)
	if keep <= 0 {
		return
	}
	if err := k.r.e.sinks().Sweep(ctx, k.r.dir, keep, now); err != nil {
		k.r.e.log.Warn("old partial files", "error", err)
	}
}
