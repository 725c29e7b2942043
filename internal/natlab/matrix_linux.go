package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	// cellSize is the file of a pair, in bytes.
	cellSize = 3_000_000
	// fewPercent of the file may go through the server, its proxy and the STUN host
	// when the path is direct: what is said about it takes some 50 kB.
	fewPercent = 10
)

// cell is one pair of homes.
type cell struct{ sender, receiver string }

func (c cell) id() string { return c.sender + "/" + c.receiver }

func (c cell) outlook() outlook { return expected(c.sender, c.receiver) }

// plan is what one server is for.
type plan struct {
	server string
	cells  []cell
}

// plans are the servers with their pairs, in the order of running. With both
// servers the second one has only the pairs that the whole effort is for.
func plans(o options) ([]plan, error) {
	var all, must []cell
	for _, a := range kinds() {
		for _, b := range kinds() {
			all = append(all, cell{a, b})
			if slices.Contains(required(), [2]string{a, b}) {
				must = append(must, cell{a, b})
			}
		}
	}
	var list []plan
	switch o.server {
	case "both":
		list = []plan{{serverProsody, all}, {serverEjabberd, must}}
	case serverProsody, serverEjabberd:
		list = []plan{{o.server, all}}
	default:
		return nil, fmt.Errorf("no server %q: want %s, %s or both", o.server, serverProsody, serverEjabberd)
	}
	if o.pairs == "" {
		return list, nil
	}
	hits := 0
	for i := range list {
		list[i].cells = slices.DeleteFunc(list[i].cells, func(c cell) bool { return !c.matches(o.pairs) })
		hits += len(list[i].cells)
	}
	if hits == 0 {
		return nil, fmt.Errorf("no pair is like %q", o.pairs)
	}
	return slices.DeleteFunc(list, func(p plan) bool { return len(p.cells) == 0 }), nil
}

// matches reports whether one of the comma-separated patterns accepts the pair.
func (c cell) matches(patterns string) bool {
	for p := range strings.SplitSeq(patterns, ",") {
		if ok, err := path.Match(p, c.id()); ok && err == nil {
			return true
		}
	}
	return false
}

// result is how a pair went.
type result struct {
	cell    cell
	outcome outcome
	verdict string
	ok      bool
	err     error
}

// between is the job of a pair.
func (l *lab) between(c cell, file payload) job {
	return job{from: l.homes[c.sender][sideA], to: l.homes[c.receiver][sideB], file: file}
}

// runCell runs a pair.
func (l *lab) runCell(ctx context.Context, c cell, file payload) result {
	r := result{cell: c}
	j := l.between(c, file)
	r.outcome, r.err = l.do(ctx, j)
	left := 0
	for _, h := range []*home{j.from, j.to} {
		n, err := h.mappings(ctx)
		left += n
		r.err = errors.Join(r.err, err)
	}
	if r.err != nil {
		r.verdict = "FAILED"
		return r
	}
	got := class(r.outcome.transport, r.outcome.candidate)
	r.verdict, r.ok = c.outlook().judge(got)
	switch {
	case got == direct && r.percent() >= fewPercent:
		r.verdict, r.ok = "WRONG: direct, and yet the server carried it", false
	case left > 0:
		r.verdict, r.ok = fmt.Sprintf("WRONG: %d ports are mapped after the end", left), false
	}
	return r
}

// percent is how much of the file the server, its proxy or the STUN host carried.
func (r result) percent() int64 { return r.outcome.carried * 100 / cellSize }

func (r result) String() string {
	o := r.outcome
	sum := map[bool]string{true: "sha256 right", false: "no file"}[o.right]
	return fmt.Sprintf("%-30s %-12s %5d ms  %s  server %3d %%  %s", r.cell.id(), o.path(), o.found.Milliseconds(), sum, r.percent(), r.verdict)
}

// runMatrix runs pairs and prints each as it ends. It returns how many are not ok.
func (l *lab) runMatrix(ctx context.Context, p plan, stdout io.Writer) (bad int, err error) {
	file, err := makePayload("file", cellSize)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(stdout, "\n%s: path, time from accepted to negotiated at the sender, bytes through the server in percent of the file\n", p.server)
	shown := map[cell]string{}
	for _, c := range p.cells {
		if err := ctx.Err(); err != nil {
			return bad, fmt.Errorf("not all pairs were run: %w", err)
		}
		r := l.runCell(ctx, c, file)
		fmt.Fprintln(stdout, r)
		if r.err != nil {
			fmt.Fprintf(stdout, "%v\n", r.err)
		}
		if !r.ok {
			bad++
		}
		shown[c] = r.short()
	}
	printGrid(stdout, shown)
	return bad, nil
}

// short is a result in the grid: * is what is aimed at and not there yet, + is
// gained, ! is not ok.
func (r result) short() string {
	switch {
	case r.err != nil:
		return "failed!"
	case !r.ok:
		return r.outcome.path() + "!"
	case strings.HasPrefix(r.verdict, "gained"):
		return r.outcome.path() + "+"
	case r.verdict != "ok":
		return r.outcome.path() + "*"
	}
	return r.outcome.path()
}

// printGrid prints the pairs as a table: a line for the sender's home, a column for
// the receiver's.
func printGrid(w io.Writer, shown map[cell]string) {
	fmt.Fprintln(w, "\nfrom \\ to; * the aim is direct, + gained, ! not ok")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\t%s\n", strings.Join(kinds(), "\t"))
	for _, a := range kinds() {
		line := []string{a}
		some := false
		for _, b := range kinds() {
			text, ok := shown[cell{a, b}]
			some = some || ok
			line = append(line, text)
		}
		if some {
			fmt.Fprintln(t, strings.Join(line, "\t"))
		}
	}
	_ = t.Flush() // a table that cannot be printed is seen not to be there
}
