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

	"jetsend/internal/acquaint"
	"jetsend/internal/doctor"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/index"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/outbox"
	"jetsend/internal/outset"
	"jetsend/internal/status"
)

var update = flag.Bool("update", false, "write the golden files anew")

// someEvents is one event of every kind, and some with hostile text.
func someEvents() []event.Event {
	head := func(d event.Direction) event.Head {
		return event.Head{
			Transfer: "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6", Direction: d,
			Peer: "romeo@montague.example/jetsend.5e6f7a8b", Name: "a <b> & c.iso",
		}
	}
	fingerprint := strings.Repeat("0123456789abcdef", 4)
	sum := strings.Repeat("fedcba98", 8)
	evil := head(event.Receive)
	evil.Name = "a\x1b[2J\u202etxt.exe"
	return []event.Event{
		event.Online{JID: "juliet@capulet.example/jetsend.1a2b3c4d"},
		event.Waiting{Peer: "romeo@montague.example", AtMost: 20 * time.Second},
		event.Waiting{Peer: "romeo@montague.example", AtMost: time.Hour, Online: true},
		event.Acquainted{Peer: "romeo@montague.example", Invitation: "0a3c1d5e", Verified: true, Devices: 1},
		event.Acquainted{Peer: "romeo@montague.example", Invitation: "0a3c1d5e", Verified: true, Devices: 2},
		event.Acquainted{Peer: "romeo\x1b@montague.example", Invitation: "0a3c1d5e"},
		event.Offer{Head: head(event.Send), Size: 1048576},
		event.Offer{Head: evil, Size: 0, Description: "for\u202eyou"},
		event.Accepted{Head: head(event.Send)},
		event.Negotiated{
			Head: head(event.Send), Transport: "s5b", Candidate: "direct", Cipher: "aes-256-gcm", Encryption: "jet",
			Devices: []event.DeviceInfo{
				{ID: 27183, Fingerprint: fingerprint, Trust: "blind", New: true},
				{ID: 31415, Fingerprint: fingerprint, Trust: "verified"},
			},
		},
		event.Negotiated{ // the next file of the batch: the device is not new to the reader any more
			Head: head(event.Receive), Transport: "ibb", Cipher: "aes-256-gcm", Encryption: "jet",
			Devices: []event.DeviceInfo{{ID: 27183, Fingerprint: fingerprint, Trust: "blind", New: true}},
		},
		event.Negotiated{Head: evil, Transport: "ibb", Cipher: "aes-128-gcm", Encryption: "jet-draft"},
		event.Progress{Head: head(event.Send), Bytes: 524288, Size: 1048576, Rate: 1 << 20},
		event.Interrupted{Head: head(event.Send), Bytes: 524288, Reason: "transport lost", RetryIn: 1.5},
		event.Resumed{Head: head(event.Send), Offset: 524288},
		event.Interrupted{Head: evil, Reason: "timeout"},
		event.Resumed{Head: evil},
		event.Sent{Head: head(event.Send), Size: 1048576, VerifiedByPeer: true, Seconds: 1.25},
		event.Sent{Head: head(event.Send), Size: 12, SHA256: sum, Seconds: 0.01},
		event.Received{Head: evil, Path: "/srv/in/a_b.exe", Size: 1 << 30, Verified: []string{"gcm-tag", "sha-256"}, SHA256: sum, Seconds: 2, Description: "for\x1byou"},
		event.Offer{Head: head(event.Receive), Size: 1 << 20, Directory: true},
		event.Received{Head: head(event.Receive), Path: "/srv/in/tree", Size: 1 << 20, Verified: []string{"gcm-tag"}, Seconds: 2, Directory: true},
		event.Received{Head: head(event.Receive), Path: event.StandardOutput, Size: 12, Verified: []string{"gcm-tag"}, Seconds: 0.5},
		event.Negotiated{Head: head(event.Receive), Transport: "s5b", Candidate: "proxy", Encryption: "none"},
		event.Received{Head: head(event.Receive), Path: "/srv/in/plain", Size: 12, Verified: []string{}, Seconds: 0.5},
		event.Negotiated{Head: head(event.Receive), Transport: "ibb", Encryption: "none"},
		event.Received{Head: head(event.Receive), Path: "/srv/in/plain", Size: 12, Verified: []string{"sha-1", "sha-256"}, SHA256: sum, Seconds: 0.5},
		event.Hook{Head: head(event.Receive), Seconds: 0.5},
		event.Hook{Head: evil, Status: 3, Seconds: 0.5},
		event.Hook{Head: head(event.Receive), Status: -1, Reason: "out of time", Seconds: 900},
		event.Failed{Head: head(event.Send), Code: 11, Reason: "transport lost", Resumable: true, Hints: []string{"look at the path"}},
		event.Failed{Head: head(event.Send), Code: 8, Reason: "declined by the contact", Declined: true},
		event.Failed{Head: head(event.Send), Code: 8, Reason: "the contact's rules do not admit it (policy)", Declined: true},
		event.Failed{Head: head(event.Send), Code: 8, Reason: "the contact's receiver is busy with another batch"},
		event.Failed{Head: evil, Code: 8, Reason: "declined", Declined: true},
		event.Warning{Text: "a new OMEMO device was made"},
		event.Offer{Head: inSet(event.Send, "verona"), Size: 1 << 20, Directory: true, Items: 2, SetSize: 2 << 20},
		event.Progress{Head: inSet(event.Send, "verona"), Bytes: 1 << 19, Size: 1 << 20, Rate: 1 << 20, SetBytes: 1 << 19, SetSize: 2 << 20, Files: 12, FilesOf: 40},
		event.NewEntry(inSet(event.Send, "verona"), "sub/a.txt", "permission denied"),
		event.NewEntry(inSet(event.Send, "verona"), "b\x1b\xff", "it has changed"),
		event.NewEntry(inSet(event.Send, "verona"), "", ""),
		event.Failed{Head: inSet(event.Send, "verona"), Code: 12, Reason: "not all of it arrived", Path: "/srv/verona", Counts: event.Counts{Entries: 40, EntriesFailed: 3, New: 37}},
		event.Sent{
			Head: inSet(event.Send, "a.iso"), Size: 1 << 20, VerifiedByPeer: true, Seconds: 1,
			Differences: event.Differences{Renamed: 1}, Counts: event.Counts{Entries: 40, New: 12, Changed: 3, Equal: 25, Kept: 1},
		},
		event.Online{JID: "juliet@capulet.example/jetsend.1a2b3c4d"}, // after a loss
		event.FailedEarly{Code: 6, Reason: "romeo@montague.example is not online", Hints: []string{"wait for them"}},
	}
}

// inSet is the head of a transfer of a set.
func inSet(d event.Direction, name string) event.Head {
	return event.Head{Transfer: uuidOf("1b2c"), Direction: d, Peer: "romeo@montague.example/jetsend.5e6f7a8b", Name: name, Set: uuidOf("2c3d")}
}

// someRecords is a row of every kind of data.
func someRecords() [][]record {
	a := &app{now: someTime}
	return [][]record{
		someStatus(),
		someQueued(),
		{
			contactRecord{JID: "nurse@capulet.example", Subscription: "none"},
			contactRecord{JID: "romeo@montague.example", Name: "Romeo", Subscription: "both"},
			contactRecord{JID: "tybalt@capulet.example", Subscription: "from", Asked: true},
			contactRecord{JID: "paris@verona.example", Subscription: "none", Asks: true},
		},
		{
			ownRecord(jid.MustParse("juliet@capulet.example"), 1, strings.Repeat("01234567", 8)),
			(&app{now: someTime}).recordOf(device{
				JID: jid.MustParse("romeo@montague.example"), ID: 27183, Fingerprint: strings.Repeat("89abcdef", 8), Trust: "blind", Active: true, LastUsed: someTime(),
			}),
			deviceRecord{JID: "romeo@montague.example", ID: 31415, Trust: "undecided"},
		},
		{
			a.recordOf(device{
				JID: jid.MustParse("romeo@montague.example"), ID: 27183, Fingerprint: strings.Repeat("89abcdef", 8), Trust: "verified", Active: true, Decided: someTime(),
			}),
			a.recordOf(device{
				JID: jid.MustParse("romeo@montague.example"), ID: 27184, Fingerprint: strings.Repeat("89abcdef", 8), Trust: "verified", Decided: someTime(), Invited: true,
			}),
			issued(&invite.Link{Letter: invite.Letter{Issuer: jid.MustParse("juliet@capulet.example")}}, acquaint.Terms{Uses: 1, For: time.Hour}, someTime()),
			a.invitationRow(&acquaint.Invitation{
				Terms: acquaint.Terms{Uses: 2, Bound: jid.MustParse("romeo@montague.example")}, Used: 1, Created: someTime(), Expires: someTime().Add(time.Hour),
				By: []jid.JID{jid.MustParse("romeo@montague.example")},
			}),
			a.invitationRow(&acquaint.Invitation{Terms: acquaint.Terms{Uses: 1}, Used: 1, Created: someTime(), Expires: someTime().Add(time.Hour)}),
		},
		someTransfers(),
		{
			findingRecord{Finding: doctor.Finding{Area: "server", Check: "tls", Status: doctor.StatusOK, Text: "TLS 1.3", Details: map[string]any{"version": "TLS 1.3"}}, heading: true},
			findingRecord{Finding: doctor.Finding{Area: "send", Check: "send", Status: doctor.StatusFail, Text: "not online", Code: 6, Hints: []string{"wait longer"}}},
			diagnosisRecord{Account: "juliet@capulet.example", Contact: "romeo@montague.example", Works: true, Warnings: 1, Plan: &aPlan},
			diagnosisRecord{Account: "juliet@capulet.example", Code: 6, Reason: "not online", Failures: 1},
		},
		{planRecord{somePlan()}, planRecord{setPlan()}},
		{versionRecord{Version: "1.2.3", Revision: "0123456789ab+", Go: "go1.26", Platform: "linux/amd64", Licence: "GPL-3.0-or-later"}},
	}
}

// somePlan is for a file with a name that drives terminals.
func somePlan() doctor.Plan {
	p := aPlan
	p.File = &doctor.PlannedFile{Name: "a\x1b.txt", Path: "/a", Size: 1000, Transfer: uuidOf("0a3c"), ResumedFrom: 500}
	return p
}

// someStatus are a receive that does nothing and one that does everything.
func someStatus() []record {
	at, later := someTime().UTC(), someTime().UTC().Add(time.Minute)
	idle := status.Snapshot{Account: "juliet@capulet.example", Version: "1.0.0", PID: 4711, Since: at}
	idle.Connection = status.Connection{State: status.Online, Since: at, JID: "juliet@capulet.example/jetsend.1a2b3c4d", Server: "xmpp.capulet.example:5222", TLS: "TLS 1.3", Mechanism: "SCRAM-SHA-256-PLUS"}
	idle.Transfers, idle.Queue, idle.Errors = []status.Transfer{}, []status.Queued{}, []status.Error{}
	busy := idle
	busy.Paused, busy.LimitRate, busy.More = true, 500000, 3
	busy.Connection = status.Connection{State: status.Reconnecting, Since: at, Reason: "timeout", NextTry: &later}
	head := event.Head{Transfer: uuidOf("aaaa"), Set: uuidOf("bbbb"), Direction: event.Receive, Peer: "romeo@montague.example/jetsend.5e6f7a8b", Name: "a\x1b.iso"}
	out := event.Head{Transfer: uuidOf("cccc"), Direction: event.Send, Peer: "romeo@montague.example/jetsend.5e6f7a8b", Name: "b.iso"}
	busy.Transfers = []status.Transfer{
		{Head: head, Size: 1 << 20, Bytes: 1 << 19, Rate: 2000000, MeanRate: 1900000, Path: "punched", State: status.Running, Since: at},
		{Head: out, Size: 1000, Bytes: 999, State: status.Interrupted, Since: at, Reason: "transport lost"},
	}
	busy.Queue = []status.Queued{{ID: uuidOf("dddd"), Name: "c.iso", Contact: "paris@verona.example", Why: "not online"}}
	busy.Errors = []status.Error{{Time: at, Code: int(exitcode.LocalFile), Text: "d.iso: no space"}, {Time: at, Text: "hook for e: exit status 3"}}
	when := (&app{now: someTime}).local
	return []record{statusRecord{Snapshot: idle, when: when}, statusRecord{Snapshot: busy, when: when, resume: "jetsend status resume", again: true}}
}

// setPlan is for a directory that goes in a set.
func setPlan() doctor.Plan {
	p := aPlan
	p.File = &doctor.PlannedFile{Name: "verona", Path: "/verona", Size: 900, Directory: true, Entries: 7}
	p.Items, p.SetSize = 3, 1900
	p.File.Since = &outset.Since{Sent: someTime().UTC(), Changes: index.Changes{New: 1, Changed: 2, Equal: 4, Gone: 3, Bytes: 700}}
	return p
}

// someQueued are what `send --queue` and `transfers` say of one that waits, and one that is held.
func someQueued() []record {
	a := &app{now: someTime}
	e := outbox.Entry{
		ID: uuidOf("eeee"), Peer: jid.MustParse("paris@verona.example"), Name: "c.iso", Size: 1000, Files: []outbox.File{{Path: "/srv/c.iso"}},
		Queued: someTime(), Until: someTime().Add(time.Hour), State: outbox.Waiting, Why: "waits for the contact",
	}
	held := e
	held.ID, held.State, held.Why, held.Code = uuidOf("ffff"), outbox.Held, "the key of device 1 is not verified", int(exitcode.Untrusted)
	return []record{queuedRecord{e.ID, e.Peer.String(), e.Name, e.Size, stamp(e.Until), true}, a.queuedTransfer(&e), transferSheet{a.queuedTransfer(&held)}}
}

// someTransfers are one that has everything and one that has as little as can be.
func someTransfers() []record {
	a := &app{now: someTime}
	sum := bytes.Repeat([]byte{0xfe}, 32)
	whole := journal.Row{
		Key: journal.Key{ID: uuidOf("aaaa"), Direction: journal.Receive}, Batch: uuidOf("bbbb"), Peer: jid.MustParse("romeo@montague.example"),
		Resource: "jetsend.5e6f7a8b", Profile: true, Name: "a\x1b[2J\u202etxt.exe", Description: "for\x1byou", Dir: "/srv/in", Path: "/srv/in/a_b.exe", Size: 1 << 30, SHA256: sum,
		State: journal.Complete, Durable: 1 << 30, Released: true, Retries: 2, Created: someTime(), Updated: someTime().Add(time.Hour),
		Finished: someTime().Add(time.Hour), LastError: "transport lost", Keys: [][]byte{append([]byte{5}, sum...)},
	}
	bare := journal.Row{
		Key: journal.Key{ID: uuidOf("cccc"), Direction: journal.Send}, Peer: jid.MustParse("paris@verona.example"), Name: "b.iso", Path: "/srv/b.iso",
		State: journal.Offered, Created: someTime(), Updated: someTime(),
	}
	cut := bare
	cut.ID, cut.State, cut.Profile, cut.Size, cut.Durable = uuidOf("dddd"), journal.Interrupted, true, 1000, 999
	set := whole
	set.ID, set.Source, set.Items, set.Path, set.SHA256 = uuidOf("eeee"), journal.SourceSet, 2, "", nil
	part := a.argumentRecord(&set, &journal.Argument{
		Number: 1, Name: "verona\x1b", Path: "/srv/in/verona", Folder: true, Size: 1 << 30, Entries: 40, Durable: 1 << 29,
		Done: 30, Changed: 5, Equal: 15, Kept: 1, Failed: 10, State: journal.ArgumentPlaced, LastError: "no\x1b such name here",
	})
	return []record{a.transferRecord(&whole), part, transferSheet{part}, a.transferRecord(&bare), transferSheet{a.transferRecord(&whole)}, transferSheet{a.transferRecord(&cut)}}
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
			return newTextPrinter(c, out, quiet, new(app).again, ticking())
		}
	}
	ndjson := func(c *console, out *bytes.Buffer) printer {
		return &jsonPrinter{console: c, out: out, now: someTime, again: new(app).again}
	}
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

// ticking is a clock that goes on by two seconds each time that somebody looks.
func ticking() func() time.Time {
	at := someTime()
	return func() time.Time {
		at = at.Add(2 * time.Second)
		return at
	}
}

// TestSpeed: what counts is what this run moved, from its first path on.
func TestSpeed(t *testing.T) {
	h := event.Head{Transfer: "1", Direction: event.Send, Name: "mid.bin", Peer: "romeo@montague.example/x"}
	offer, yes, path := event.Offer{Head: h, Size: 60e6}, event.Accepted{Head: h}, event.Negotiated{Head: h, Transport: "ibb"}
	resumed := func(offset int64) event.Event { return event.Resumed{Head: h, Offset: offset} }
	for want, events := range map[string][]event.Event{
		"60 MB in 2.0 s (30 MB/s), in-band":                                   {offer, yes, path},
		"60 MB, the last 10 MB in 2.0 s (5.0 MB/s), in-band, resumed once":    {offer, yes, resumed(50e6), path},
		"60 MB, the last 10 MB in 2.0 s (5.0 MB/s), in-band, resumed 2 times": {offer, yes, resumed(20e6), yes, resumed(50e6), path},
		"60 MB in 2.0 s (30 MB/s), in-band, resumed 2 times":                  {offer, yes, path, yes, resumed(20e6), path, yes, resumed(40e6), path},
		"60 MB, the last 20 MB in 2.0 s (10 MB/s), in-band, resumed 2 times":  {offer, yes, resumed(50e6), path, yes, resumed(40e6), path},
		"60 MB in 2.0 s (30 MB/s), in-band, resumed once":                     {offer, yes, resumed(50e6), yes, path}, // the receiver had other bytes
		"60 MB, the last 500 kB in 2.0 s, in-band, resumed once":              {offer, yes, resumed(59.5e6), path},
		"60 MB": {offer}, // a crash had hidden it, or another process brought the rest
	} {
		var errs bytes.Buffer
		p := newTextPrinter(&console{w: &errs, bar: noBar{}}, new(bytes.Buffer), false, new(app).again, nil)
		clock := someTime()
		p.now = func() time.Time { return clock }
		for _, e := range events {
			p.Event(e)
		}
		clock = clock.Add(2 * time.Second)
		p.Event(event.Sent{Head: h, Size: 60e6, VerifiedByPeer: true, Seconds: 62})
		if want = ": " + want + ", confirmed by"; !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in %s", want, errs.String())
		}
	}
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

func TestResumeHint(t *testing.T) {
	a := new(app)
	a.global.stateDir.value, a.global.account = "/a b", "work"
	e := event.Failed{Head: event.Head{Transfer: uuidOf("aaaa0000")}, Resumable: true, Hints: []string{"first"}}
	want := []string{"first", "run `jetsend --account=work '--state-dir=/a b' resume aaaa0000` to go on"}
	if diff := cmp.Diff(want, hintsOf(e, a.again)); diff != "" {
		t.Error(diff)
	}
	e.Hints = []string{"run `jetsend resume x`"}
	if got := hintsOf(e, a.again); len(got) != 1 {
		t.Errorf("said twice: %q", got)
	}
	e.Resumable, e.Hints = false, nil
	if got := hintsOf(e, a.again); len(got) != 0 {
		t.Errorf("what is over goes on: %q", got)
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[float64]string{0.2: "1 s", 1.5: "2 s", 119: "119 s", 121: "3 min"} {
		if got := seconds(in); got != want {
			t.Errorf("seconds(%v) = %q, want %q", in, got, want)
		}
	}
}
