package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"jetsend/internal/xmpptest/figures"
)

const (
	// smallFile must be there within the second, with all that comes before it.
	smallFile = 30_000_000
	smallAim  = 1.0
	// largeFile goes through two routers, and between the same two programs without
	// any, so many times each. The fastest counts: what else the machine does only
	// makes it slower.
	largeFile = 1 << 30
	largeRuns = 5
	// ratioAim is how much of the speed two routers may leave.
	ratioAim = 0.9
)

// runSpeed measures and prints. Time fails nothing: machines differ.
func (l *lab) runSpeed(ctx context.Context, o options, stdout io.Writer) error {
	fmt.Fprintln(stdout)
	small, err := makePayload("small", smallFile)
	if err != nil {
		return err
	}
	r, err := l.do(ctx, l.between(cell{kindHome, kindHome}, small))
	if err != nil {
		return err
	}
	took := (r.found + r.moved).Seconds()
	fmt.Fprintf(stdout, "speed: 30 MB from home to home: %.2f s (%.2f s until there was a path, %s); the aim is %.0f s: %s\n",
		took, r.found.Seconds(), r.path(), smallAim, reached(took < smallAim))
	if err := os.Remove(small.path); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	if o.rtt > 0 {
		return nil // the lines carry no more than some 50 MB/s, and are what would be measured
	}
	return l.runLarge(ctx, o, stdout)
}

// runLarge compares two routers with none.
func (l *lab) runLarge(ctx context.Context, opts options, stdout io.Writer) error {
	large, err := makePayload("large", largeFile)
	if err != nil {
		return err
	}
	none, two := cell{kindPublic, kindPublic}, cell{kindHome, kindHome}
	best := map[cell]float64{}
	for i := range largeRuns {
		for _, c := range []cell{none, two} {
			if i > 0 && best[c] == 0 {
				continue // it went through the proxy, and once is enough of that
			}
			o, err := l.do(ctx, l.between(c, large))
			if err != nil {
				return err
			}
			rate := largeFile / 1e6 / o.moved.Seconds()
			fmt.Fprintf(stdout, "speed: 1 GiB %-14s %-10s %4.0f MB/s\n", c.id(), o.path(), rate)
			if class(o.transport, o.candidate) == direct {
				best[c] = max(best[c], rate)
			}
		}
	}
	ratio := best[two] / max(best[none], 1)
	fmt.Fprintf(stdout, "speed: directly through two routers %.2f of what it is without; the aim is %.1f: %s\n", ratio, ratioAim, reached(ratio >= ratioAim))
	if err := os.Remove(large.path); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	return keep(opts.figures, best[two], best[none])
}

// keep writes what was measured, in MB/s, to the figures of the benchmark, if there are any.
func keep(path string, two, none float64) error {
	if path == "" || two == 0 || none == 0 {
		return nil
	}
	f, err := figures.Read(path)
	if err != nil {
		return err
	}
	f.Set(figures.Job{Key: "homes", Name: fmt.Sprintf("two homes: one file of %.0f MB", largeFile/1e6), How: fmt.Sprintf("best of %d, without the login", largeRuns), Ways: []figures.Way{
		{Who: "jetsend, through two routers", Seconds: largeFile / 1e6 / two},
		{Who: "jetsend, without routers", Seconds: largeFile / 1e6 / none},
	}})
	return f.Save(path)
}

func reached(yes bool) string {
	if yes {
		return "reached"
	}
	return "MISSED"
}
