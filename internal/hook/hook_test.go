//go:build unix

package hook

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetsend/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script makes an executable and returns a Config for it.
func script(t *testing.T, text string) *Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook $(x); y")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Config{Path: path, Env: []string{"PATH=" + os.Getenv("PATH"), "JETSEND_PASSWORD=secret", "JETSEND_PASSWORD_FILE=/secret", "jetsend_password=secret", "JETSEND_JID=a@b"}}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	got := script(t, `echo "$# $NAME $JETSEND_JID"; env | grep -ci secret; cat; pwd; exit 7`).
		Run(t.Context(), Call{Dir: dir, Vars: []string{"NAME=$(touch pwned) `touch pwned`;x"}, Stdin: []byte("{}\n")})
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "0 $(touch pwned) `touch pwned`;x a@b\n0\n{}\n" + real + "\n"; string(got.Output) != want || got.Status != 7 || got.Err != nil {
		t.Errorf("status %d, %v:\n%s", got.Status, got.Err, got.Output)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v: %v", entries, err)
	}
}

func TestBounds(t *testing.T) {
	if got := script(t, `yes | head -c 1000000`).Run(t.Context(), Call{}); len(got.Output) != maxOutput || got.Status != 0 {
		t.Errorf("%d bytes, status %d", len(got.Output), got.Status)
	}
	// One that reads nothing of more than a pipe holds.
	if got := script(t, `exit 0`).Run(t.Context(), Call{Stdin: make([]byte, 1<<20)}); got.Status != 0 || got.Err != nil {
		t.Errorf("status %d, %v", got.Status, got.Err)
	}
	// One that leaves a child with its output.
	if got := script(t, "sleep 5 &\nexit 0").Run(t.Context(), Call{}); got.Status != 0 || got.Err != nil {
		t.Errorf("status %d, %v", got.Status, got.Err)
	}
	c := script(t, "sleep 1000 &\nwait")
	c.Limit = 100 * time.Millisecond
	if got := c.Run(t.Context(), Call{}); !errors.Is(got.Err, ErrTime) || got.Status != -1 {
		t.Errorf("status %d, %v", got.Status, got.Err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if got := script(t, "trap '' TERM\nsleep 1000").Run(ctx, Call{}); !errors.Is(got.Err, why) || got.Status != -1 {
		t.Errorf("status %d, %v", got.Status, got.Err)
	}
}

// TestStopped: a hook and its children end with the context, however deaf they are.
func TestStopped(t *testing.T) {
	held := filepath.Join(t.TempDir(), "held") // open for as long as one of them lives
	if err := syscall.Mkfifo(held, 0o600); err != nil {
		t.Fatal(err)
	}
	c := script(t, "trap '' TERM\nexec 3>"+held+"\nsleep 1000 &\necho >&3\nwait")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result, 1)
	go func() { done <- c.Run(ctx, Call{}) }()
	f, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if got := <-done; !errors.Is(got.Err, context.Canceled) {
		t.Errorf("status %d, %v", got.Status, got.Err)
	}
	_ = f.SetReadDeadline(time.Now().Add(time.Minute)) // rather than the end of its sleep
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a child lives on: %v", err)
	}
}

// TestKilled: a hook that something else has killed has no status.
func TestKilled(t *testing.T) {
	if got := script(t, "kill -9 $$").Run(t.Context(), Call{}); got.Err == nil || got.Status != -1 {
		t.Errorf("%+v", got)
	}
}

func TestNotStarted(t *testing.T) {
	c := script(t, "")
	if err := os.Chmod(c.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.Run(t.Context(), Call{}); got.Err == nil || got.Status != -1 {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(c.Path); err != nil {
		t.Fatal(err)
	}
	if got := c.Run(t.Context(), Call{}); !errors.Is(got.Err, os.ErrNotExist) {
		t.Errorf("%+v", got)
	}
}

// TestAtEnd: a hook is told of both ends in the same variables, so that it sees none of a run
// around it.
func TestAtEnd(t *testing.T) {
	h := event.Head{Transfer: "1", Direction: event.Send, Peer: "romeo@jet.test/r", Name: "a"}
	g := Goods{Path: "/srv/a", Kind: "file"}
	names := func(c Call) (names []string) {
		for _, v := range c.Vars {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
		return names
	}
	sent := AtSent(event.Sent{Head: h, Size: 5, VerifiedByPeer: true}, g)
	failed := AtFailed(event.Failed{Head: h, Code: 11, Reason: "cut", Resumable: true}, g)
	if s, f := names(sent), names(failed); !slices.Equal(s, f) {
		t.Errorf("%v and %v", s, f)
	}
	for _, want := range []string{"JETSEND_EVENT=sent", "JETSEND_TO=romeo@jet.test", "JETSEND_PATH=/srv/a", "JETSEND_CODE=0", "JETSEND_SIZE=5", "JETSEND_VERIFIED_BY_PEER=true", "JETSEND_REASON="} {
		if !slices.Contains(sent.Vars, want) {
			t.Errorf("%q is not in %q", want, sent.Vars)
		}
	}
	for _, want := range []string{"JETSEND_EVENT=failed", "JETSEND_CODE=11", "JETSEND_REASON=cut", "JETSEND_RESUMABLE=true", "JETSEND_VERIFIED_BY_PEER=false"} {
		if !slices.Contains(failed.Vars, want) {
			t.Errorf("%q is not in %q", want, failed.Vars)
		}
	}
	if text := string(failed.Stdin); !strings.HasPrefix(text, `{"event":"failed","transfer":"1",`) || !strings.HasSuffix(text, "}\n") {
		t.Errorf("%q", text)
	}
}
