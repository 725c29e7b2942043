package sink

import (
	"encoding/hex"
	"fmt"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/journal"
)

// Received is the event of a file whose release another session or process has brought to
// its end, as the row has it.
func Received(head event.Head, row *journal.Row) event.Received {
	path := row.Path
	if row.Phase == journal.PhasePoured {
		path = event.StandardOutput
	}
	return received(head, row, path, row.SHA256 != nil)
}

// Received is the event of the file, once it is released. Of how long it took nothing is
// known here.
func (f *File) Received(head event.Head) event.Received {
	row := f.row.Row()
	of := received(head, &row, f.final, row.SHA256 != nil && f.SHA256() != nil)
	if differs := f.Differences(); differs != nil {
		of.Differences = *differs
	}
	return of
}

func received(head event.Head, row *journal.Row, path string, hashed bool) event.Received {
	verified := []string{"gcm-tag"}
	if hashed {
		verified = append(verified, "sha-256")
	}
	return event.Received{
		Head: head, Path: path, Size: row.Size, Verified: verified, SHA256: hex.EncodeToString(row.SHA256),
		Description: row.Description, Directory: row.Source == journal.SourceTree,
	}
}

// Differences are what is not as it was sent of what this run has released; nil when a
// crash has made it forget.
func (f *File) Differences() *event.Differences {
	var of event.Differences
	switch {
	case f.tree != nil:
		of = event.Differences{Renamed: f.tree.Renamed, LeftOut: f.tree.LeftOut}
	case f.row.Row().Source == journal.SourceTree:
		return nil
	}
	if f.opt.Out == nil && f.offered != "" && f.offered != f.name {
		of.Renamed++
	}
	return &of
}

// maxChanges bounds the texts about what is not as it was sent.
const maxChanges = 10

// Changes says, for people, of each of the first entries of a directory that this run has
// released and that are not as they were sent, what became of it, and how many more there
// are; name is that of the directory, for a screen.
func (f *File) Changes(name string) (texts []string) {
	if f.tree == nil {
		return nil
	}
	told := f.tree.Changes[:min(len(f.tree.Changes), maxChanges)]
	for _, c := range told {
		what := "arrived as " + clean.Text(c.Now)
		if c.Now == "" {
			what = "is left out, for the file system does not have such a link"
		}
		texts = append(texts, fmt.Sprintf("%s: %s %s", name, clean.Text(c.Path), what))
	}
	if more := f.tree.Renamed + f.tree.LeftOut - len(told); more > 0 {
		texts = append(texts, fmt.Sprintf("%s: %d more are not as they were sent", name, more))
	}
	return texts
}
