package transfer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/xmltree"
)

const (
	// syncEvery is the pace at which the bytes that came are made durable, so
	// that little is sent again after a crash.
	syncEvery = time.Second
	// syncBytes is how much must have come for that: less is sent again sooner
	// than it is synced.
	syncBytes = 1 << 20
	// checkRate is how slowly, in bytes per second, either end may read what the
	// receiver has already, before its answer or its first byte of the rest is missed.
	checkRate = 20 << 20
)

// checkTime is how long that may take for so many bytes.
func checkTime(n int64) time.Duration { return time.Duration(n/checkRate) * time.Second }

// keeping says how received files are kept.
type keeping struct {
	minFree  int64
	conflict inbox.Conflict
	checksum bool // SHA-256 also of what comes in one session
	// out, unless nil, gets the file in the place of the directory.
	out io.Writer
	// released, unless nil, is told once of every file that was released.
	released func(Received)
}

// download is the receiving end of one transfer, over as many sessions as it
// takes, whoever opens them. It holds the row of the transfer and its partial
// file from open to close.
type download struct {
	e    *Endpoint
	head Head
	file *jingle.File // as offered
	name string       // made safe
	how  keeping

	dir  *inbox.Dir
	own  bool // dir is closed with the download
	row  *journal.Handle
	part *inbox.Partial // nil when the file is released already
	sum  digest

	keys [][]byte // that the transfer belongs to

	begun time.Time
	from  int64    // where in the file the session of the moment began
	moved int64    // bytes of the file that are here
	plain []string // of a plain file: the hashes by which it was verified
	taken bool     // the sender knows that the offer was accepted
	final string   // absolute path, once the file is released
	// differs is what of a directory is not as it was sent; nil until it is released.
	differs *Differences
	past    bool // an earlier run has written it to its output: this one has not

	stop context.CancelCauseFunc // ends the session of the moment
}

// settle ends a release that was cut after the file had been verified.
func (d *download) settle(ctx context.Context, row journal.Row) (done bool, err error) {
	if row.Phase == journal.PhasePoured {
		return true, d.settlePoured(ctx, &row)
	}
	outcome, err := d.settleRelease(&row, filepath.Base(row.Path))
	if err != nil {
		return false, &sinkError{Err: err}
	}
	switch outcome {
	case inbox.Released:
		d.final = row.Path
		return true, d.row.Complete(ctx)
	case inbox.NotReleased:
		return d.releaseAgain(ctx, row)
	}
	return false, d.row.Rewind(ctx, 0)
}

// releaseAgain releases a file that was verified before a crash, if it is still
// that file.
func (d *download) releaseAgain(ctx context.Context, row journal.Row) (done bool, err error) {
	d.part, err = d.dir.Reopen(row.ID, row.Size, row.Size, 0)
	var short *inbox.ShortError
	if errors.As(err, &short) { // somebody cut it
		return false, d.row.Rewind(ctx, short.Have)
	}
	if err == nil && row.SHA256 != nil {
		err = d.sum.Advance(ctx, d.part, row.Size)
	}
	if err != nil {
		return false, &sinkError{Err: err}
	}
	if row.SHA256 != nil && !bytes.Equal(d.sum.Sum(), row.SHA256) {
		err := d.restart(ctx)
		return false, errors.Join(err, d.part.Keep())
	}
	return true, d.release(ctx, row.SHA256)
}

// offset is the number of bytes that need not be sent again.
func (d *download) offset() int64 { return d.part.Written() }

// prefix is the SHA-256 of those bytes, in hex, or "" when there are none.
func (d *download) prefix(ctx context.Context) (string, error) {
	if d.offset() == 0 {
		d.sum.Reset()
		return "", nil
	}
	if err := d.sum.Advance(ctx, d.part, d.offset()); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		return "", &sinkError{Err: fmt.Errorf("read partial file: %w", err)}
	}
	return hex.EncodeToString(d.sum.Sum()), nil
}

// restart throws away what there is.
func (d *download) restart(ctx context.Context) error { return d.rewind(ctx, 0) }

// rewind throws away what is behind the first n bytes. The row goes first: see
// package journal.
func (d *download) rewind(ctx context.Context, n int64) error {
	if err := d.row.Rewind(ctx, n); err != nil {
		return err
	}
	d.sum.Reset()
	if err := d.part.Rewind(n); err != nil {
		return &sinkError{Err: err}
	}
	return nil
}

func (d *download) stream(ctx context.Context, t *talk, path *bytestream, s span) error {
	if err := t.sess.BeginStream(); err != nil {
		return err
	}
	if err := d.row.Run(ctx); err != nil {
		return err
	}
	var sum io.Writer
	if d.how.checksum || !s.whole() || t.offer != nil && slices.Contains(d.file.HashUsed, "sha-256") {
		sum = &d.sum
	}
	m := startMeter(d.head, s.offset, s.size, d.e.cfg.Report)
	defer func() {
		m.End()
		d.moved = m.Bytes()
	}()
	defer d.keepSyncing(ctx)()
	if t.insecure != nil {
		return insecureIn(ctx, t.tapped(path), d.part, s.length, &d.e.receiving, sum, m)
	}
	// Other clients do not all end the stream after the tag, and not every
	// path hands the end on: then the bytes are counted.
	ends := t.offer != nil && path.Ends
	err := streamIn(ctx, t.tapped(path), ends, checkTime(s.offset), d.part, s.length, t.ts, &d.e.receiving, sum, m)
	return untagged(err, m.Bytes(), s)
}

// keepSyncing makes what comes durable from time to time, until its result is
// called.
func (d *download) keepSyncing(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // waited for by stop
		defer close(done)
		tick := time.NewTicker(syncEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := d.sync(ctx); err != nil && ctx.Err() == nil {
				d.e.log.Warn("sync partial file", "transfer", d.head.Transfer, "error", err)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// sync makes the bytes that were written durable and records them.
func (d *download) sync(ctx context.Context) error {
	n := d.part.Written()
	if n-d.row.Row().Durable < syncBytes {
		return nil
	}
	if err := d.part.Sync(); err != nil {
		return err
	}
	return d.row.Progress(ctx, n)
}

// awaitChecksum waits for the sealed SHA-256 of the whole file and compares it.
// Without the right one nothing of the file is kept.
func (d *download) awaitChecksum(ctx context.Context, t *talk, sum []byte) error {
	want := ""
	err := t.await(ctx, receiptTime, errIdle, func(info *xmltree.Element) (bool, error) {
		if !info.Is(jingle.NSFile, "checksum") {
			return false, nil
		}
		x, err := t.unseal(kindChecksum, info.Children...)
		if err != nil {
			return false, err
		}
		c, err := parseChecksum(x)
		if err != nil {
			return false, err
		}
		if c.Transfer != t.offer.Transfer || c.Size != d.file.Size || info.Attr("name") != t.offer.Content {
			return false, fmt.Errorf("%w: the checksum is for something else", errSealed)
		}
		want = c.SHA256
		return true, nil
	})
	if err != nil {
		return err
	}
	if sum == nil || want != hex.EncodeToString(sum) {
		return errChecksum
	}
	return nil
}

// release gives the verified file its name, in the order that package journal
// argues.
func (d *download) release(ctx context.Context, sum []byte) error {
	row := d.row.Row()
	switch {
	case d.how.out != nil:
		return d.pour(ctx, sum)
	case row.Source == journal.SourceTree:
		return d.unpack(ctx, sum)
	}
	ctx = context.WithoutCancel(ctx)
	d.part.Permit(row.Mode)
	final, err := d.part.Release(d.name, d.how.conflict, d.file.Date, func(path string) error { return d.row.Place(ctx, path, sum) })
	if err != nil {
		return &sinkError{Err: err}
	}
	d.final = final
	return d.row.Complete(ctx)
}

// receipt says to a jetsend what is durable, and to others that the file arrived.
func (d *download) receipt(ctx context.Context, t *talk, stored int64) error {
	var sealed *xmltree.Element
	if t.offer != nil {
		rec := receipt{Transfer: d.head.Transfer, Size: d.file.Size, Stored: stored}
		if stored == rec.Size {
			rec.SHA256, rec.Differs = hex.EncodeToString(d.row.Row().SHA256), (*profile.Differences)(d.difference())
		}
		var err error
		if sealed, err = t.seal(kindReceipt, rec.Element()); err != nil {
			return err
		}
	}
	word := receivedElement(t.sess.Content().Name, sealed)
	word.Name.Space = t.sess.Content().Description.Name.Space // of the form of the offer
	return t.tell(ctx, word)
}

// finish tells everybody that the file, or the part that the session was for,
// is there. It is, whatever happens to the words.
func (d *download) finish(ctx context.Context, t *talk, s span, devices ...omemo.Device) {
	if s.last() {
		d.report()
	}
	if err := d.receipt(ctx, t, s.end()); err != nil {
		d.e.log.Warn("receipt", "transfer", d.head.Transfer, "error", err)
	}
	_ = t.sess.Terminate(ctx, jingle.Reason{Condition: jingle.Success})
	if err := d.e.omemo.MarkUsed(context.WithoutCancel(ctx), devices); err != nil {
		d.e.log.Warn("remember device", "error", err)
	}
}

// report says that the file is there.
func (d *download) report() {
	row := d.row.Row()
	seconds := time.Since(d.begun).Seconds()
	verified := []string{"gcm-tag"}
	switch {
	case row.Insecure():
		verified = append([]string{}, d.plain...)
	case row.SHA256 != nil && d.sum.Of(row.Size) != nil:
		verified = append(verified, "sha-256")
	}
	event := Received{
		Head: d.head, Path: d.final, Size: row.Size, Verified: verified, SHA256: hex.EncodeToString(row.SHA256), Seconds: seconds,
		Description: row.Description, Directory: row.Source == journal.SourceTree,
	}
	if of := d.difference(); of != nil {
		event.Differences = *of
	}
	d.e.cfg.Report(event)
	if d.how.released != nil {
		d.how.released(event)
	}
}
