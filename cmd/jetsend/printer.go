package main

import (
	"cmp"
	"slices"
	"strings"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
)

// printer shows what happens: as sentences for people or as one JSON object a
// line. Standard output carries data and JSON only. All methods may be called
// from several goroutines.
type printer interface {
	// Event shows something of a transfer.
	Event(event.Event)
	// Expect tells how many files this run is about.
	Expect(files int)
	// Contact tells what the user calls a contact.
	Contact(of jid.JID, name string)
	// Rows writes the data that a command was asked for.
	Rows(rows []record)
	// Note tells people something that is neither data nor trouble.
	Note(format string, args ...any)
	// Fail shows why the whole run failed.
	Fail(*failure)
	// Close takes the progress bar away.
	Close()
	// Err is the first error of writing to standard output.
	Err() error
}

// record is one row of data. Its JSON form has the members of the struct.
type record interface {
	// Kind is the value of the "event" member of the JSON form.
	Kind() string
	// Columns are the cells of the text form, without peer-supplied control
	// characters.
	Columns() []string
}

// sheet is a record whose text form is more than one row.
type sheet interface {
	record
	// Sheet are the rows of cells, cleaned like Columns.
	Sheet() [][]string
}

// titled is a record whose columns have a heading on a terminal.
type titled interface {
	record
	// Titles are the heading, as many as Columns. Names are the columns that are
	// shortened, the first one first, where a row is wider than the terminal.
	Titles() []string
	Names() []int
}

// newPrinter returns the printer that the global flags ask for.
func (a *app) newPrinter(asJSON bool) printer {
	if asJSON {
		return &jsonPrinter{console: a.console, out: a.Stdout, now: a.now, again: a.again}
	}
	p := newTextPrinter(a.console, a.Stdout, a.global.quiet, a.again, a.now)
	p.verbose = a.global.verbose
	if isTerminal(a.Stdout) {
		p.columns = columnsFor(a.Stdout)
	}
	return p
}

// hintsOf are the hints of an event, with the command that goes on where the
// transfer stopped. again writes a command; see app.again.
func hintsOf(e event.Failed, again func(...string) string) []string {
	named := func(hint string) bool { return strings.Contains(hint, " resume") }
	if !e.Resumable || slices.ContainsFunc(e.Hints, named) {
		return e.Hints
	}
	hints := append(slices.Clone(e.Hints), "run `"+again("resume", short(cmp.Or(e.Set, e.Transfer)))+"` to go on")
	if e.Code == int(exitcode.Cancelled) { // stopped by hand: it goes on by hand alone
		hints = append(hints, "run `"+again("transfers", "forget", short(cmp.Or(e.Set, e.Transfer)))+"` to give it up")
	}
	return hints
}

// failure is an error as it is shown: its exit code, one line, and the exact
// next commands.
type failure struct {
	code     exitCode
	reason   string
	hints    []string
	reported bool // has been shown but for the hints
}
