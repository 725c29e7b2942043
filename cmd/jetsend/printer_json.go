package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/jid"
)

// eventVersion is the "v" of every object. It changes when a member changes
// its meaning or goes away, not when one is added.
const eventVersion = 1

// jsonPrinter writes NDJSON (docs/events.md): one object a line, written at
// once. Warnings and errors go to standard error as well, for the log of a
// script that fails.
type jsonPrinter struct {
	console *console
	now     func() time.Time
	again   func(...string) string // see app.again

	mu  sync.Mutex
	out io.Writer
	err error
	// told are the failures of the transfers of sets that standard error has.
	told map[string]bool
}

// first reports whether a failure is to be told on standard error: not once more for each of
// the transfers of a set that one thing has ended.
func (p *jsonPrinter) first(e event.Failed) bool {
	if e.Set == "" || e.Entries > 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told == nil || len(p.told) == reasonsTold {
		p.told = make(map[string]bool)
	}
	what := e.Set + e.Reason
	was := p.told[what]
	p.told[what] = true
	return !was
}

// Event implements printer.
func (p *jsonPrinter) Event(e event.Event) {
	switch e := e.(type) {
	case event.Warning:
		p.console.warn("%s", e.Text)
		return
	case event.Waiting:
		return
	case event.Failed:
		if !refusedHere(e) && p.first(e) {
			p.console.fail(failedLine(e, bare(e.Peer))+leftOver(e), hintsOf(e, p.again))
		}
	case event.FailedEarly:
		p.console.fail(clean.Text(e.Reason), e.Hints)
	case event.Hook:
		if line := hookLine(e); line != "" {
			p.console.warn("%s", line)
		}
	case event.Negotiated:
		if e.Devices == nil {
			e.Devices = []event.DeviceInfo{}
		}
		p.write(e.Kind(), e)
		return
	case event.Received:
		if e.Verified == nil {
			e.Verified = []string{}
		}
		p.write(e.Kind(), e)
		return
	}
	p.write(e.Kind(), e)
}

// Expect implements printer: a program that counts events knows.
func (p *jsonPrinter) Expect(int) {}

// Contact implements printer: programs go by addresses.
func (p *jsonPrinter) Contact(jid.JID, string) {}

// Rows implements printer.
func (p *jsonPrinter) Rows(rows []record) {
	for _, r := range rows {
		p.write(r.Kind(), r)
	}
}

// Note implements printer: notes are for people only.
func (p *jsonPrinter) Note(string, ...any) {}

// Fail implements printer.
func (p *jsonPrinter) Fail(f *failure) {
	p.console.fail(f.reason, f.hints)
	e := event.FailedEarly{Code: int(f.code), Reason: f.reason}
	p.write(e.Kind(), e)
}

// Close implements printer.
func (p *jsonPrinter) Close() { p.console.close() }

// Err implements printer.
func (p *jsonPrinter) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// write splices the members of body, a struct, into the common head.
func (p *jsonPrinter) write(kind string, body any) {
	line, err := encode(p.now(), kind, body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		_, err = p.out.Write(line)
	}
	if err != nil && p.err == nil {
		p.err = err
	}
}

func encode(now time.Time, kind string, body any) ([]byte, error) {
	head := struct {
		V     int    `json:"v"`
		Time  string `json:"time"`
		Event string `json:"event"`
	}{eventVersion, now.UTC().Format(time.RFC3339Nano), kind}
	first, err := marshal(head)
	if err != nil {
		return nil, err
	}
	rest, err := marshal(body)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(rest, []byte("{}")) {
		return append(first, '\n'), nil
	}
	if rest[0] != '{' {
		return nil, fmt.Errorf("event %s is not an object", kind)
	}
	line := append(first[:len(first)-1], ',')
	return append(append(line, rest[1:]...), '\n'), nil
}

// marshal is json.Marshal without turning <, > and & into escapes: the output
// is for programs and grep, not for web pages.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
