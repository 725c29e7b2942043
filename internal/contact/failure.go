package contact

import (
	"errors"
	"fmt"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/stanza"
)

// Failure says why nobody was found, or may be sent to.
type Failure struct {
	Code   exitcode.Code
	Reason string   // one line, cleaned, lower case
	Hints  []string // exact next commands or the one thing to change
	Err    error    // may be nil
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

// ErrLost means that the connection to the server went away while somebody was looked for.
var ErrLost = errors.New("connection to the server lost")

// unreached reports whether an error answer says that the client is not there.
func unreached(e *stanza.Error) bool {
	switch e.Condition {
	case stanza.ServiceUnavailable, stanza.RecipientUnavailable, stanza.ItemNotFound, "remote-server-not-found", "remote-server-timeout", "gone", "redirect":
		return true
	}
	return false
}

// longer is the hint to wait longer than a time that was not enough.
func longer(flag string, least, had time.Duration) string {
	return fmt.Sprintf("wait longer with `--%s %dm`", flag, int(max(least, 2*had).Minutes()))
}
