// Package spool keeps what is read from standard input in a file, so that it
// can be sent like any other: its size is known before it is offered, and it
// can be sent again when a transfer breaks.
//
// A spool is a hidden file of one transfer in a directory of the caller's, which
// only its owner can read: it is the plaintext. While it is open, it is locked (with
// a lock that dies with its process): [Sweep] removes those that nobody has
// open and no transfer knows.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/filename"
	"jetsend/internal/flock"
	"jetsend/internal/fsys"
	"jetsend/internal/private"
)

// ErrTooLarge means that there was more to read than is allowed.
var ErrTooLarge = errors.New("too large to spool")

// ErrNoSpace means that the file system is full, or the user's share of it.
var ErrNoSpace = errors.New("no space left")

const (
	prefix = ".spool-"
	// bufferSize is that of each of the buffers.
	bufferSize = 256 << 10
	// buffers is how many there are: one is filled while the other is written.
	buffers = 2
	// unlocked is how long a spool may be without its lock: far longer than
	// from its creation to the lock, which follows.
	unlocked = time.Minute
)

// Path returns the path of the spool of a transfer in dir.
func Path(dir, id string) string { return filepath.Join(dir, prefix+id) }

// File is an open spool, from its start. Closing it leaves it for [Open].
type File struct {
	*os.File // only for reading
	size     int64
}

// Size is the number of bytes in it.
func (f *File) Size() int64 { return f.size }

// Remove closes the spool, if that was not done, and removes it.
func (f *File) Remove() error {
	err := f.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	if rerr := os.Remove(f.Name()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// Create reads r to its end into the spool of the transfer id in dir, and syncs
// it. ErrTooLarge when there are more than maxSize bytes, unless that is 0;
// ErrNoSpace when the disk is full; [fs.ErrExist] when there is such a spool.
// Whatever the error, no file is left.
//
// When ctx ends, Create returns without waiting for a Read of r that blocks:
// nothing wakes one of a terminal. The goroutine that reads ends with it; that
// last Read may swallow input.
func Create(ctx context.Context, r io.Reader, dir, id string, maxSize int64) (*File, error) {
	if filename.Safe(id) != id {
		return nil, fmt.Errorf("spool input: %q is not a safe name", id)
	}
	path := Path(dir, id)
	w, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool input: %w", err)
	}
	err = flock.Shared(w)
	if err == nil {
		err = fill(ctx, w, r, maxSize)
	}
	var f *File
	if err == nil {
		f, err = Open(path) // before the other lets go of its lock
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err = errors.Join(err, w.Close()); err == nil {
		return f, nil
	}
	if fsys.Full(err) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	return nil, errors.Join(fmt.Errorf("spool input: %w", err), os.Remove(path))
}

// Open opens the spool at path again, for a resume, and closes it to others.
// [fs.ErrNotExist] when it is not there any more.
func Open(path string) (*File, error) {
	if !strings.HasPrefix(filepath.Base(path), prefix) {
		return nil, fmt.Errorf("open spool: %q is none", path)
	}
	f, err := openAsIs(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", path)
	default: // it may have been brought back from a backup
		err = private.CloseFile(f)
	}
	if err == nil {
		err = flock.Shared(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), f.Close())
	}
	return &File{File: f, size: info.Size()}, nil
}

// Sweep removes the spools in dir that nobody has open and keep, which is given
// the transfer's id, does not want: what was left by processes that died before
// their transfer was in the journal. It returns how many it removed.
func Sweep(dir string, keep func(id string) bool) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("sweep spools: %w", err)
	}
	var errs []error
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !e.Type().IsRegular() || keep(id) {
			continue
		}
		gone, err := sweep(filepath.Join(dir, e.Name()))
		if gone {
			removed++
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // by somebody else
			errs = append(errs, fmt.Errorf("sweep spools: %w", err))
		}
	}
	return removed, errors.Join(errs...)
}

func sweep(path string) (gone bool, err error) {
	f, err := openAsIs(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || time.Since(info.ModTime()) < unlocked {
		return false, err
	}
	err = flock.Exclusive(f)
	if errors.Is(err, flock.ErrHeld) {
		return false, nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	return err == nil, err
}

// chunk is what one Read gave.
type chunk struct {
	b   []byte
	err error
}

// fill copies r to w and syncs it.
func fill(ctx context.Context, w *os.File, r io.Reader, maxSize int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free, full := make(chan []byte, buffers), make(chan chunk)
	for range buffers {
		free <- make([]byte, bufferSize)
	}
	go pump(ctx, r, free, full)
	var size int64
	for {
		var c chunk
		select {
		case c = <-full:
		case <-ctx.Done():
			return ctx.Err()
		}
		size += int64(len(c.b))
		if maxSize > 0 && size > maxSize {
			return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxSize)
		}
		if _, err := w.Write(c.b); err != nil {
			return err
		}
		if errors.Is(c.err, io.EOF) {
			return w.Sync()
		}
		if c.err != nil {
			return c.err
		}
		free <- c.b[:cap(c.b)]
	}
}

// pump reads until an error, of which the end is one, or until ctx ends.
func pump(ctx context.Context, r io.Reader, free <-chan []byte, full chan<- chunk) {
	for {
		var b []byte
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		n, err := r.Read(b)
		select {
		case full <- chunk{b[:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}
