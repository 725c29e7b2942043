package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

const (
	// columnGap is what stands between two columns of a table.
	columnGap = 2
	// nameLeast is how short a name may become for the width of a terminal.
	nameLeast = 12
)

// Rows implements printer.
func (p *textPrinter) Rows(rows []record) {
	cells, names := cellsOf(rows, p.columns != nil)
	if p.columns != nil {
		fit(cells, names, p.columns())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range aligned(cells) {
		if _, err := fmt.Fprintln(p.out, line); err != nil && p.err == nil {
			p.err = err
		}
	}
}

// cellsOf are the lines of a table, with a heading where people look at it and there
// is one, and the columns that may be shortened.
func cellsOf(rows []record, heading bool) (cells [][]string, names []int) {
	for _, r := range rows {
		if s, ok := r.(sheet); ok {
			cells = append(cells, s.Sheet()...)
			continue
		}
		if t, ok := r.(titled); ok && heading && cells == nil {
			cells, names = append(cells, t.Titles()), t.Names()
		}
		cells = append(cells, r.Columns())
	}
	return cells, names
}

// widths are those of the columns of a table; the last one of a line has none.
func widths(cells [][]string) (wide []int) {
	for _, row := range cells {
		for i, cell := range row[:max(len(row)-1, 0)] {
			if i == len(wide) {
				wide = append(wide, 0)
			}
			wide[i] = max(wide[i], columnsOf(cell))
		}
	}
	return wide
}

// fit shortens what is in some columns until the lines fit the terminal, or the
// names are as short as they may be.
func fit(cells [][]string, names []int, columns int) {
	for _, name := range names {
		wide, total := widths(cells), 0
		for _, row := range cells {
			total = max(total, lineOf(row, wide))
		}
		if total <= columns || name >= len(wide) {
			continue
		}
		room := max(wide[name]-(total-columns), nameLeast)
		for _, row := range cells {
			row[name] = shorten(row[name], room)
		}
	}
}

// lineOf is how many columns of the terminal a row takes, in a table that is so wide.
func lineOf(row []string, wide []int) (n int) {
	for i, cell := range row {
		if i < len(row)-1 {
			n += wide[i] + columnGap
		} else {
			n += columnsOf(cell)
		}
	}
	return n
}

// aligned are the lines of a table, with nothing behind the last column.
func aligned(cells [][]string) (lines []string) {
	wide := widths(cells)
	for _, row := range cells {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", wide[i]-columnsOf(cell)+columnGap))
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// columnsFor returns how to learn the width of a terminal: anew each time, because
// windows change.
func columnsFor(w any) func() int {
	f, ok := w.(*os.File)
	return func() int {
		if ok {
			if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
				return n
			}
		}
		return usualColumns
	}
}
