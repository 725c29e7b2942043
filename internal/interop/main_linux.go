package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/xmpptest/enclosed"
)

// Exit statuses of the command.
const (
	exitPassed = 0
	exitFailed = 1 // a cell failed
	exitUsage  = 2 // wrong flags, or the machine lacks something
)

const (
	// defaultTimeout bounds a whole run, which takes a few minutes.
	defaultTimeout = 30 * time.Minute
	// cellTimeout bounds one cell; the slowest takes some ten seconds.
	cellTimeout = 2 * time.Minute
	// grace is what the enclosed process gets beyond the timeout, to stop what it
	// started and print its table.
	grace = 30 * time.Second
)

// options are the command's flags.
type options struct {
	jetsend  string        // the program under test
	cells    string        // comma-separated patterns
	logs     string        // directory for the logs of failed cells, may be empty
	timeout  time.Duration // of the whole run
	list     bool
	packages bool
	install  bool
	inside   bool // already in the enclosure
	verbose  bool
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitPassed
	}
	if err != nil {
		return exitUsage // parse has said why
	}
	selected, err := selectCells(allCells(), o.cells)
	if err != nil {
		fmt.Fprintf(stderr, "interop: %v\n", err)
		return exitUsage
	}
	switch {
	case o.packages:
		fmt.Fprintln(stdout, strings.Join(debianPackages(selected), " "))
		return exitPassed
	case o.list:
		for _, c := range selected {
			fmt.Fprintf(stdout, "%-40s %s\n", c.id(), c.about)
		}
		return exitPassed
	}
	if o.inside {
		ctx, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		return runInside(ctx, o, selected, stdout, stderr)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout+grace)
	defer cancel()
	if err := errors.Join(checkProgram(o, selected), checkMachine(ctx, selected, o.install, stderr)); err != nil {
		fmt.Fprintf(stderr, "interop: %v\n", err)
		return exitUsage
	}
	return enclosed.Run(ctx, "interop", args, stdout, stderr)
}

// checkProgram reports a program under test that is wanted and not there.
func checkProgram(o options, cells []cell) error {
	for _, c := range cells {
		if c.rig {
			continue
		}
		if _, err := os.Stat(o.jetsend); err != nil {
			return fmt.Errorf("%s needs the program under test: %w; see -jetsend", c.id(), err)
		}
	}
	return nil
}

// parse reads the flags. Paths become absolute, because the enclosed process
// has the same working directory but another /tmp.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("interop", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.jetsend, "jetsend", "bin/jetsend", "`program` under test")
	fs.StringVar(&o.cells, "cells", "", "comma-separated `patterns` of cells to run: prosody/rig-*, send-*, libervia-*, ejabberd (default all)")
	fs.StringVar(&o.logs, "logs", "", "existing `directory` for the logs of cells that fail")
	fs.DurationVar(&o.timeout, "timeout", defaultTimeout, "end the run after this `time`")
	fs.BoolVar(&o.list, "list", false, "print the cells and do nothing")
	fs.BoolVar(&o.packages, "packages", false, "print the Debian packages that the cells need and do nothing")
	fs.BoolVar(&o.install, "install", false, "install what is missing with apt-get (root only)")
	fs.BoolVar(&o.verbose, "v", false, "say what is done")
	fs.BoolVar(&o.inside, "inside", false, "used by the command itself")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintf(stderr, "interop: %v\n", err)
		return o, err
	}
	for _, p := range []*string{&o.jetsend, &o.logs} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return o, fmt.Errorf("find %s: %w", *p, err)
		}
		*p = abs
	}
	return o, nil
}
