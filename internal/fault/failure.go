package fault

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/source"
)

// Failure is an error that knows its exit code and what the user can do.
type Failure struct {
	Code      exitcode.Code
	Reason    string   // one line, cleaned, lower case
	Hints     []string // exact next commands or the one thing to change
	Resumable bool
	Reported  bool  // its events have been emitted; only code and hints are left
	Err       error // may be nil
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Err == nil || f.Err.Error() == f.Reason {
		return f.Reason
	}
	return f.Reason + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// NotBegunError is how a `send` ended that was stopped before it had come to all of its
// files.
type NotBegunError struct {
	*Failure
	// Sources are those of which no transfer exists that could be resumed.
	Sources []source.Named
}

// Unwrap returns the failure.
func (e *NotBegunError) Unwrap() error { return e.Failure }

// New gives an error of a transfer its exit code and hints; one that is a Failure has
// them. started reports whether a byte of the file has been handed to a transport.
func New(err error, started bool) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	k := Of(err)
	f = &Failure{Code: k.CodeAt(started), Reason: err.Error(), Hints: k.Hints, Err: err}
	var trust *omemo.TrustError
	if f.Code == exitcode.Untrusted && errors.As(err, &trust) { // the rest of the chain tells nobody more
		f.Err, f.Reason = trust, trust.Error()
	}
	return f
}

// Cause prefers the reason why ctx ended over what that did to a call.
func Cause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

// NotBegun is the error of a session that was stopped before anything of it was under
// way, as the row and the contact are told it. A user who has stopped the program by hand
// may know nothing of it, so that it is no pause of the file.
func NotBegun(err error) error {
	if errors.Is(err, ErrInterrupted) {
		return ErrTerminated
	}
	return err
}

// Away makes of the failure to find a client of the contact what it is after an
// interruption: one more.
func Away(err error) error {
	var f *Failure
	if errors.As(err, &f) && (f.Code == exitcode.Offline || f.Code == exitcode.Incapable) {
		return fmt.Errorf("%w: %s", ErrPeerGone, f.Reason)
	}
	return err
}

// InUse reads the answer to a request of a contact whose own session is at the transfer.
func InUse(err error) error {
	if k := Of(err); k.Said(jingle.Busy) {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}
