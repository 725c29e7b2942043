package transfer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
)

// maxRefused bounds the files that were refused and are remembered, of all batches of
// which none is taken yet: a run may wait for weeks. A batch of which some are not
// ends the run by timing.nextOffer.
const maxRefused = 1 << 16

// errTaken: the run has taken what --once lets it take.
var errTaken = fmt.Errorf("%w: this run takes one batch", errDeclined)

// errOneFile: a batch was offered where one file can be taken.
var errOneFile = fmt.Errorf("%w: one file goes to standard output, and no batch", errDeclined)

// once is what a run with --once takes: one batch, which may be a single file. It is
// guarded by the mutex of its receiver.
type once struct {
	over    chan exitcode.Code // how the batch ended; nil without --once
	changed chan struct{}      // a file of it has ended
	seen    map[string]*lot    // batches of which files were offered, by lotKey
	taken   *lot               // the one that is taken, from its first file on
	refused int                // remembered of those that are not
}

// lot is a batch as far as it came.
type lot struct {
	from  jid.JID // bare
	count int
	came  bool                     // a file that was taken has come to its end
	live  map[string]bool          // transfers that were taken and have not ended
	ended map[string]exitcode.Code // and those that have, or were refused
}

// lotKey names a batch, or the transfer that is in none.
func lotKey(from jid.JID, batch, transfer string) string {
	if batch == "" {
		batch = transfer
	}
	return from.Bare().String() + " " + batch
}

// begin makes a run one with --once.
func (o *once) begin() {
	o.over, o.changed, o.seen = make(chan exitcode.Code, 1), make(chan struct{}, 1), map[string]*lot{}
}

// lot is the batch of an offer.
func (o *once) lot(in *incoming) *lot {
	l := o.seen[in.lot]
	if l == nil {
		l = &lot{from: in.sess.Peer().Bare(), count: 1, live: map[string]bool{}, ended: map[string]exitcode.Code{}}
		if b := in.batch(); b != nil {
			l.count = b.Count
		}
		if len(o.seen) < maxBatches {
			o.seen[in.lot] = l
		}
	}
	return l
}

// note has the run look whether it still waits for something.
func (o *once) note() {
	select {
	case o.changed <- struct{}{}:
	default: // it will look anyway
	}
}

// finish ends the run, unless its end has been told.
func (o *once) finish(code exitcode.Code) {
	select {
	case o.over <- code:
	default:
	}
}

// claim makes the batch of the offer the one that --once waits for, if none is, and
// reports whether it is now. undo is for a file that is not taken after all.
func (r *receiver) claim(in *incoming) (ours bool, undo func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.once.over == nil {
		return true, func() {}
	}
	l, id := r.once.lot(in), in.head.Transfer
	if r.once.taken != nil && r.once.taken != l {
		return false, nil
	}
	fresh, added := r.once.taken == nil, !l.live[id]
	r.once.taken, r.once.seen[in.lot], l.live[id] = l, l, true
	return true, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if added {
			delete(l.live, id)
		}
		if fresh && len(l.live) == 0 && !l.came {
			r.once.taken = nil
		}
	}
}

// open reports whether an offer can still be taken, as far as --once goes.
func (r *receiver) open(in *incoming) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.once.over == nil || r.once.taken == nil || r.once.taken == r.once.seen[in.lot]
}

// waitsFor reports whether the row is of what --once waits for. The caller holds r.mu.
func (r *receiver) waitsFor(row *journal.Row) bool {
	return r.once.over == nil || r.once.taken != nil && r.once.taken == r.once.seen[lotKey(row.Peer, row.Batch, row.ID)]
}

// missed notes that a file of a batch was refused, or withdrawn before it was taken.
func (r *receiver) missed(in *incoming, code exitcode.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.once.over == nil || in.lot == "" || in.batch() == nil {
		return
	}
	l := r.once.lot(in)
	if _, known := l.ended[in.head.Transfer]; !known && l != r.once.taken {
		if r.once.refused == maxRefused {
			return
		}
		r.once.refused++
	}
	l.ended[in.head.Transfer] = code
	r.endLot(l)
}

// end tells --once how a transfer that was taken has ended.
func (r *receiver) end(transfer string, code exitcode.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.once.taken
	switch {
	case r.once.over == nil:
		return
	case l == nil: // a release that a crash had cut: it is one that has arrived
		r.once.finish(code)
		return
	case !l.live[transfer]: // of another batch
		return
	}
	delete(l.live, transfer)
	l.came, l.ended[transfer] = true, code
	r.endLot(l)
}

// endLot ends the run when the batch that was taken has come to its end. The caller
// holds r.mu.
func (r *receiver) endLot(l *lot) {
	if l != r.once.taken {
		return
	}
	if len(l.live) == 0 && len(l.ended) >= l.count {
		r.once.finish(exitcode.Combine(slices.Collect(maps.Values(l.ended))...))
	}
	r.once.note()
}

// lacks is how many files of the batch have not been offered, when nothing of it is
// under way and nothing is being decided.
func (r *receiver) lacks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.once.taken
	if l == nil || len(l.live) > 0 || r.waiting > 0 {
		return 0
	}
	return l.count - len(l.ended)
}

// incomplete is the end of a run whose batch did not come as a whole.
func (r *receiver) incomplete(lacks int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.once.taken
	code := exitcode.Combine(append(slices.Collect(maps.Values(l.ended)), exitcode.Interrupted)...)
	return &Failure{
		Code: code, Reason: fmt.Sprintf("%d of the %d files were not offered", lacks, l.count),
		Hints: []string{"run `jetsend receive` again, and ask the contact for the rest"},
	}
}

// onceFailure is the outcome of a batch that came to its end.
func onceFailure(code exitcode.Code) error {
	if code == exitcode.OK {
		return nil
	}
	return &Failure{Code: code, Reason: "not every file was received", Reported: true}
}

// finish ends a run whose batch is over, or given up: what was accepted beside it, the
// rest of a file that is sent, gets the drain. Hooks are waited for by Receive.
func (r *receiver) finish(ctx context.Context, cancel context.CancelCauseFunc) {
	r.close(refuse(errTaken, jingle.Reason{Condition: jingle.Busy}))
	done := make(chan struct{})
	go func() { // ends with the sessions, which Receive waits for
		r.sessions.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(r.terms().Drain):
		cancel(errDrained)
	case <-r.e.sess.Done():
		cancel(errStreamLost)
	case <-ctx.Done():
		cancel(context.Cause(ctx))
	}
	<-done
}
