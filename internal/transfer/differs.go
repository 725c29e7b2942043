package transfer

import (
	"fmt"

	"jetsend/internal/archive"
	"jetsend/internal/clean"
	"jetsend/internal/filename"
)

// maxChangesShown bounds the warnings about what is not as it was sent.
const maxChangesShown = 10

// renames says how many names of the source are others at a jetsend that receives
// it, as far as that can be known here, and warns of them.
func (s *source) renames() (count int, texts []string) {
	if safe := filename.Safe(s.name); safe != s.name {
		count++
		texts = append(texts, fmt.Sprintf("%s arrives as %s at another jetsend", clean.Text(s.name), safe))
	}
	if s.tree == nil {
		return count, texts
	}
	for _, c := range s.tree.changes {
		texts = append(texts, fmt.Sprintf("%s: %s arrives as %s at another jetsend", clean.Text(s.name), clean.Text(c.Path), clean.Text(c.Now)))
	}
	return count + s.tree.renamed, texts
}

// tellRenames warns of what will have another name, before anything is sent.
func (e *Endpoint) tellRenames(sources []*source) {
	for _, s := range sources {
		count, texts := s.renames()
		e.tellChanges(s.name, count, texts)
	}
}

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
		event.Renamed, _ = u.src.renames()
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
	if d.differs == nil && d.row.Row().Manifest != nil {
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
