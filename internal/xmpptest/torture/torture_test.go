package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetsend/internal/xmpptest/pair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small are the limits of the rounds that every test run makes.
var small = limits{minSize: 4 << 10, maxSize: 1 << 20, maxHold: 400 * time.Millisecond}

// program builds the jetsend of this tree.
func program(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program and starts a server")
	}
	t.Parallel() // each has a server of its own, and most of the time is waiting
	path := filepath.Join(t.TempDir(), "jetsend")
	cmd := exec.Command("go", "build", "-o", path, "jetsend/cmd/jetsend")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func runRounds(t *testing.T, o options) {
	t.Helper()
	o.path, o.dir, o.server, o.timeout = os.Getenv("PATH"), t.TempDir(), "prosody", 3*time.Minute
	var out bytes.Buffer
	if err := run(t.Context(), &out, o); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Logf("%s", &out)
}

// needResume skips where the program cannot do yet what is to be tortured.
func needResume(t *testing.T, program string) {
	t.Helper()
	out, err := exec.Command(program, "resume", "--help").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("jetsend resume")) || !bytes.Contains(out, []byte("--retries")) {
		t.Skip("this jetsend has no resume")
	}
}

// TestWithoutFaults sends files with nothing in their way: what fails here is the
// harness, or everything.
func TestWithoutFaults(t *testing.T) {
	runRounds(t, options{program: program(t), rounds: 1, seed: 1, limits: small, dry: true})
}

// TestTorture is the short form of `make torture`.
func TestTorture(t *testing.T) {
	p := program(t)
	needResume(t, p)
	runRounds(t, options{program: p, rounds: 3, seed: 1, limits: small})
}

// TestTortureSets is the short form of its second half: a set, and an update.
func TestTortureSets(t *testing.T) {
	p := program(t)
	needResume(t, p)
	sets := small
	sets.sets = true
	runRounds(t, options{program: p, rounds: 2, seed: 2, limits: sets})
}

// TestLong resumes a file that is large enough to see that the rest is small. It is cut
// earlier than by the command: on a disk in memory a few percent are over too soon.
func TestLong(t *testing.T) {
	p := program(t)
	needResume(t, p)
	runRounds(t, options{program: p, limits: small, long: true, longSize: 128 << 20, longShare: 50})
}

func TestPlan(t *testing.T) {
	ways := map[way]bool{}
	kinds := map[kind]bool{}
	for seed := range uint64(300) {
		p := newPlan(seed, small)
		if again := newPlan(seed, small); !reflect.DeepEqual(p, again) {
			t.Fatalf("seed %d makes two plans:\n%v\n%v", seed, p, again)
		}
		if p.size < small.minSize || p.size > small.maxSize || p.attempts[0].way != bySend {
			t.Fatalf("%v", p)
		}
		for i, a := range p.attempts {
			if clean := i >= len(p.attempts)-cleanTries; clean == (len(a.faults) > 0) {
				t.Fatalf("attempt %d of %d has %d faults", i, len(p.attempts), len(a.faults))
			}
			ways[a.way] = true
			for _, f := range a.faults {
				kinds[f.kind] = true
			}
		}
		l := small
		l.dry = true
		if p := newPlan(seed, l); len(p.attempts) != 1 || p.attempts[0].faults != nil {
			t.Fatalf("%v", p)
		}
	}
	if len(ways) != 5 || len(kinds) != 10 {
		t.Errorf("300 plans have %v, %v", ways, kinds)
	}
}

func TestJudgeEnd(t *testing.T) {
	sent := pair.Event{Event: "sent", Transfer: "a", Direction: "send"}
	negotiated := pair.Event{Event: "negotiated", Transfer: "a", Direction: "send"}
	failed := func(code int, resumable bool) pair.Event {
		return pair.Event{Event: "failed", Transfer: "a", Direction: "send", Code: code, Resumable: resumable}
	}
	for _, tc := range []struct {
		name   string
		role   role
		way    way
		struck kind
		fired  kind
		code   int
		events []pair.Event
		want   string // "" is nothing wrong
	}{
		{"done", command, bySend, "", "", 0, []pair.Event{negotiated, sent}, ""},
		{"nothing to resume", command, bySender, "", "", 0, nil, ""},
		{"nothing sent", command, bySend, "", "", 0, nil, "nothing was sent"},
		{"two ends", command, bySend, "", cutPath, 11, []pair.Event{sent, failed(11, true)}, "after the terminal sent"},
		{"interrupted by nothing", command, bySend, "", "", 11, []pair.Event{failed(11, true)}, "not allowed"},
		{"interrupted", command, bySend, "", cutPath, 11, []pair.Event{negotiated, failed(11, true)}, ""},
		{"for good", command, bySend, "", cutPath, 11, []pair.Event{negotiated, failed(11, false)}, "not resumable"},
		{"silent", command, bySend, "", cutPath, 11, []pair.Event{negotiated}, "without a failed event"},
		{"another code", command, bySend, "", cutPath, 11, []pair.Event{failed(6, false)}, "says 6"},
		{"killed", command, bySend, kill, kill, -1, []pair.Event{negotiated}, ""},
		{"crashed", command, bySend, "", cutPath, -1, []pair.Event{negotiated}, "not allowed"},
		{"panicked", command, bySend, "", cutPath, 2, []pair.Event{failed(2, false)}, "not allowed"},
		{"flipped", command, bySend, "", flipPath, 10, []pair.Event{failed(10, true)}, ""},
		{"not flipped", command, bySend, "", cutPath, 10, []pair.Event{failed(10, true)}, "not allowed"},
		{"a wrong key", command, bySend, "", flipPath, 9, []pair.Event{failed(9, false)}, "not allowed"},
		{"cancelled", command, bySend, interrupt, interrupt, 130, []pair.Event{negotiated, failed(130, true)}, ""},
		{"who cancelled", command, bySend, "", interrupt, 130, []pair.Event{failed(130, true)}, "not allowed"},
		{"daemon told to stop", daemon, "", terminate, terminate, 0, []pair.Event{failed(143, true)}, ""},
		{"daemon gives up", daemon, "", "", "", 0, nil, "not allowed"},
		{"daemon declined", daemon, "", "", killServer, 8, nil, "not allowed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &actor{role: tc.role, way: tc.way, struck: []kind{tc.struck}}
			c := circumstances{fired: map[kind]bool{}}
			if tc.fired != "" {
				c.fired[tc.fired] = true
			}
			got := strings.Join(judgeEnd(a, tc.code, tc.events, c), "; ")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// TestCheck shows that each lie is seen when it is told.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	r := &round{
		plan: plan{size: 3}, story: newStory(), inbox: filepath.Join(dir, "in"), outbox: filepath.Join(dir, "out"),
		received: map[string]int{}, told: map[string]bool{}, complete: map[string]time.Time{}, id: map[end]string{}, counts: map[string]int{},
	}
	var err error
	if r.sum, err = makeSource(filepath.Join(dir, "source"), 1, 3); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(r.inbox, 0o700), os.Mkdir(r.outbox, 0o700)); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		got := strings.Join(r.problems, "; ")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		r.problems = nil
	}
	romeo, juliet := &actor{end: sender, name: "romeo"}, &actor{end: receiver, name: "juliet"}
	r.check(romeo, pair.Event{Event: "sent", ByPeer: true})
	expect("not there")
	r.checkInbox(true)
	expect("there is no file")
	source, err := os.ReadFile(filepath.Join(dir, "source"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(r.inbox, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("a", source)
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	parked := &actor{end: receiver, role: daemon, name: "juliet daemon"}
	r.check(parked, pair.Event{Event: "failed", Transfer: "x", Code: codeInterrupted, Time: noon.Add(-time.Hour)})
	r.check(romeo, pair.Event{Event: "sent", ByPeer: true})
	r.check(juliet, pair.Event{Event: "received", Transfer: "x", Time: noon})
	r.check(parked, pair.Event{Event: "failed", Transfer: "x", Code: codeInterrupted, Time: noon.Add(-time.Second)}) // told late
	r.check(parked, pair.Event{Event: "failed", Transfer: "y", Code: codeInterrupted, Time: noon.Add(time.Second)})
	r.checkInbox(true)
	expect("")
	r.check(parked, pair.Event{Event: "failed", Transfer: "x", Code: codeInterrupted, Time: noon.Add(time.Second)})
	expect("after the transfer was complete")
	r.check(juliet, pair.Event{Event: "received", Transfer: "x"})
	expect("2. time")
	r.check(romeo, pair.Event{Event: "sent"})
	expect("without the receiver's proof")
	r.check(romeo, pair.Event{Event: "progress", Bytes: 4, Size: 3})
	expect("progress 4 of 3")
	r.check(romeo, pair.Event{Event: "garbage"})
	expect("no event")
	put(".jetsend-x.part", nil)
	r.checkInbox(false)
	expect("")
	r.checkInbox(true)
	expect("left behind")
	put("b", []byte("xyz"))
	r.checkInbox(false)
	expect("b is not the source")
	put("b", source)
	r.checkInbox(false)
	expect("2 files")
}
