package fault

import (
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/xmltree"
)

// The details that jetsends add to a reason (docs/protocol.md, "Reasons").
const (
	DetailNoSpace = "no-space"
	DetailTooBig  = "too-big"
	DetailPolicy  = "policy"
	DetailExists  = "exists"
	// DetailConflict says that another session is at the same transfer.
	DetailConflict = "conflict"
	// DetailSourceChanged says that the file is not the one that was offered any more.
	DetailSourceChanged = "source-changed"
	// DetailSource says that the file cannot be read.
	DetailSource = "source"
	// DetailDisk says that the file cannot be written.
	DetailDisk = "disk"
	// DetailFileSize says that the file system takes no file of that size.
	DetailFileSize = "file-size"
	// DetailUnpack says that what is in the archive of a directory is refused.
	DetailUnpack = "unpack"
	// DetailOutput says that what reads the receiver's output has ended.
	DetailOutput = "output"
	// DetailPaused says that somebody stopped the transfer by hand.
	DetailPaused = "paused"
	// DetailGone says that the transfer was given up.
	DetailGone = "gone"
)

// Detail is what a detail means at the end that is told.
type Detail struct {
	Name string
	Code exitcode.Code
	Says string // one line for people
	Hint string // what helps, if something does
	// Over: no later session can bring the file, so that the row is over here as it
	// is there, provided that the detail came sealed. A server that could say so
	// would have the receiver throw away what it has.
	Over bool
}

// Details is what every detail means, but for conflict: there the condition counts.
func Details() []Detail {
	const anotherName = "send it under another name, with --name"
	return []Detail{
		{DetailNoSpace, exitcode.LocalFile, "there is no space for it on the contact's disk", "ask the contact to free some space", false},
		{DetailTooBig, exitcode.Declined, "it is larger than the contact takes", "", false},
		{DetailPolicy, exitcode.Declined, "the contact's rules do not admit it", "", false},
		{DetailExists, exitcode.LocalFile, "the contact has a file of that name already", anotherName, true},
		{DetailSourceChanged, exitcode.LocalFile, "the file has changed at the contact's end since it was offered", "ask the contact to send it again", true},
		{DetailSource, exitcode.LocalFile, "the contact's device cannot read the file", "", false},
		{DetailDisk, exitcode.LocalFile, "the contact's device cannot write the file", "ask the contact what `jetsend receive` says there", false},
		{DetailFileSize, exitcode.LocalFile, "the contact's disk takes no file of that size", "ask the contact to receive it on another disk, with --dir", true},
		{DetailUnpack, exitcode.Declined, "the contact's device refuses to unpack the directory", "", true},
		{DetailOutput, exitcode.LocalFile, "the program that reads the contact's output has ended", "ask the contact to run `jetsend receive` again", false},
		{DetailPaused, exitcode.Declined, "stopped by hand at the contact's end", "ask the contact to run `jetsend resume`", false},
		{DetailGone, exitcode.Declined, "the contact has given the transfer up", "ask the contact to send it again", true},
	}
}

// detailNamed is the meaning of a detail, if it has one of its own.
func detailNamed(name string) (d Detail, known bool) {
	all := Details()
	i := slices.IndexFunc(all, func(d Detail) bool { return d.Name == name })
	if i < 0 {
		return Detail{Name: name}, false
	}
	return all[i], true
}

// changes reports whether a detail changes what the end keeps that is told.
func changes(name string) bool {
	d, _ := detailNamed(name)
	return d.Over || name == DetailPaused
}

// Reason is a reason with a detail, unless that is empty. An end that does not know the
// detail goes by the condition.
func Reason(condition, detail string) jingle.Reason {
	r := jingle.Reason{Condition: condition}
	if detail != "" {
		r.Detail = xmltree.New(profile.NS, "reason-detail", xmltree.New(profile.NS, detail))
	}
	return r
}

// DetailOf is the name of the detail in a reason, or "".
func DetailOf(r jingle.Reason) string {
	if !r.Detail.Is(profile.NS, "reason-detail") || len(r.Detail.Children) == 0 {
		return ""
	}
	return r.Detail.Children[0].Name.Local
}

// Ended is a session that the other end terminated before its time.
type Ended struct {
	Reason jingle.Reason
	// Proven: the detail came sealed, by an end that has the transport secret.
	Proven bool
}

// Error is one line for people.
func (e *Ended) Error() string {
	name := DetailOf(e.Reason)
	if d, known := detailNamed(name); known {
		return d.Says + " (" + name + ")"
	}
	s := "ended by the contact: " + strings.ReplaceAll(e.Reason.Condition, "-", " ")
	switch {
	case e.Reason.Condition == jingle.Decline:
		s = DeclinedByPeer
	case e.Reason.Condition == jingle.Busy && name == "":
		s = "the contact's receiver is busy with another batch"
	}
	switch {
	case name != "":
		s += " (" + clean.Text(name) + ")"
	case e.Reason.Text != "":
		s += " (" + clean.Text(e.Reason.Text) + ")"
	}
	return s
}

// DeclinedByPeer is how a plain no of the other end reads.
const DeclinedByPeer = "declined by the contact"

// kind is what the end means here.
func (e *Ended) kind() Kind {
	k := Kind{Name: endedByPeer}
	d, known := detailNamed(DetailOf(e.Reason))
	if known {
		k.Code = d.Code
	} else {
		k.Code, k.early = codeOfCondition(e.Reason.Condition)
	}
	if d.Hint != "" {
		k.Hints = []string{d.Hint}
	}
	if e.Reason.Condition == jingle.Busy {
		k.retry = ifOffer
	}
	return k
}

// tell adds to k what the other end has said, and what it has proven.
func (e *Ended) tell(k *Kind) {
	name := DetailOf(e.Reason)
	k.ended = e
	k.Unopened = e.Reason.Condition == jingle.SecurityError
	k.Declined = e.Reason.Condition == jingle.Decline && slices.Contains([]string{"", DetailPolicy, DetailTooBig}, name)
	if !e.Proven {
		return
	}
	d, _ := detailNamed(name)
	k.Over = d.Over
	if name == DetailPaused && k.Paused == journal.NotPaused {
		k.Paused = journal.PausedThere
	}
}
