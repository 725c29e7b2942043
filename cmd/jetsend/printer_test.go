package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/exitcode"
	"jetsend/internal/transfer"
)

var update = flag.Bool("update", false, "write the golden files anew")

// someEvents is one event of every kind, and some with hostile text.
func someEvents() []transfer.Event {
	head := func(d transfer.Direction) transfer.Head {
		return transfer.Head{
			Transfer: "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6", Direction: d,
			Peer: "romeo@montague.example/jetsend.5e6f7a8b", Name: "a <b> & c.iso",
		}
	}
	fingerprint := strings.Repeat("0123456789abcdef", 4)
	sum := strings.Repeat("fedcba98", 8)
	evil := head(transfer.Receive)
	evil.Name = "a\x1b[2J\u202etxt.exe"
	return []transfer.Event{
		transfer.Online{JID: "juliet@capulet.example/jetsend.1a2b3c4d"},
		transfer.Offer{Head: head(transfer.Send), Size: 1048576},
		transfer.Offer{Head: evil, Size: 0},
		transfer.Accepted{Head: head(transfer.Send)},
		transfer.Negotiated{
			Head: head(transfer.Send), Transport: "s5b", Candidate: "direct", Cipher: "aes-256-gcm", Encryption: "jet",
			Devices: []transfer.DeviceInfo{
				{ID: 27183, Fingerprint: fingerprint, Trust: "blind", New: true},
				{ID: 31415, Fingerprint: fingerprint, Trust: "verified"},
			},
		},
		transfer.Negotiated{Head: evil, Transport: "ibb", Cipher: "aes-128-gcm", Encryption: "jet-draft"},
		transfer.Progress{Head: head(transfer.Send), Bytes: 524288, Size: 1048576, Rate: 1 << 20},
		transfer.Sent{Head: head(transfer.Send), Size: 1048576, VerifiedByPeer: true, Seconds: 1.25},
		transfer.Sent{Head: head(transfer.Send), Size: 12, SHA256: sum, Seconds: 0.01},
		transfer.Received{Head: evil, Path: "/srv/in/a_b.exe", Size: 1 << 30, Verified: []string{"gcm-tag", "sha-256"}, SHA256: sum, Seconds: 2},
		transfer.Failed{Head: head(transfer.Send), Code: 11, Reason: "transport lost", Resumable: true, Hints: []string{"run `jetsend send` again"}},
		transfer.Warning{Text: "a new OMEMO device was made"},
		transfer.FailedEarly{Code: 6, Reason: "romeo@montague.example is not online"},
	}
}

// someRecords is a row of every kind of data.
func someRecords() [][]record {
	return [][]record{
		{
			contactRecord{JID: "nurse@capulet.example", Subscription: "none"},
			contactRecord{JID: "romeo@montague.example", Name: "Romeo", Subscription: "both"},
			contactRecord{JID: "tybalt@capulet.example", Subscription: "from", Asked: true},
			contactRecord{JID: "paris@verona.example", Subscription: "none", Asks: true},
		},
		{
			deviceRecord{JID: "juliet@capulet.example", ID: 1, Fingerprint: strings.Repeat("01234567", 8), Trust: trustOwn, Active: true},
			deviceRecord{JID: "romeo@montague.example", ID: 27183, Fingerprint: strings.Repeat("89abcdef", 8), Trust: "blind", Active: true, LastUsed: "2026-11-21T20:15:00Z"},
			deviceRecord{JID: "romeo@montague.example", ID: 31415, Trust: "undecided"},
		},
		{versionRecord{Version: "1.2.3", Revision: "0123456789ab+", Go: "go1.26", Platform: "linux/amd64", Licence: "GPL-3.0-or-later"}},
	}
}

// feed shows everything to a printer and returns both streams.
func feed(p func(c *console, out *bytes.Buffer) printer, terminal bool) string {
	var out, errs bytes.Buffer
	c := newConsole(&errs, false, func(string) string { return "" })
	c.terminal = terminal // lines as on a terminal, without bar and colours
	pr := p(c, &out)
	for _, e := range someEvents() {
		pr.Event(e)
	}
	for _, rows := range someRecords() {
		pr.Rows(rows)
	}
	pr.Note("waiting for %s", "files")
	pr.Fail(&failure{code: exitcode.Offline, reason: "not online", hints: []string{"wait longer", "ask"}})
	pr.Close()
	return "== standard output ==\n" + out.String() + "== standard error ==\n" + errs.String()
}

func TestPrinters(t *testing.T) {
	text := func(quiet bool) func(*console, *bytes.Buffer) printer {
		return func(c *console, out *bytes.Buffer) printer {
			return &textPrinter{console: c, out: out, quiet: quiet, active: make(map[string]transfer.Progress)}
		}
	}
	ndjson := func(c *console, out *bytes.Buffer) printer { return &jsonPrinter{console: c, out: out, now: someTime} }
	for name, got := range map[string]string{
		"text":          feed(text(false), false),
		"text_terminal": feed(text(false), true),
		"text_quiet":    feed(text(true), true),
		"json":          feed(ndjson, true),
	} {
		golden(t, "testdata/printer_"+name+".golden", got)
		if name != "json" && strings.ContainsAny(got, "\x1b\u202e") { // JSON is for programs, and clean before it gets here
			t.Errorf("%s: a name drives the terminal", name)
		}
	}
}

func someTime() time.Time {
	return time.Date(2026, 11, 21, 21, 15, 0, 120e6, time.FixedZone("CET", 3600))
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// brokenWriter is a full disk.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLostOutputIsAnError(t *testing.T) {
	c := newConsole(&bytes.Buffer{}, false, func(string) string { return "" })
	for _, p := range []printer{
		&jsonPrinter{console: c, out: brokenWriter{}, now: someTime},
		&textPrinter{console: c, out: brokenWriter{}},
	} {
		p.Rows([]record{versionRecord{Version: "1"}})
		if p.Err() == nil {
			t.Errorf("%T: what could not be written was written", p)
		}
	}
}

// recordingBar remembers what it was shown.
type recordingBar struct{ log []string }

func (b *recordingBar) Update(label string, bytes, size int64) {
	b.log = append(b.log, label+" "+bytesText(bytes)+"/"+bytesText(size))
}
func (b *recordingBar) Clear() { b.log = append(b.log, "clear") }

func TestBar(t *testing.T) {
	var errs bytes.Buffer
	b := new(recordingBar)
	c := &console{terminal: true, w: &errs, bar: b}
	p := &textPrinter{console: c, out: &errs, active: make(map[string]transfer.Progress)}
	step := func(id, name string, bytes int64) {
		p.Event(transfer.Progress{Head: transfer.Head{Transfer: id, Name: name}, Bytes: bytes, Size: 1000})
	}
	step("1", "a", 100)
	step("2", "b", 200)
	p.Event(transfer.Sent{Head: transfer.Head{Transfer: "1", Name: "a"}, Size: 1000})
	release := c.hold()
	step("2", "b", 300) // not shown over a question
	c.line("said during the question")
	if strings.Contains(errs.String(), "said during") {
		t.Error("a line was written over the question")
	}
	release()
	if !strings.Contains(errs.String(), "said during") {
		t.Error("a line that was held back is lost")
	}
	p.Event(transfer.Failed{Head: transfer.Head{Transfer: "2", Name: "b"}})
	p.Close()
	step("3", "late", 1)
	want := []string{"a 100 B/1.0 kB", "2 files 300 B/2.0 kB", "b 200 B/1.0 kB", "clear", "clear", "clear", "clear", "clear"}
	if diff := cmp.Diff(want, b.log); diff != "" {
		t.Error(diff)
	}
}

func TestShorten(t *testing.T) {
	for in, want := range map[string]string{"short": "short", "a-very-long-name.tar.gz": "a-very-…r.gz", "grüße-aus-verona": "grüße-a…rona"} {
		if got := shorten(in, 12); got != want {
			t.Errorf("shorten(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTerminalBar(t *testing.T) {
	var w bytes.Buffer
	b := newTerminalBar(&w)
	b.Update("a.iso", 0, 0) // an empty file has no bar
	if w.Len() > 0 {
		t.Errorf("a bar of nothing: %q", w.String())
	}
	b.Update("a.iso", 500, 1000)
	if !strings.Contains(w.String(), "a.iso") || !strings.Contains(w.String(), "50%") {
		t.Errorf("the bar shows %q", w.String())
	}
	b.Update("a.iso", 2000, 1000) // more than was said is no more than all
	b.Clear()
}
