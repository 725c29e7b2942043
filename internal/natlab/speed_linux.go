package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	// smallFile must be there within the second, with all that comes before it.
	smallFile = 30_000_000
	smallAim  = 1.0
	// largeFile goes through two routers, and between the same two programs without
	// any, so many times each; the median counts.
	largeFile = 1 << 30
	largeRuns = 3
	// ratioAim is how much of the speed two routers may leave.
	ratioAim = 0.9
)

// runSpeed measures and prints. Time fails nothing: machines differ.
func (l *lab) runSpeed(ctx context.Context, stdout io.Writer) error {
	small, err := makePayload("small", smallFile)
	if err != nil {
		return err
	}
	o, err := l.do(ctx, job{from: l.homes[kindHome][sideA], to: l.homes[kindHome][sideB], file: small})
	if err != nil {
		return err
	}
	took := (o.found + o.moved).Seconds()
	fmt.Fprintf(stdout, "\nspeed: 30 MB from home to home: %.2f s (%.2f s until there was a path, %s); the aim is %.0f s: %s\n",
		took, o.found.Seconds(), o.path(), smallAim, reached(took < smallAim))
	if err := os.Remove(small.path); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	large, err := makePayload("large", largeFile)
	if err != nil {
		return err
	}
	rates, paths := map[cell][]float64{}, map[cell]string{}
	series := []cell{{kindPublic, kindPublic}, {kindHome, kindHome}, {kindHome, kindPublic}}
	for range largeRuns {
		for _, c := range series {
			o, err := l.do(ctx, job{from: l.homes[c.sender][sideA], to: l.homes[c.receiver][sideB], file: large})
			if err != nil {
				return err
			}
			rates[c] = append(rates[c], largeFile/1e6/o.moved.Seconds())
			paths[c] = o.path()
		}
	}
	for _, c := range series {
		slices.Sort(rates[c])
		fmt.Fprintf(stdout, "speed: 1 GiB %-14s %-10s %.0f MB/s (%.0f)\n", c.id(), paths[c], rates[c][largeRuns/2], rates[c])
	}
	ratio := rates[series[1]][largeRuns/2] / rates[series[0]][largeRuns/2]
	fmt.Fprintf(stdout, "speed: through two routers %.2f of what it is without; the aim is %.1f: %s\n", ratio, ratioAim, reached(ratio >= ratioAim))
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
