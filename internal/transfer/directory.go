package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"jetsend/internal/archive"
	"jetsend/internal/clean"
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
	// maxSkippedShown bounds the warnings about what is not in an archive.
	maxSkippedShown = 10
)

// tree is a directory to send.
type tree struct {
	*directory
	skipped []archive.Skipped
	renamed int              // names that are others at a jetsend that unpacks it
	changes []archive.Change // the first of them
}

func openTree(ctx context.Context, path, name string, info fs.FileInfo) (*source, error) {
	m, err := archive.Scan(ctx, path)
	if err != nil {
		return nil, err
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = m.Name()
	}
	digest := m.Digest()
	files, _ := m.Files()
	renamed, changes := m.Renames()
	return &source{
		data: &treeContent{r}, path: path, name: name, size: m.Size(), mtime: info.ModTime(), origin: m.Origin(),
		tree: &tree{directory: &directory{Manifest: digest[:], Files: files}, skipped: m.Skipped(), renamed: renamed, changes: changes},
	}, nil
}

// treeContent is the archive of a directory.
type treeContent struct{ *archive.Reader }

// ReadAt implements origin.
func (t *treeContent) ReadAt(p []byte, off int64) (int, error) {
	if _, err := t.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := t.Read(p)
	if n < len(p) && err == nil {
		err = io.EOF
	}
	return n, treeChanged(err)
}

// Unchanged implements origin.
func (t *treeContent) Unchanged(ctx context.Context) error {
	return treeChanged(t.Reader.Unchanged(ctx))
}

// treeChanged makes errSourceChanged of what the archive says about a change.
func treeChanged(err error) error {
	var c *archive.ChangedError
	if errors.As(err, &c) {
		return fmt.Errorf("%w: %s", errSourceChanged, clean.Error(c))
	}
	return err
}

// directory is what a sealed offer says of the source, nil for a file.
func (s *source) directory() *directory {
	if s.tree == nil {
		return nil
	}
	return s.tree.directory
}

// manifest is what the journal keeps of the source, nil for a file.
func (s *source) manifest() []byte {
	if s.tree == nil {
		return nil
	}
	return s.tree.Manifest
}

// same tells whether the source is what the row says.
func (s *source) same(row *journal.Row) bool {
	return row.Unchanged(s.size, s.mtime, s.origin) && bytes.Equal(row.Manifest, s.manifest())
}

// nameArchive gives a directory the name that it has towards a client which
// gets a plain archive.
func (o *outgoing) nameArchive() {
	if !o.profile() && o.src.tree != nil && !strings.HasSuffix(o.src.name, archiveSuffix) {
		o.src.name += archiveSuffix
		o.head.Name = o.src.name
	}
}

// tellSkipped warns of what is not in the archive of a directory.
func (e *Endpoint) tellSkipped(sources []*source) {
	for _, s := range sources {
		if s.tree == nil {
			continue
		}
		for i, k := range s.tree.skipped {
			if i == maxSkippedShown {
				e.cfg.Report(Warning{Text: fmt.Sprintf("%s: %d more are left out", clean.Text(s.name), len(s.tree.skipped)-i)})
				break
			}
			e.cfg.Report(Warning{Text: fmt.Sprintf("%s: left out %s: %s", clean.Text(s.name), clean.Text(k.Path), clean.Text(k.Reason))})
		}
	}
}

// receiptPatience is how long the receiver may take from the last byte to its
// receipt.
func (u *upload) receiptPatience() time.Duration {
	if u.src.tree == nil {
		return receiptTime
	}
	return receiptTime + time.Duration(u.src.tree.Files)*unpackTime
}

// spare is what must stay free beside the partial file of a row: a directory is
// there twice while it is unpacked.
func (d *download) spare(row *journal.Row) int64 {
	if row.Manifest == nil {
		return d.how.minFree
	}
	return d.how.minFree + row.Size
}

// unpack is release for a directory.
func (d *download) unpack(ctx context.Context, sum []byte) error {
	// A newer session of the sender waits for the tree; it does not begin it again.
	working, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, errSuperseded) {
			cancel(cause)
		}
	})()
	done := context.WithoutCancel(ctx)
	final, tree, err := d.part.Unpack(working, d.name, d.how.conflict, func(path string) error { return d.row.Place(done, path, sum) })
	if err != nil {
		return unpackError(working, err)
	}
	d.final = final
	d.released(tree)
	return d.row.Complete(done)
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
	return &sinkError{err}
}

// refusedArchive tells whether an archive that came is at fault.
func refusedArchive(err error) bool {
	var refused *archive.RefusedError
	return errors.As(err, &refused)
}

// settleRelease asks the directory what became of a release that was cut.
func (d *download) settleRelease(row *journal.Row, name string) (inbox.Outcome, error) {
	if row.Manifest != nil {
		return d.dir.SettleTree(row.ID, name)
	}
	return d.dir.Settle(row.ID, name, row.Size)
}
