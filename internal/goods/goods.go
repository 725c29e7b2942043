// Package goods are what a `send` is about, opened: one source that is a set, or one for
// each file, input and directory.
package goods

import (
	"cmp"
	"context"
	"errors"

	"github.com/google/uuid"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/profile"
	"jetsend/internal/source"
	"jetsend/internal/together"
)

// Goods are what is sent.
type Goods struct {
	Sources []*source.Source
	Set     *outset.Set // nil: they go each for itself
}

// Order is what is to be sent.
type Order struct {
	To     jid.JID
	Files  []source.Named
	Limits source.Limits // of an input
	// Sets says that it may go as a set, and Checksum that all of that is read before.
	Sets, Checksum bool
	// Reader reads it together with others who send the same; nil: alone.
	Reader *together.Reader
}

// Opener opens goods.
type Opener struct {
	Sources source.Opener
	Sets    outset.Lister
	// Warn is told what of them will not arrive as it is here; of a set by WarnOf.
	Warn func(text string)
}

// CheckTexts refuses what does not fit into a sealed offer.
func CheckTexts(description string, files []source.Named) error {
	err := profile.CheckDescription(description)
	for _, f := range files {
		err = cmp.Or(err, profile.CheckName(f.Name))
	}
	if err != nil {
		return &fault.Failure{Code: exitcode.Usage, Reason: err.Error()}
	}
	return nil
}

// Open opens what is to be sent, as a set where that may be. An error is a *fault.Failure:
// what the command ends with.
func (o Opener) Open(ctx context.Context, of Order) (*Goods, error) {
	if !of.Sets || !outset.Fits(of.Files) {
		return o.Apart(ctx, of)
	}
	s, err := o.Sets.List(ctx, of.To, of.Files, of.Checksum)
	if err != nil {
		return nil, failure(ctx, err)
	}
	s.ReadBy(of.Reader)
	return &Goods{[]*source.Source{s.Source()}, s}, nil
}

// WarnOf tells what of a set will not arrive as it is here, once it is known that it goes as
// one: as files, something else becomes of it.
func (o Opener) WarnOf(s *outset.Set) {
	for _, texts := range [][]string{s.LeftOut(), s.Renamed()} {
		for _, text := range texts {
			o.Warn(text)
		}
	}
}

// Apart is Open for a client that takes no sets.
func (o Opener) Apart(ctx context.Context, of Order) (*Goods, error) {
	all, err := o.Sources.OpenAll(ctx, of.Files, of.Limits)
	if err != nil {
		return nil, failure(ctx, err)
	}
	for _, s := range all {
		for _, text := range s.LeftOut() {
			o.Warn(text)
		}
	}
	for _, s := range all {
		if _, text := s.Renamed(); text != "" {
			o.Warn(text)
		}
	}
	for _, s := range all {
		s.ReadBy(of.Reader)
	}
	return &Goods{Sources: all}, nil
}

// Again opens what was sent before. The error is source.ErrChanged where it is not that
// any more.
func (o Opener) Again(ctx context.Context, row *journal.Row) (*Goods, error) {
	if row.Source == journal.SourceSet {
		s, err := o.Sets.Again(ctx, row)
		if err != nil {
			return nil, err
		}
		return &Goods{[]*source.Source{s.Source()}, s}, nil
	}
	src, err := o.Sources.Reopen(ctx, row)
	if err != nil {
		return nil, err
	}
	return &Goods{Sources: []*source.Source{src}}, nil
}

// failure is what a command ends with whose goods cannot be had.
func failure(ctx context.Context, err error) *fault.Failure {
	if cause := context.Cause(ctx); cause != nil {
		return fault.New(cause, false)
	}
	if errors.Is(err, fault.ErrInterrupted) {
		return fault.New(fault.ErrInterrupted, false)
	}
	var f *fault.Failure
	if errors.As(err, &f) {
		return f
	}
	return &fault.Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err, Hints: source.Hints(err)}
}

// Close closes them.
func (g *Goods) Close() { source.Close(g.Sources...) }

// Files are the sources of which each goes as a file, whoever takes them.
func (g *Goods) Files() []*source.Source {
	if g.Set != nil {
		return nil
	}
	return g.Sources
}

// Inside is how many files were looked at in directories to open them.
func (g *Goods) Inside() (files int) {
	if g.Set != nil {
		return int(g.Set.Index.Entries())
	}
	for _, s := range g.Sources {
		if s.Tree != nil {
			files += s.Tree.Files
		}
	}
	return files
}

// Batch is what each of several sources belongs to; nil for one alone.
func (g *Goods) Batch() *profile.Batch {
	if len(g.Sources) < 2 {
		return nil
	}
	b := &profile.Batch{ID: uuid.NewString(), Count: len(g.Sources)}
	for _, s := range g.Sources {
		b.Bytes += s.Size
	}
	return b
}

// Directory is what a sealed offer says of a source; nil for a file.
func Directory(s *source.Source) *profile.Directory {
	if s.Tree == nil {
		return nil
	}
	return &profile.Directory{Manifest: s.Tree.Manifest, Files: s.Tree.Files}
}
