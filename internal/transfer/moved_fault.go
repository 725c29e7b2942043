package transfer

import (
	"context"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// The old names of what is in package fault.
type (
	// Failure is fault.Failure.
	Failure = fault.Failure

	endedByPeer  = fault.Ended
	refusal      = fault.Refusal
	offerRefused = fault.OfferError
)

var (
	// ErrInterrupted is fault.ErrInterrupted.
	ErrInterrupted = fault.ErrInterrupted
	// ErrTerminated is fault.ErrTerminated.
	ErrTerminated = fault.ErrTerminated

	errDrained     = fault.ErrDrained
	errSuperseded  = fault.ErrSuperseded
	errNextPart    = fault.ErrNextPart
	errInUse       = fault.ErrInUse
	errRunning     = fault.ErrRunning
	errNoAnswer    = fault.ErrNoAnswer
	errSilent      = fault.ErrSilent
	errNotThere    = fault.ErrNotThere
	errDeclined    = fault.ErrDeclined
	errRefused     = fault.ErrRefused
	errPaused      = fault.ErrPaused
	errGone        = fault.ErrGone
	errAbandoned   = fault.ErrAbandoned
	errReplayed    = fault.ErrReplayed
	errUnfit       = fault.ErrUnfit
	errNoTransport = fault.ErrNoTransport
	errStreamLost  = fault.ErrStreamLost
	errPeerGone    = fault.ErrPeerGone
	errNoProgress  = fault.ErrNoProgress
	errUnconfirmed = fault.ErrUnconfirmed
	errPrefix      = fault.ErrPrefix
	errChecksum    = fault.ErrChecksum
	errOutput      = fault.ErrOutput
)

const (
	detailNoSpace       = fault.DetailNoSpace
	detailTooBig        = fault.DetailTooBig
	detailPolicy        = fault.DetailPolicy
	detailExists        = fault.DetailExists
	detailConflict      = fault.DetailConflict
	detailSourceChanged = fault.DetailSourceChanged
	detailSource        = fault.DetailSource
	detailDisk          = fault.DetailDisk
	detailFileSize      = fault.DetailFileSize
	detailUnpack        = fault.DetailUnpack
	detailOutput        = fault.DetailOutput
	detailPaused        = fault.DetailPaused
	detailGone          = fault.DetailGone
)

func refuse(err error, reason jingle.Reason) *refusal     { return fault.Refuse(err, reason) }
func failureOf(err error, started bool) *Failure          { return fault.New(err, started) }
func causeOf(ctx context.Context, err error) error        { return fault.Cause(ctx, err) }
func notBegun(err error) error                            { return fault.NotBegun(err) }
func away(err error) error                                { return fault.Away(err) }
func inUse(err error) error                               { return fault.InUse(err) }
func declined(detail string) jingle.Reason                { return fault.Reason(jingle.Decline, detail) }
func detailOf(r jingle.Reason) string                     { return fault.DetailOf(r) }
func codeOfIQ(e *stanza.Error) exitcode.Code              { return fault.CodeOfAnswer(e) }
func saysSuccess(err error) bool                          { return fault.Of(err).Said(jingle.Success) }
func saysNo(err error) bool                               { return fault.Of(err).Declined }
func overThere(err error) bool                            { return fault.Of(err).Over }
func unanswered(err error) bool                           { return fault.Of(err).Unanswered }
func unopened(err error) bool                             { return fault.Of(err).Unopened }
func notAcceptable(err error) bool                        { return fault.Of(err).Answered(stanza.NotAcceptable) }
func grouped(fingerprint string) string                   { return fault.Grouped(fingerprint) }
func longer(flag string, least, had time.Duration) string { return fault.Longer(flag, least, had) }

func classify(err error, started bool) (exitcode.Code, []string) {
	k := fault.Of(err)
	return k.CodeAt(started), k.Hints
}

func codeOfReason(r jingle.Reason, started bool) exitcode.Code {
	return fault.Of(&fault.Ended{Reason: r}).CodeAt(started)
}
