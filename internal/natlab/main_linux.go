package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"jetsend/internal/xmpptest/enclosed"
)

// Exit statuses of the command.
const (
	exitPassed = 0 // also when the machine cannot do it: then it says so
	exitFailed = 1 // a pair is worse than it was
	exitUsage  = 2 // wrong flags, or the machine lacks something
)

const (
	// defaultTimeout bounds a whole run, which takes some five minutes.
	defaultTimeout = 40 * time.Minute
	// grace is what the enclosed process gets beyond the timeout, to stop what it
	// started and print its table.
	grace = 30 * time.Second
)

// options are the command's flags.
type options struct {
	jetsend string // the program under test
	server  string // prosody, ejabberd, both
	pairs   string // comma-separated patterns
	timeout time.Duration
	rtt     time.Duration
	figures string // JSON file of the benchmark, "" for none
	// What is run; none of them is all of them.
	matrix, attack, speed bool
	noProxy               bool
	list                  bool
	install               bool
	inside                bool // already in the enclosure
	verbose               bool
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
	plan, err := plans(o)
	if err != nil {
		fmt.Fprintf(stderr, "natlab: %v\n", err)
		return exitUsage
	}
	if o.list {
		for _, p := range plan {
			for _, c := range p.cells {
				fmt.Fprintf(stdout, "%-8s %-28s %s\n", p.server, c.id(), c.outlook())
			}
		}
		return exitPassed
	}
	if o.inside {
		ctx, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		return runInside(ctx, o, plan, stdout, stderr)
	}
	if why := unable(); why != "" {
		fmt.Fprintf(stderr, "natlab: skipped: %s\n", why)
		return exitPassed
	}
	if _, err := os.Stat(o.jetsend); err != nil {
		fmt.Fprintf(stderr, "natlab: find the program under test: %v; see -jetsend\n", err)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout+grace)
	defer cancel()
	if err := checkMachine(ctx, o, stderr); err != nil {
		fmt.Fprintf(stderr, "natlab: %v\n", err)
		return exitUsage
	}
	return enclosed.Run(ctx, "natlab", args, stdout, stderr)
}

// parse reads the flags. The path becomes absolute, because the enclosed process
// has the same working directory but another /tmp.
func parse(args []string, stderr io.Writer) (o options, err error) {
	fs := flag.NewFlagSet("natlab", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.jetsend, "jetsend", "bin/jetsend", "`program` under test")
	fs.StringVar(&o.server, "server", "both", "`server`: prosody, ejabberd, or both: all pairs on prosody, on ejabberd those that must be direct")
	fs.StringVar(&o.pairs, "pairs", "", "comma-separated `patterns` of pairs to run: home/home, */public, v6-*/* (default all)")
	fs.DurationVar(&o.timeout, "timeout", defaultTimeout, "end the run after this `time`")
	fs.BoolVar(&o.matrix, "matrix", false, "run the pairs (without -matrix, -attack and -speed: all three)")
	fs.BoolVar(&o.attack, "attack", false, "look for packets that --no-direct and socks5 must not let out")
	fs.BoolVar(&o.speed, "speed", false, "measure how fast files go through two routers")
	fs.StringVar(&o.figures, "figures", "", "JSON `file` of the benchmark that -speed adds to, and draws again (default none)")
	fs.DurationVar(&o.rtt, "rtt", 0, "round trip `time` between two homes, half of it to the server, by packets that wait in this program (default: none but the machine's own)")
	fs.BoolVar(&o.noProxy, "no-proxy", false, "servers without a SOCKS5 proxy: what is not direct is in-band")
	fs.BoolVar(&o.list, "list", false, "print the pairs and what they must show, and do nothing")
	fs.BoolVar(&o.install, "install", false, "install what is missing with apt-get (root only)")
	fs.BoolVar(&o.verbose, "v", false, "print the events of every pair")
	fs.BoolVar(&o.inside, "inside", false, "used by the command itself")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintf(stderr, "natlab: %v\n", err)
		return o, err
	}
	if !o.matrix && !o.attack && !o.speed {
		o.matrix, o.attack, o.speed = true, true, true
	}
	if o.figures != "" {
		if o.figures, err = filepath.Abs(o.figures); err != nil {
			return o, fmt.Errorf("find %s: %w", o.figures, err)
		}
	}
	if o.jetsend, err = filepath.Abs(o.jetsend); err != nil {
		return o, fmt.Errorf("find %s: %w", o.jetsend, err)
	}
	return o, nil
}
