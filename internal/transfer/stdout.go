package transfer

import (
	"context"
	"fmt"
	"io"
)

// pour is release for a run that writes its one file to an output: all of it was
// verified before the first byte goes out. When it is cut, by whoever reads the
// output too, the partial file stays whole, and a later run gets it again: nothing
// is lost, but what was written is written once more.
func (d *download) pour(ctx context.Context, sum []byte) error {
	size := d.row.Row().Size
	if err := d.part.Sync(); err != nil {
		return &sinkError{err}
	}
	if _, err := io.Copy(d.how.out, &ending{ctx, io.NewSectionReader(d.part, 0, size)}); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return &sinkError{fmt.Errorf("write to standard output: %w", err)}
	}
	ctx = context.WithoutCancel(ctx)
	// The name that the file has is the one that the journal can be told: a
	// release that is cut from here on is settled as what it is, done.
	if err := d.row.Place(ctx, d.part.Path(), sum); err != nil {
		return err
	}
	if err := d.part.Discard(); err != nil {
		return &sinkError{err}
	}
	d.final = StandardOutput
	return d.row.Complete(ctx)
}

// ending is a reader that ends with its context.
type ending struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (e *ending) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	return e.r.Read(p)
}
