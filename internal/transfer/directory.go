package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"jetsend/internal/archive"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
)

const (
	// archiveSuffix ends the name of a directory towards clients that get it as a
	// plain archive.
	archiveSuffix = ".tar"
	// unpackTime is how much longer a receiver may take to its receipt for each
	// file of a directory: every one of them is synced.
	unpackTime = 20 * time.Millisecond
)

// directoryOf is what a sealed offer says of a source, nil for a file.
func directoryOf(s *source) *directory {
	if s.Tree == nil {
		return nil
	}
	return &directory{Manifest: s.Tree.Manifest, Files: s.Tree.Files}
}

// nameArchive gives a directory the name that it has towards a client which
// gets a plain archive.
func (o *offering) nameArchive() {
	if !o.profile() && o.src.Tree != nil && !strings.HasSuffix(o.src.Name, archiveSuffix) {
		o.src.Name += archiveSuffix
		o.head.Name = o.src.Name
	}
}

// receiptPatience is how long the receiver may take from the last byte to its
// receipt.
func (u *upload) receiptPatience() time.Duration {
	if u.src.Tree == nil {
		return receiptTime
	}
	return receiptTime + time.Duration(u.src.Tree.Files)*unpackTime
}

// sourceOf is that of what comes with a manifest, nil for a file, as the journal has it.
func sourceOf(manifest []byte) journal.Source {
	if manifest == nil {
		return journal.SourceFile
	}
	return journal.SourceTree
}

// spare is what must stay free beside the partial file of a row: a directory is
// there twice while it is unpacked.
func (d *download) spare(row *journal.Row) int64 {
	if row.Source != journal.SourceTree {
		return d.how.minFree
	}
	return d.how.minFree + row.Size
}

// unpack is release for a directory.
func (d *download) unpack(ctx context.Context, sum []byte) error {
	final, tree, err := d.part.Unpack(ctx, d.name, d.how.conflict, func(path string) error { return d.row.Place(path, sum) })
	if err != nil {
		return unpackError(ctx, err)
	}
	d.final = final
	d.released(tree)
	return d.row.Complete()
}

// unpackError tells whose fault it is that a directory cannot be unpacked.
func unpackError(ctx context.Context, err error) error {
	var refused *archive.RefusedError
	switch {
	case errors.As(err, &refused): // an honest jetsend sends nothing of the kind
		return fmt.Errorf("%w: %w", errDeclined, err)
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, inbox.ErrExists), errors.Is(err, inbox.ErrNoSpace):
		return err
	}
	return &sinkError{Err: err}
}

// settleRelease asks the directory what became of a release that was cut.
func (d *download) settleRelease(row *journal.Row, name string) (inbox.Outcome, error) {
	if row.Source == journal.SourceTree {
		return d.dir.SettleTree(row.ID, name)
	}
	return d.dir.Settle(row.ID, name, row.Size)
}
