package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/exitcode"
	"jetsend/internal/fileid"
	"jetsend/internal/journal"
)

// openNonblock keeps opening a FIFO from hanging.
const openNonblock = syscall.O_NONBLOCK

// origin is what a source is made of. One goroutine at a time reads it.
type origin interface {
	io.ReaderAt
	io.Closer
	// Unchanged fails with errSourceChanged when it is not what was opened any more.
	Unchanged(ctx context.Context) error
}

// source is something to send, as it was when it was opened: a file, a
// directory, or what was read from an input.
type source struct {
	data  origin
	path  string // absolute
	name  string
	size  int64 // bytes of the stream
	mtime time.Time
	mode  fs.FileMode // permission bits of a file; 0 for everything else
	// origin is the identity of the file, or of the files of a directory.
	origin []byte
	tree   *tree    // nil for everything but a directory
	spool  *spooled // nil for everything but an input
}

// openSources opens all that is to be sent, and reads inputs to their end.
func (e *Endpoint) openSources(ctx context.Context, opt SendOptions) (out []*source, err error) {
	for _, f := range opt.Files {
		var s *source
		if f.Input != nil {
			s, err = e.readInput(ctx, f, opt)
		} else {
			s, err = openSource(ctx, f)
		}
		if err != nil {
			closeSources(out)
			return nil, sourceFailure(ctx, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// sourceFailure is what a command ends with whose source cannot be had.
func sourceFailure(ctx context.Context, err error) *Failure {
	if cause := context.Cause(ctx); cause != nil {
		return failureOf(cause, false)
	}
	if errors.Is(err, ErrInterrupted) {
		return failureOf(ErrInterrupted, false)
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err, Hints: spoolHints(err)}
}

func closeSources(sources []*source) {
	for _, s := range sources {
		_ = s.data.Close() // only read
		if s.spool != nil {
			s.spool.end()
		}
	}
}

func newBatch(sources []*source) *Batch {
	if len(sources) < 2 {
		return nil
	}
	b := &Batch{ID: uuid.NewString(), Count: len(sources)}
	for _, s := range sources {
		b.Bytes += s.size
	}
	return b
}

// openSource opens a file or a directory, be it through a link: the user named it.
func openSource(ctx context.Context, s Source) (*source, error) {
	path, err := filepath.Abs(s.Path)
	if err != nil {
		return nil, err
	}
	// O_NONBLOCK: opening a FIFO must not hang; for a regular file it means nothing.
	f, err := os.OpenFile(s.Path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		if err := f.Close(); err != nil {
			return nil, err
		}
		return openTree(ctx, path, s.Name, info)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", s.Path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	name := s.Name
	if name == "" {
		name = filepath.Base(s.Path)
	}
	return fileSource(f, info, followed(path, info), name)
}

// followed is the path of the file itself when path is a link to it: that is what
// is opened again, whatever the link leads to then.
func followed(path string, info fs.FileInfo) string {
	if named, err := os.Lstat(path); err != nil || named.Mode().Type() != fs.ModeSymlink {
		return path
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	if found, err := os.Lstat(target); err != nil || !os.SameFile(found, info) {
		return path
	}
	return target
}

// reopenSource opens what was sent before. Where it is known which file that was,
// a link in its place is another file, and is not followed.
func reopenSource(ctx context.Context, row *journal.Row) (*source, error) {
	if row.Origin == nil || row.Manifest != nil {
		return openSource(ctx, Source{Path: row.Path, Name: row.Name})
	}
	f, err := os.OpenFile(row.Path, os.O_RDONLY|openNonblock|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: a link is in its place", errSourceChanged)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errSourceChanged
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return fileSource(f, info, row.Path, row.Name)
}

// fileSource is a regular file that is open.
func fileSource(f *os.File, info fs.FileInfo, path, name string) (*source, error) {
	id, err := fileid.Of(f, info)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var origin fileid.Digest
	origin.Add(id)
	return &source{
		data: &fileContent{f, info.Size(), info.ModTime()}, path: path, name: name,
		size: info.Size(), mtime: info.ModTime(), mode: info.Mode().Perm(), origin: origin.Sum(),
	}, nil
}

// unchanged fails when the source is not the one that was opened any more.
func (s *source) unchanged(ctx context.Context) error {
	err := s.data.Unchanged(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil {
		return &sourceError{err}
	}
	return nil
}

// fileContent is a regular file.
type fileContent struct {
	*os.File
	size  int64
	mtime time.Time
}

// Unchanged implements origin.
func (f *fileContent) Unchanged(context.Context) error {
	info, err := f.Stat()
	if err == nil && (info.Size() != f.size || !info.ModTime().Equal(f.mtime)) {
		err = errSourceChanged
	}
	return err
}
