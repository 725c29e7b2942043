package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/journal"
)

// transferRecord is a row of `transfers list`. Names are cleaned; paths are not,
// for they must be found on the disk.
type transferRecord struct {
	Transfer     string   `json:"transfer"`
	Set          string   `json:"set,omitempty"` // the same for those that go together
	Direction    string   `json:"direction"`
	Peer         string   `json:"peer"` // bare JID
	Name         string   `json:"name"`
	Description  string   `json:"description,omitempty"`
	Size         int64    `json:"size"`
	Bytes        int64    `json:"bytes"` // received and on the disk; sending: confirmed by the receiver
	State        string   `json:"state"`
	Paused       string   `json:"paused,omitempty"` // here or there: who stopped it by hand
	Declined     bool     `json:"declined,omitempty"`
	Resumable    bool     `json:"resumable"`
	Retries      int      `json:"retries"`
	Created      string   `json:"created"`
	Updated      string   `json:"updated"`
	Finished     string   `json:"finished,omitempty"`
	Until        string   `json:"until,omitempty"`     // of a queued one: when it is given up
	Path         string   `json:"path,omitempty"`      // of the source or of the received file
	Directory    string   `json:"directory,omitempty"` // where it is received
	Resource     string   `json:"resource,omitempty"`  // of the peer, last used
	Batch        string   `json:"batch,omitempty"`
	SHA256       string   `json:"sha256,omitempty"`
	Reason       string   `json:"reason,omitempty"` // of the last interruption or failure
	Fingerprints []string `json:"fingerprints"`     // of the devices it belongs to

	// Of a directory in a set: see [event.Counts].
	Entries       int64 `json:"entries,omitempty"`
	EntriesDone   int64 `json:"entries_done,omitempty"`
	EntriesFailed int64 `json:"entries_failed,omitempty"`
	New           int64 `json:"new,omitempty"`
	Changed       int64 `json:"changed,omitempty"`
	Equal         int64 `json:"equal,omitempty"`
	Kept          int64 `json:"kept,omitempty"`

	resume string // the command that goes on with it
	row    *journal.Row
	word   string // the state for people

	argument *journal.Argument      // of a set; nil: it is none
	when     func(time.Time) string // see app.local
}

func (a *app) transferRecord(row *journal.Row) transferRecord {
	r := transferRecord{
		Transfer: row.ID, Direction: string(row.Direction), Peer: row.Peer.String(), Name: clean.Text(row.Name), Description: clean.Text(row.Description),
		Size: row.Size, Bytes: row.Durable, State: string(row.State), Paused: string(row.Paused), Declined: row.Declined, Resumable: resumable(row), Retries: row.Retries,
		Created: stamp(row.Created), Updated: stamp(row.Updated), Finished: stamp(row.Finished),
		Path: row.Path, Directory: row.Dir, Resource: clean.Text(row.Resource), Batch: clean.Text(row.Batch), SHA256: hex.EncodeToString(row.SHA256),
		Reason: clean.Text(row.LastError), Fingerprints: []string{},
		row: row, word: stateWord(row), when: a.local,
	}
	if row.Source == journal.SourceSet {
		r.Set, r.SHA256 = row.ID, "" // which is that of what was listed
	}
	if row.Source == journal.SourceSpool || row.Phase == journal.PhasePoured {
		r.Path = "" // standard input and output: no file of the user's
	}
	if r.Resumable {
		r.resume = a.again("resume", short(row.ID))
	}
	for _, key := range row.Keys {
		if row.Insecure() {
			break // belongs to no key
		}
		r.Fingerprints = append(r.Fingerprints, hex.EncodeToString(key[1:])) // without its type byte
	}
	return r
}

// stamp writes a time for programs; none is "".
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// unconfirmed reports whether only the receiver knows how far the transfer is: it says
// so when a session begins, and at the end.
func (r transferRecord) unconfirmed() bool {
	return r.row.Direction == journal.Send && r.Bytes == 0 && r.EntriesDone == 0 && (r.State == string(journal.Running) || r.State == string(journal.Interrupted))
}

// percent tells how far the transfer is.
func (r transferRecord) percent() string {
	if r.unconfirmed() {
		return "-"
	}
	if r.Entries > 0 {
		return r.entriesDone()
	}
	if r.Size == 0 && r.State != string(journal.Complete) {
		return "0 %"
	}
	return percent(r.Bytes, r.Size)
}

// percent writes how much of a whole some bytes are, rounded down.
func percent(bytes, size int64) string {
	if size <= 0 || bytes >= size {
		return "100 %"
	}
	return fmt.Sprintf("%d %%", int(float64(bytes)*100/float64(size)))
}

// Kind implements record.
func (transferRecord) Kind() string { return "transfer" }

// Columns implements record.
func (r transferRecord) Columns() []string {
	return []string{
		short(r.Transfer), r.Direction, clean.Text(r.Peer), r.Name, bytesText(r.Size), r.percent(), r.stateText(), r.when(r.row.Updated),
	}
}

// stateText is the state, and of a queued one why it waits.
func (r transferRecord) stateText() string {
	if r.row.State == queuedState && r.Reason != "" {
		return r.word + ": " + r.Reason
	}
	return r.word
}

// Titles implements titled.
func (transferRecord) Titles() []string {
	return []string{"ID", "DIRECTION", "CONTACT", "NAME", "SIZE", "DONE", "STATE", "CHANGED"}
}

// Names implements titled: the name, then the contact.
func (transferRecord) Names() []int { return []int{3, 2} }

// The words for people beside the states of the journal.
const (
	wordPaused   = "paused"   // of an interrupted one
	wordDeclined = "declined" // of a failed one
)

// stateWord is the state in a word for people.
func stateWord(row *journal.Row) string {
	switch {
	case row.Paused != journal.NotPaused:
		return wordPaused
	case row.Declined:
		return wordDeclined
	}
	return string(row.State)
}

// transferSheet is what `transfers show` prints: the same to a program, and all
// of it, line by line, to people.
type transferSheet struct{ transferRecord }

// Sheet implements sheet.
func (s transferSheet) Sheet() [][]string {
	r, row := s.transferRecord, s.row
	peer := r.Peer
	if r.Resource != "" {
		peer += "/" + r.Resource
	}
	state := r.word
	switch {
	case r.Paused == string(journal.PausedThere):
		state += " by the contact, and resumed only by `jetsend resume` there"
	case r.Resumable:
		state += ", to be resumed with `" + r.resume + "`"
	case r.State == string(journal.Interrupted):
		state += ", cannot be resumed: it was with another client than a jetsend, or without encryption"
	}
	soFar := fmt.Sprintf("%s (%d bytes)", r.percent(), r.Bytes)
	if r.Entries > 0 {
		soFar = fmt.Sprintf("%s (%d bytes)", bytesText(r.Bytes), r.Bytes)
	}
	if r.unconfirmed() {
		soFar = "not known before the receiver says it"
	}
	lines := [][]string{
		{"transfer", r.Transfer}, {"direction", r.Direction}, {"contact", clean.Text(peer)}, {"name", r.Name},
		{"size", fmt.Sprintf("%s (%d bytes)", bytesText(r.Size), r.Size)}, {"so far", soFar},
		{"state", state}, {"begun", r.when(row.Created)}, {"last change", r.when(row.Updated)},
	}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, []string{name, value})
		}
	}
	add("entries", r.entriesLine())
	if row.Items > 1 {
		add("together with", fmt.Sprintf("%d more, in the set %s", row.Items-1, row.ID))
	}
	if !row.Finished.IsZero() {
		add("ended", r.when(row.Finished))
	}
	if r.Retries > 0 {
		add("retries", fmt.Sprint(r.Retries))
	}
	add("last trouble", r.Reason)
	add("description", r.Description)
	add("directory", clean.Text(r.Directory))
	add("file", clean.Text(r.Path))
	add("batch", r.Batch)
	add("sha256", r.SHA256)
	if row.Insecure() {
		add("encryption", unencrypted)
	}
	for _, f := range r.Fingerprints {
		add("key", strings.TrimSpace(groups(f)))
	}
	return lines
}
