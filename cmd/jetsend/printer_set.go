package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
)

const (
	// entriesTold is how many entries of a directory that did not arrive people are told of
	// one by one; the others are counted.
	entriesTold = 10
	// reasonsTold bounds the reasons of a set's failures that are told once each and then
	// counted; beyond, one is told more often.
	reasonsTold = 1000
)

// gathering is a set under way. Its transfers go in one session, and are one to the bar
// and in what is said about the session.
type gathering struct {
	items   int    // transfers of it; 0: not known yet
	ended   int    // of those
	good    int    // of those
	bytes   int64  // of the good ones
	first   string // the name of one of them
	files   int    // that have arrived, those in directories too
	filesOf int
	said    map[string]bool // steps of the session of the moment
	cut     string          // what was said about the last interruption
	failed  map[string]int  // transfers that came to nothing, by the reason
	entries map[string]int  // entries that did not arrive, by the transfer
}

func newGathering(h event.Head) *gathering {
	return &gathering{first: clean.Text(h.Name), said: make(map[string]bool), failed: make(map[string]int), entries: make(map[string]int)}
}

// label names so many transfers of which one has that name.
func label(name string, transfers int) string {
	if transfers <= 1 {
		return name
	}
	return fmt.Sprintf("%s and %d more", name, transfers-1)
}

// once reports whether a step of the session has not been said of another transfer of the set.
func (g *gathering) once(step string) bool {
	was := g.said[step]
	g.said[step], g.cut = true, ""
	return !was
}

// interrupted is once for what ends a session: the steps of the next one are said anew.
func (g *gathering) interrupted(line string) bool {
	if g.cut == line {
		return false
	}
	clear(g.said)
	g.said[stepOffer], g.cut = true, line
	return true
}

// The steps of a session that are said once for a set.
const (
	stepOffer      = "offer"
	stepNegotiated = "negotiated"
	stepResumed    = "resumed"
	stepFailed     = "failed " // and the reason
)

// setEvent shows an event of a transfer that goes in a set where that is told otherwise
// than of one that goes by itself.
func (p *textPrinter) setEvent(e event.Event) bool {
	switch e := e.(type) {
	case event.Offer:
		p.setOffer(e)
	case event.Negotiated:
		say := false
		p.change(e.Head, func(t *ongoing) {
			t.stands(pathText(e), p.now())
			e.Name, say = label(t.set.first, t.set.items), t.set.once(stepNegotiated)
		})
		if say {
			p.negotiated(e)
		}
	case event.Progress:
		p.change(e.Head, func(t *ongoing) {
			t.moving, t.bytes, t.size, t.rate = true, e.SetBytes, e.SetSize, e.Rate
			t.set.files, t.set.filesOf = e.Files, e.FilesOf
		})
	case event.Interrupted:
		p.setInterrupted(e)
	case event.Resumed:
		p.setResumed(e)
	case event.Entry:
		p.entry(e)
	case event.Sent:
		last, line := p.endInSet(e.Head, e.Size)
		e.Peer = p.called(e.Peer)
		p.Note("%s", sentLine(e, last.how(e.Size, e.Counts, p.now())))
		p.sum(line)
	case event.Received:
		last, line := p.endInSet(e.Head, e.Size)
		e.Peer = p.called(e.Peer)
		p.Note("%s", receivedLine(e, last.how(e.Size, e.Counts, p.now())))
		p.sum(line)
	case event.Failed:
		p.failedInSet(e)
	default:
		return false
	}
	return true
}

// setOffer tells of the offer of a set with the first of its transfers.
func (p *textPrinter) setOffer(e event.Offer) {
	first := false
	p.change(e.Head, func(t *ongoing) {
		t.set.items, t.size = e.Items, cmp.Or(e.SetSize, e.Size)
		first = t.set.once(stepOffer)
	})
	if first {
		e.Name, e.Size = label(clean.Text(e.Name), e.Items), cmp.Or(e.SetSize, e.Size)
		e.Directory = e.Directory && e.Items <= 1
		p.offered(e)
	}
}

func (p *textPrinter) setInterrupted(e event.Interrupted) {
	line := ""
	p.change(e.Head, func(t *ongoing) {
		e.Name, e.Bytes = label(t.set.first, t.set.items), t.bytes
		if text := interruptedLine(e, t.size); t.set.interrupted(text) {
			line = text
		}
		t.moving, t.path = false, ""
	})
	p.sum(line)
}

func (p *textPrinter) setResumed(e event.Resumed) {
	line := ""
	p.change(e.Head, func(t *ongoing) {
		if t.set.once(stepResumed) {
			line = label(t.set.first, t.set.items) + ": resuming"
			t.resumes++
		}
		t.moving, t.rate = true, 0
	})
	p.sum(line)
}

// sum is Note for a line that there may not be.
func (p *textPrinter) sum(line string) {
	if line != "" {
		p.Note("%s", line)
	}
}

// entry tells of the first entries of a directory that do not arrive.
func (p *textPrinter) entry(e event.Entry) {
	n := 1
	p.change(e.Head, func(t *ongoing) {
		if t.set != nil {
			t.set.entries[e.Transfer]++
			n = t.set.entries[e.Transfer]
		}
	})
	if n <= entriesTold {
		p.console.warn("%s", entryLine(e))
	}
}

// entryLine says why something in a directory does not arrive.
func entryLine(e event.Entry) string {
	where := clean.Text(e.Name)
	if path := clean.Text(e.Where()); path != "" {
		where += "/" + path
	}
	return where + ": " + cmp.Or(clean.Text(e.Reason), "failed")
}

// endInSet notes that a transfer of a set has arrived. It returns how it stood, where the
// set is that one alone; and with the last of several the line about all of them.
func (p *textPrinter) endInSet(h event.Head, size int64) (last ongoing, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.ongoing[keyOf(h)]
	if t == nil {
		return last, ""
	}
	t.set.good++
	t.set.bytes += size
	line = p.ended(t, h)
	if t.set.items <= 1 {
		last = *t
	}
	return last, line
}

// ended counts the end of a transfer of a set. After the last one it forgets the set, and
// returns what there is to say of several together: how many have arrived, and how fast.
func (p *textPrinter) ended(t *ongoing, h event.Head) (line string) {
	g := t.set
	if g.ended++; g.ended < g.items {
		return ""
	}
	delete(p.ongoing, keyOf(h))
	p.show()
	if g.items <= 1 || g.good == 0 {
		return ""
	}
	did := "sent %d of %d to"
	if h.Direction == event.Receive {
		did = "received %d of %d from"
	}
	return fmt.Sprintf(did+" %s: %s%s", g.good, g.items, p.name(h.Peer), t.speed(g.bytes, p.now()), travelled(t.standing))
}

// failedInSet tells of a transfer of a set that came to nothing. What ends the session ends
// all that were left, and is told once; a reason that several files have is told with the
// first of them, and at the end how many there were.
func (p *textPrinter) failedInSet(e event.Failed) {
	shown, entries, line, after := p.failing(&e)
	if exitCode(e.Code) == exitcode.Cancelled {
		p.console.wipe()
	}
	if entries > entriesTold {
		p.console.warn("%s: %d more of its entries did not arrive", clean.Text(e.Name), entries-entriesTold)
	}
	switch {
	case shown && refusedHere(e):
		p.refused(e)
	case shown:
		p.console.fail(failedLine(e, p.called(e.Peer))+leftOver(e), hintsOf(e, p.again))
	}
	for _, reason := range after {
		p.console.warn("%s", reason)
	}
	p.sum(line)
}

// failing counts a failure. shown says whether people are told of it, with the name that e
// has then; entries is how many of a directory did not arrive; line and after are what there
// is to say after the last transfer of the set.
func (p *textPrinter) failing(e *event.Failed) (shown bool, entries int, line string, after []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.ongoing[keyOf(e.Head)]
	if t == nil {
		return true, e.EntriesFailed, "", nil
	}
	g := t.set
	entries = max(g.entries[e.Transfer], e.EntriesFailed)
	delete(g.entries, e.Transfer)
	switch {
	case e.Entries > 0:
		shown = true
	case e.Resumable || e.Declined:
		shown = g.once(stepFailed + e.Reason)
		e.Name = label(clean.Text(e.Name), g.items-g.ended)
	default:
		shown = g.fails(e.Reason)
	}
	if line = p.ended(t, e.Head); g.ended >= g.items {
		after = g.repeated()
	}
	return shown, entries, line, after
}

// fails counts a file that came to nothing, and reports whether it is the first for that reason.
func (g *gathering) fails(reason string) bool {
	if len(g.failed) == reasonsTold {
		clear(g.failed)
	}
	g.failed[reason]++
	return g.failed[reason] == 1
}

// repeated are the reasons that more than one file had.
func (g *gathering) repeated() (lines []string) {
	for _, reason := range slices.Sorted(maps.Keys(g.failed)) {
		if n := g.failed[reason] - 1; n > 0 {
			lines = append(lines, fmt.Sprintf("%d more of them: %s", n, clean.Text(reason)))
		}
	}
	return lines
}

// leftOver tells how much of a directory has arrived all the same.
func leftOver(e event.Failed) string {
	if e.Entries == 0 {
		return ""
	}
	s := fmt.Sprintf("%d of %d entries did not arrive", e.EntriesFailed, e.Entries)
	if strings.HasPrefix(e.Reason, s) { // which says it
		s = ""
	} else {
		s = ": " + s
	}
	if e.Direction == event.Receive && e.Path != "" {
		s += ", the rest is in " + clean.Text(e.Path)
	}
	return s + counted(e.Counts, 0)
}

// entriesText tells how many entries a directory has, and what became of them.
func entriesText(c event.Counts, renamed int) string {
	if c.Entries == 0 {
		return ""
	}
	return fmt.Sprintf(", %d entries%s", c.Entries, counted(c, renamed))
}

// counted tells what became of the entries of a directory, where they are not simply new.
func counted(c event.Counts, renamed int) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{
		{c.New, "new"}, {c.Changed, "changed"}, {c.Equal, "unchanged"}, {c.Kept, "edited at the receiver and kept"}, {renamed, "renamed"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if c.New == c.Entries-c.EntriesFailed && len(parts) <= 1 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
