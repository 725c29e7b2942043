package sink

import (
	"context"
	"fmt"
	"io"

	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/stream"
)

// pour is Release for a run that writes its one file to an output: all of it was
// verified before the first byte goes out. When it is cut, by whoever reads the
// output too, the partial file stays whole, and a later run gets it again: nothing
// is lost, but what was written is written once more.
func (f *File) pour(ctx context.Context, sum []byte) error {
	size := f.row.Row().Size
	if err := f.part.Sync(); err != nil {
		return &stream.SinkError{Err: err}
	}
	if err := f.writeOut(ctx, size); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return &stream.SinkError{Err: fmt.Errorf("%w: %w", fault.ErrOutput, err)}
	}
	// A release that is cut from here on is settled as what it is, done, whether the
	// partial file is still there or not.
	if err := f.row.Pour(sum); err != nil {
		return err
	}
	if err := f.part.Discard(); err != nil {
		return &stream.SinkError{Err: err}
	}
	f.final = event.StandardOutput
	return f.complete()
}

// writeOut writes the file to the output. When ctx ends it returns without waiting
// for a Write that blocks: nothing wakes one of a pipe that nobody reads. The
// goroutine that writes ends with it.
func (f *File) writeOut(ctx context.Context, size int64) error {
	written := make(chan error, 1)
	go func() {
		_, err := io.Copy(f.opt.Out, &ending{ctx, io.NewSectionReader(f.part, 0, size)})
		written <- err
	}()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-written: // all of it was, just then
		return err
	default:
		return context.Cause(ctx)
	}
}

// settlePoured ends a pour that was cut after its last byte.
func (f *File) settlePoured(row *journal.Row) error {
	if err := inbox.Remove(row.Dir, row.ID); err != nil {
		return &stream.SinkError{Err: err}
	}
	f.final, f.past = event.StandardOutput, true
	return f.complete()
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
