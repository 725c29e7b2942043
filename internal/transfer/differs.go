package transfer

import (
	"fmt"

	"jetsend/internal/archive"
	"jetsend/internal/clean"
	"jetsend/internal/journal"
)

// maxChangesShown bounds the warnings about what is not as it was sent.
const maxChangesShown = 10

// tellChanges warns of the first changes, and says how many more there are.
func (e *Endpoint) tellChanges(name string, count int, texts []string) {
	for _, text := range texts[:min(len(texts), maxChangesShown)] {
		e.cfg.Report(Warning{Text: text})
	}
	if more := count - maxChangesShown; more > 0 {
		e.cfg.Report(Warning{Text: fmt.Sprintf("%s: %d more are not as they were sent", clean.Text(name), more)})
	}
}

// reportSent says that the file is complete at the other end, and what is not as it
// was sent: by the word of the receiver, or else by the rules for names.
func (u *upload) reportSent(event Sent) {
	switch {
	case u.differs != nil:
		event.Differences = *u.differs
	case event.VerifiedByPeer:
		event.Renamed, _ = u.src.Renames()
	}
	if n := event.LeftOut; n > 0 {
		u.e.cfg.Report(Warning{Text: fmt.Sprintf("%s: the receiver left out %d symbolic links, which its file system does not have", clean.Text(u.head.Name), n)})
	}
	u.e.cfg.Report(event)
}

// released takes note of what a directory became.
func (d *download) released(tree archive.Tree) {
	d.differs = &Differences{Renamed: tree.Renamed, LeftOut: tree.LeftOut}
	var texts []string
	for _, c := range tree.Changes {
		what := "arrived as " + clean.Text(c.Now)
		if c.Now == "" {
			what = "is left out, for the file system does not have such a link"
		}
		texts = append(texts, fmt.Sprintf("%s: %s %s", d.head.Name, clean.Text(c.Path), what))
	}
	d.e.tellChanges(d.head.Name, tree.Renamed+tree.LeftOut, texts)
}

// difference is what is not as it was sent of what this run has released; nil when a
// crash has made it forget.
func (d *download) difference() *Differences {
	if d.differs == nil && d.row.Row().Source == journal.SourceTree {
		return nil
	}
	var of Differences
	if d.differs != nil {
		of = *d.differs
	}
	if d.how.out == nil && d.file.Name != "" && d.file.Name != d.name {
		of.Renamed++
	}
	return &of
}
