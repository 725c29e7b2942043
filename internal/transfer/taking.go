package transfer

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/journal"
)

// take is openDownload for a transfer that somebody may be at. The contact's own
// newer session takes the place of an older one in this process; otherwise that
// is [journal.ErrRunning].
func (e *Endpoint) take(ctx context.Context, d *download, row journal.Row, dir *inbox.Dir, supersede bool) error {
	late := time.NewTimer(e.timing.takeTime)
	defer late.Stop()
	for {
		err := e.takeNow(ctx, d, row, dir, supersede)
		if !errors.Is(err, journal.ErrRunning) || !supersede {
			return err
		}
		select {
		case <-time.After(e.timing.takePause):
		case <-late.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// takeNow is one try of take. Who is at the transfer here is told to stop.
func (e *Endpoint) takeNow(ctx context.Context, d *download, row journal.Row, dir *inbox.Dir, supersede bool) error {
	e.mu.Lock()
	old := e.downloads[row.ID]
	if old == nil {
		e.downloads[row.ID] = d
		d.keys = row.Keys
	}
	e.mu.Unlock()
	switch {
	case old != nil && !supersede:
		return journal.ErrRunning
	case old != nil && !share(old.keys, row.Keys):
		return journal.ErrForeign
	case old != nil:
		old.stop(errSuperseded)
		return journal.ErrRunning
	}
	err := e.openDownload(ctx, d, row, dir)
	if err != nil {
		e.letGo(row.ID, d)
	}
	return err
}

// share tells whether two lists of keys have one in common.
func share(a, b [][]byte) bool {
	return slices.ContainsFunc(a, func(k []byte) bool {
		return slices.ContainsFunc(b, func(l []byte) bool { return bytes.Equal(k, l) })
	})
}

// letGo takes a download off the list of those under way.
func (e *Endpoint) letGo(id string, d *download) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.downloads[id] == d {
		delete(e.downloads, id)
	}
}

// openDownload takes the row of a transfer, makes or finds its partial file, and
// sees to what a crash has left. dir is the directory for a transfer that is
// new. When the file turns out to be released, part is nil.
func (e *Endpoint) openDownload(ctx context.Context, d *download, row journal.Row, dir *inbox.Dir) (err error) {
	d.e = e
	row.Dir = dir.Path("")
	if d.row, err = e.journal.Begin(ctx, row); err != nil {
		return err
	}
	if err = d.openPart(ctx, dir); err != nil {
		return errors.Join(err, d.giveUp(ctx, err))
	}
	return nil
}

// openPart opens the directory and the partial file of the row.
func (d *download) openPart(ctx context.Context, dir *inbox.Dir) (err error) {
	row := d.row.Row()
	d.dir = dir
	if row.Dir != dir.Path("") {
		if d.dir, err = openDir(&row); err != nil {
			return &sinkError{Err: err}
		}
		d.own = true
	}
	if row.Phase.Verified() {
		if done, err := d.settle(ctx, row); done || err != nil {
			return err
		}
		row = d.row.Row()
	}
	minFree := d.spare(&row)
	d.part, err = d.dir.Reopen(row.ID, row.Size, row.Durable, minFree)
	var short *inbox.ShortError
	switch {
	case errors.As(err, &short):
		if err = d.row.Rewind(ctx, short.Have); err == nil {
			d.part, err = d.dir.Reopen(row.ID, row.Size, short.Have, minFree)
		}
	case errors.Is(err, inbox.ErrGone):
		if err = d.row.Rewind(ctx, 0); err == nil {
			d.part, err = d.dir.Create(row.ID, row.Size, minFree)
		}
	}
	if err != nil && !errors.Is(err, inbox.ErrNoSpace) {
		err = &sinkError{Err: err}
	}
	return err
}

// take reads the span from a path that stands. When it returns nil and the span
// is the last one, the file is verified and released.
func (d *download) take(ctx context.Context, t *talk, path *bytestream, s span) error {
	d.from = s.offset
	streaming, cancel := d.e.streaming(ctx, t.sess, path)
	defer cancel(nil)
	if err := d.stream(streaming, t, path, s); err != nil {
		return t.reasoned(causeOf(streaming, err))
	}
	cancel(nil) // verified: from here on the sender's leaving changes nothing any more
	if !s.last() {
		if err := d.part.Sync(); err != nil {
			return &sinkError{Err: err}
		}
		return d.row.Progress(ctx, s.end())
	}
	sum := d.sum.Of(s.size)
	if !s.whole() {
		if err := d.awaitChecksum(ctx, t, sum); err != nil {
			return err
		}
	}
	if err := t.awaitWireSum(ctx); err != nil {
		return err
	}
	if t.insecure != nil {
		sum, d.plain = t.wire.sums[hashAlgo].Sum(nil), t.insecure.verified()
	}
	return d.release(ctx, sum)
}
