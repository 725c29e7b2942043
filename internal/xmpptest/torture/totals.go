package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tagSize is what a session adds to its bytes: the GCM tag.
const tagSize = 16

// totals are those of all rounds.
type totals struct {
	begin                            time.Time
	rounds, bad, tries               int
	bytes, resumed, again            int64
	faults, ways, counts, exits, run map[string]int
}

func newTotals() *totals {
	return &totals{
		begin: time.Now(), faults: map[string]int{}, ways: map[string]int{}, counts: map[string]int{},
		exits: map[string]int{}, run: map[string]int{},
	}
}

func (t *totals) add(r *round) {
	t.rounds++
	if len(r.problems) > 0 {
		t.bad++
	}
	t.tries += r.tries
	t.bytes += r.plan.size
	t.resumed += r.resumed
	t.again += r.again()
	for _, f := range r.faults {
		name := string(f.kind)
		switch f.kind {
		case kill, interrupt, terminate, cutStream, stallStream:
			name += " of " + string(f.end)
		}
		t.faults[name]++
	}
	t.run[string(r.plan.route)]++
	t.ways[string(r.finisher)]++
	for k, n := range r.counts {
		t.counts[k] += n
	}
	for code, n := range r.codes {
		t.exits[fmt.Sprint(code)] += n
	}
}

// again is how many bytes of the file went over the path more than once, as far
// as that can be told: in-band it cannot.
func (r *round) again() int64 {
	if r.plan.route == inBand {
		return 0
	}
	return max(r.wire-r.plan.size-int64(r.sessions)*tagSize, 0)
}

// summary is the line of a round.
func (r *round) summary() string {
	var faults []string
	for _, f := range r.faults {
		faults = append(faults, f.String())
	}
	state := "ok"
	if len(r.problems) > 0 {
		state = "WRONG"
	}
	what := mib(r.plan.size)
	if r.goods != nil {
		what += fmt.Sprintf(" in %d entries", r.plan.entries)
		if r.plan.set.update {
			what += " again"
		}
	}
	return fmt.Sprintf("%-5s seed %d, %s %s, %d tries, done by %s, %.1f s, resumed %s, again %s; %s", state, r.plan.seed,
		what, r.plan.route, r.tries, orNobody(r.finisher), r.took.Seconds(), mib(r.resumed), mib(r.again()), strings.Join(faults, ", "))
}

func orNobody(w way) string {
	if w == "" {
		return "nobody"
	}
	return string(w)
}

func mib(n int64) string { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }

// String lists the totals.
func (t *totals) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rounds      %d, of which %d went wrong, in %.0f s\n", t.rounds, t.bad, time.Since(t.begin).Seconds())
	fmt.Fprintf(&b, "paths       %s\n", listOf(t.run))
	fmt.Fprintf(&b, "faults      %s\n", listOf(t.faults))
	fmt.Fprintf(&b, "tries       %d\n", t.tries)
	fmt.Fprintf(&b, "done by     %s\n", listOf(t.ways))
	fmt.Fprintf(&b, "exit codes  %s\n", listOf(t.exits))
	fmt.Fprintf(&b, "bytes       %s in files; %s not sent again; %s sent again\n", mib(t.bytes), mib(t.resumed), mib(t.again))
	if len(t.counts) > 0 {
		fmt.Fprintf(&b, "also        %s\n", listOf(t.counts))
	}
	return b.String()
}

// listOf writes counts, the largest first.
func listOf(m map[string]int) string {
	total := 0
	var items []string
	for _, k := range slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	}) {
		items = append(items, fmt.Sprintf("%s %d", k, m[k]))
		total += m[k]
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(items, ", "))
}
