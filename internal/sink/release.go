package sink

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/archive"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/stream"
)

// Release gives the verified file its name, or unpacks it, or writes it to the output, in
// the order that package journal argues. sum is its SHA-256, nil when it is not known. ctx
// ends what may take long and can be done again: then the file is whole, and a later
// session or run releases it.
func (f *File) Release(ctx context.Context, sum []byte) error {
	row := f.row.Row()
	switch {
	case f.opt.Out != nil:
		return f.pour(ctx, sum)
	case row.Source == journal.SourceTree:
		return f.unpack(ctx, sum)
	}
	f.part.Permit(row.Mode)
	final, err := f.part.Release(f.name, f.opt.Conflict, f.date, func(path string) error { return f.row.Place(path, sum) })
	if err != nil {
		return &stream.SinkError{Err: err}
	}
	f.final = final
	return f.complete()
}

// Complete ends the row of a set, all of whose arguments have come to their ends.
func (f *File) Complete() error { return f.complete() }

// complete ends the row of a file that is where it belongs. A write that fails is made once
// more: of a file from another client, which begins anew under another id, nobody would
// know any more whose it is.
func (f *File) complete() error {
	err := f.row.Complete()
	if err == nil {
		return nil
	}
	f.log.Warn("complete transfer, once more", "transfer", f.row.Row().ID, "error", err)
	return f.row.Complete()
}

// unpack is Release for a directory.
func (f *File) unpack(ctx context.Context, sum []byte) error {
	final, tree, err := f.part.Unpack(ctx, f.name, f.opt.Conflict, func(path string) error { return f.row.Place(path, sum) })
	if err != nil {
		return unpackError(ctx, err)
	}
	f.final, f.tree = final, &tree
	return f.complete()
}

// unpackError says whose fault it is that a directory cannot be unpacked.
func unpackError(ctx context.Context, err error) error {
	var refused *archive.RefusedError
	switch {
	case errors.As(err, &refused): // an honest jetsend sends nothing of the kind
		return fmt.Errorf("%w: %w", fault.ErrDeclined, err)
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, inbox.ErrExists), errors.Is(err, inbox.ErrNoSpace):
		return err
	}
	return &stream.SinkError{Err: err}
}
