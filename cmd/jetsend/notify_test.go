package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listenNotify is a service manager's socket.
func listenNotify(t *testing.T, name string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		b := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func env(kv ...string) func(string) string {
	return func(k string) string {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == k {
				return kv[i+1]
			}
		}
		return ""
	}
}

func TestNotify(t *testing.T) {
	names := []string{filepath.Join(t.TempDir(), "n")}
	if abstractSockets {
		names = append(names, fmt.Sprintf("@jetsend-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
	}
	for _, name := range names {
		next := listenNotify(t, name)
		n := newNotifier(env("NOTIFY_SOCKET", name))
		n.ready("waiting\nfor\tfiles")
		n.status("x")
		n.reloading()
		n.stopping(90 * time.Second)
		for _, want := range []string{"^READY=1\nSTATUS=waiting for files$", "^STATUS=x$", "^RELOADING=1\nMONOTONIC_USEC=[0-9]+$", "^STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\nSTATUS=stopping$"} {
			if got := next(); !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%s: got %q, want %s", name, got, want)
			}
		}
	}
}

// TestNobodyToNotify: without a socket, with a strange one or with one that
// nobody listens to, nothing happens and nothing fails.
func TestNobodyToNotify(t *testing.T) {
	for _, name := range []string{"", "relative", "vsock:2:1234", filepath.Join(t.TempDir(), "gone")} {
		n := newNotifier(env("NOTIFY_SOCKET", name, "WATCHDOG_USEC", "1000"))
		n.ready("")
		if n.watchdog != 0 && !filepath.IsAbs(name) {
			t.Errorf("%q: watched", name)
		}
	}
}

// TestDeafManager: a manager that does not read its notifications holds nobody up.
func TestDeafManager(t *testing.T) {
	name := filepath.Join(t.TempDir(), "n")
	listenNotify(t, name)
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for err == nil { // to the last place
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = conn.Write([]byte("x"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Skipf("this system does not let a writer wait: %v", err)
	}
	newNotifier(env("NOTIFY_SOCKET", name)).status("returns")
}

func TestWatchdogVariables(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"2000000", "", 2 * time.Second},
		{"2000000", fmt.Sprint(os.Getpid()), 2 * time.Second},
		{"2000000", "1", 0}, // meant for our parent
		{"", "", 0},
		{"0", "", 0},
		{"-1", "", 0},
		{"soon", "", 0},
	} {
		n := newNotifier(env("NOTIFY_SOCKET", "/run/n", "WATCHDOG_USEC", tt.usec, "WATCHDOG_PID", tt.pid))
		if n.watchdog != tt.want {
			t.Errorf("%q, %q: %v", tt.usec, tt.pid, n.watchdog)
		}
	}
}

// TestWatchdog: signs of life come as long as there is life, and again when it
// comes back.
func TestWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "n")
	next := listenNotify(t, name)
	n := newNotifier(env("NOTIFY_SOCKET", name, "WATCHDOG_USEC", "20000"))
	ctx, cancel := context.WithCancel(t.Context())
	var hung atomic.Bool
	var dead atomic.Int64 // how often it was asked meanwhile
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.watch(ctx, func(context.Context) error {
			if hung.Load() {
				dead.Add(1)
				return errors.New("hung")
			}
			return nil
		})
	}()
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Fatalf("got %q", got)
		}
	}
	hung.Store(true)
	for dead.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	n.status("marker") // behind what was sent before
	for strings.HasPrefix(next(), "WATCHDOG") {
	}
	for seen := dead.Load(); dead.Load() < seen+3; {
		time.Sleep(time.Millisecond)
	}
	n.status("second marker")
	if got := next(); got != "STATUS=second marker" {
		t.Errorf("somebody who hangs said %q", got)
	}
	hung.Store(false)
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	cancel()
	<-done
}
