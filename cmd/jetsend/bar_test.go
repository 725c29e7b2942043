package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/event"
)

// recordingBar remembers what it was shown.
type recordingBar struct{ log []string }

func (b *recordingBar) Update(s standing) {
	left, rate, amount, resumed := s.texts()
	b.log = append(b.log, strings.Join(strings.Fields(strings.Join([]string{s.count, s.label, amount, rate, left, s.path, resumed}, " ")), " "))
}
func (b *recordingBar) Wipe()  { b.Clear() }
func (b *recordingBar) Clear() { b.log = append(b.log, "clear") }

// bars are the updates, each once.
func (b *recordingBar) bars() []string {
	return slices.Compact(slices.DeleteFunc(b.log, func(s string) bool { return s == "clear" }))
}

func TestBar(t *testing.T) {
	var errs bytes.Buffer
	b := new(recordingBar)
	c := &console{terminal: true, w: &errs, bar: b}
	p := newTextPrinter(c, &errs, false, new(app).again, someTime)
	step := func(id, name string, bytes int64) {
		p.Event(event.Progress{Head: event.Head{Transfer: id, Name: name}, Bytes: bytes, Size: 1000, Rate: 100})
	}
	step("1", "a", 100)
	step("2", "b", 200)
	p.Event(event.Sent{Head: event.Head{Transfer: "1", Name: "a"}, Size: 1000})
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
	p.Event(event.Failed{Head: event.Head{Transfer: "2", Name: "b"}})
	p.Close()
	step("3", "late", 1)
	want := []string{"a 100 B/1.0 kB 100 B/s 9s", "2 files 300 B/2.0 kB 200 B/s 8s", "b 200 B/1.0 kB 100 B/s 8s"}
	if diff := cmp.Diff(want, b.bars()); diff != "" {
		t.Error(diff)
	}
}

// TestBarGoesOn: a transfer that goes on starts where it stopped, without a
// rate until there is a new one, and the last line tells of it.
func TestBarGoesOn(t *testing.T) {
	var errs bytes.Buffer
	b := new(recordingBar)
	p := newTextPrinter(&console{terminal: true, w: &errs, bar: b}, new(bytes.Buffer), false, new(app).again, someTime)
	p.Expect(2)
	head := event.Head{Transfer: "1", Name: "a"}
	p.Event(event.Offer{Head: head, Size: 1000})
	p.Event(event.Negotiated{Head: head, Transport: "s5b", Candidate: "proxy"})
	p.Event(event.Progress{Head: head, Bytes: 500, Size: 1000, Rate: 250})
	p.Event(event.Interrupted{Head: head, Bytes: 450, Reason: "lost", RetryIn: 1})
	p.Event(event.Resumed{Head: head, Offset: 450})
	p.Event(event.Negotiated{Head: head, Transport: "ibb"})
	p.Event(event.Progress{Head: head, Bytes: 460, Size: 1000, Rate: 20})
	other := event.Head{Transfer: "2", Name: "b"}
	p.Event(event.Progress{Head: other, Bytes: 40, Size: 1000, Rate: 20})
	p.Event(event.Sent{Head: head, Size: 1000})
	p.Event(event.Received{Head: other, Path: "/srv/b"})
	want := []string{
		"1/2 a 500 B/1.0 kB 250 B/s 2s proxy", "1/2 a 450 B/1.0 kB resumed 1x", "1/2 a 450 B/1.0 kB in-band resumed 1x",
		"1/2 a 460 B/1.0 kB 20 B/s 27s in-band resumed 1x", "2 of 2 files 500 B/2.0 kB 40 B/s 37s", "2/2 b 40 B/1.0 kB 20 B/s 48s",
	}
	if diff := cmp.Diff(want, b.bars()); diff != "" {
		t.Error(diff)
	}
	if len(p.ongoing) > 0 {
		t.Error("a transfer that ended is still remembered")
	}
	if !strings.Contains(errs.String(), "1.0 kB in 0.0 s, in-band, resumed once, ") {
		t.Errorf("the end does not tell how: %s", errs.String())
	}
}

func TestShorten(t *testing.T) {
	for in, want := range map[string]string{
		"short": "short", "a-very-long-name.tar.gz": "a-very-…r.gz", "grüße-aus-verona": "grüße-a…rona", "日本語のファイル名": "日本語…ル名",
	} {
		if got := shorten(in, 12); got != want || columnsOf(got) > 12 {
			t.Errorf("shorten(%q) = %q, want %q", in, got, want)
		}
	}
	if got := shorten("abc", 0); got != "…" {
		t.Errorf("in no room at all it is %q", got)
	}
}

// TestLine: the line fits, whatever the terminal and the name are, and what
// tells most is there.
func TestLine(t *testing.T) {
	s := standing{label: "balcony.jpg", count: "2/3", bytes: 512e6, size: 1e9, rate: 12e6, path: "direct", resumes: 2}
	for columns, want := range map[int]string{
		19: "2/3 bal…pg 40s  51%",
		39: "2/3 balcony.jpg 12 MB/s 40s direct  51%",
		79: "2/3 balcony.jpg 512 MB/1.0 GB 12 MB/s 40s direct resumed 2x  51% |██████      |",
	} {
		if got := s.line(columns); got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
	for _, label := range []string{"a", "balcony.jpg", strings.Repeat("long", 60) + ".txt", strings.Repeat("長", 50), "e\u0301te\u0301.jpg"} {
		for columns := 7; columns < 200; columns++ {
			for _, s := range []standing{
				{label: label, size: 1}, {label: label, bytes: 1 << 40, size: 1 << 40, rate: 1}, {label: label, bytes: 1, size: 1 << 40, rate: 3},
				{label: label, count: "100/1000", bytes: 5, size: 10, rate: 3, path: "in-band", resumes: 12}, {label: label, bytes: 20, size: 10},
			} {
				got := s.line(columns)
				if n := columnsOf(got); n > columns || strings.ContainsAny(got, "\r\n\x1b") || !strings.Contains(got, "%") {
					t.Fatalf("%d columns hold %d: %q", columns, n, got)
				}
			}
		}
	}
}

func TestTerminalBar(t *testing.T) {
	var w bytes.Buffer
	b := newTerminalBar(&w, false)
	b.Update(standing{label: "a.iso"}) // an empty file has no bar
	if b.Clear(); w.Len() > 0 {
		t.Errorf("a bar of nothing: %q", w.String())
	}
	for _, tt := range []struct {
		at   standing
		want string
	}{
		{standing{label: "a.iso", bytes: 500, size: 1000, rate: 250}, "a.iso 500 B/1.0 kB 250 B/s 2s  50% |██████████          |"},
		{standing{label: "a.iso", bytes: 2000, size: 1000, rate: 1}, "a.iso 2.0 kB/1.0 kB 1 B/s 0s 100% |████████████████████|"}, // more than was said
		{standing{label: "a.iso", bytes: 450, size: 1000}, "a.iso 450 B/1.0 kB  45% |█████████           |"},                     // the receipt was lost
		{standing{label: "b", bytes: 0, size: 1000}, "b 0 B/1.0 kB   0% |                    |"},
	} {
		w.Reset()
		if b.Update(tt.at); strings.TrimRight(w.String(), " ") != "\r"+tt.want {
			t.Errorf("%v shows %q", tt.at, w.String())
		}
	}
	w.Reset()
	b.Clear()
	b.Clear()
	if got := w.String(); got != fmt.Sprintf("\r%*s\r", 57, "") {
		t.Errorf("it is wiped by %q", got)
	}
}

// TestBarAfterNarrowing: a terminal that becomes narrower than the bar breaks it into
// two lines, and neither may stay.
func TestBarAfterNarrowing(t *testing.T) {
	s := standing{label: "the most excellent and lamentable tragedy.pdf", bytes: 1, size: 3, rate: 1e6, path: "direct"}
	for _, erases := range []bool{true, false} {
		var out bytes.Buffer
		columns := 100
		b := newTerminalBar(&out, erases)
		b.columns = func() int { return columns }
		b.Update(s)
		columns = 40
		out.Reset()
		b.Update(s)
		if got := strings.HasPrefix(out.String(), "\x1b[1A\r\x1b[J"); got != erases {
			t.Errorf("erases %v: %q", erases, out.String())
		}
		out.Reset()
		columns = 20
		b.Clear()
		if got := strings.HasPrefix(out.String(), "\x1b[1A\r\x1b[J"); got != erases {
			t.Errorf("erases %v: cleared by %q", erases, out.String())
		}
	}
}
