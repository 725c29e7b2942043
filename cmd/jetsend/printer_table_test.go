package main

import (
	"bytes"
	"strings"
	"testing"

	"jetsend/internal/journal"
)

// TestTable: a heading, and names as short as the terminal needs, are for people only.
func TestTable(t *testing.T) {
	row := sentRow("aaaa0000")
	row.Name = "the most excellent and lamentable tragedy.pdf"
	for columns, want := range map[int][]string{
		0:   {"aaaa0000  send  romeo@montague.example  the most excellent and lamentable tragedy.pdf  1.0 kB  "},
		200: {"ID        DIRECTION  CONTACT                 NAME                                           SIZE", "aaaa0000  send       romeo@montague.example  the most excellent and lamentable tragedy.pdf  1.0 kB  "},
		100: {"ID        DIRECTION  CONTACT            NAME          SIZE", "aaaa0000  send       romeo@monta…ample  the mos….pdf  1.0 kB  "},
		20:  {"ID        DIRECTION  CONTACT       NAME          SIZE", "aaaa0000  send       romeo@m…mple  the mos….pdf  1.0 kB  "},
	} {
		var out bytes.Buffer
		a := new(app)
		a.now = someTime
		p := newTextPrinter(&console{w: new(bytes.Buffer), bar: noBar{}}, &out, false, a.again, someTime)
		if columns > 0 {
			p.columns = func() int { return columns }
		}
		r := row
		r.State, r.Updated = journal.Interrupted, someTime()
		p.Rows([]record{a.transferRecord(&r)})
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%d columns: %q", columns, lines)
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, want[i]) || columns == 100 && columnsOf(line) > columns {
				t.Errorf("%d columns: %q (%d)", columns, line, columnsOf(line))
			}
		}
	}
	var out bytes.Buffer
	a := &app{now: someTime}
	p := newTextPrinter(&console{w: new(bytes.Buffer), bar: noBar{}}, &out, false, a.again, someTime)
	p.columns = func() int { return 80 }
	p.Rows([]record{transferSheet{a.transferRecord(&row)}})
	if strings.Contains(out.String(), "DIRECTION") {
		t.Errorf("one transfer: %s", out.String())
	}
}
