package transfer

import (
	"errors"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
)

// parked is a transfer that was interrupted in this run and may go on in it: the
// contact's new session, or a request of ours, takes it up.
type parked struct {
	head  Head
	until time.Time
	err   error
}

// park keeps an interrupted transfer for a while instead of reporting its end.
// It tells whether it does.
func (r *receiver) park(d *download, err error) bool {
	if errors.Is(err, errSuperseded) {
		return true // the session that took its place tells the rest
	}
	if failureOf(err, true).Code != exitcode.Interrupted {
		return false
	}
	r.mu.Lock()
	how := r.opt().Retry
	stays := !r.closed && how.Retries > 0 && how.For > 0
	if stays {
		r.parked[d.head.Transfer] = &parked{head: d.head, until: time.Now().Add(how.For), err: err}
	}
	r.mu.Unlock()
	r.look()
	if stays && !errors.Is(err, errNextPart) {
		r.e.cfg.Report(Interrupted{Head: d.head, Bytes: d.moved, Reason: clean.Text(err.Error())})
	}
	return stays
}

// unpark tells that the transfer goes on.
func (r *receiver) unpark(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.parked, id)
}

// giveUp reports the end of the transfers that have been parked too long. It
// returns how long it is until the next one is.
func (r *receiver) giveUp(now time.Time) time.Duration {
	r.mu.Lock()
	var over []*parked
	next := lookAtLeast
	for id, p := range r.parked {
		if now.After(p.until) {
			over = append(over, p)
			delete(r.parked, id)
		} else {
			next = min(next, p.until.Sub(now)+time.Millisecond)
		}
	}
	r.mu.Unlock()
	for _, p := range over {
		f := failureOf(p.err, true)
		r.e.cfg.Report(Failed{Head: p.head, Code: int(f.Code), Reason: clean.Text(f.Error()), Resumable: true, Hints: f.Hints})
		r.end(f.Code)
	}
	return next
}

// giveUpAll reports the end of all, at the end of the run.
func (r *receiver) giveUpAll() { r.giveUp(time.Now().AddDate(1000, 0, 0)) }
