//go:build linux

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
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"jetsend/internal/desktop/desktoptest"
)

// daemonCommands are the script commands around a receiver that runs for long:
//
//	manager                   be its service manager: a socket for sd_notify,
//	                          for what is started from here on
//	notified REGEXP           wait until it has told that
//	desktop                   be the desktop of a session, for what is started from here on
//	[!] shown REGEXP          wait until it was asked to show that: program, summary, body, category
//	server restart|kill|start end the server in an orderly way or not, and start it
//	password USER PASSWORD    change that of an account, for logins from then on
//	cut                       break the connections through the tap, as a network does
//	hangup NAME               close the terminal of a process
//	lapse DURATION            let time go by
func daemonCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"desktop": cmdDesktop, "shown": cmdShown, "manager": cmdManager, "notified": cmdNotified, "server": cmdServer, "password": cmdPassword, "cut": cmdCut, "hangup": cmdHangup, "lapse": cmdLapse,
	}
}

// managerVariables are what a service manager and a session add to the environment.
func managerVariables(ts *testscript.TestScript) (kv []string) {
	for _, v := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "DBUS_SESSION_BUS_ADDRESS"} {
		if value := ts.Getenv(v); value != "" {
			kv = append(kv, v+"="+value)
		}
	}
	return kv
}

func cmdManager(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "manager")
	dir, err := os.MkdirTemp("", "jetsend-") // a script's own directory may be too long for a socket
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	w := worldOf(ts)
	w.notices = &growing{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 4096); ; {
			n, err := conn.Read(b)
			if err != nil {
				return // closed
			}
			_, _ = w.notices.Write([]byte(strings.ReplaceAll(string(b[:n]), "\n", " ") + "\n"))
		}
	}()
	ts.Defer(func() { _ = conn.Close(); <-done })
	ts.Setenv("NOTIFY_SOCKET", path)
	ts.Setenv("WATCHDOG_USEC", "2000000")
}

func cmdNotified(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "notified REGEXP")
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	g := worldOf(ts).notices
	for deadline := time.Now().Add(patience); !re.MatchString(g.String()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("not told: %s\n%s", args[0], g)
		}
	}
}

// cmdDesktop skips the script where there can be no session.
func cmdDesktop(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "desktop")
	dir, err := os.MkdirTemp("", "jetsend-") // a script's own directory may be too long for a socket
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	address, stop, err := desktoptest.Bus(dir)
	ts.Check(err)
	ts.Defer(stop)
	g := &growing{}
	leave, err := desktoptest.Sit(address, func(s desktoptest.Shown) {
		_, _ = fmt.Fprintf(g, "%s|%s|%s|%s\n", s.App, s.Summary, strings.ReplaceAll(s.Body, "\n", "/"), s.Category)
	})
	ts.Check(err)
	ts.Defer(leave)
	worldOf(ts).desk = g
	ts.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
}

func cmdShown(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, len(args) == 1, "[!] shown REGEXP")
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	g := worldOf(ts).desk
	if neg {
		if re.MatchString(g.String()) {
			ts.Fatalf("it was asked to show %s\n%s", args[0], g)
		}
		return
	}
	for deadline := time.Now().Add(patience); !re.MatchString(g.String()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("not shown: %s\n%s", args[0], g)
		}
	}
}

func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "server restart|kill|start")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := worldOf(ts).server
	switch args[0] {
	case "kill":
		s.Kill()
	case "restart", "start": // to restart one that is gone is to start it
		ts.Check(s.Restart(ctx))
	default:
		ts.Fatalf("server %s: no such thing", args[0])
	}
}

func cmdPassword(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "password USER PASSWORD")
	ts.Check(worldOf(ts).server.AddAccount(args[0], args[1]))
}

func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "cut")
	worldOf(ts).tap.Cut()
}

func cmdHangup(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "hangup NAME")
	if err := procOf(ts, args[0]).terminal.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		ts.Fatalf("close the terminal: %v", err)
	}
}

func cmdLapse(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "lapse DURATION")
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	time.Sleep(d)
}
