// Command winlab runs the jetsend of Windows against the one of this machine: it builds
// both, has Wine run the one, and starts a private Prosody between them. Each case is a
// line, with ok or not ok. `make windows` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

// timeout bounds a run, which takes two minutes.
const timeout = 20 * time.Minute

// unseen is what no case here can show, since Wine does not have it, or not as Windows has.
const unseen = `not shown: access control lists (Wine makes modes of them), the windows of a console and their closing,
not shown: the Task Scheduler (Wine's schtasks knows no /sc), logging off and shutting down, links,
not shown: a rename of a folder that somebody has open, and arm64 (built only)`

func main() {
	install := flag.Bool("install", false, "install what is missing with apt-get (root only)")
	keep := flag.Bool("keep", false, "keep the directory of the run")
	only := flag.String("only", "", "run the cases alone that match this pattern")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	pattern, err := regexp.Compile(*only)
	if err == nil {
		err = run(ctx, &lab{out: os.Stdout, only: pattern}, *install, *keep)
	}
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "winlab: %v\n", err)
		os.Exit(1)
	}
}

// lab is a run: a server with accounts of a Windows and of a Linux.
type lab struct {
	out            io.Writer
	only           *regexp.Regexp
	dir            string
	wine           *wine
	server         *xmpptest.Server
	windows, linux pair.Account
	person         pair.Account // on a console of Windows, without a variable of ours
	failed         int
	cases          int
}

func run(ctx context.Context, l *lab, install, keep bool) (err error) {
	if err := have(ctx, install); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "jetsend-windows-")
	if err != nil {
		return err
	}
	if keep {
		fmt.Fprintln(l.out, "in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	l.dir = dir
	if l.wine, err = newWine(ctx, dir); err != nil {
		return err
	}
	defer l.wine.stop()
	if err := l.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.server.Stop()) }()
	l.all(ctx)
	fmt.Fprintln(l.out, unseen)
	if l.failed > 0 {
		return fmt.Errorf("%d of %d cases failed", l.failed, l.cases)
	}
	return nil
}

// open starts the server, and makes a home for each end.
func (l *lab) open(ctx context.Context) (err error) {
	for _, d := range []string{"server", "windows", "linux"} {
		if err := os.Mkdir(filepath.Join(l.dir, d), 0o700); err != nil {
			return err
		}
	}
	l.server, err = xmpptest.StartServer(ctx, filepath.Join(l.dir, "server"), xmpptest.Options{
		Mutual: true, Accounts: []xmpptest.Account{{User: "windows", Password: "w-secret"}, {User: "linux", Password: "l-secret"}, {User: "person", Password: "p-secret"}},
	})
	if err != nil {
		return err
	}
	l.windows = pair.Account{
		JID: l.server.JID("windows"), Password: "w-secret", Home: filepath.Join(l.dir, "windows"),
		Server: l.server.Addr, CAFile: l.server.CAFile, Program: l.wine.wrapper, Path: os.Getenv("PATH"),
	}
	l.linux = pair.Account{
		JID: l.server.JID("linux"), Password: "l-secret", Home: filepath.Join(l.dir, "linux"),
		Server: l.server.Addr, CAFile: l.server.CAFile, Program: filepath.Join(l.dir, "jetsend"), Path: os.Getenv("PATH"),
	}
	l.person = pair.Account{JID: l.server.JID("person"), Password: "p-secret"}
	return nil
}

// check runs a case and prints its line.
func (l *lab) check(what string, do func() error) {
	if l.cases > 0 && !l.only.MatchString(what) { // the first makes what is sent
		return
	}
	begun := time.Now()
	err := do()
	l.cases++
	var left leftOut
	switch {
	case errors.As(err, &left):
		fmt.Fprintf(l.out, "left    %s: %v\n", what, err)
	case err != nil:
		l.failed++
		fmt.Fprintf(l.out, "not ok  %s: %v\n", what, err)
	default:
		fmt.Fprintf(l.out, "ok      %s (%.1f s)\n", what, time.Since(begun).Seconds())
	}
}

// leftOut is why a case cannot be had here.
type leftOut string

// Error implements error.
func (l leftOut) Error() string { return string(l) }
