// Package source is what is sent: a file, a directory as one archive, or what was read
// from an input and is kept for as long as its transfer may need it.
//
// A [Source] is what it was when it was opened. Its bytes can be read from any
// place as often as sessions need them, and it says whether it is still the same,
// in one run and in a later one.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"jetsend/internal/journal"
	"jetsend/internal/together"
)

// ErrChanged means that it is not what was opened, or offered, any more.
var ErrChanged = errors.New("file has changed since it was offered")

// Error is a problem with what is to be sent, not with the way it goes.
type Error struct{ Err error }

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Data is the bytes of a source. One goroutine at a time reads it.
type Data interface {
	io.ReaderAt
	io.Closer
	// Unchanged fails with [ErrChanged] when it is not what was opened any more.
	Unchanged(ctx context.Context) error
}

// Source is something to send, as it was when it was opened.
type Source struct {
	Data  Data
	Path  string // absolute
	Name  string // as it is offered
	Size  int64  // bytes of Data
	MTime time.Time
	Mode  fs.FileMode // permission bits of a file; 0 for everything else
	// Origin is the identity of the file, or of the files of a directory, as package
	// fileid knows it.
	Origin []byte
	Tree   *Tree // nil for everything but a directory
	// Items is how many arguments a set has; 0 for what is none, as all that this package
	// opens.
	Items int
	// Transfer is the id of the transfer that an input was read for; empty for
	// everything else.
	Transfer string

	spool *spooled // nil for everything but an input
}

// ReadBy has the source read by a reader, together with all who send the same. What was read
// from an input is in a file of each transfer.
func (s *Source) ReadBy(r *together.Reader) {
	if r == nil || s.spool != nil {
		return
	}
	name := fmt.Sprintf("%s\x00%x\x00%x\x00%d\x00%d", s.Path, s.Origin, s.Manifest(), s.Size, s.MTime.UnixNano())
	s.Data = shared{s.Data, r.Share(name, s.Data)}
}

// shared is data that are read together with others.
type shared struct {
	Data
	reads io.ReaderAt
}

// ReadAt implements [io.ReaderAt].
func (s shared) ReadAt(p []byte, off int64) (int, error) { return s.reads.ReadAt(p, off) }

// Close closes sources. The copy that was read from an input is removed, unless its
// transfer may go on (see [Source.Settled]).
func Close(sources ...*Source) {
	for _, s := range sources {
		_ = s.Data.Close() // only read
		if s.spool != nil {
			s.spool.end(s.Transfer)
		}
	}
}

// Settled takes note of the state in which the transfer was left.
func (s *Source) Settled(row journal.Row) {
	if s.spool != nil {
		s.spool.keep = !row.State.Over()
	}
}

// Unchanged fails when the source is not the one that was opened any more: with an
// *Error, or with the cause of ctx's end.
func (s *Source) Unchanged(ctx context.Context) error {
	err := s.Data.Unchanged(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil {
		return &Error{err}
	}
	return nil
}

// Kind is what the journal says of the source.
func (s *Source) Kind() journal.Source {
	switch {
	case s.Items > 0:
		return journal.SourceSet
	case s.Tree != nil:
		return journal.SourceTree
	case s.spool != nil:
		return journal.SourceSpool
	}
	return journal.SourceFile
}

// Manifest is what the journal keeps of a directory, nil for everything else.
func (s *Source) Manifest() []byte {
	if s.Tree == nil {
		return nil
	}
	return s.Tree.Manifest
}

// Exclude is the text of the patterns of entries that are left out of a directory, for
// the journal.
func (s *Source) Exclude() string {
	if s.Tree == nil {
		return ""
	}
	return s.Tree.Exclude
}

// same reports whether the source is what the row says.
func (s *Source) same(row *journal.Row) bool {
	return row.Unchanged(s.Size, s.MTime, s.Origin) && bytes.Equal(row.Manifest, s.Manifest())
}
