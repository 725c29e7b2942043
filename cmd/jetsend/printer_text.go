package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/route"
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
	case event.Entry:
		p.console.warn("%s", entryLine(e))
	case event.Failed:
		p.end(e.Head)
		if exitCode(e.Code) == exitcode.Cancelled {
			p.console.wipe()
		}
		if refusedHere(e) {
			_, why, _ := strings.Cut(clean.Text(e.Reason), "declined") // what the contact may not have been told
			p.Note("declined %s from %s%s", clean.Text(e.Name), p.called(e.Peer), why)
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
	case event.Waiting:
		p.Note("%s", waitingLine(e, p.console.terminal))
	case event.Sent:
		p.Note("%s", sentLine(e, p.end(e.Head), p.now()))
	case event.Received:
		p.Note("%s", receivedLine(e, p.end(e.Head), p.now()))
	case event.Hook:
		if line := hookLine(e); line != "" {
			p.console.warn("%s", line)
		}
	case event.Offer:
		p.change(e.Head, func(t *ongoing) { t.size = e.Size })
		if p.console.terminal || p.verbose {
			p.Note("%s", offerLine(e))
		}
		if p.console.terminal && e.Direction == event.Send && e.ResumedFrom == 0 && p.begins() {
			p.Note("waiting for %s to accept (Ctrl-C stops)", p.called(e.Peer))
		}
	case event.Negotiated:
		p.change(e.Head, func(t *ongoing) { t.stands(pathText(e), p.now()) })
		p.negotiated(e)
	}
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
		p.names = map[string]string{of.Bare().String(): clean.Text(name)}
	}
}

// called is what the user calls a contact: by the name that was typed, or else by the
// bare address.
func (p *textPrinter) called(peer string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
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

// negotiated tells on a terminal which path was taken, and everywhere, once, which
// devices were never met before; --verbose which ones there are.
func (p *textPrinter) negotiated(e event.Negotiated) {
	if p.console.terminal || p.verbose {
		path := e.Transport
		if e.Candidate != "" {
			path += " " + e.Candidate
		}
		p.Note("%s: %s, %s", clean.Text(e.Name), clean.Text(path), cipherText(e.Encryption, e.Cipher))
	}
	for _, d := range e.Devices {
		what := "new device"
		if !d.New {
			what = "device"
		}
		if (d.New || p.verbose) && p.first(d.Fingerprint) {
			p.Note("%s of %s: %d, key %s (%s)", what, clean.Text(e.Peer), d.ID, groups(d.Fingerprint), clean.Text(d.Trust))
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

// keyOf tells a transfer from the others of the run. Both ends may be here.
func keyOf(h event.Head) string { return string(h.Direction) + h.Transfer }

// change notes something about a transfer, shows it on the bar, and returns how
// the transfer stands.
func (p *textPrinter) change(h event.Head, note func(*ongoing)) standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.ongoing[keyOf(h)]
	if t == nil {
		p.begun++
		t = &ongoing{number: p.begun, standing: standing{label: clean.Text(h.Name)}}
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
	moving := 0
	for _, t := range p.ongoing {
		if !t.moving {
			continue
		}
		moving++
		sum.label, sum.path, sum.resumes = t.label, t.path, t.resumes
		sum.bytes, sum.size, sum.rate = sum.bytes+t.bytes, sum.size+t.size, sum.rate+t.rate
		if p.expected > 1 {
			sum.count = fmt.Sprintf("%d/%d", t.number, p.expected)
		}
	}
	switch {
	case moving == 0:
		p.console.noProgress()
		return
	case moving > 1 && p.expected > 1:
		sum.label, sum.count, sum.path, sum.resumes = fmt.Sprintf("%d of %d files", moving, p.expected), "", "", 0
	case moving > 1:
		sum.label, sum.path, sum.resumes = fmt.Sprintf("%d files", moving), "", 0
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

func offerLine(e event.Offer) string {
	name, peer, size := clean.Text(e.Name), clean.Text(e.Peer), bytesText(e.Size)
	if e.Directory {
		name = "directory " + name
	}
	if e.Direction == event.Receive {
		return fmt.Sprintf("%s offers %s (%s)", peer, name, size)
	}
	return fmt.Sprintf("offering %s (%s) to %s", name, size, peer)
}

// waitingLine tells what is waited for, and a person how to stop that.
func waitingLine(e event.Waiting, terminal bool) string {
	peer, limit := clean.Text(e.Peer), duration(e.AtMost)
	s := fmt.Sprintf("waiting up to %s for %s to be online", &limit, peer)
	if e.Online {
		s = fmt.Sprintf("waiting up to %s for a client of %s that can receive", &limit, peer)
	}
	if terminal {
		s += " (Ctrl-C stops)"
	}
	return s
}

// interruptedLine tells how far the transfer came and what happens next.
func interruptedLine(e event.Interrupted, size int64) string {
	next := "waiting for the other end"
	if e.RetryIn > 0 {
		next = "trying again in " + seconds(e.RetryIn)
	}
	return fmt.Sprintf("%s: interrupted at %s: %s, %s", clean.Text(e.Name), position(e.Bytes, size), clean.Text(e.Reason), next)
}

func resumedLine(e event.Resumed, size int64) string {
	if e.Offset == 0 {
		return clean.Text(e.Name) + ": starting over"
	}
	return fmt.Sprintf("%s: resuming at %s", clean.Text(e.Name), position(e.Offset, size))
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

// pathText names the path that the bytes take.
func pathText(e event.Negotiated) string {
	path := clean.Text(e.Candidate)
	if e.Transport == route.IBB {
		path = "in-band"
	}
	if e.Encryption == dialect.WordNone {
		path += ", " + unencrypted
	}
	return path
}

// unencrypted is what people read where the name of a cipher would stand.
const unencrypted = "NOT ENCRYPTED"

// cipherText names what encrypts a file.
func cipherText(encryption, cipher string) string {
	if encryption == dialect.WordNone {
		return unencrypted
	}
	return clean.Text(cipher)
}

func sentLine(e event.Sent, last ongoing, end time.Time) string {
	s := fmt.Sprintf("sent %s to %s: %s%s", clean.Text(e.Name), clean.Text(e.Peer), last.speed(e.Size, end), travelled(last.standing))
	if e.VerifiedByPeer {
		s += ", confirmed by a sealed receipt"
	} else {
		s += ", said to be complete by the contact's client, which proves less than a receipt"
	}
	return s + digest(e.SHA256)
}

func receivedLine(e event.Received, last ongoing, end time.Time) string {
	where := "saved as " + clean.Text(e.Path)
	if e.Path == event.StandardOutput {
		where = "written to standard output"
	}
	if len(e.Verified) == 0 {
		where += ", confirmed by nothing but its size"
	}
	return fmt.Sprintf("received %s from %s: %s%s, %s%s%s",
		clean.Text(e.Name), clean.Text(e.Peer), last.speed(e.Size, end), travelled(last.standing), where, digest(e.SHA256), described(e.Description))
}

// described is what the sender says about a file, at the end of a line.
func described(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(", %q", clean.Text(text))
}

// hookLine tells of a hook that did not end well, "" of one that did.
func hookLine(e event.Hook) string {
	switch {
	case e.Reason != "":
		return fmt.Sprintf("hook for %s: %s", clean.Text(e.Name), clean.Text(e.Reason))
	case e.Status != 0:
		return fmt.Sprintf("hook for %s: exit status %d", clean.Text(e.Name), e.Status)
	}
	return ""
}

// failedLine says why a transfer with a contact, called who, came to nothing.
func failedLine(e event.Failed, who string) string {
	name, reason := clean.Text(e.Name), clean.Text(e.Reason)
	if rest, ok := strings.CutPrefix(reason, "declined by the contact"); ok && e.Declined {
		return fmt.Sprintf("%s declined %s%s", who, name, rest)
	}
	return fmt.Sprintf("%s: %s", name, strings.Replace(reason, "the contact's ", who+"'s ", 1))
}

// refusedHere reports whether this end said no, which is no error of it.
func refusedHere(e event.Failed) bool { return e.Declined && e.Direction == event.Receive }

func digest(sha256 string) string {
	if sha256 == "" {
		return ""
	}
	return ", sha256 " + clean.Text(sha256)
}

func bytesText(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
