package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"jetsend/internal/config"
	"jetsend/internal/doctor"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/transfer"
	"jetsend/internal/xmpptest"
)

// aPlan is what the fake endpoint would do.
var aPlan = doctor.Plan{
	To: "romeo@montague.example/jetsend.5e6f7a8b", Form: "jetsend:1", Encryption: "jet", Cipher: "aes-256-gcm", NameHidden: true, Receipt: true,
	Transports: []string{"s5b", "ibb"}, Candidates: []doctor.CandidateInfo{{Type: "direct", Host: "192.0.2.1", Port: 4711}},
	Devices: []event.DeviceInfo{{ID: 27183, Fingerprint: strings.Repeat("89abcdef", 8), Trust: "blind", New: true}},
}

// DryRun plans a file of 1000 bytes that was interrupted in the middle.
func (e *fakeEndpoint) DryRun(_ context.Context, o transfer.SendOptions) ([]doctor.Plan, error) {
	e.done = append(e.done, "dry run")
	e.sent = append(e.sent, o)
	p := aPlan
	p.File = &doctor.PlannedFile{Name: "a\x1b.txt", Path: "/a", Size: 1000, Transfer: uuidOf("0a3c"), ResumedFrom: 500}
	return []doctor.Plan{p}, e.result
}

// Diagnose finds something good, something odd and, with a result, that.
func (e *fakeEndpoint) Diagnose(_ context.Context, o transfer.SendOptions, found func(doctor.Finding)) (*doctor.Plan, error) {
	e.sent = append(e.sent, o)
	found(doctor.Finding{Area: "account", Check: "stream-management", Status: doctor.StatusWarn, Text: "none: a lost stream needs a new login"})
	var f *fault.Failure
	if errors.As(e.result, &f) {
		found(doctor.Finding{Area: "send", Check: "send", Status: doctor.StatusFail, Text: f.Reason, Code: int(f.Code), Hints: f.Hints})
		return nil, e.result
	}
	p := aPlan
	return &p, e.result
}

// doctorFixture has a server that hangs up, or none.
func doctorFixture(t *testing.T) *fixture {
	f := newFixture(t)
	port, err := xmpptest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	f.env["JETSEND_SERVER"] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return f
}

// TestDoctorServerDown has nobody listen: what was found is told, no password is
// asked for, and nobody logs in.
func TestDoctorServerDown(t *testing.T) {
	f := doctorFixture(t)
	delete(f.env, "JETSEND_PASSWORD")
	f.wants(5, nil, "doctor", "romeo@montague.example")
	for _, want := range []string{"SERVER\n", "ok   dns", "fail connect", "ACCOUNT\nfail login", "hint: check the network", "a send would end with exit code 5: "} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, f.out.String())
		}
	}
	if len(f.dialled) > 0 || f.err.Len() > 0 {
		t.Errorf("dialled %d times, said %q", len(f.dialled), f.err.String())
	}
	f.wants(5, nil, "doctor", "--json")
	last := lastRecord(t, f.out.String())
	if last["event"] != "diagnosis" || last["code"] != 5.0 || last["works"] != false || last["failures"] != 2.0 {
		t.Errorf("summary: %v", last)
	}
}

// TestDoctorEnd is about what a report ends with.
func TestDoctorEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		failed bool // something was found
		code   int
		works  bool
	}{
		"all good":   {nil, false, 0, true},
		"offline":    {&fault.Failure{Code: exitcode.Offline, Reason: "not online"}, true, 6, false},
		"found only": {nil, true, 9, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := doctorFixture(t)
			a := f.app()
			d := &diagnosis{a: a}
			if tt.failed {
				d.add(doctor.Finding{Area: "account", Check: "omemo", Status: doctor.StatusFail, Code: 9, Text: "not published"})
			}
			err := d.end(t.Context(), tt.err)
			code, _ := codeOf(t.Context(), err)
			if int(code) != tt.code || d.record.Code != tt.code || d.record.Works != tt.works {
				t.Errorf("%d %+v", code, d.record)
			}
		})
	}
	// A failure that is no finding is an error like any other.
	d := &diagnosis{a: doctorFixture(t).app()}
	if err := d.end(t.Context(), usagef("wrong")); !errors.As(err, new(*usageError)) {
		t.Error(err)
	}
	d.record.Failures = 1
	if err := d.end(t.Context(), fault.ErrInterrupted); !errors.Is(err, fault.ErrInterrupted) {
		t.Error(err)
	}
}

// TestDoctorCancelled: a signal is no finding.
func TestDoctorCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrInterrupted)
	d := &diagnosis{a: doctorFixture(t).app()}
	err := d.end(ctx, d.refused(ctx, context.Canceled))
	if code, _ := codeOf(ctx, err); code != exitcode.Cancelled || d.record.Failures > 0 {
		t.Errorf("%d %+v", code, d.record)
	}
}

// TestDoctorNoPassword: the login cannot be tried, and everything before it is told.
func TestDoctorNoPassword(t *testing.T) {
	f := doctorFixture(t)
	d := &diagnosis{a: f.app()}
	err := d.end(t.Context(), d.refused(t.Context(), &config.Error{Msg: "no password", Hints: []string{"give one"}}))
	if code, _ := codeOf(t.Context(), err); code != exitcode.Config || d.record.Code != 3 || !strings.Contains(f.out.String(), "hint: give one") {
		t.Errorf("%d %+v\n%s", code, d.record, f.out.String())
	}
}

// app is a run with the fixture's output, for what lies below the commands.
func (f *fixture) app() *app {
	a := newApp(system{Stdin: strings.NewReader(""), Stdout: &f.out, Stderr: &f.err, Env: func(k string) string { return f.env[k] }})
	a.print = a.newPrinter(false)
	return a
}

func TestDryRun(t *testing.T) {
	f := newFixture(t)
	file := f.file("a.txt", "text")
	f.wants(0, nil, "send", "--dry-run", "--no-direct", file, "romeo@montague.example")
	for _, want := range []string{
		"file           a\ufffd.txt (1.0 kB), its name hidden from the servers\n", "to             romeo@montague.example/jetsend.5e6f7a8b\n",
		"form           jetsend:1, aes-256-gcm; a sealed receipt", "path           s5b, then ibb\n", "               direct 192.0.2.1:4711\n",
		"encrypted for  device 27183, key 89abcdef 89abcdef", "blind, new\n", "goes on        transfer 0a3c0000 at 50 %\n",
	} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, f.out.String())
		}
	}
	if e := f.endpoint; len(e.done) != 1 || e.done[0] != "dry run" || len(e.sent) != 1 || !e.sent[0].Route.NoDirect || e.closed != 1 {
		t.Errorf("%+v", f.endpoint)
	}
	f.wants(0, nil, "--json", "send", "--dry-run", file, "romeo@montague.example")
	if p := lastRecord(t, f.out.String()); p["event"] != "plan" || p["to"] != aPlan.To || p["file"].(map[string]any)["resumed_from"] != 500.0 {
		t.Errorf("%v", p)
	}
	f.endpoint.result = &fault.Failure{Code: exitcode.Incapable, Reason: "no client", Hints: []string{"ask"}}
	f.wants(7, []string{"jetsend: error: no client", "jetsend: hint: ask"}, "send", "--dry-run", file, "romeo@montague.example")
	if f.out.Len() > 0 {
		t.Errorf("said %q", f.out.String())
	}
}

// lastRecord is the last line of JSON output.
func lastRecord(t *testing.T, out string) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	m := map[string]any{}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &m); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return m
}

func TestFindingText(t *testing.T) {
	r := findingRecord{Finding: doctor.Finding{
		Area: "contact", Check: "client", Status: doctor.StatusWarn, Text: "no client of romeo@montague.example is seen online",
		Hints: []string{"ask the contact to run `jetsend receive`, and not to leave"},
	}, heading: true}
	for width, want := range map[int]string{
		0: "CONTACT\nwarn client            no client of romeo@montague.example is seen online\n" +
			"                       hint: ask the contact to run `jetsend receive`, and not to leave",
		60: "CONTACT\nwarn client            no client of romeo@montague.example\n                       is seen online\n" +
			"                       hint: ask the contact to run\n                             `jetsend receive`, and not to\n                             leave",
		30: "CONTACT\nwarn client\n  no client of\n  romeo@montague.example is\n  seen online\n" +
			"  hint: ask the contact to run\n        `jetsend receive`, and\n        not to leave",
		14: "CONTACT\nwarn client\n  no client of\n  romeo@montague.example\n  is seen\n  online\n" +
			"  hint: ask\n        the\n        contact\n        to run\n        `jetsend receive`,\n        and\n        not to\n        leave",
	} {
		r.width = width
		var lines []string
		for _, row := range r.Sheet() {
			lines = append(lines, strings.Join(row, "\t"))
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, got, want)
		}
	}
}
