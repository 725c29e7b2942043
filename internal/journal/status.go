package journal

import (
	"errors"
	"fmt"
)

// State says where a transfer stands.
//
//	             Begin, Offer
//	         ┌────────────────────────────────┐
//	 Begin   ▼     Run           Interrupt    │
//	─────▶ offered ─────▶ running ─────▶ interrupted
//	         │               │  │             │ │
//	         │   Complete    │  │    Fail     │ │
//	         ├──────┬────────┘  └──────┬──────┘ │
//	         │      ▼                  ▼        │
//	         │   complete            failed     │
//	         │      │    Forget        │        │
//	         ·      └─────────┬────────┴────────┘
//	                          ▼
//	                      forgotten
//
// In full, since lines cross:
//
//	(none)      ─▶ offered      Begin
//	offered     ─▶ offered      Offer, to the next resource
//	offered     ─▶ running      Run
//	offered     ─▶ complete     Complete: it had been released before
//	offered     ─▶ interrupted  Interrupt, Release, crash
//	offered     ─▶ failed       Fail
//	running     ─▶ complete     Complete
//	running     ─▶ interrupted  Interrupt, Release, crash
//	running     ─▶ failed       Fail
//	interrupted ─▶ offered      Begin, Offer
//	interrupted ─▶ interrupted  Interrupt, before an offer went out
//	interrupted ─▶ failed       Fail
//	interrupted ─▶ forgotten    Forget, Expire
//	complete    ─▶ forgotten    Forget, Expire
//	failed      ─▶ forgotten    Forget, Expire
//
// Crash is what becomes of a row whose process died: offered or running while
// the lock of the transfer is free. Every change that is not listed is an error,
// [ErrState]. When a peer offers a transfer again that has failed here, or that
// was forgotten before it was complete, Begin puts a new row in place of the
// old one: nothing of it is taken over. We never do so ourselves.
type State string

// The states of a transfer.
const (
	// Offered: a session is being agreed on; its bytes do not move yet.
	Offered State = "offered"
	// Running: the session of the moment moves bytes.
	Running State = "running"
	// Interrupted: it can be taken up again. While its lock is held, a process
	// is about to do so.
	Interrupted State = "interrupted"
	// Complete: released at the receiver; known to be so at the sender.
	Complete State = "complete"
	// Failed: ended without its file, and not to be taken up again.
	Failed State = "failed"
	// Forgotten: the user wants to hear no more of it. The part of the row that
	// is left keeps a file that was released from being released twice.
	Forgotten State = "forgotten"
)

// States are those of the transfers that the user has not forgotten.
func States() []State { return []State{Offered, Running, Interrupted, Complete, Failed} }

// ErrState means that a transfer cannot go from the state in which it is to the
// one that was asked for. Use errors.Is.
var ErrState = errors.New("transfer is not in a state for this")

// Live reports whether a process works on the transfer, or died doing so.
func (s State) Live() bool { return s == Offered || s == Running }

// Over reports whether nothing more will come of the transfer.
func (s State) Over() bool { return s == Complete || s == Failed || s == Forgotten }

// leadsTo reports whether the list has an arrow from s to the other state. The
// empty State is that of a transfer without a row.
func (s State) leadsTo(to State) bool {
	switch s {
	case "":
		return to == Offered
	case Offered:
		return to == Offered || to == Running || to == Interrupted || to == Complete || to == Failed
	case Running:
		return to == Interrupted || to == Complete || to == Failed
	case Interrupted:
		return to == Offered || to == Interrupted || to == Failed || to == Forgotten
	case Complete, Failed:
		return to == Forgotten
	}
	return false
}

// change is the one place where a State changes. at is the time of the change;
// that of the end of a transfer is the first one.
func (r *Row) change(to State, at milli) error {
	if !r.State.leadsTo(to) {
		return fmt.Errorf("%w: from %q to %q", ErrState, r.State, to)
	}
	if r.State == Running && r.Direction == Send { // who learns only later how far it came
		r.Moved = at.time()
	}
	r.State, r.Updated, r.Paused, r.Declined = to, at.time(), NotPaused, false
	if to.Over() && r.Finished.IsZero() {
		r.Finished = r.Updated
	}
	return nil
}
