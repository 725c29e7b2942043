package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"jetsend/internal/contact"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// codeOfReason says what the peer's end of the session means. started tells
// whether a byte of the file has been handed to a transport.
func codeOfReason(r jingle.Reason, started bool) exitcode.Code {
	if d, known := detailNamed(detailOf(r)); known {
		return d.code
	}
	switch r.Condition {
	case jingle.UnsupportedApplications, jingle.UnsupportedTransports, jingle.IncompatibleParameters,
		jingle.FailedApplication, jingle.MediaError: // the client's own trouble with what it was offered
		return exitcode.Incapable
	case jingle.SecurityError:
		if started {
			return exitcode.Integrity
		}
		return exitcode.Untrusted
	case jingle.ConnectivityError, jingle.FailedTransport, jingle.Timeout, jingle.Expired, jingle.AlternativeSession:
		return exitcode.Interrupted
	case jingle.Success:
		return exitcode.Integrity // before it could be true
	}
	return exitcode.Declined // decline, cancel, busy, gone; and for a reason that it keeps to itself
}

// errUnconfirmed: the peer said success and did not prove it.
var errUnconfirmed = errors.New("unconfirmed: the contact ended the session without a valid receipt")

// errNoAnswer: the contact did not answer the offer in time.
var errNoAnswer = errors.New("not answered in time")

// errSilent: the contact's client, which has nobody to ask, did not answer in time.
var errSilent = errors.New("the contact's client does not answer")

// errNotThere: the contact's client did not even acknowledge the offer.
var errNotThere = errors.New("the contact's client does not respond")

// errDeclined: our own side said no.
var errDeclined = errors.New("declined")

// errReplayed: a file was received under the secret of this offer before. Nobody but
// who carries the stanzas makes such an offer.
var errReplayed = errors.New("the file of this offer was received before: the offer was played back on its way")

// errUnfit: another client answered with something that does not fit the offer.
var errUnfit = errors.New("unfit answer")

// errPrefix: the bytes that the receiver has are not the first ones of the file.
var errPrefix = errors.New("the receiver's part of the file differs: starting over")

// errChecksum: a file put together from several sessions is not the sender's.
var errChecksum = errors.New("the file that was put together is not the sender's")

// errNextPart: the session carried its part of the file, and the next is to come.
var errNextPart = errors.New("the next part of the file has not come")

// errSuperseded: the contact began a newer session for the same transfer.
var errSuperseded = errors.New("another session goes on with the transfer")

// errNoProgress: a session carried nothing that the receiver did not have before.
var errNoProgress = errors.New("the transfer makes no progress")

// errPeerGone: the contact's client does not know the session any more.
var errPeerGone = errors.New("the contact's client is gone")

// errOutput: what reads our output takes no more of it.
var errOutput = errors.New("write to standard output")

// errPaused: our user stopped the transfer by hand, so that it is not handed out.
var errPaused = errors.New("the transfer is paused here")

// errGone: the transfer is over here, so that it is not handed out any more.
var errGone = errors.New("the transfer is over here")

// errInUse: the contact answered a request with busy, because a session of its own
// for the transfer lives, or seems to.
var errInUse = errors.New("the contact's own session is at the transfer")

// errRunning: another process is at the transfer.
var errRunning = errors.New("the transfer is running in another process")

// errDrained: the time is over that a receiver gives to what runs when it stops. To
// the sender it is an interruption: the receiver may be back in a moment.
var errDrained = fmt.Errorf("%w: the time to stop is over", ErrTerminated)

// errRefused: the contact does not hand out what we asked for, or is told so by us.
var errRefused = errors.New("there is nothing to go on with")

// saysSuccess tells whether the peer ended the session with success.
func saysSuccess(err error) bool {
	var ended *endedByPeer
	return errors.As(err, &ended) && ended.reason.Condition == jingle.Success
}

// errStreamLost: the connection to the server went away under a transfer.
var errStreamLost = contact.ErrLost

// failureOf gives an error of a transfer its exit code and hints.
func failureOf(err error, started bool) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	f = &Failure{Err: err, Reason: err.Error()}
	f.Code, f.Hints = classify(err, started)
	var trust *omemo.TrustError
	if f.Code == exitcode.Untrusted && errors.As(err, &trust) { // the rest of the chain tells nobody more
		f.Err, f.Reason = trust, trust.Error()
	}
	return f
}

// causeOf prefers the reason why ctx ended over what that did to a call.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

func classify(err error, started bool) (exitcode.Code, []string) {
	var ended *endedByPeer
	var trust *omemo.TrustError
	var refused *offerRefused
	var iq *stanza.Error
	var path *fs.PathError
	var folder *inbox.FolderError
	switch {
	case errors.Is(err, ErrInterrupted):
		return exitcode.Cancelled, nil
	case errors.Is(err, ErrTerminated):
		return exitcode.Terminated, nil
	case state.Full(err): // whatever that kept us from
		return exitcode.LocalFile, []string{"free space in the state directory"}
	case isDamaged(err):
		path, _ := state.Damaged(err)
		return exitcode.Config, DamagedHints(path)
	case errors.As(err, &folder):
		return exitcode.LocalFile, folderHints(folder)
	case errors.Is(err, errInUse): // whatever it was said with
		return exitcode.Interrupted, nil
	case errors.As(err, &ended):
		return codeOfReason(ended.reason, started), ended.hints()
	case errors.As(err, &trust):
		return exitcode.Untrusted, TrustHints(trust)
	case errors.Is(err, omemo.ErrNoPrekeys):
		return exitcode.Untrusted, []string{"the contact's client publishes new one-time keys when it is online: try again then", "if it was online meanwhile, its server may be holding them back"}
	case errors.Is(err, omemo.ErrNoDevice):
		return exitcode.Untrusted, []string{noOMEMO}
	case errors.Is(err, omemo.ErrNotForUs), errors.Is(err, omemo.ErrEnvelope),
		errors.Is(err, omemo.ErrUnknownDevice), errors.Is(err, omemo.ErrTooManyDevices):
		return exitcode.Untrusted, nil
	case errors.Is(err, crypto.ErrAuthentication), errors.Is(err, crypto.ErrTrailingData), errors.Is(err, errChecksum), errors.Is(err, errSealed), errors.Is(err, errOffer), errors.Is(err, errReplayed):
		return exitcode.Integrity, nil
	case errors.Is(err, inbox.ErrTooLong):
		return exitcode.Integrity, nil
	case errors.Is(err, errNoAnswer), errors.Is(err, errDeclined), errors.Is(err, errRefused), errors.Is(err, errPaused), errors.Is(err, errGone), errors.Is(err, errAbandoned):
		return exitcode.Declined, nil
	case localDetail(err) != "", errors.Is(err, errRunning), errors.Is(err, journal.ErrRunning):
		return exitcode.LocalFile, localHints(err)
	case errors.Is(err, errNotThere):
		return exitcode.Offline, nil
	case errors.Is(err, errNoTransport), errors.Is(err, errUnfit), errors.Is(err, ibb.ErrMalformed), errors.Is(err, ibb.ErrMessages),
		errors.Is(err, crypto.ErrTooLong):
		return exitcode.Incapable, nil
	case errors.Is(err, session.ErrSessionLost), errors.Is(err, session.ErrClosed), errors.Is(err, errPrefix), errors.Is(err, errSuperseded), errors.Is(err, errNextPart), errors.Is(err, errPeerGone), errors.Is(err, errNoProgress),
		errors.Is(err, errUnconfirmed), errors.Is(err, errSilent), errors.Is(err, errIdle), errors.Is(err, errStreamLost), errors.Is(err, s5b.ErrNoCandidate),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return exitcode.Interrupted, nil
	case errors.As(err, &refused):
		return codeOfIQ(refused.answer), nil
	case errors.As(err, &iq): // of a later phase: the path or the server, not the offer
		return exitcode.Interrupted, nil
	case errors.As(err, &path): // of the state directory, or of another place of ours
		return exitcode.LocalFile, nil
	case isNetwork(err), errors.Is(err, errEnded), errors.Is(err, jingle.ErrEnded), errors.Is(err, jingle.ErrOutOfOrder),
		errors.Is(err, s5b.ErrProtocol), errors.Is(err, s5b.ErrClosed), errors.Is(err, ibb.ErrProtocol):
		return exitcode.Interrupted, nil
	}
	return exitcode.Unexpected, nil
}

// codeOfIQ says what an error answer to the offer means (RFC 6120 section 8.3.3).
func codeOfIQ(e *stanza.Error) exitcode.Code {
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

// reasonFor says to the peer why we end a session.
func reasonFor(err error) jingle.Reason {
	code, _ := classify(err, true)
	local := localDetail(err)
	switch {
	case errors.Is(err, errDrained):
		return jingle.Reason{Condition: jingle.Expired}
	case errors.Is(err, ErrInterrupted):
		return detailed(jingle.Cancel, detailPaused)
	case errors.Is(err, ErrTerminated), errors.Is(err, errNoAnswer):
		return jingle.Reason{Condition: jingle.Cancel}
	case errors.Is(err, errRefused): // one and the same for whatever cannot be had
		return jingle.Reason{Condition: jingle.Decline}
	case errors.Is(err, errPaused):
		return declined(detailPaused)
	case errors.Is(err, errGone): // a decline whatever the detail: it is all that an older jetsend knows
		return declined(cmp.Or(local, detailGone))
	case errors.Is(err, errPrefix), errors.Is(err, errSuperseded):
		return jingle.Reason{Condition: jingle.AlternativeSession}
	case errors.Is(err, errRunning), errors.Is(err, journal.ErrRunning):
		return detailed(jingle.Busy, detailConflict)
	case local == detailUnpack:
		return declined(local)
	case errors.Is(err, errDeclined):
		return declined(detailPolicy)
	case local != "":
		return detailed(jingle.FailedApplication, local)
	case errors.Is(err, errIdle):
		return jingle.Reason{Condition: jingle.Timeout}
	case code == exitcode.Integrity, code == exitcode.Untrusted:
		return jingle.Reason{Condition: jingle.SecurityError}
	case code == exitcode.Interrupted:
		return jingle.Reason{Condition: jingle.ConnectivityError}
	case code == exitcode.LocalFile, code == exitcode.Config:
		return detailed(jingle.FailedApplication, detailDisk)
	}
	return jingle.Reason{Condition: jingle.GeneralError}
}
