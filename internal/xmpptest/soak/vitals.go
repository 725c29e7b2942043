package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// vitals are what a process uses; -1 where the system does not say.
type vitals struct {
	rss     int64 // bytes
	threads int
	fds     int
}

// String lists them.
func (v vitals) String() string {
	return fmt.Sprintf("%.1f MiB, %d threads, %d descriptors", float64(v.rss)/(1<<20), v.threads, v.fds)
}

// sample looks at both daemons and prints what it sees. A daemon that has ended is
// a problem of its own.
func (s *soak) sample(when string) map[string]vitals {
	m := map[string]vitals{}
	for _, p := range s.parties {
		if p.daemon.Gone() {
			if !s.wrong() {
				s.blame("the daemon of %s ended by itself, with %d:\n%s", p.user, p.daemon.ExitCode(), p.daemon.Stderr())
			}
			continue
		}
		m[p.user] = look(p.daemon.PID())
		s.line("%-7s %s %s", p.user, m[p.user], when)
	}
	return m
}

func (s *soak) sampler(ctx context.Context) {
	for {
		sleep(ctx, sampleEvery)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		when := fmt.Sprintf("after %d transfers", s.done)
		s.mu.Unlock()
		s.sample(when)
	}
}

// dumpLimit is how long a process may take to write where its goroutines are.
const dumpLimit = 10 * time.Second

// countGoroutines ends the daemons with SIGQUIT, upon which Go tells of every
// goroutine, and does the same to one that has only just begun.
func (s *soak) countGoroutines() {
	for _, p := range s.parties {
		if p.daemon.Gone() {
			continue
		}
		old := dump(p)
		var err error
		if p.daemon, err = s.startDaemon(context.Background(), p); err != nil {
			s.blame("%v", err)
			return
		}
		sleep(context.Background(), s.o.settle)
		s.line("%s: %d goroutines at the end, %d in a daemon that has just begun", p.user, old, dump(p))
	}
}

// dump ends a daemon and returns how many goroutines it had.
func dump(p *party) int {
	p.daemon.Signal(syscall.SIGQUIT)
	late := time.NewTimer(dumpLimit)
	defer late.Stop()
	select {
	case <-p.daemon.Done():
	case <-late.C:
		p.daemon.Kill()
	}
	return strings.Count("\n"+p.daemon.Stderr(), "\ngoroutine ")
}
