package index

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"jetsend/internal/set"
)

// Changes are what has become of a folder since it was listed before.
type Changes struct {
	New     int64 `json:"new"`
	Changed int64 `json:"changed"`
	Equal   int64 `json:"equal"`
	Gone    int64 `json:"gone"`
	Bytes   int64 `json:"bytes"` // of data, in files that are new or changed
}

// Save writes the lines of an argument, for [Index.Changes] of another day.
func (ix *Index) Save(to io.Writer, number int) error {
	_, err := io.Copy(to, ix.section(number))
	return err
}

func (ix *Index) section(number int) io.Reader {
	a := &ix.args[number]
	return io.NewSectionReader(ix.file, a.at, a.size)
}

// Changes compares an argument with what was saved of it before. Equal are files by their size
// and time, or by their hashes where both listings have them, and by their mode, of which a
// change has no bytes; links by their target; directories always, since what is in them tells.
// What cannot be sent is in no number.
func (ix *Index) Changes(number int, before io.Reader) (c Changes, err error) {
	is, was := newCursor(ix.section(number)), newCursor(before)
	for is.step() && was.step() {
		order := slices.Compare(is.names, was.names)
		if is.done {
			order = 1
		} else if was.done {
			order = -1
		}
		if is.done && was.done {
			return c, nil
		}
		c.count(order, is, was)
		is.held, was.held = order > 0, order < 0
	}
	return c, errors.Join(errDamaged, is.err, was.err)
}

// count counts an entry of now (order < 0), of before (> 0), or of both.
func (c *Changes) count(order int, is, was *cursor) {
	switch {
	case order > 0:
		c.Gone++
	case is.line.item.Failed != "":
	case order < 0:
		c.New++
		c.Bytes += is.line.data()
	default:
		data, same := is.line.same(&was.line)
		if same {
			c.Equal++
		} else {
			c.Changed++
		}
		if data {
			c.Bytes += is.line.data()
		}
	}
}

// same reports whether an entry is as it was, and whether its data have to go again.
func (l *line) same(was *line) (data, same bool) {
	a, b := &l.item.Entry, &was.item.Entry
	same = a.Kind == b.Kind && (a.Kind == set.Directory || a.Mode == b.Mode && a.Target == b.Target)
	if a.Kind != set.File {
		return false, same
	}
	switch {
	case a.Kind != b.Kind || a.Size != b.Size:
		data = true
	case a.SHA256 != nil && b.SHA256 != nil:
		data = !bytes.Equal(a.SHA256, b.SHA256)
	default:
		data = !a.MTime.Equal(b.MTime)
	}
	return data, same && !data
}

// cursor reads lines one by one.
type cursor struct {
	*lines
	line line
	held bool // the line is to be looked at once more
	done bool
	err  error
}

func newCursor(from io.Reader) *cursor { return &cursor{lines: linesOf(from)} }

// step goes to the next line, unless this one is held. It is false on an error.
func (r *cursor) step() bool {
	if r.held || r.done {
		return true
	}
	r.line, r.err = r.lines.line()
	if errors.Is(r.err, io.EOF) {
		r.done, r.err = true, nil
	}
	return r.err == nil
}
