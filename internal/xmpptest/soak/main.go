// Command soak runs two jetsend daemons for minutes while files go both ways
// between their accounts, directly and in-band, and the server, the clients'
// streams to it and the paths of the bytes are taken away now and then. It prints
// the memory, threads, goroutines and descriptors of the daemons, and ends with 1
// when a file is wrong, a transfer cannot be finished, a daemon ended by itself, or
// the descriptors of an idle daemon have grown. `make soak` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type options struct {
	program, path, dir, server string
	duration                   time.Duration
	seed                       uint64
	maxSize                    int64
	workers                    int
	settle                     time.Duration
	calm                       bool
}

func main() {
	var o options
	var minutes float64
	flag.StringVar(&o.program, "program", "bin/jetsend", "the jetsend to soak")
	flag.StringVar(&o.dir, "dir", "", "directory to work in; empty: the temporary directory")
	flag.StringVar(&o.server, "server", "prosody", "server software: prosody, prosody-sasl2 or ejabberd")
	flag.Float64Var(&minutes, "minutes", 2, "how long")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the sizes and faults; 0: from the clock")
	flag.Int64Var(&o.maxSize, "max-size", 16<<20, "largest file, in bytes")
	flag.IntVar(&o.workers, "workers", 2, "transfers at a time, each way")
	flag.BoolVar(&o.calm, "calm", false, "no faults")
	flag.Parse()
	o.path = os.Getenv("PATH")
	o.settle = settleTime
	o.duration = time.Duration(minutes * float64(time.Minute))
	if o.seed == 0 {
		o.seed = uint64(time.Now().Unix())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

const (
	// sampleEvery is how often the daemons are looked at.
	sampleEvery = 10 * time.Second
	// settleTime is how long the daemons get to let go of what the last transfers
	// used before they are looked at.
	settleTime = 5 * time.Second
	// slack is how many descriptors more than at the start a daemon at rest may
	// have: a database opens its files when it likes.
	slack = 8
)

// run works in a directory of its own, which is kept when something went wrong.
func run(ctx context.Context, w io.Writer, o options) (err error) {
	o.dir, err = os.MkdirTemp(o.dir, "jetsend-soak-")
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
	s, err := open(ctx, w, o)
	if err != nil {
		return err
	}
	defer s.close()
	return s.soak(ctx)
}

// soak lets everything work until the time is over, then looks at the daemons at
// rest.
func (s *soak) soak(ctx context.Context) error {
	if err := s.warmUp(ctx); err != nil {
		return err
	}
	start := s.sample("at the start, at rest")
	s.line("%v, %d workers each way, seed %d, on %s", s.o.duration, s.o.workers, s.o.seed, s.o.server)
	work, over := context.WithTimeout(ctx, s.o.duration)
	defer over()
	var workers, others sync.WaitGroup
	rnd := rand.New(rand.NewPCG(s.o.seed, 0))
	for i := range 2 * s.o.workers {
		own := rand.New(rand.NewPCG(s.o.seed, rnd.Uint64()))
		workers.Go(func() { s.worker(work, ctx, i, own) })
	}
	if !s.o.calm {
		others.Go(func() { s.saboteur(work, rand.New(rand.NewPCG(s.o.seed, rnd.Uint64()))) })
	}
	others.Go(func() { s.sampler(work) })
	workers.Wait()
	over() // when the workers gave up before the time was over
	others.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	sleep(ctx, s.o.settle)
	end := s.sample("at the end, at rest")
	return s.verdict(start, end)
}

// verdict prints the totals and says what is wrong.
func (s *soak) verdict(start, end map[string]vitals) error {
	for _, p := range s.parties {
		s.line("%s: %v at the start, %v at the end", p.user, start[p.user], end[p.user])
		if n := end[p.user].fds - start[p.user].fds; n > slack {
			s.blame("%s has %d descriptors more at the end than at the start", p.user, n)
		}
	}
	s.countGoroutines()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line("%d transfers, %.1f MiB, %d of them interrupted at least once, %d commands; faults: %v",
		s.done, float64(s.bytes)/(1<<20), s.cut, s.commands, s.faults)
	if len(s.problems) == 0 {
		return nil
	}
	for _, p := range s.problems {
		s.line("WRONG: %s", p)
	}
	return errWrong
}

var errWrong = errors.New("something went wrong")

// sleep waits so long, or less when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
