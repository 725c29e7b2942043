package sink

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"time"

	"jetsend/internal/archive"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/stream"
)

const (
	// syncEvery is the pace at which the bytes that came are made durable, so
	// that little is sent again after a crash.
	syncEvery = time.Second
	// syncBytes is how much must have come for that: less is sent again sooner
	// than it is synced.
	syncBytes = 1 << 20
)

// File is what is received in one transfer. It holds the row and the partial file from
// [Store.Take] or [Store.Resume] to [File.Leave] or [File.Close]. One goroutine at a time
// uses it, but for Row.
type File struct {
	log     *slog.Logger
	opt     Options
	offered string // name
	name    string // that made safe
	date    time.Time

	journal *journal.Journal
	sets    string // see [Sets]
	row     *journal.Handle
	dir     *inbox.Dir     // nil when it could not be opened
	part    *inbox.Partial // nil when the file is released already
	sum     stream.Digest

	from  int64         // where the session of the moment began
	final string        // see Path
	past  bool          // see Past
	tree  *archive.Tree // what a directory became in this run
}

// Handle is the right to work on the transfer.
func (f *File) Handle() *journal.Handle { return f.row }

// Row is the row as it was last written.
func (f *File) Row() journal.Row { return f.row.Row() }

// Path is the absolute path of what has been released, or [event.StandardOutput]; empty
// before. It may be there from the beginning: what a crash had hidden.
func (f *File) Path() string { return f.final }

// Past reports whether an earlier run has written it to its output, so that this one has not.
func (f *File) Past() bool { return f.past }

// Have is how many of its bytes, from the first one, need not be sent again.
func (f *File) Have() int64 {
	if f.part == nil { // a set
		return 0
	}
	return f.part.Written()
}

// Prefix is the SHA-256 of those bytes, in hex, or "" when there are none. pay, unless nil,
// is called before so many chunks ([stream.Chunk]) are read.
func (f *File) Prefix(ctx context.Context, pay func(ctx context.Context, chunks int) error) (string, error) {
	if f.Have() == 0 {
		f.sum.Reset()
		return "", nil
	}
	f.sum.Pay = pay
	defer func() { f.sum.Pay = nil }()
	if err := f.sum.Advance(ctx, f.part, f.Have()); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", &stream.SinkError{Err: fmt.Errorf("read partial file: %w", err)}
	}
	return hex.EncodeToString(f.sum.Sum()), nil
}

// Offer notes that we ask a client of the contact for the rest.
func (f *File) Offer(ctx context.Context, resource string) error { return f.row.Offer(ctx, resource) }

// Accepted notes that the sender may know that the transfer is accepted.
func (f *File) Accepted() { f.opt.Known = true }

// Run notes that a session begins to move bytes, from that one on.
func (f *File) Run(ctx context.Context, from int64) error {
	f.from = from
	return f.row.Run(ctx)
}

// Write implements [io.Writer]: it appends to the partial file.
func (f *File) Write(b []byte) (int, error) { return f.part.Write(b) }

// Hash is given the bytes that are written, when the SHA-256 of the file is wanted.
func (f *File) Hash() io.Writer { return &f.sum }

// SHA256 is that of the whole file; nil when not all of it was hashed.
func (f *File) SHA256() []byte { return f.sum.Of(f.row.Row().Size) }

// Sync makes the bytes that were written durable and records them.
func (f *File) Sync(ctx context.Context) error {
	n := f.part.Written()
	if err := f.part.Sync(); err != nil {
		return &stream.SinkError{Err: err}
	}
	return f.row.Progress(ctx, n)
}

// KeepSyncing does that from time to time, until its result is called, which waits for it.
func (f *File) KeepSyncing(ctx context.Context) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() { // waited for by stop
		defer close(done)
		tick := time.NewTicker(syncEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-quit:
				return
			}
			if f.part.Written()-f.row.Row().Durable < syncBytes {
				continue
			}
			if err := f.Sync(ctx); err != nil && ctx.Err() == nil {
				f.log.Warn("sync partial file", "transfer", f.row.Row().ID, "error", err)
			}
		}
	}()
	return func() { close(quit); <-done }
}

// Restart throws away what there is.
func (f *File) Restart() error { return f.rewind(0) }

// rewind throws away what is behind the first n bytes. The row goes first: see
// package journal.
func (f *File) rewind(n int64) error {
	if err := f.row.Rewind(n); err != nil {
		return err
	}
	f.sum.Reset()
	if err := f.part.Rewind(n); err != nil {
		return &stream.SinkError{Err: err}
	}
	return nil
}
