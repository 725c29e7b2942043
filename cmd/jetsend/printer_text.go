package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
)

// textPrinter writes sentences to standard error and data to standard output.
// Without a terminal it is silent about what is under way and says one line
// for each file that came to its end.
type textPrinter struct {
	console *console
	quiet   bool                   // nothing but warnings, errors and data
	verbose bool                   // what is under way also without a terminal, and every device
	columns func() int             // of the terminal that out is; nil: it is none
	again   func(...string) string // see app.again
	now     func() time.Time

	mu       sync.Mutex
	out      io.Writer
	err      error
	expected int                 // files of this run; 0: nobody knows
	online   bool                // has been, in this run
	begun    int                 // transfers so far
	ongoing  map[string]*ongoing // by keyOf, until its end
	told     map[string]bool     // new devices, by their fingerprints
	names    map[string]string   // of contacts, as the user calls them, by their bare addresses
	waits    bool                // said that an answer is waited for
}

func newTextPrinter(c *console, out io.Writer, quiet bool, again func(...string) string, now func() time.Time) *textPrinter {
	return &textPrinter{console: c, out: out, quiet: quiet, again: again, now: now, ongoing: make(map[string]*ongoing), told: make(map[string]bool)}
}

// Event implements printer.
func (p *textPrinter) Event(e event.Event) {
	if h, ok := event.Of(e); ok && h.Set != "" && p.setEvent(e) {
		return
	}
	switch e := e.(type) {
	case event.Progress:
		p.change(e.Head, func(t *ongoing) { t.moving, t.bytes, t.size, t.rate = true, e.Bytes, e.Size, e.Rate })
	case event.Interrupted:
		t := p.change(e.Head, func(t *ongoing) { t.moving, t.path = false, "" })
		p.Note("%s", interruptedLine(e, t.size))
	case event.Resumed:
		t := p.change(e.Head, func(t *ongoing) { t.resumes, t.offset = t.resumes+1, e.Offset })
		p.Note("%s", resumedLine(e, t.size))
		p.change(e.Head, func(t *ongoing) { t.moving, t.bytes, t.rate = true, e.Offset, 0 })
	case event.Accepted:
		p.change(e.Head, func(t *ongoing) { t.offset = 0 }) // unless it is said to be resumed
	case event.Failed:
		p.end(e.Head)
		if exitCode(e.Code) == exitcode.Cancelled {
			p.console.wipe()
		}
		if refusedHere(e) {
			p.refused(e)
			return
		}
		p.console.fail(failedLine(e, p.called(e.Peer)), hintsOf(e, p.again))
	case event.FailedEarly:
		p.console.fail(clean.Text(e.Reason), e.Hints)
	case event.Online:
		if p.cameBack() {
			p.Note("online again as %s", clean.Text(e.JID))
		}
	case event.Warning:
		p.console.warn("%s", clean.Text(e.Text))
	case event.Acquainted:
		p.Note("%s", acquaintedLine(e))
	case event.Waiting:
		e.Peer = p.called(e.Peer)
		p.Note("%s", waitingLine(e, p.console.terminal))
	case event.Sent:
		last := p.end(e.Head)
		e.Peer = p.called(e.Peer)
		p.Note("%s", sentLine(e, last.how(e.Size, e.Counts, p.now())))
	case event.Received:
		last := p.end(e.Head)
		e.Peer = p.called(e.Peer)
		p.Note("%s", receivedLine(e, last.how(e.Size, e.Counts, p.now())))
	case event.Hook:
		if line := hookLine(e); line != "" {
			p.console.warn("%s", line)
		}
	case event.Offer:
		p.change(e.Head, func(t *ongoing) { t.size = e.Size })
		p.offered(e)
	case event.Negotiated:
		p.change(e.Head, func(t *ongoing) { t.stands(pathText(e), p.now()) })
		p.negotiated(e)
	}
}

// offered tells on a terminal what is offered, and that an answer is waited for.
func (p *textPrinter) offered(e event.Offer) {
	e.Peer = p.called(e.Peer)
	if p.console.terminal || p.verbose {
		p.Note("%s", offerLine(e))
	}
	if p.console.terminal && e.Direction == event.Send && e.ResumedFrom == 0 && p.begins() {
		p.Note("waiting for %s to accept (Ctrl-C stops)", e.Peer)
	}
}

// refused tells what this end said no to.
func (p *textPrinter) refused(e event.Failed) {
	_, why, _ := strings.Cut(clean.Text(e.Reason), "declined") // what the contact may not have been told
	p.Note("declined %s from %s%s", clean.Text(e.Name), p.called(e.Peer), why)
}

// cameBack reports whether this is not the first time in the run to be online.
func (p *textPrinter) cameBack() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.online
	p.online = true
	return was
}

// Expect implements printer.
func (p *textPrinter) Expect(files int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = files
}

// Contact implements printer.
func (p *textPrinter) Contact(of jid.JID, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.Contains(name, "@") { // which would be the address once more
		if p.names == nil {
			p.names = make(map[string]string)
		}
		p.names[of.Bare().String()] = clean.Text(name)
	}
}

// called is what the user calls a contact: by the name that was typed, or else by the
// bare address.
func (p *textPrinter) called(peer string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name(peer)
}

// name is called for a caller that holds p.mu.
func (p *textPrinter) name(peer string) string {
	who := bare(peer)
	return cmp.Or(p.names[who], who)
}

// bare is an address without its resource.
func bare(peer string) string {
	who, _, _ := strings.Cut(clean.Text(peer), "/")
	return who
}

// begins reports whether this is the first offer of the run: a yes to it is most
// often one to all.
func (p *textPrinter) begins() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.waits
	p.waits = true
	return first
}

// negotiated tells everywhere, once, which devices were never met before, so that their keys
// can be compared; --verbose which path was taken, and which devices there are.
func (p *textPrinter) negotiated(e event.Negotiated) {
	if p.verbose {
		path := e.Transport
		if e.Candidate != "" {
			path += " " + e.Candidate
		}
		if e.Way != "" {
			path += ", " + e.Way
		}
		p.Note("%s: %s, %s", clean.Text(e.Name), clean.Text(path), cipherText(e.Encryption, e.Cipher))
	}
	for _, d := range e.Devices {
		what := "new device"
		if !d.New {
			what = "device"
		}
		if (d.New || p.verbose) && p.first(d.Fingerprint) {
			p.Note("%s of %s: %d (%s), with the key\n%s", what, p.called(e.Peer), d.ID, clean.Text(d.Trust), keyLines(d.Fingerprint))
		}
	}
}

// maxTold bounds the devices that are remembered as told; one more line does no harm.
const maxTold = 1000

// first reports whether nothing was said about a new device yet: it is new to every
// file of a batch.
func (p *textPrinter) first(fingerprint string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.told[fingerprint]
	if len(p.told) == maxTold {
		clear(p.told)
	}
	p.told[fingerprint] = true
	return !known
}

// keyOf tells a transfer, or a set of them, from the others of the run. Both ends may be here.
func keyOf(h event.Head) string { return string(h.Direction) + cmp.Or(h.Set, h.Transfer) }

// change notes something about a transfer, shows it on the bar, and returns how
// the transfer stands.
func (p *textPrinter) change(h event.Head, note func(*ongoing)) standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.ongoing[keyOf(h)]
	if t == nil {
		p.begun++
		t = &ongoing{number: p.begun, standing: standing{label: clean.Text(h.Name)}}
		if h.Set != "" {
			t.set = newGathering(h)
		}
		p.ongoing[keyOf(h)] = t
	}
	note(t)
	p.show()
	return t.standing
}

// end forgets a transfer and returns how it stood.
func (p *textPrinter) end(h event.Head) (last ongoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.ongoing[keyOf(h)]; t != nil {
		last = *t
		delete(p.ongoing, keyOf(h))
		p.show()
	}
	return last
}

// show draws the bar: one transfer by its name, several as their sum.
func (p *textPrinter) show() {
	if p.quiet || !p.console.terminal {
		return
	}
	var sum standing
	moving, files := 0, 0
	for _, t := range p.ongoing {
		if !t.moving {
			continue
		}
		s, n := t.shown()
		moving, files = moving+1, files+n
		s.bytes, s.size, s.rate = sum.bytes+s.bytes, sum.size+s.size, sum.rate+s.rate
		if sum = s; p.expected > 1 && t.set == nil {
			sum.count = fmt.Sprintf("%d/%d", t.number, p.expected)
		}
	}
	switch {
	case moving == 0:
		p.console.noProgress()
		return
	case moving > 1 && p.expected > 1 && files == moving:
		sum.label, sum.count, sum.path, sum.resumes = fmt.Sprintf("%d of %d files", moving, p.expected), "", "", 0
	case moving > 1:
		sum.label, sum.count, sum.path, sum.resumes = fmt.Sprintf("%d files", files), "", "", 0
	}
	p.console.progress(sum)
}

// Note implements printer.
func (p *textPrinter) Note(format string, args ...any) {
	if !p.quiet {
		p.console.line(format, args...)
	}
}

// Fail implements printer. To who pressed Ctrl-C it is no error that it works.
func (p *textPrinter) Fail(f *failure) {
	if f.code != exitcode.Cancelled {
		p.console.fail(f.reason, f.hints)
		return
	}
	p.console.wipe()
	p.Note("%s", f.reason)
	p.console.hints(f.hints)
}

// Close implements printer.
func (p *textPrinter) Close() { p.console.close() }

// Err implements printer.
func (p *textPrinter) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
