package transfer

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/hook"
	"jetsend/internal/journal"
)

// begun is a transfer that this run has taken part in, from the accept of its
// first session until its end is reported: a transfer has one end in a run,
// however many sessions it takes and wherever they fail.
type begun struct {
	head     Head
	sessions int       // that are at it
	until    time.Time // when it is given up, while no session is at it
	err      error     // how the last one ended
}

// rowKey names the transfer in a run, as it does in the journal.
func rowKey(h Head) journal.Key {
	return journal.Key{ID: h.Transfer, Direction: journal.Direction(h.Direction)}
}

// sessionEnd is how a session of a transfer ended.
type sessionEnd struct {
	terms     *terms
	head      Head
	done      bool // the transfer is complete, which has been reported
	err       error
	moved     int64 // bytes of the file so far
	resumable bool
}

// begin notes that a session is at the transfer.
func (r *receiver) begin(head Head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rowKey(head)
	b := r.begun[key]
	if b == nil {
		b = &begun{}
		r.begun[key] = b
	}
	b.head = head
	b.sessions++
}

// take tells whether the end of the transfer was to be reported later, and leaves
// that to the caller.
func (r *receiver) take(head Head) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun := r.begun[rowKey(head)] != nil
	delete(r.begun, rowKey(head))
	return begun
}

// unbegun reports, by fail, a session that came to nothing before it was taken,
// unless its transfer has begun in this run and may still go on: then only our own
// refusal is its end.
func (r *receiver) unbegun(in *incoming, err error, fail func() exitcode.Code) {
	key := rowKey(in.head)
	var ours *refusal
	refused := errors.As(err, &ours)
	r.mu.Lock()
	b := r.begun[key]
	over := b != nil && b.sessions == 0 && refused
	if over {
		delete(r.begun, key)
	}
	r.mu.Unlock()
	switch {
	case over:
		r.end(in.head.Transfer, fail())
	case b == nil:
		r.missed(in, fail())
	}
}

// complete notes that the transfer has come to its good end, which has been
// reported.
func (r *receiver) complete(head Head) {
	r.mu.Lock()
	delete(r.begun, rowKey(head))
	r.mu.Unlock()
	if head.Direction == Receive {
		r.end(head.Transfer, exitcode.OK)
	}
}

// released notes that a file has been reported as received, whatever is still said
// about it, and runs the hook.
func (r *receiver) released(h *hook.Config, of Received) {
	r.mu.Lock()
	delete(r.begun, rowKey(of.Head))
	r.mu.Unlock()
	r.runHook(h, of)
}

// left notes how a session ended. What was interrupted waits for the next session,
// of the contact or of ours; everything else is reported as the end.
func (r *receiver) left(e sessionEnd) {
	if e.done {
		r.complete(e.head)
		return
	}
	f := failureOf(e.err, true)
	quiet := errors.Is(e.err, errSuperseded) || errors.Is(e.err, errNextPart)
	if stays := r.stay(e, quiet, f.Code); !stays {
		r.e.cfg.Report(Failed{Head: e.head, Code: int(f.Code), Reason: clean.Error(f), Resumable: e.resumable, Hints: f.Hints})
		if e.head.Direction == Receive {
			r.end(e.head.Transfer, f.Code)
		}
		return
	}
	r.look()
	if !quiet {
		r.e.cfg.Report(Interrupted{Head: e.head, Bytes: e.moved, Reason: clean.Error(e.err)})
	}
}

// stay decides whether the transfer waits for another session.
func (r *receiver) stay(e sessionEnd, quiet bool, code exitcode.Code) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rowKey(e.head)
	b := r.begun[key]
	if b == nil { // reported meanwhile
		return true
	}
	b.sessions--
	patience := e.terms.Retry.For
	if r.closed || e.terms.Retry.Retries == 0 {
		patience = 0
	}
	if quiet { // what comes next needs time to begin
		patience = max(patience, 2*r.e.timing.takeTime)
	}
	if b.sessions == 0 && (patience == 0 || !quiet && (code != exitcode.Interrupted || !e.resumable)) {
		delete(r.begun, key)
		return false
	}
	b.err, b.until = e.err, time.Now().Add(patience)
	return true
}

// over reports a transfer that no session can bring any more, as the sender has said
// when it was asked for the rest.
func (r *receiver) over(head Head, err error) {
	f := failureOf(err, true)
	begun := r.take(head)
	r.e.cfg.Report(Failed{Head: head, Code: int(f.Code), Reason: clean.Error(f), Hints: f.Hints})
	if begun {
		r.end(head.Transfer, f.Code)
	}
}

// giveUp reports the end of the transfers that have waited too long. It returns
// how long it is until the next one has.
func (r *receiver) giveUp(ctx context.Context, now time.Time) time.Duration {
	over, next := r.waited(now)
	for _, key := range over {
		row, err := r.e.rowNow(ctx, journal.Row{Key: key})
		switch {
		case err != nil:
			r.e.log.Warn("journal", "transfer", key.ID, "error", err)
		case row.State.Live(): // a request of ours, or another process
			r.postpone(key, now.Add(lookAtLeast))
		default:
			r.part(key, row)
		}
	}
	return next
}

// giveUpAll reports the end of all, at the end of the run, which has the cause. That
// a user stopped it by hand is a pause for those that wait, as it is for those that run.
func (r *receiver) giveUpAll(ctx context.Context, cause error) {
	over, _ := r.waited(time.Now().AddDate(1000, 0, 0))
	for _, key := range over {
		if errors.Is(cause, ErrInterrupted) {
			r.e.pause(key)
		}
		row, err := r.e.rowNow(ctx, journal.Row{Key: key})
		if err != nil {
			r.e.log.Warn("journal", "transfer", key.ID, "error", err)
		}
		r.part(key, row)
	}
}

// waited are the transfers that have waited too long, and how long it is until the
// next one has.
func (r *receiver) waited(now time.Time) (over []journal.Key, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = lookAtLeast
	for key, b := range r.begun {
		switch {
		case b.sessions > 0:
		case now.After(b.until):
			over = append(over, key)
		default:
			next = min(next, b.until.Sub(now)+time.Millisecond)
		}
	}
	return over, next
}

// postpone has a transfer wait longer.
func (r *receiver) postpone(key journal.Key, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.begun[key]; b != nil {
		b.until = later(b.until, until)
	}
}

// part reports the end of a transfer that no session is at, as its row has it:
// another process may have brought it to its good end, or forgotten it.
func (r *receiver) part(key journal.Key, row journal.Row) {
	r.mu.Lock()
	b := r.begun[key]
	over := b != nil && b.sessions == 0
	if over {
		delete(r.begun, key)
	}
	r.mu.Unlock()
	if !over { // a session has come meanwhile
		return
	}
	code := exitcode.OK
	switch {
	case !row.Released:
		f := failureOf(b.err, true)
		code = f.Code
		goesOn := row.State == journal.Interrupted || row.State.Live()
		r.e.cfg.Report(Failed{Head: b.head, Code: int(code), Reason: clean.Error(f), Resumable: goesOn, Hints: f.Hints})
	case b.head.Direction == Receive:
		r.e.reportReleased(b.head, row)
	default:
		r.e.cfg.Report(Sent{Head: b.head, Size: row.Size, VerifiedByPeer: row.Profile})
	}
	if b.head.Direction == Receive {
		r.end(key.ID, code)
	}
}
