package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"jetsend/internal/exclude"
	"jetsend/internal/fileid"
	"jetsend/internal/journal"
)

// Open opens a file or a directory, be it through a link: the user named it.
func Open(ctx context.Context, n Named) (*Source, error) {
	abs, err := filepath.Abs(n.Path)
	if err != nil {
		return nil, err
	}
	f, err := openNamed(n.Path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		if err := f.Close(); err != nil {
			return nil, err
		}
		return openTree(ctx, abs, n, info)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", n.Path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return ofFile(f, info, Followed(abs, info), cmp.Or(n.Name, filepath.Base(n.Path)))
}

// Followed is the path of the file itself when path is a link to it: that is what
// is opened again, whatever the link leads to then.
func Followed(path string, info fs.FileInfo) string {
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

// reopen opens the file or directory that was sent before. Where it is known which
// file that was, a link in its place is another file, and is not followed.
func reopen(ctx context.Context, row *journal.Row) (*Source, error) {
	if row.Origin == nil || row.Source == journal.SourceTree {
		left, err := exclude.Parse(row.Exclude)
		if err != nil {
			return nil, err
		}
		return Open(ctx, Named{Path: row.Path, Name: row.Name, Exclude: left})
	}
	f, err := openAsIs(row.Path)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: a link is in its place", ErrChanged)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrChanged
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return ofFile(f, info, row.Path, row.Name)
}

// ofFile is the source of a regular file that is open.
func ofFile(f *os.File, info fs.FileInfo, path, name string) (*Source, error) {
	id, err := fileid.Of(f, info)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var origin fileid.Digest
	origin.Add(id)
	return &Source{
		Data: &file{f, info.Size(), info.ModTime()}, Path: path, Name: name,
		Size: info.Size(), MTime: info.ModTime(), Mode: info.Mode().Perm(), Origin: origin.Sum(),
	}, nil
}

// file is the data of a regular file.
type file struct {
	*os.File
	size  int64
	mtime time.Time
}

// Unchanged implements Data.
func (f *file) Unchanged(context.Context) error {
	info, err := f.Stat()
	if err == nil && (info.Size() != f.size || !info.ModTime().Equal(f.mtime)) {
		err = ErrChanged
	}
	return err
}
