package pair

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"
)

// maxLine bounds one event line; an event is a few hundred bytes.
const maxLine = 1 << 20

// Event is a line of `--json` output, as far as the harness reads it.
type Event struct {
	Time time.Time `json:"time"`

	Event      string   `json:"event"`
	Direction  string   `json:"direction"`
	JID        string   `json:"jid"`
	Transfer   string   `json:"transfer"`
	Set        string   `json:"set"`
	Peer       string   `json:"peer"`
	Name       string   `json:"name"`
	Path       string   `json:"path"`
	Size       int64    `json:"size"`
	SetBytes   int64    `json:"set_bytes"`
	SetSize    int64    `json:"set_size"`
	Transport  string   `json:"transport"`
	Candidate  string   `json:"candidate"`
	Way        string   `json:"way"`
	Cipher     string   `json:"cipher"`
	Encryption string   `json:"encryption"`
	Devices    []Device `json:"devices"`
	Verified   []string `json:"verified"`
	ByPeer     bool     `json:"verified_by_peer"`
	Seconds    float64  `json:"seconds"`
	Code       int      `json:"code"`
	Reason     string   `json:"reason"`
	Resumable  bool     `json:"resumable"`
	Bytes      int64    `json:"bytes"`
	Offset     int64    `json:"offset"`
	Line       string   `json:"-"` // as it was written
}

// Device is a peer's device in an event.
type Device struct {
	ID          uint32 `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Trust       string `json:"trust"`
}

// Find returns the first event of that kind, or nil.
func (e End) Find(kind string) *Event {
	for i := range e.Events {
		if e.Events[i].Event == kind {
			return &e.Events[i]
		}
	}
	return nil
}

// events is the standard output of a process, read line by line as it comes.
type events struct {
	online chan struct{} // closed at the first online event
	watch  func(Event)   // may be nil

	rest []byte // only touched by Write, which comes from one goroutine

	mu   sync.Mutex
	list []Event
	seen bool
}

func newEvents(watch func(Event)) *events {
	return &events{online: make(chan struct{}), watch: watch}
}

// Write implements io.Writer. A line that is not an event is not data either
// and is kept as an event of kind "garbage", so that it is seen.
func (e *events) Write(p []byte) (int, error) {
	e.rest = append(e.rest, p...)
	for {
		line, rest, found := bytes.Cut(e.rest, []byte("\n"))
		if !found {
			break
		}
		e.rest = rest
		e.add(line)
	}
	if len(e.rest) > maxLine {
		e.rest = nil
		e.keep(Event{Event: "garbage", Reason: "line too long"})
	}
	return len(p), nil
}

func (e *events) add(line []byte) {
	var v Event
	if err := json.Unmarshal(line, &v); err != nil {
		v = Event{Event: "garbage", Reason: string(line)}
	}
	v.Line = string(line)
	e.keep(v)
}

func (e *events) keep(v Event) {
	e.mu.Lock()
	e.list = append(e.list, v)
	first := v.Event == "online" && !e.seen
	e.seen = e.seen || first
	e.mu.Unlock()
	if first {
		close(e.online)
	}
	if e.watch != nil {
		e.watch(v)
	}
}

func (e *events) all() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Event(nil), e.list...)
}
