package fault

import (
	"errors"
	"fmt"
	"strings"

	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// The causes with which a caller cancels the context of a run. A transfer in
// flight is ended with <cancel/> and the exit code of the cause.
var (
	// ErrInterrupted is SIGINT: exit code 130.
	ErrInterrupted = errors.New("interrupted")
	// ErrTerminated is SIGTERM or SIGHUP: exit code 143.
	ErrTerminated = errors.New("terminated")
	// ErrDrained: the time is over that a receiver gives to what runs when it stops. To
	// the sender it is an interruption: the receiver may be back in a moment.
	ErrDrained = fmt.Errorf("%w: the time to stop is over", ErrTerminated)
)

// What ends a session although nothing is wrong with it.
var (
	// ErrSuperseded: the contact began a newer session for the same transfer.
	ErrSuperseded = errors.New("another session has taken over the transfer")
	// ErrNextPart: the session carried its part of the file, and the next is to come.
	ErrNextPart = errors.New("the next part of the file has not come")
	// ErrInUse: the contact answered a request with busy, because a session of its own
	// for the transfer lives, or seems to.
	ErrInUse = errors.New("the contact's own session carries the transfer")
	// ErrRunning: another process is at the transfer.
	ErrRunning = errors.New("the transfer is running in another process")
)

// What becomes of an offer, or of a request for the rest.
var (
	// ErrNoAnswer: the contact did not answer the offer in time.
	ErrNoAnswer = errors.New("not answered in time")
	// ErrSilent: the contact's client, which has nobody to ask, did not answer in time.
	ErrSilent = errors.New("the contact's client does not answer")
	// ErrNotThere: the contact's client did not even acknowledge the offer.
	ErrNotThere = errors.New("the contact's client does not respond")
	// ErrDeclined: our own side said no.
	ErrDeclined = errors.New("declined")
	// ErrRefused: the contact does not hand out what we asked for, or is told so by us.
	ErrRefused = errors.New("nothing to resume")
	// ErrPaused: our user stopped the transfer by hand, so that it is not handed out.
	ErrPaused = errors.New("the transfer is paused here")
	// ErrGone: the transfer is over here, so that it is not handed out any more.
	ErrGone = errors.New("the transfer is over here")
	// ErrAbandoned: the sender has told that it gave the transfer up.
	ErrAbandoned = errors.New("the contact has given the transfer up")
	// ErrReplayed: a file was received under the secret of this offer before. Only
	// somebody who carries the stanzas makes such an offer.
	ErrReplayed = errors.New("the file of this offer was received before: the offer was replayed on its way")
	// ErrUnfit: another client answered with something that does not fit the offer.
	ErrUnfit = errors.New("unfit answer")
	// ErrNoTransport: the ends have no transport in common.
	ErrNoTransport = errors.New("no transport that both ends allow")
)

// What goes wrong while a file moves.
var (
	// ErrStreamLost: the connection to the server went away under a transfer.
	ErrStreamLost = errors.New("connection to the server lost")
	// ErrEnded: the session ended while its bytestream was wanted.
	ErrEnded = errors.New("session ended")
	// ErrPeerGone: the contact's client does not know the session any more.
	ErrPeerGone = errors.New("the contact's client is gone")
	// ErrNoProgress: a session carried nothing that the receiver did not have before.
	ErrNoProgress = errors.New("the transfer makes no progress")
	// ErrUnconfirmed: the peer said success and did not prove it.
	ErrUnconfirmed = errors.New("unconfirmed: the contact ended the session without a valid receipt")
	// ErrPrefix: the bytes that the receiver has are not the first ones of the file.
	ErrPrefix = errors.New("the receiver's part of the file differs: starting over")
	// ErrChecksum: a file put together from several sessions is not the sender's.
	ErrChecksum = errors.New("the file that was put together is not the sender's")
	// ErrOutput: what reads our output takes no more of it.
	ErrOutput = errors.New("write to standard output")
)

// Refusal is an offer that this end does not take, and what it says about that.
type Refusal struct {
	Err    error
	Reason jingle.Reason
}

// Refuse makes err a [Refusal].
func Refuse(err error, reason jingle.Reason) *Refusal { return &Refusal{err, reason} }

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns why.
func (r *Refusal) Unwrap() error { return r.Err }

// OfferError is an error in answer to an offer itself. Stanza errors of later phases mean
// other things.
type OfferError struct{ Answer *stanza.Error }

// Error implements error.
func (e *OfferError) Error() string {
	if CodeOfAnswer(e.Answer) == exitcode.Offline { // what a stranger is told, too
		return "the contact's client takes no offer from you: it has gone, or its rules do not admit you (" + strings.TrimPrefix(e.Answer.Error(), "stanza error ") + ")"
	}
	return e.Answer.Error()
}

// Unwrap returns the answer.
func (e *OfferError) Unwrap() error { return e.Answer }
