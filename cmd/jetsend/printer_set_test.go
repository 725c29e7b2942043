package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/event"
)

// setPrinter is a printer of text on a terminal, with a bar that remembers, whose clock
// says that two seconds have gone by at each look.
func setPrinter() (p *textPrinter, b *recordingBar, errs *bytes.Buffer) {
	b, errs = new(recordingBar), new(bytes.Buffer)
	return newTextPrinter(&console{terminal: true, w: errs, bar: b, pasted: new(app).pasted}, errs, false, new(app).again, ticking()), b, errs
}

// headsOf are the transfers of a set.
func headsOf(d event.Direction, names ...string) (heads []event.Head) {
	for i, name := range names {
		h := inSet(d, name)
		h.Transfer = uuidOf(fmt.Sprintf("%08d", i))
		heads = append(heads, h)
	}
	return heads
}

// TestSetIsOne: what is said of the session is said once, the bar shows the whole, and each
// transfer has its line at the end.
func TestSetIsOne(t *testing.T) {
	p, b, errs := setPrinter()
	heads := headsOf(event.Send, "verona", "a.iso", "b.iso", "c.iso")
	each := func(e event.Event) {
		for _, h := range heads {
			p.Event(event.For(e, h))
		}
	}
	progress := func(bytes int64, files int) {
		p.Event(event.Progress{Head: heads[0], Bytes: 1, Size: 2, Rate: 37e6, SetBytes: bytes, SetSize: 500e6, Files: files, FilesOf: 40})
	}
	each(event.Offer{Size: 1, Items: 4, SetSize: 500e6})
	each(event.Accepted{})
	each(event.Negotiated{Transport: "s5b", Candidate: "direct", Cipher: "aes-256-gcm", Encryption: "jet"})
	progress(254e6, 12)
	each(event.Interrupted{Bytes: 1, Reason: "transport lost", RetryIn: 1})
	each(event.Interrupted{Bytes: 1, Reason: "transport lost", RetryIn: 2})
	each(event.Resumed{Offset: 1})
	each(event.Negotiated{Transport: "ibb", Cipher: "aes-256-gcm", Encryption: "jet"})
	progress(400e6, 30)
	p.Event(event.Failed{Head: heads[0], Code: 12, Reason: "not all of it arrived", Counts: event.Counts{Entries: 37, EntriesFailed: 1, New: 30, Equal: 6}})
	p.Event(event.Sent{Head: heads[1], Size: 100e6, VerifiedByPeer: true})
	p.Event(event.Failed{Head: heads[2], Code: 12, Reason: "it has changed"})
	p.Event(event.Failed{Head: heads[3], Code: 12, Reason: "it has changed"})
	want := []string{
		"offering verona and 3 more (500 MB) to romeo@montague.example",
		"waiting for romeo@montague.example to accept (Ctrl-C stops)",
		"verona and 3 more: interrupted at 50 %: transport lost, trying again in 1 s",
		"verona and 3 more: interrupted at 50 %: transport lost, trying again in 2 s",
		"verona and 3 more: resuming",
		"jetsend: error: verona: not all of it arrived: 1 of 37 entries did not arrive (30 new, 6 unchanged)",
		"sent a.iso to romeo@montague.example: 100 MB, confirmed by a sealed receipt",
		"jetsend: error: b.iso: it has changed",
		"jetsend: warning: 1 more of them: it has changed",
	}
	got := slices.Collect(strings.Lines(errs.String()))
	for i := range got {
		got[i] = strings.TrimSuffix(got[i], "\n")
	}
	if len(got) != len(want)+1 || !strings.HasPrefix(got[len(want)], "sent 1 of 4 to romeo@montague.example: 100 MB in ") {
		t.Errorf("%d lines", len(got))
	}
	if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
		t.Error(diff)
	}
	if bars, want := b.bars(), "12/40 files 254 MB/500 MB 37 MB/s 6s direct"; bars[0] != want {
		t.Errorf("the bar shows %q, want %q", bars[0], want)
	}
	if len(p.ongoing) > 0 {
		t.Errorf("%d are under way", len(p.ongoing))
	}
}

// TestSetOfOneDirectory: it has its name, how long it took, and what became of its entries.
func TestSetOfOneDirectory(t *testing.T) {
	p, b, errs := setPrinter()
	h := inSet(event.Receive, "verona")
	p.Event(event.Offer{Head: h, Size: 5e8, Directory: true, Items: 1, SetSize: 5e8})
	p.Event(event.Negotiated{Head: h, Transport: "s5b", Candidate: "proxy", Cipher: "aes-256-gcm", Encryption: "jet"})
	p.Event(event.Progress{Head: h, Rate: 1e6, SetBytes: 1e8, SetSize: 5e8, Files: 1, FilesOf: 9})
	p.Event(event.Received{
		Head: h, Path: "/in/verona", Size: 5e8, Verified: []string{"gcm-tag"}, Directory: true, Counts: event.Counts{Entries: 12, New: 2, Equal: 9, Changed: 1},
	})
	for _, want := range []string{
		"romeo@montague.example offers directory verona (500 MB)\n",
		"received verona from romeo@montague.example: 500 MB in 2.0 s, proxy, 12 entries (2 new, 1 changed, 9 unchanged), saved as /in/verona\n",
	} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in:\n%s", want, errs)
		}
	}
	if want := "1/9 files verona 100 MB/500 MB 1.0 MB/s 6m40s proxy"; b.bars()[0] != want {
		t.Errorf("the bar shows %q", b.bars()[0])
	}
	if strings.Contains(errs.String(), "1 of 1") {
		t.Errorf("one is summed up:\n%s", errs)
	}
}

// TestSetStopped: what ends the session of many transfers is said once, with one hint, by
// both printers.
func TestSetStopped(t *testing.T) {
	heads := headsOf(event.Send, slices.Repeat([]string{"f"}, 5000)...)
	var out, jsonErrs bytes.Buffer
	p, _, errs := setPrinter()
	for _, pr := range []printer{p, &jsonPrinter{console: &console{w: &jsonErrs, bar: noBar{}, pasted: new(app).pasted}, out: &out, now: someTime, again: new(app).again}} {
		for i, h := range heads {
			pr.Event(event.Offer{Head: h, Items: len(heads), SetSize: 5000})
			if i == 0 {
				pr.Event(event.Sent{Head: h, Size: 1})
			}
		}
		for _, h := range heads[1:] {
			pr.Event(event.Failed{Head: h, Code: 11, Reason: "transport lost", Resumable: true})
		}
	}
	const hint = "jetsend: hint: run `jetsend resume 2c3d0000` to go on\n"
	for _, text := range []string{errs.String(), jsonErrs.String()} {
		if strings.Count(text, "transport lost") != 1 || strings.Count(text, hint) != 1 {
			t.Errorf("said:\n%.2000s", text)
		}
	}
	if !strings.Contains(errs.String(), "error: f and 4998 more: transport lost\n") || !strings.Contains(errs.String(), "sent 1 of 5000 to ") {
		t.Errorf("said:\n%.2000s", errs)
	}
	if n := strings.Count(out.String(), `"event":"failed"`); n != len(heads)-1 {
		t.Errorf("%d events", n)
	}
}

// TestSetDeclined: a no is one to all of them.
func TestSetDeclined(t *testing.T) {
	p, _, errs := setPrinter()
	for _, h := range headsOf(event.Receive, "a", "b") {
		p.Event(event.Offer{Head: h, Items: 2, SetSize: 9})
	}
	for _, h := range headsOf(event.Receive, "a", "b") {
		p.Event(event.Failed{Head: h, Code: 8, Reason: "declined", Declined: true})
	}
	if want := "declined a and 1 more from romeo@montague.example\n"; strings.Count(errs.String(), "declined") != 1 || !strings.HasSuffix(errs.String(), want) {
		t.Errorf("said:\n%s", errs)
	}
}

// TestEntriesAreCounted: people are told of the first entries that did not arrive, and of
// how many there were.
func TestEntriesAreCounted(t *testing.T) {
	p, _, errs := setPrinter()
	h := inSet(event.Receive, "verona")
	for i := range event.MaxEntries {
		p.Event(event.NewEntry(h, fmt.Sprintf("sub/%d\x1b", i), "no such name here"))
	}
	p.Event(event.Failed{Head: h, Code: 12, Reason: "not all of it arrived", Path: "/in/verona", Counts: event.Counts{Entries: 5000, EntriesFailed: 4000, New: 1000}})
	text := errs.String()
	if strings.Count(text, "no such name here") != entriesTold || strings.Contains(text, "\x1b") {
		t.Errorf("said:\n%s", text)
	}
	for _, want := range []string{
		"warning: verona: 3990 more of its entries did not arrive\n",
		"error: verona: not all of it arrived: 4000 of 5000 entries did not arrive, the rest is in /in/verona\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// TestSetBesideFiles: the bar adds up what is under way.
func TestSetBesideFiles(t *testing.T) {
	p, b, _ := setPrinter()
	p.Event(event.Progress{Head: inSet(event.Receive, "verona"), SetBytes: 100, SetSize: 1000, Rate: 10, Files: 3, FilesOf: 40})
	p.Event(event.Progress{Head: event.Head{Transfer: "1", Name: "a"}, Bytes: 100, Size: 1000, Rate: 10})
	if bars := b.bars(); bars[len(bars)-1] != "41 files 200 B/2.0 kB 20 B/s "+(90*time.Second).String() {
		t.Errorf("the bar shows %q", bars)
	}
}
