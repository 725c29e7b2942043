package main

import (
	"context"
	"fmt"
	"io"
	"os"
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
	return l.runLarge(ctx, stdout)
}

// runLarge compares two routers with none.
func (l *lab) runLarge(ctx context.Context, stdout io.Writer) error {
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
	return nil
}

func reached(yes bool) string {
	if yes {
		return "reached"
	}
	return "MISSED"
}
