package main

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetsend/internal/xmpptest/pair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCalm runs a few seconds without faults: what fails here is the harness, or
// everything.
func TestCalm(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and starts a server")
	}
	program := filepath.Join(t.TempDir(), "jetsend")
	build := exec.Command("go", "build", "-o", program, "jetsend/cmd/jetsend")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var out bytes.Buffer
	err := run(t.Context(), &out, options{
		program: program, path: os.Getenv("PATH"), dir: t.TempDir(), server: "prosody",
		duration: 3 * time.Second, settle: 500 * time.Millisecond, seed: 1, maxSize: 1 << 20, workers: 1, calm: true,
	})
	t.Logf("%s", &out)
	if err != nil || !strings.Contains(out.String(), "goroutines") {
		t.Error(err)
	}
}

func TestCompareFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compareFile(path, sha256.Sum256([]byte("abd"))); err == nil {
		t.Error("another file passes")
	}
	if err := compareFile(path, sha256.Sum256([]byte("abc"))); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestObserve(t *testing.T) {
	s := &soak{received: map[string]string{}}
	s.observe(&party{}, pair.Event{Event: "received", Transfer: "x", Path: "/a"})
	if s.wrong() || s.received["x"] != "/a" {
		t.Errorf("%q, %v", s.problems, s.received)
	}
	s.observe(&party{}, pair.Event{Event: "received", Transfer: "x", Path: "/b"})
	if !s.wrong() {
		t.Error("a file that is received twice passes")
	}
}

func TestVerdict(t *testing.T) {
	var out bytes.Buffer
	s := &soak{w: &out, begin: time.Now()}
	gone, err := pair.Account{Program: "/bin/true", Home: t.TempDir()}.Start("", nil)
	if err != nil {
		t.Fatal(err)
	}
	<-gone.Done()
	s.parties = [2]*party{{user: "romeo", daemon: gone}, {user: "juliet", daemon: gone}}
	start := map[string]vitals{"romeo": {fds: 10}, "juliet": {fds: 10}}
	if err := s.verdict(start, map[string]vitals{"romeo": {fds: 10 + slack}, "juliet": {fds: 3}}); err != nil {
		t.Error(err)
	}
	if err := s.verdict(start, map[string]vitals{"romeo": {fds: 11 + slack}, "juliet": {fds: 10}}); err == nil {
		t.Error("growing descriptors pass")
	}
	if s.sample("now"); len(s.problems) != 1 {
		t.Errorf("%q", s.problems)
	}
}

func TestLook(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	if v := look(os.Getpid()); v.rss < 1<<20 || v.threads < 1 || v.fds < 3 {
		t.Errorf("%v", v)
	}
	if v := look(1 << 30); v.fds != -1 {
		t.Errorf("nobody has %v", v)
	}
}
