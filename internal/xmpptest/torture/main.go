package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	program, path, dir, server string
	rounds                     int
	seed                       uint64
	limits                     limits
	timeout                    time.Duration
	dry, long, queue           bool
	longSize                   int64
	longShare                  int // percent of it before the cut; 0: longShare
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/jetsend", "the jetsend to torture")
	flag.StringVar(&o.dir, "dir", "", "directory to work in; empty: the temporary directory")
	flag.StringVar(&o.server, "server", "prosody", "server software: prosody or ejabberd")
	flag.IntVar(&o.rounds, "rounds", 25, "how many rounds")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the first round, counting up from there; 0: from the clock")
	flag.Int64Var(&o.limits.minSize, "min-size", 4<<10, "smallest file, in bytes")
	flag.Int64Var(&o.limits.maxSize, "max-size", 32<<20, "largest file, in bytes")
	flag.DurationVar(&o.limits.maxHold, "max-hold", 2500*time.Millisecond, "longest stall, refusal or absence")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long a round may take")
	flag.BoolVar(&o.dry, "dry", false, "no faults")
	flag.BoolVar(&o.limits.sets, "sets", false, "rounds with sets instead of files")
	flag.BoolVar(&o.queue, "queue", false, "rounds with what is queued, while everybody is killed")
	flag.BoolVar(&o.long, "long", false, "instead: interrupt one large file at 95 % and count the bytes of the rest")
	flag.Int64Var(&o.longSize, "long-size", 10<<30, "its size, in bytes")
	flag.Parse()
	o.path = os.Getenv("PATH")
	if o.seed == 0 {
		o.seed = uint64(time.Now().Unix())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "torture: %v\n", err)
		os.Exit(1)
	}
}

// errWrong is returned when a round went wrong.
var errWrong = errors.New("the round went wrong")

// run works in a directory of its own, which is kept when something went wrong.
func run(ctx context.Context, w io.Writer, o options) (err error) {
	o.limits.dry = o.dry
	o.dir, err = os.MkdirTemp(o.dir, "jetsend-torture-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(o.dir))
		} else {
			_, _ = fmt.Fprintf(w, "everything is kept in %s\n", o.dir)
		}
	}()
	world, err := openWorld(ctx, o.dir, o)
	if err != nil {
		return err
	}
	defer world.close()
	if o.long {
		return long(ctx, w, world, o)
	}
	if o.queue {
		return queueRounds(ctx, w, world, o)
	}
	return rounds(ctx, w, world, o)
}

// rounds runs the rounds until one goes wrong.
func rounds(ctx context.Context, w io.Writer, world *world, o options) error {
	what := "files"
	if o.limits.sets {
		what = "sets"
	}
	_, _ = fmt.Fprintf(w, "%d rounds with %s from seed %d, up to %d bytes, on %s\n", o.rounds, what, o.seed, o.limits.maxSize, o.server)
	t := newTotals()
	for i := range o.rounds {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r, err := newRound(ctx, world, newPlan(o.seed+uint64(i), o.limits), o)
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the round took more than %v", o.timeout))
		r.run(limited)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, _ = fmt.Fprintf(w, "%4d %s\n", i+1, r.summary())
		t.add(r)
		if len(r.problems) > 0 {
			_, _ = fmt.Fprintf(w, "\n%s\nlog of the server:\n%s\n", r.story, world.server.Log()[r.logged:])
			for _, p := range r.problems {
				_, _ = fmt.Fprintf(w, "WRONG: %s\n", p)
			}
			_, _ = fmt.Fprintf(w, "%s", t)
			return fmt.Errorf("%w; the same plan again: -seed %d -rounds 1", errWrong, r.plan.seed)
		}
		if err := os.RemoveAll(r.dir); err != nil {
			return fmt.Errorf("remove round: %w", err)
		}
	}
	_, _ = fmt.Fprintf(w, "%s", t)
	return nil
}
