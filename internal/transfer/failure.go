package transfer

import (
	"errors"

	"jetsend/internal/exitcode"
)

// Failure is an error that knows its exit code and what the user can do.
type Failure struct {
	Code      exitcode.Code
	Reason    string   // one line, cleaned, lower case
	Hints     []string // exact next commands or the one thing to change
	Resumable bool
	Reported  bool // its events have been emitted; only code and hints are left
	// NotBegun is what a Send that was stopped had not come to: no transfer of it
	// exists that could be resumed.
	NotBegun []Source
	Err      error // may be nil
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

// The causes with which a caller cancels the context of a run. A transfer in
// flight is ended with <cancel/> and the exit code of the cause.
var (
	// ErrInterrupted is SIGINT: exit code 130.
	ErrInterrupted = errors.New("interrupted")
	// ErrTerminated is SIGTERM or SIGHUP: exit code 143.
	ErrTerminated = errors.New("terminated")
)
