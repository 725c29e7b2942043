package fault

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"

	"jetsend/internal/archive"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/session"
	"jetsend/internal/set"
	"jetsend/internal/source"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
	"jetsend/internal/stream"
)

// row is a kind of failure, and how an error of it is known: by one of these, or by what
// is says.
type row struct {
	Kind
	errs []error
	is   func(error) bool
	// of completes the kind from the error, unless it is nil.
	of func(error, *Kind)
}

// matches reports whether err is of the kind.
func (r row) matches(err error) bool {
	for _, e := range r.errs {
		if errors.Is(err, e) {
			return true
		}
	}
	return r.is != nil && r.is(err)
}

// table is every row, in the order in which they are looked at: an error that is of
// several kinds is of the first one. The last row is of every error.
var table = slices.Concat(stops(), statefile(), words(), keys(), integrity(), refusals(), files(), incapable(), losses(), rest())

// stops are the ends that somebody wanted. They come first: whatever that did to a call.
func stops() []row {
	return []row{
		{Kind: Kind{Name: "drained", Code: exitcode.Terminated, Condition: jingle.Expired}, errs: []error{ErrDrained}},
		{Kind: Kind{Name: "stopped by hand", Code: exitcode.Cancelled, Condition: jingle.Cancel, Detail: DetailPaused, Paused: journal.PausedHere}, errs: []error{ErrInterrupted}},
		{Kind: Kind{Name: "terminated", Code: exitcode.Terminated, Condition: jingle.Cancel}, errs: []error{ErrTerminated}},
		{Kind: Kind{Name: "superseded", Code: exitcode.Interrupted, Condition: jingle.AlternativeSession, Quiet: true}, errs: []error{ErrSuperseded}},
	}
}

// statefile is trouble with our own state, whatever that kept us from, and with the
// folder of a contact.
func statefile() []row {
	return []row{
		{Kind: Kind{Name: "state full", Code: exitcode.LocalFile, Detail: DetailNoSpace, Hints: []string{"free space in the state directory"}}, is: state.Full},
		{Kind: Kind{Name: "state damaged", Code: exitcode.Config}, is: func(err error) bool {
			_, is := state.Damaged(err)
			return is
		}, of: func(err error, k *Kind) {
			path, _ := state.Damaged(err)
			k.Hints = DamagedHints(path)
		}},
		{Kind: Kind{Name: "folder", Code: exitcode.LocalFile}, is: as[*inbox.FolderError], of: func(err error, k *Kind) { k.Hints = folderHints(found[*inbox.FolderError](err)) }},
	}
}

// words are what the other end has said.
func words() []row {
	return []row{
		{Kind: Kind{Name: "in use", Code: exitcode.Interrupted, Uncounted: true}, errs: []error{ErrInUse}}, // whatever it was said with
		{Kind: Kind{Name: endedByPeer}, is: as[*Ended], of: func(err error, k *Kind) { *k = found[*Ended](err).kind() }},
	}
}

// keys are devices and envelopes.
func keys() []row {
	return []row{
		{Kind: Kind{Name: "trust", Code: exitcode.Untrusted}, is: as[*omemo.TrustError], of: func(err error, k *Kind) { k.Hints = TrustHints(found[*omemo.TrustError](err)) }},
		{Kind: Kind{Name: "no prekeys", Code: exitcode.Untrusted, Hints: []string{
			"the contact's client publishes new one-time keys when it is online: try again then",
			"if it was online meanwhile, its server may be holding them back",
		}}, errs: []error{omemo.ErrNoPrekeys}},
		{Kind: Kind{Name: "no device", Code: exitcode.Untrusted, Hints: []string{NoOMEMO}}, errs: []error{omemo.ErrNoDevice}},
		{Kind: Kind{Name: "envelope", Code: exitcode.Untrusted}, errs: []error{omemo.ErrNotForUs, omemo.ErrEnvelope, omemo.ErrUnknownDevice, omemo.ErrTooManyDevices}},
	}
}

// integrity is what does not match.
func integrity() []row {
	return []row{
		{Kind: Kind{Name: "hash of the whole", Code: exitcode.Integrity, Spoils: Whole}, errs: []error{ErrChecksum}},
		// Before the tag: a server that carries the stanzas can break a sealed element,
		// which says nothing about the bytes.
		{Kind: Kind{Name: "sealed element", Code: exitcode.Integrity}, errs: []error{profile.ErrSealed}},
		{Kind: Kind{Name: "tag", Code: exitcode.Integrity, Spoils: Session}, errs: []error{crypto.ErrAuthentication, crypto.ErrTrailingData, crypto.ErrRecord}},
		{Kind: Kind{Name: "changed offer", Code: exitcode.Integrity}, errs: []error{profile.ErrOffer}},
		{Kind: Kind{Name: "replayed offer", Code: exitcode.Integrity}, errs: []error{ErrReplayed}},
		{Kind: Kind{Name: "more than announced", Code: exitcode.Integrity, Spoils: Session, receiver: never}, errs: []error{inbox.ErrTooLong}},
	}
}

// refusals are a no, and no answer.
func refusals() []row {
	return []row{
		{Kind: Kind{Name: "no answer", Code: exitcode.Declined, Condition: jingle.Cancel}, errs: []error{ErrNoAnswer}},
		{Kind: Kind{Name: "refused archive", Code: exitcode.Declined, Condition: jingle.Decline, Detail: DetailUnpack, receiver: never}, is: as[*archive.RefusedError]},
		{Kind: Kind{Name: "refused set", Code: exitcode.Declined, Condition: jingle.Decline, Detail: DetailUnpack, receiver: never}, errs: []error{set.ErrMessage}},
		{Kind: Kind{Name: "declined", Code: exitcode.Declined, Condition: jingle.Decline, Detail: DetailPolicy}, errs: []error{ErrDeclined}},
		{Kind: Kind{Name: "not to be had", Code: exitcode.Declined, Condition: jingle.Decline}, errs: []error{ErrRefused}}, // one and the same for whatever cannot be had
		{Kind: Kind{Name: "paused", Code: exitcode.Declined, Condition: jingle.Decline, Detail: DetailPaused}, errs: []error{ErrPaused}},
		// A decline whatever the detail: it is all that an older jetsend knows.
		{Kind: Kind{Name: "changed, when asked", Code: exitcode.Declined, Condition: jingle.Decline, Detail: DetailSourceChanged, sender: never}, is: func(err error) bool {
			return errors.Is(err, ErrGone) && errors.Is(err, source.ErrChanged)
		}},
		{Kind: Kind{Name: "gone", Code: exitcode.Declined, Condition: jingle.Decline, Detail: DetailGone}, errs: []error{ErrGone}},
		{Kind: Kind{Name: "abandoned", Code: exitcode.Declined}, errs: []error{ErrAbandoned}},
	}
}

// files are what is wrong at this end with a file or the disk.
func files() []row {
	return []row{
		{Kind: Kind{Name: "no space", Code: exitcode.LocalFile, Detail: DetailNoSpace, receiver: ifSome, Hints: []string{"free some space on the disk"}}, errs: []error{inbox.ErrNoSpace}},
		{Kind: Kind{Name: "crowded", Code: exitcode.LocalFile, Detail: DetailExists, receiver: never, Hints: []string{
			"move some of them away, or receive into another directory with --dir",
		}}, errs: []error{inbox.ErrCrowded}},
		{Kind: Kind{Name: "exists", Code: exitcode.LocalFile, Detail: DetailExists, receiver: never}, errs: []error{inbox.ErrExists}},
		{Kind: Kind{Name: "file size", Code: exitcode.LocalFile, Detail: DetailFileSize, receiver: never, Hints: []string{"receive it on another disk, with --dir"}}, errs: []error{inbox.ErrFileSize}},
		{Kind: Kind{Name: "source changed", Code: exitcode.LocalFile, Detail: DetailSourceChanged, sender: never, Hints: []string{"send it again, as it is now"}}, errs: []error{source.ErrChanged}},
		{Kind: Kind{Name: "source", Code: exitcode.LocalFile, Detail: DetailSource}, is: as[*source.Error]},
		{Kind: Kind{Name: "output", Code: exitcode.LocalFile, Detail: DetailOutput}, errs: []error{ErrOutput}},
		{Kind: Kind{Name: "sink", Code: exitcode.LocalFile, Detail: DetailDisk, receiver: ifLeft}, is: as[*stream.SinkError]},
		{Kind: Kind{Name: "running", Code: exitcode.LocalFile, Condition: jingle.Busy, Detail: DetailConflict}, errs: []error{ErrRunning}},
		{Kind: Kind{Name: "row in use", Code: exitcode.LocalFile, Condition: jingle.Busy, Detail: DetailConflict, retry: ifAsked}, errs: []error{journal.ErrRunning}},
	}
}

// incapable is a client that is not there, or cannot do it.
func incapable() []row {
	return []row{
		{Kind: Kind{Name: "not there", Code: exitcode.Offline, Condition: jingle.Timeout, Unanswered: true}, errs: []error{ErrNotThere}},
		{Kind: Kind{Name: "no transport", Code: exitcode.Incapable}, errs: []error{ErrNoTransport, ibb.ErrMalformed, ibb.ErrMessages}},
		{Kind: Kind{Name: "unfit answer", Code: exitcode.Incapable}, errs: []error{ErrUnfit}},
		{Kind: Kind{Name: "too long for a secret", Code: exitcode.Incapable}, errs: []error{crypto.ErrTooLong}},
	}
}

// losses are paths, sessions and streams that came to an end.
func losses() []row {
	return []row{
		{Kind: Kind{Name: "idle", Code: exitcode.Interrupted, Condition: jingle.Timeout}, errs: []error{stream.ErrIdle, set.ErrSilent}},
		{Kind: Kind{Name: "no candidate", Code: exitcode.Interrupted, retry: ifBegun}, errs: []error{s5b.ErrNoCandidate}},
		{Kind: Kind{Name: "other bytes", Code: exitcode.Interrupted, Condition: jingle.AlternativeSession}, errs: []error{ErrPrefix}},
		{Kind: Kind{Name: "next part", Code: exitcode.Interrupted, Quiet: true}, errs: []error{ErrNextPart}},
		{Kind: Kind{Name: "unconfirmed", Code: exitcode.Interrupted}, errs: []error{ErrUnconfirmed}},
		{Kind: Kind{Name: "no progress", Code: exitcode.Interrupted}, errs: []error{ErrNoProgress}},
		{Kind: Kind{Name: "peer gone", Code: exitcode.Interrupted}, errs: []error{ErrPeerGone, ErrSilent}},
		{Kind: Kind{Name: "stream lost", Code: exitcode.Interrupted}, errs: []error{ErrStreamLost, session.ErrSessionLost, session.ErrClosed}},
		{Kind: Kind{Name: "short stream", Code: exitcode.Interrupted}, errs: []error{io.ErrUnexpectedEOF, crypto.ErrCut}},
		{Kind: Kind{Name: "late", Code: exitcode.Interrupted}, errs: []error{context.DeadlineExceeded}},
	}
}

// rest is what is known by its type only, after all that has a name.
func rest() []row {
	return []row{
		{Kind: Kind{Name: "offer refused"}, is: as[*OfferError], of: func(err error, k *Kind) { k.Code = CodeOfAnswer(found[*OfferError](err).Answer) }},
		{Kind: Kind{Name: "stanza error", Code: exitcode.Interrupted}, is: as[*stanza.Error]}, // of a later phase: the path or the server, not the offer
		{Kind: Kind{Name: "path", Code: exitcode.LocalFile}, is: as[*fs.PathError]},           // of the state directory, or of another place of ours
		{Kind: Kind{Name: "session ended", Code: exitcode.Interrupted}, errs: []error{ErrEnded, jingle.ErrEnded}},
		{Kind: Kind{Name: "out of order", Code: exitcode.Interrupted}, errs: []error{jingle.ErrOutOfOrder, s5b.ErrProtocol, s5b.ErrClosed, ibb.ErrProtocol}},
		{Kind: Kind{Name: "network", Code: exitcode.Interrupted}, is: isNetwork},
		{Kind: Kind{Name: "unexpected", Code: exitcode.Unexpected}, is: func(error) bool { return true }},
	}
}

// endedByPeer names the row of [Ended].
const endedByPeer = "ended by the contact"

// as reports whether err is, or wraps, an error of the type.
func as[T error](err error) bool {
	var of T
	return errors.As(err, &of)
}

// found is the error of the type that err is or wraps.
func found[T error](err error) (of T) {
	errors.As(err, &of)
	return of
}
