// Package event says what happened, for a person's eye or a script's: one type for
// each thing that a run reports, and the line of the log that it leaves.
package event

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
)

// Event is something that happened. The JSON form of each is the outside contract
// of --json (docs/events.md). All text that came from a peer has been cleaned (see
// package clean) before it is put into an event.
type Event interface {
	// Kind is the value of the "event" member.
	Kind() string
}

// Direction is the way that a file goes, seen from here.
type Direction string

// The directions.
const (
	Send    Direction = "send"
	Receive Direction = "receive"
)

// Head is what every event of a transfer carries.
type Head struct {
	Transfer string `json:"transfer"`
	// Set is the same for the transfers that go together, in one session: the arguments of
	// one `send` between two jetsends. Empty for one that goes by itself.
	Set       string    `json:"set,omitempty"`
	Direction Direction `json:"direction"`
	Peer      string    `json:"peer"` // full JID
	Name      string    `json:"name"`
}

// Online means: logged in and ready, for the first time or after a loss.
type Online struct {
	JID string `json:"jid"`
}

// Offer means: a file was offered, by us or to us.
type Offer struct {
	Head
	Size        int64 `json:"size"`
	ResumedFrom int64 `json:"resumed_from"`
	// Description is what the sender says about the file; when receiving.
	Description string `json:"description,omitempty"`
	// Directory means that the size is that of a directory: of its archive, or of all that
	// is in it where it goes in a set.
	Directory bool `json:"directory,omitempty"`
	// Items is how many transfers the set has, and SetSize how many bytes they have.
	Items   int   `json:"items,omitempty"`
	SetSize int64 `json:"set_size,omitempty"`
}

// Accepted means: the receiver said yes.
type Accepted struct{ Head }

// DeviceInfo is a device in the negotiated event.
type DeviceInfo struct {
	ID          uint32 `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Trust       string `json:"trust"` // blind or verified
	New         bool   `json:"new"`   // not seen before the last transfer
}

// Negotiated means: a bytestream stands; what protects it and who has the key.
type Negotiated struct {
	Head
	Transport  string       `json:"transport"`           // s5b or ibb
	Candidate  string       `json:"candidate,omitempty"` // direct or proxy; s5b only
	Way        string       `json:"way,omitempty"`       // what made a direct one possible: punched or mapped
	Cipher     string       `json:"cipher"`              // empty without encryption
	Encryption string       `json:"encryption"`
	Devices    []DeviceInfo `json:"devices"`
}

// Progress means: bytes of the file so far; at most twice a second.
type Progress struct {
	Head
	Bytes int64 `json:"bytes"`
	Size  int64 `json:"size"`
	Rate  int64 `json:"rate"` // bytes per second
	// What follows is about the whole set.
	SetBytes int64 `json:"set_bytes,omitempty"`
	SetSize  int64 `json:"set_size,omitempty"`
	// Files counts the files that have arrived, those in directories too.
	Files   int `json:"files,omitempty"`
	FilesOf int `json:"files_of,omitempty"`
}

// Interrupted means: the path or the stream was lost, and the transfer may go on
// in this run. It is not the end of the transfer.
type Interrupted struct {
	Head
	Bytes  int64  `json:"bytes"` // moved; some of them may have to be sent again
	Reason string `json:"reason"`
	// RetryIn is seconds until the next attempt from here; absent when the
	// other end is waited for.
	RetryIn float64 `json:"retry_in,omitempty"`
}

// Resumed means: the session of the moment goes on behind these bytes.
type Resumed struct {
	Head
	Offset int64 `json:"offset"`
}

// Differences are what is not as it was sent: for the rules for names, or because
// the file system has no such thing. The data are.
type Differences struct {
	// Renamed counts the names, of the file or of the directory and what is in it,
	// that are others. A number for a name that was taken is none of them.
	Renamed int `json:"renamed,omitempty"`
	// LeftOut counts the links of a directory that could not be made.
	LeftOut int `json:"left_out,omitempty"`
}

// Counts are what became of the entries of a directory that goes in a set: of itself and
// of the files, directories and links in it. All of them are zero for anything else.
type Counts struct {
	Entries       int `json:"entries,omitempty"`
	EntriesFailed int `json:"entries_failed,omitempty"` // came to nothing
	New           int `json:"new,omitempty"`
	Changed       int `json:"changed,omitempty"` // took the place of what an earlier transfer had put there
	Equal         int `json:"equal,omitempty"`   // were there already
	// Kept counts the files that somebody edited at the receiver: each is kept beside the
	// one that came, under a name with a number.
	Kept int `json:"kept,omitempty"`
}

// MaxEntries is how many [Entry] events of one directory are reported: more than anybody
// reads. Counts tell of all.
const MaxEntries = 1000

// Entry means: something in a directory does not arrive. The rest of it does. It comes
// before the end of the transfer.
type Entry struct {
	Head
	// Path is below the directory, with slashes. It is as it is on the disk, since programs
	// look for it: clean it before it is shown. It is empty where it is not UTF-8, and then
	// PathBase64 is it.
	Path       string `json:"path,omitempty"`
	PathBase64 string `json:"path_base64,omitempty"`
	Reason     string `json:"reason"`
}

// NewEntry returns the event of an entry at a path, whatever bytes that has.
func NewEntry(h Head, path, reason string) Entry {
	e := Entry{Head: h, Path: path, Reason: reason}
	if !utf8.ValidString(path) {
		e.Path, e.PathBase64 = "", base64.StdEncoding.EncodeToString([]byte(path))
	}
	return e
}

// Where is the path of the entry, as the bytes that it is.
func (e Entry) Where() string {
	if path, err := base64.StdEncoding.DecodeString(e.PathBase64); err == nil && e.Path == "" {
		return string(path)
	}
	return e.Path
}

// Sent means: the file is complete at the other end.
type Sent struct {
	Head
	Differences
	Size           int64   `json:"size"`
	VerifiedByPeer bool    `json:"verified_by_peer"`
	SHA256         string  `json:"sha256,omitempty"`
	Seconds        float64 `json:"seconds"`
	Counts
}

// Received means: the file is verified, durable and under its final name.
type Received struct {
	Head
	Differences
	Path     string   `json:"path"` // absolute; StandardOutput when it went there
	Size     int64    `json:"size"`
	Verified []string `json:"verified"`
	SHA256   string   `json:"sha256,omitempty"`
	Seconds  float64  `json:"seconds"`
	// Description is what the sender says about the file.
	Description string `json:"description,omitempty"`
	// Directory means that Path is a directory; size and hash are those of the
	// archive that it came as. One that came in a set has the size of all that is in it,
	// and no hash.
	Directory bool `json:"directory,omitempty"`
	Counts
}

// StandardOutput is the path of what was written there.
const StandardOutput = "-"

// Hook means: the executable that was run for the end of a transfer has ended. It comes
// after the Received, Sent or Failed that it was run for, and changes nothing about the
// transfer.
type Hook struct {
	Head
	// Status is the exit status, -1 when there is none.
	Status int `json:"status"`
	// Reason says why there is none: not started, killed, out of time.
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Failed means: the transfer ended without its file in this run, or with a directory of
// which not all has arrived.
type Failed struct {
	Head
	Code      int    `json:"code"`
	Reason    string `json:"reason"`
	Resumable bool   `json:"resumable"`
	// Declined means that the receiver, or this end as the receiver, said no to the
	// offer: nothing is wrong.
	Declined bool `json:"declined,omitempty"`
	// Path is where the directory is of which not all has arrived, at this end; absolute.
	Path string `json:"path,omitempty"`
	Counts
	Hints []string `json:"-"` // for people: the exact next commands
}

// FailedEarly means: something ended before any transfer existed: the run, or, with
// direction and peer, an offer that could not be read.
type FailedEarly struct {
	Direction Direction `json:"direction,omitempty"`
	Peer      string    `json:"peer,omitempty"`
	Code      int       `json:"code"`
	Reason    string    `json:"reason"`
	Hints     []string  `json:"-"`
}

// Warning is for people only; printers of --json leave it out.
type Warning struct {
	Text string `json:"text"`
}

// Acquainted means: somebody is a contact, by an invitation of ours or of theirs.
type Acquainted struct {
	Peer       string `json:"peer"`       // bare JID
	Invitation string `json:"invitation"` // the first digits of its id
	Verified   bool   `json:"verified"`   // each end has proved its keys to the other
	Devices    int    `json:"devices"`    // of the contact that are verified by that
}

// Waiting means: nobody who could take a file has been found yet. It is for people
// only, as a Warning is.
type Waiting struct {
	Peer   string // bare JID
	AtMost time.Duration
	Online bool // with clients that cannot take it, or have not answered
}

// Kind implements Event.
func (Online) Kind() string { return "online" }

// Kind implements Event.
func (Offer) Kind() string { return "offer" }

// Kind implements Event.
func (Accepted) Kind() string { return "accepted" }

// Kind implements Event.
func (Negotiated) Kind() string { return "negotiated" }

// Kind implements Event.
func (Progress) Kind() string { return "progress" }

// Kind implements Event.
func (Interrupted) Kind() string { return "interrupted" }

// Kind implements Event.
func (Resumed) Kind() string { return "resumed" }

// Kind implements Event.
func (Entry) Kind() string { return "entry" }

// Kind implements Event.
func (Sent) Kind() string { return "sent" }

// Kind implements Event.
func (Received) Kind() string { return "received" }

// Kind implements Event.
func (Hook) Kind() string { return "hook" }

// Kind implements Event.
func (Failed) Kind() string { return "failed" }

// Kind implements Event.
func (FailedEarly) Kind() string { return "failed" }

// Kind implements Event.
func (Warning) Kind() string { return "warning" }

// Kind implements Event.
func (Acquainted) Kind() string { return "acquainted" }

// Kind implements Event.
func (Waiting) Kind() string { return "waiting" }
