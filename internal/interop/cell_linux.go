package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// cell is one line of the table.
type cell struct {
	kind  serverKind
	name  string // unique for a server
	about string
	rig   bool   // needs no jetsend
	only  string // the one server it is for, "" for every one
	// buffered is for data that a peer sends through the proxy and does not end:
	// stockProsody keeps the last 4 KiB of them back, whatever the clients are,
	// so eventProsody stands in for it.
	buffered bool
	needs    string // the client beside jetsend, "" for Dino
	run      func(ctx context.Context, w *world) (note string, err error)
}

// id is the name that -cells selects by.
func (c cell) id() string { return c.kind.name + "/" + c.name }

// outcome is how a cell went.
type outcome struct {
	cell cell
	note string
	err  error
	took time.Duration
}

// allCells are the cells of every server, in the order of running.
func allCells() []cell {
	var all []cell
	for _, k := range serverKinds() {
		for _, c := range slices.Concat(rigCells(), matrixCells(), firstContactCells(), lossCells(), inviteCells(), restraintCells(), paceCells(), plainCells()) {
			if c.kind = k; c.belongs() {
				all = append(all, c)
			}
		}
	}
	return all
}

// belongs reports whether the cell is for its server.
func (c cell) belongs() bool {
	switch {
	case c.only != "":
		return c.only == c.kind.name
	case c.kind.name == eventProsody:
		return c.buffered
	}
	return !c.buffered || c.kind.name != stockProsody
}

// selectCells returns the cells that one of the comma-separated patterns
// (path.Match) accepts by id, by name, or by server; all for an empty list. A
// pattern that accepts none is an error.
func selectCells(all []cell, patterns string) ([]cell, error) {
	if patterns == "" {
		return all, nil
	}
	wanted := map[int]bool{}
	for pattern := range strings.SplitSeq(patterns, ",") {
		hit := false
		for i, c := range all {
			ok, err := c.matches(pattern)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			if ok {
				wanted[i], hit = true, true
			}
		}
		if !hit {
			return nil, fmt.Errorf("pattern %q: no such cell", pattern)
		}
	}
	var selected []cell
	for i, c := range all {
		if wanted[i] {
			selected = append(selected, c)
		}
	}
	return selected, nil
}

// matches reports whether the pattern accepts the cell by its id, its name, or its server.
func (c cell) matches(pattern string) (ok bool, err error) {
	for _, s := range []string{c.id(), c.name, c.kind.name} {
		if ok, err = path.Match(pattern, s); ok || err != nil {
			break
		}
	}
	return ok, err
}

// runCells runs the cells, server by server, and reports each as it ends.
func runCells(ctx context.Context, r *rig, cells []cell, live io.Writer) []outcome {
	var outcomes []outcome
	var w *world
	var down error // why there is no server
	defer func() { w.end() }()
	for i, c := range cells {
		start := time.Now()
		if i == 0 || c.kind.name != cells[i-1].kind.name {
			w.end()
			w, down = newWorld(ctx, r, c.kind)
		}
		o := outcome{cell: c, err: down}
		if down == nil {
			o.note, o.err = runCell(ctx, w, c)
		}
		o.took = time.Since(start)
		outcomes = append(outcomes, o)
		fmt.Fprintf(live, "%s  %s  %.1f s  %s\n", o.verdict(), c.id(), o.took.Seconds(), o.text())
	}
	return outcomes
}

// newWorld starts a server.
func newWorld(ctx context.Context, r *rig, k serverKind) (*world, error) {
	s, err := k.up(ctx)
	if err != nil {
		return nil, err
	}
	return &world{server: s, rig: r}, nil
}

// runCell runs one cell within its time.
func runCell(ctx context.Context, w *world, c cell) (note string, err error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("not run: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	note, err = c.run(ctx, w)
	if err == nil {
		return note, nil
	}
	if lost := w.saveLogs(c.id()); lost != nil {
		w.rig.say("logs of %s: %v", c.id(), lost)
	}
	w.cleanUp()
	return note, err
}

// end stops the world's clients and its server. A nil world has none.
func (w *world) end() {
	if w == nil {
		return
	}
	w.cleanUp()
	w.stop()
}

func (o outcome) verdict() string {
	if o.err != nil {
		return "FAIL"
	}
	return "ok  "
}

// text is the note, or what went wrong, on one line.
func (o outcome) text() string {
	if o.err == nil {
		return o.note
	}
	return strings.Join(strings.Fields(o.err.Error()), " ")
}

// printTable prints all outcomes, one line for each name and one column for
// each server, then the failures, and returns how many there are.
func printTable(out io.Writer, outcomes []outcome) int {
	var names, servers []string
	at := map[string]outcome{}
	var failed []outcome
	for _, o := range outcomes {
		if !slices.Contains(names, o.cell.name) {
			names = append(names, o.cell.name)
		}
		if !slices.Contains(servers, o.cell.kind.name) {
			servers = append(servers, o.cell.kind.name)
		}
		at[o.cell.id()] = o
		if o.err != nil {
			failed = append(failed, o)
		}
	}
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "\ncell\t%s\n", strings.Join(servers, "\t"))
	for _, name := range names {
		fmt.Fprint(t, name)
		for _, s := range servers {
			o, ran := at[s+"/"+name]
			switch {
			case !ran:
				fmt.Fprint(t, "\t-")
			case o.err != nil:
				fmt.Fprint(t, "\tFAIL")
			default:
				fmt.Fprintf(t, "\tok, %s", cmp.Or(o.note, since(time.Now().Add(-o.took))))
			}
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // standard output; there is nobody else to tell
	for _, o := range failed {
		fmt.Fprintf(out, "\nFAIL %s: %v\n", o.cell.id(), o.err)
	}
	fmt.Fprintf(out, "\n%d of %d passed\n", len(outcomes)-len(failed), len(outcomes))
	return len(failed)
}
