package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"jetsend/internal/clean"
	"jetsend/internal/transfer"
)

// textPrinter writes sentences to standard error and data to standard output.
// Without a terminal it is silent about what is under way and says one line
// for each file that came to its end.
type textPrinter struct {
	console *console
	quiet   bool                   // nothing but warnings, errors and data
	again   func(...string) string // see app.again

	mu     sync.Mutex
	out    io.Writer
	err    error
	active map[string]transfer.Progress // by transfer, for the bar
	sizes  map[string]int64             // by transfer, until its end
}

func newTextPrinter(c *console, out io.Writer, quiet bool, again func(...string) string) *textPrinter {
	return &textPrinter{
		console: c, out: out, quiet: quiet, again: again,
		active: make(map[string]transfer.Progress), sizes: make(map[string]int64),
	}
}

// Event implements printer.
func (p *textPrinter) Event(e transfer.Event) {
	switch e := e.(type) {
	case transfer.Progress:
		p.learn(e.Transfer, e.Size)
		p.track(e.Transfer, &e)
	case transfer.Interrupted:
		p.track(e.Transfer, nil)
		p.Note("%s", interruptedLine(e, p.size(e.Transfer)))
	case transfer.Resumed:
		size := p.size(e.Transfer)
		p.Note("%s", resumedLine(e, size))
		p.track(e.Transfer, &transfer.Progress{Head: e.Head, Bytes: e.Offset, Size: size})
	case transfer.Failed:
		p.end(e.Transfer)
		p.console.fail(failedLine(e), hintsOf(e, p.again))
	case transfer.FailedEarly:
		p.console.fail(clean.Text(e.Reason), e.Hints)
	case transfer.Warning:
		p.console.warn("%s", clean.Text(e.Text))
	case transfer.Sent:
		p.end(e.Transfer)
		p.Note("%s", sentLine(e))
	case transfer.Received:
		p.end(e.Transfer)
		p.Note("%s", receivedLine(e))
	case transfer.Offer:
		p.learn(e.Transfer, e.Size)
		if p.console.terminal {
			p.Note("%s", offerLine(e))
		}
	case transfer.Negotiated:
		p.negotiated(e)
	}
}

// negotiated tells on a terminal which path was taken, and everywhere which
// devices were never met before.
func (p *textPrinter) negotiated(e transfer.Negotiated) {
	if p.console.terminal {
		path := e.Transport
		if e.Candidate != "" {
			path += " " + e.Candidate
		}
		p.Note("%s: %s, %s", clean.Text(e.Name), clean.Text(path), clean.Text(e.Cipher))
	}
	for _, d := range e.Devices {
		if d.New {
			p.Note("new device of %s: %d, key %s (%s)", clean.Text(e.Peer), d.ID, groups(d.Fingerprint), clean.Text(d.Trust))
		}
	}
}

// learn remembers how large the file of a transfer is.
func (p *textPrinter) learn(id string, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sizes[id] = size
}

// size returns what learn was told, or 0.
func (p *textPrinter) size(id string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sizes[id]
}

// end forgets a transfer.
func (p *textPrinter) end(id string) {
	p.track(id, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sizes, id)
}

// track keeps the bar: one transfer by its name, several as their sum.
func (p *textPrinter) track(id string, now *transfer.Progress) {
	if p.quiet || !p.console.terminal {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now == nil {
		delete(p.active, id)
	} else {
		p.active[id] = *now
	}
	label, done, size, rate := "", int64(0), int64(0), int64(0)
	for _, t := range p.active {
		label, done, size, rate = clean.Text(t.Name), done+t.Bytes, size+t.Size, rate+t.Rate
	}
	switch len(p.active) {
	case 0:
		p.console.noProgress()
		return
	case 1:
	default:
		label = fmt.Sprintf("%d files", len(p.active))
	}
	p.console.progress(label, done, size, rate)
}

// Rows implements printer.
func (p *textPrinter) Rows(rows []record) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		cells := [][]string{r.Columns()}
		if s, ok := r.(sheet); ok {
			cells = s.Sheet()
		}
		for _, row := range cells {
			_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // a Builder takes everything
		}
	}
	_ = w.Flush()
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(p.out, strings.TrimRight(line, " \n")); err != nil && p.err == nil {
			p.err = err
		}
	}
}

// Note implements printer.
func (p *textPrinter) Note(format string, args ...any) {
	if !p.quiet {
		p.console.line(format, args...)
	}
}

// Fail implements printer.
func (p *textPrinter) Fail(f *failure) { p.console.fail(f.reason, f.hints) }

// Close implements printer.
func (p *textPrinter) Close() { p.console.close() }

// Err implements printer.
func (p *textPrinter) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func offerLine(e transfer.Offer) string {
	name, peer, size := clean.Text(e.Name), clean.Text(e.Peer), bytesText(e.Size)
	if e.Direction == transfer.Receive {
		return fmt.Sprintf("%s offers %s (%s)", peer, name, size)
	}
	return fmt.Sprintf("offering %s (%s) to %s", name, size, peer)
}

// interruptedLine tells how far the transfer came and what happens next.
func interruptedLine(e transfer.Interrupted, size int64) string {
	next := "waiting for the other end"
	if e.RetryIn > 0 {
		next = "trying again in " + seconds(e.RetryIn)
	}
	return fmt.Sprintf("%s: interrupted at %s: %s, %s", clean.Text(e.Name), position(e.Bytes, size), clean.Text(e.Reason), next)
}

func resumedLine(e transfer.Resumed, size int64) string {
	if e.Offset == 0 {
		return clean.Text(e.Name) + ": starting over"
	}
	return fmt.Sprintf("%s: going on at %s", clean.Text(e.Name), position(e.Offset, size))
}

// position is a place in a file, in percent where the size is known.
func position(bytes, size int64) string {
	if size > 0 {
		return percent(bytes, size)
	}
	return bytesText(bytes)
}

// seconds writes a pause, rounded up.
func seconds(s float64) string {
	const inMinutes = 120 // from here on
	if s >= inMinutes {
		return fmt.Sprintf("%.0f min", math.Ceil(s/60))
	}
	return fmt.Sprintf("%.0f s", math.Ceil(s))
}

func sentLine(e transfer.Sent) string {
	s := fmt.Sprintf("sent %s to %s: %s", clean.Text(e.Name), clean.Text(e.Peer), speed(e.Size, e.Seconds))
	if e.VerifiedByPeer {
		s += ", confirmed by a sealed receipt"
	} else {
		s += ", said to be complete by the contact's client, which proves less than a receipt"
	}
	return s + digest(e.SHA256)
}

func receivedLine(e transfer.Received) string {
	return fmt.Sprintf("received %s from %s: %s, saved as %s%s",
		clean.Text(e.Name), clean.Text(e.Peer), speed(e.Size, e.Seconds), clean.Text(e.Path), digest(e.SHA256))
}

func failedLine(e transfer.Failed) string {
	return fmt.Sprintf("%s: %s", clean.Text(e.Name), clean.Text(e.Reason))
}

func digest(sha256 string) string {
	if sha256 == "" {
		return ""
	}
	return ", sha256 " + clean.Text(sha256)
}

// speedFrom is the size from which on a rate says something about the path.
const speedFrom = 1e6

func speed(size int64, seconds float64) string {
	s := fmt.Sprintf("%s in %.1f s", bytesText(size), seconds)
	if seconds > 0 && size >= speedFrom {
		s += fmt.Sprintf(" (%s/s)", bytesText(int64(float64(size)/seconds)))
	}
	return s
}

func bytesText(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
