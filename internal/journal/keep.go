package journal

import "time"

// reason says why a row is in the journal. It is not written down: it follows from what is.
type reason string

const (
	keepRun     reason = "run"     // a process is at it, or has died; that is settled first
	keepResume  reason = "resume"  // the transfer can go on
	keepRelease reason = "release" // the file is whole, here: the next receiver ends its release
	keepAnswer  reason = "answer"  // it is over: people ask for it, and peers
	keepDiscard reason = "discard" // it is forgotten, and what is on the disk has to go first
)

// keep is why the row is there.
func (r *Row) keep() reason {
	switch {
	case r.State.Live():
		return keepRun
	case r.State == Interrupted && r.Phase.Verified():
		return keepRelease
	case r.State == Interrupted:
		return keepResume
	case r.State == Forgotten && r.remains():
		return keepDiscard
	}
	return keepAnswer
}

// until is when the row goes, in a run that keeps interrupted transfers for keepFor (0:
// for ever). Not all of them do. It is not written down either: each run has a rule of its own.
func (r *Row) until(keepFor time.Duration) (at time.Time, goes bool) {
	switch r.keep() {
	case keepResume:
		return r.Moved.Add(keepFor), keepFor > 0
	case keepAnswer, keepDiscard:
		return r.Finished.Add(max(keepFor, FinishedFor)), true
	}
	return time.Time{}, false
}
