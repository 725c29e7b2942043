package fault

import (
	"errors"

	"jetsend/internal/exitcode"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
)

// Unreachable is the loss of the server, for that reason, as the end of a run. One that
// takes us in no more, when it was to be logged in to again, has refused a login like any
// other. A receiver's resource belongs to its state directory, "" for a run that is none:
// a process that has taken it has a copy of that, and to come back would only take it
// from that process in turn.
func Unreachable(err error, stateDir string) *Failure {
	if err == nil {
		err = ErrStreamLost
	}
	f := &Failure{Code: exitcode.Unreachable, Reason: err.Error(), Err: err}
	var (
		auth   *session.AuthError
		stream *session.StreamError
	)
	switch {
	case errors.As(err, &auth):
		f.Code = exitcode.Login
	case stateDir != "" && errors.As(err, &stream) && stream.Condition == stanza.Conflict:
		f.Code = exitcode.Config
		f.Hints = []string{"another `jetsend receive` seems to run with a copy of the state directory " + stateDir +
			": end one, and give it a directory of its own with --state-dir"}
	}
	return f
}
