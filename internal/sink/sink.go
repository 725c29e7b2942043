// Package sink is what is received: a partial file in a directory, with its row of the
// journal, from the moment that a process takes the transfer up to its release, or until
// it is parked for a later session.
//
// A [File] keeps the order of writing, syncing and recording that package journal argues,
// and ends what a crash has left of an earlier release. It knows nothing of the session
// that its bytes come over.
package sink

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/stream"
)

// Options say how received files are kept.
type Options struct {
	// MinFree is how many bytes must stay free on the disk.
	MinFree int64
	// MaxSize is how many bytes may come in a set, and in each of its files; 0: no limit.
	MaxSize int64
	// Conflict says what becomes of a file whose name is taken.
	Conflict inbox.Conflict
	// PerSender has each contact's files go to a folder of the contact.
	PerSender bool
	// Out, unless nil, gets the file in the place of the directory.
	Out io.Writer
	// Known: the sender knows from before that the transfer was accepted.
	Known bool
}

// Store is where what is received is written down. Its methods are safe for concurrent use.
type Store struct {
	Journal *journal.Journal
	Sets    string // see [Sets]
	Log     *slog.Logger
	// Patience is how long Take waits for another process to let go of a transfer, and
	// Pause how long until it looks again.
	Patience, Pause time.Duration
}

// Take takes the row of an offered transfer, waiting for a while when another process is at
// it, and makes or finds its partial file. dir is the directory for a transfer that is new;
// it is closed with the file, or before an error is returned. See [journal.Journal.Begin]
// for errors; trouble with the partial file is a [stream.SinkError] or [inbox.ErrNoSpace].
func (s Store) Take(ctx context.Context, row journal.Row, dir *inbox.Dir, opt Options) (*File, error) {
	late := time.NewTimer(s.Patience)
	defer late.Stop()
	for {
		f, err := s.begin(ctx, row, dir, opt)
		if !errors.Is(err, journal.ErrRunning) {
			return f, err
		}
		select {
		case <-time.After(s.Pause):
			continue
		case <-late.C:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		return nil, errors.Join(err, dir.Close())
	}
}

// Resume is Take for a transfer that the journal has, in its own directory. It waits for
// nobody: [journal.ErrRunning] when another process is at it.
func (s Store) Resume(ctx context.Context, row journal.Row, opt Options) (*File, error) {
	dir, err := openDir(&row)
	if err != nil {
		return nil, &stream.SinkError{Err: err}
	}
	f, err := s.begin(ctx, row, dir, opt)
	if errors.Is(err, journal.ErrRunning) {
		err = errors.Join(err, dir.Close())
	}
	return f, err
}

// begin takes the row, makes or finds the partial file, and sees to what a crash has left.
// dir stays open when another process is at the transfer.
func (s Store) begin(ctx context.Context, row journal.Row, dir *inbox.Dir, opt Options) (*File, error) {
	row.Dir = dir.Path("")
	h, err := s.Journal.Begin(ctx, row)
	if errors.Is(err, journal.ErrRunning) {
		return nil, err
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	f := &File{log: s.Log, journal: s.Journal, sets: s.Sets, opt: opt, offered: row.Name, name: filename.Safe(row.Name), date: row.MTime, dir: dir, row: h}
	if err := f.open(ctx); err != nil {
		_, lost := f.Leave(err)
		return nil, errors.Join(err, lost)
	}
	return f, nil
}
