package transfer

import (
	"context"

	"jetsend/internal/journal"
	sending "jetsend/internal/source"
)

// The old names of what is in package source.
type (
	source      = sending.Source
	tree        = sending.Tree
	sourceError = sending.Error
)

var (
	errSourceChanged = sending.ErrChanged
	discardSpool     = sending.Discard
)

func openSource(ctx context.Context, s Source) (*source, error) {
	return sending.Open(ctx, s.Path, s.Name)
}

func closeSources(sources []*source) { sending.Close(sources...) }

func (e *Endpoint) reopen(ctx context.Context, row *journal.Row) (*source, error) {
	return e.opener().Reopen(ctx, row)
}

func (e *Endpoint) sweepSpools(ctx context.Context) { e.opener().Sweep(ctx, e.journal) }
