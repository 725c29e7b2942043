// Package tally counts what becomes of the arguments of a set, and tells it: of each
// argument as of a transfer of its own, with one end, and of each entry that does not come.
//
// A [Book] has the sets of an endpoint that have not come to their end. What is told of a
// whole set goes through it, and is told of every argument that has not ended.
package tally

import (
	"encoding/hex"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/filename"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/set"
)

// Argument is an argument of a set, with what has become of its entries in this run.
type Argument struct {
	journal.Argument
	Head  event.Head
	Begun time.Time
	// SHA256 is that of a file, where the index says it: then what came is what it says.
	SHA256 []byte
	Over   bool  // its end has been told
	Moved  int64 // bytes in this run, or that need not move

	told int // entries
}

// HeadOf is what events call the argument of a set of so many; head is that of the set.
func HeadOf(head event.Head, items int, a *journal.Argument) event.Head {
	head.Set = head.Transfer
	head.Transfer = journal.ArgumentID(head.Set, a.Number, items)
	head.Name = clean.Text(a.Name)
	return head
}

// HeadOfRow is what events call the transfer of a row, with a client of the contact.
func HeadOfRow(row journal.Row, peer jid.JID) event.Head {
	head := event.Head{Transfer: row.ID, Direction: event.Direction(row.Direction), Peer: peer.String(), Name: clean.Text(row.Name)}
	if row.Source == journal.SourceSet {
		head.Set = row.ID
	}
	return head
}

// KeyOf is the row in the journal of what events tell of.
func KeyOf(h event.Head) journal.Key {
	return journal.Key{ID: h.Transfer, Direction: journal.Direction(h.Direction)}
}

// Settled counts an entry of the argument, and reports one that has failed, and what people
// should know of one that has arrived; path is below the argument, "" for its root.
func (a *Argument) Settled(path string, o set.Outcome, report func(event.Event)) {
	switch o.How {
	case set.Changed:
		a.Changed++
	case set.Equal:
		a.Equal++
	}
	if o.How != 0 {
		a.Done++
	} else {
		a.Failed++
		a.LastError = o.Reason
		a.tell(path, o.Reason, report)
	}
	if o.Renamed != "" {
		a.Renamed++
	}
	if o.Kept != "" {
		a.Kept++
	}
	for _, text := range a.changes(path, o) {
		report(event.Warning{Text: text})
	}
}

// changes says, for people, what has another name at the receiver than it was sent by. What
// whoever reads it has been told already is not said again: before, that the name of a
// whole argument is none for a download directory; with its end, where it is.
func (a *Argument) changes(path string, o set.Outcome) (texts []string) {
	name, sends := a.Head.Name, a.Head.Direction == event.Send
	switch {
	case o.Renamed == "" || path == "" && (!sends || o.Renamed == filename.Safe(a.Name)):
	case path == "":
		texts = append(texts, fmt.Sprintf("%s arrived as %s", name, clean.Text(o.Renamed)))
	default:
		texts = append(texts, fmt.Sprintf("%s: %s arrived as %s", name, clean.Text(path), clean.Text(o.Renamed)))
	}
	if o.Kept == "" {
		return texts
	}
	where := "here"
	if sends {
		where = "at the receiver"
	}
	return append(texts, fmt.Sprintf("%s: %s was edited %s, and is kept there as %s", name, clean.Text(path), where, clean.Text(o.Kept)))
}

// tell reports an entry of a folder that does not come.
func (a *Argument) tell(path, reason string, report func(event.Event)) {
	if !a.Folder || path == "" || a.told == event.MaxEntries {
		return
	}
	a.told++
	report(event.NewEntry(a.Head, path, clean.Text(reason)))
}

// counts are those of the events for the end of a folder.
func (a *Argument) counts() event.Counts {
	if !a.Folder {
		return event.Counts{}
	}
	return event.Counts{
		Entries: int(a.Done + a.Failed), EntriesFailed: int(a.Failed), Changed: int(a.Changed), Equal: int(a.Equal), Kept: int(a.Kept),
		New: int(a.Done - a.Changed - a.Equal),
	}
}

// Whole reports whether all of it has arrived.
func (a *Argument) Whole() bool { return a.Failed == 0 }

// Code is how it has ended.
func (a *Argument) Code() exitcode.Code {
	if a.Whole() {
		return exitcode.OK
	}
	return exitcode.LocalFile
}

// End is the event for the end of an argument of which all entries are settled.
func (a *Argument) End() event.Event {
	seconds := 0.0
	if !a.Begun.IsZero() {
		seconds = time.Since(a.Begun).Seconds()
	}
	differences := event.Differences{Renamed: int(a.Renamed)}
	switch {
	case !a.Whole():
		return event.Failed{Head: a.Head, Code: int(a.Code()), Reason: a.reason(), Path: a.Path, Counts: a.counts()}
	case a.Head.Direction == event.Send:
		return event.Sent{Head: a.Head, Differences: differences, Size: a.Size, VerifiedByPeer: true, SHA256: hex.EncodeToString(a.SHA256), Seconds: seconds, Counts: a.counts()}
	}
	verified := []string{"gcm-tag"}
	if a.SHA256 != nil {
		verified = append(verified, "sha-256")
	}
	return event.Received{
		Head: a.Head, Differences: differences, Path: a.Path, Size: a.Size, Verified: verified, SHA256: hex.EncodeToString(a.SHA256), Seconds: seconds,
		Directory: a.Folder, Counts: a.counts(),
	}
}

// reason says why it is not whole.
func (a *Argument) reason() string {
	why := clean.Text(a.LastError)
	if !a.Folder {
		return why
	}
	text := fmt.Sprintf("%d of %d entries did not arrive", a.Failed, a.Done+a.Failed)
	if a.Failed == 1 && why != "" {
		text += ": " + why
	}
	return text
}
