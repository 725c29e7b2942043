package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
)

// The details that jetsends add to a reason (docs/protocol.md).
const (
	detailNoSpace = "no-space"
	detailTooBig  = "too-big"
	detailPolicy  = "policy"
	detailExists  = "exists"
	// detailConflict says that another session is at the same transfer.
	detailConflict = "conflict"
	// detailSourceChanged says that the file is not the one that was offered any more.
	detailSourceChanged = "source-changed"
	// detailSource says that the file cannot be read.
	detailSource = "source"
	// detailDisk says that the file cannot be written.
	detailDisk = "disk"
	// detailFileSize says that the file system takes no file of that size.
	detailFileSize = "file-size"
	// detailUnpack says that what is in the archive of a directory is refused.
	detailUnpack = "unpack"
	// detailOutput says that what reads the receiver's output has ended.
	detailOutput = "output"
	// detailPaused says that somebody stopped the transfer by hand.
	detailPaused = "paused"
	// detailGone says that the transfer was given up.
	detailGone = "gone"
)

// detail is what a detail means at the end that is told.
type detail struct {
	name string
	code exitcode.Code
	says string // one line for people
	hint string // what helps, if something does
	// over: no later session can bring the file, so that the row is over here as it
	// is there, provided that the detail came sealed. A server that could say so
	// would have the receiver throw away what it has.
	over bool
}

// details is what every detail means, but for conflict: there the condition counts.
func details() []detail {
	const anotherName = "send it under another name, with --name"
	return []detail{
		{detailNoSpace, exitcode.LocalFile, "there is no space for it on the contact's disk", "ask the contact to free some space", false},
		{detailTooBig, exitcode.Declined, "it is larger than the contact takes", "", false},
		{detailPolicy, exitcode.Declined, "the contact's rules do not admit it", "", false},
		{detailExists, exitcode.LocalFile, "the contact has a file of that name already", anotherName, true},
		{detailSourceChanged, exitcode.LocalFile, "the file has changed at the contact's end since it was offered", "ask the contact to send it again", true},
		{detailSource, exitcode.LocalFile, "the contact's device cannot read the file", "", false},
		{detailDisk, exitcode.LocalFile, "the contact's device cannot write the file", "ask the contact what `jetsend receive` says there", false},
		{detailFileSize, exitcode.LocalFile, "the contact's disk takes no file of that size", "ask the contact to receive it on another disk, with --dir", true},
		{detailUnpack, exitcode.Declined, "the contact's device refuses to unpack the directory", "", true},
		{detailOutput, exitcode.LocalFile, "the program that reads the contact's output has ended", "ask the contact to run `jetsend receive` again", false},
		{detailPaused, exitcode.Declined, "stopped by hand at the contact's end", "ask the contact to run `jetsend resume`", false},
		{detailGone, exitcode.Declined, "the contact has given the transfer up", "ask the contact to send it again", true},
	}
}

// detailNamed is the meaning of a detail, if it has one of its own.
func detailNamed(name string) (d detail, known bool) {
	all := details()
	i := slices.IndexFunc(all, func(d detail) bool { return d.name == name })
	if i < 0 {
		return detail{name: name}, false
	}
	return all[i], true
}

// detailed is a reason with a detail. Who does not know that goes by the condition.
func detailed(condition, detail string) jingle.Reason {
	return jingle.Reason{Condition: condition, Detail: xmltree.New(NS, "reason-detail", xmltree.New(NS, detail))}
}

// declined is the reason of a receiver that will not take a file.
func declined(detail string) jingle.Reason { return detailed(jingle.Decline, detail) }

// detailOf reads a <reason-detail/>.
func detailOf(r jingle.Reason) string {
	if !r.Detail.Is(NS, "reason-detail") || len(r.Detail.Children) == 0 {
		return ""
	}
	return r.Detail.Children[0].Name.Local
}

// localDetail names what is wrong at this end with a file or the disk, "" for
// everything else.
func localDetail(err error) string {
	var source *sourceError
	var sink *sinkError
	switch {
	case errors.Is(err, inbox.ErrNoSpace), state.Full(err):
		return detailNoSpace
	case errors.Is(err, inbox.ErrExists):
		return detailExists
	case errors.Is(err, inbox.ErrFileSize):
		return detailFileSize
	case refusedArchive(err):
		return detailUnpack
	case errors.Is(err, errSourceChanged):
		return detailSourceChanged
	case errors.As(err, &source):
		return detailSource
	case errors.Is(err, errOutput):
		return detailOutput
	case errors.As(err, &sink):
		return detailDisk
	}
	return ""
}

// localHints are what helps at this end.
func localHints(err error) []string {
	switch localDetail(err) {
	case detailExists:
		if errors.Is(err, inbox.ErrCrowded) {
			return []string{"move some of them away, or receive into another directory with --dir"}
		}
	case detailNoSpace:
		return []string{"free some space on the disk"}
	case detailFileSize:
		return []string{"receive it on another disk, with --dir"}
	case detailSourceChanged:
		return []string{"send it again, as it is now"}
	}
	return nil
}

// endedByPeer is a session that the other end terminated before its time.
type endedByPeer struct {
	reason jingle.Reason
	// proven: the detail came sealed by who has the transport secret.
	proven bool
}

func (e *endedByPeer) Error() string {
	name := detailOf(e.reason)
	if d, known := detailNamed(name); known {
		return d.says + " (" + name + ")"
	}
	s := "ended by the contact: " + strings.ReplaceAll(e.reason.Condition, "-", " ")
	switch {
	case e.reason.Condition == jingle.Decline:
		s = declinedByPeer
	case e.reason.Condition == jingle.Busy && name == "":
		s = "the contact's receiver is busy with another batch"
	}
	switch {
	case name != "":
		s += " (" + clean.Text(name) + ")"
	case e.reason.Text != "":
		s += " (" + clean.Text(e.reason.Text) + ")"
	}
	return s
}

// declinedByPeer is what a plain no of the other end reads like.
const declinedByPeer = "declined by the contact"

// saysNo reports whether the receiver, who may be at this end, did not want what was
// offered. That is an end like others, and nothing is wrong.
func saysNo(err error) bool {
	var ended *endedByPeer
	var ours *refusal
	switch {
	case errors.As(err, &ended):
		return ended.reason.Condition == jingle.Decline && slices.Contains([]string{"", detailPolicy, detailTooBig}, detailOf(ended.reason))
	case errors.As(err, &ours):
		return slices.Contains([]string{jingle.Decline, jingle.Busy}, ours.reason.Condition) && errors.Is(err, errDeclined)
	}
	return false
}

// hints are what helps, as far as the other end has said what is wrong.
func (e *endedByPeer) hints() []string {
	d, _ := detailNamed(detailOf(e.reason))
	if d.hint == "" {
		return nil
	}
	return []string{d.hint}
}

// provenDetail is what the other end has proven to have said about a transfer.
func provenDetail(err error) detail {
	var ended *endedByPeer
	if !errors.As(err, &ended) || !ended.proven {
		return detail{}
	}
	d, _ := detailNamed(detailOf(ended.reason))
	return d
}

// overThere tells whether the other end has proven that no later session can bring
// the file.
func overThere(err error) bool { return provenDetail(err).over }

// terminate ends the session because of err, and says so to the peer.
func (t *talk) terminate(ctx context.Context, err error) {
	_ = t.sess.Terminate(ctx, t.reason(err)) // the session is over at once, whatever the peer gets to know
}

// reason is reasonFor with a detail that changes the other end's row sealed.
func (t *talk) reason(err error) jingle.Reason {
	r := reasonFor(err)
	name := detailOf(r)
	if d, _ := detailNamed(name); t.offer == nil || t.ts == nil || !d.over && name != detailPaused {
		return r
	}
	sealed, serr := t.seal(kindReason, t.word(name, t.sess.Initiator()).Element())
	if serr != nil {
		t.e.log.Warn("seal reason", "transfer", t.offer.Transfer, "error", serr)
		return r
	}
	r.Detail.Add(sealed)
	return r
}

// word is the detail as it is sealed: who says it, about which transfer.
func (t *talk) word(detail string, initiator bool) profile.Reason {
	by := jingle.SenderResponder
	if initiator {
		by = jingle.SenderInitiator
	}
	return profile.Reason{Transfer: t.offer.Transfer, By: by, Detail: detail}
}

// endedWith is the peer's end of the session as an error.
func (t *talk) endedWith(r jingle.Reason) *endedByPeer {
	ended := &endedByPeer{reason: r}
	if name := detailOf(r); name != "" && t.offer != nil && t.ts != nil {
		x, err := t.unseal(kindReason, r.Detail.Children...)
		ended.proven = err == nil && t.word(name, !t.sess.Initiator()).Is(x)
	}
	return ended
}
