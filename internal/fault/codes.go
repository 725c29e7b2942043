package fault

import (
	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// usual is what errors of one exit code have in common.
type usual struct {
	retry             rule // whether the same run tries again
	sender            rule // whether a sender may take the transfer up again
	condition, detail string
}

// usually is what holds for an exit code, for the kinds that say nothing else. A sender
// goes on after every loss, and after anything else once the receiver has accepted the
// file.
func usually(code exitcode.Code) usual {
	switch code {
	case exitcode.Interrupted:
		return usual{always, always, jingle.ConnectivityError, ""}
	case exitcode.Offline:
		return usual{ifKnown, ifKnown, jingle.GeneralError, ""}
	case exitcode.Integrity:
		return usual{never, always, jingle.SecurityError, ""}
	case exitcode.Untrusted:
		return usual{never, ifKnown, jingle.SecurityError, ""}
	case exitcode.LocalFile, exitcode.Config:
		return usual{never, ifKnown, jingle.FailedApplication, DetailDisk}
	case exitcode.Cancelled, exitcode.Terminated, exitcode.Unexpected:
		return usual{never, always, jingle.GeneralError, ""}
	}
	return usual{never, ifKnown, jingle.GeneralError, ""}
}

// codeOfCondition says what a peer's end of the session means that has no detail of its
// own (XEP-0166 section 7.4); early is the code before the first byte, where that is
// another one.
func codeOfCondition(condition string) (code, early exitcode.Code) {
	switch condition {
	case jingle.UnsupportedApplications, jingle.UnsupportedTransports, jingle.IncompatibleParameters,
		jingle.FailedApplication, jingle.MediaError: // the client's own trouble with what it was offered
		return exitcode.Incapable, exitcode.OK
	case jingle.SecurityError:
		return exitcode.Integrity, exitcode.Untrusted
	case jingle.ConnectivityError, jingle.FailedTransport, jingle.Timeout, jingle.Expired, jingle.AlternativeSession:
		return exitcode.Interrupted, exitcode.OK
	case jingle.Success:
		return exitcode.Integrity, exitcode.OK // before it could be true
	}
	return exitcode.Declined, exitcode.OK // decline, cancel, busy, gone; and for a reason that it keeps to itself
}

// CodeOfAnswer says what an error answer to the offer means (RFC 6120 section 8.3.3).
// Offline is an answer of a server, or of a client that has gone.
func CodeOfAnswer(e *stanza.Error) exitcode.Code {
	switch e.Condition {
	case stanza.NotAcceptable:
		return exitcode.Untrusted
	case stanza.ServiceUnavailable, stanza.RecipientUnavailable, stanza.ItemNotFound, "remote-server-not-found", "remote-server-timeout", "gone", "redirect":
		return exitcode.Offline
	case stanza.Forbidden, stanza.NotAllowed, stanza.NotAuthorized, stanza.ResourceConstraint, stanza.Conflict,
		"policy-violation", "registration-required", "subscription-required":
		return exitcode.Declined
	}
	return exitcode.Incapable // it does not understand the offer, or has trouble of its own with it
}
