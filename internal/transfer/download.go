package transfer

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
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
	checkRate = charge.ReadRate
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

// download is the receiving end of one transfer in a session, whoever opens it. It holds
// the row of the transfer and its partial file from open to leave.
type download struct {
	e    *Endpoint
	head Head
	file *jingle.File // as offered
	name string       // made safe
	how  keeping
	// life is the context of the actor: what is verified does not end with the session.
	life context.Context
	// reader reads what is here for a contact who offers the rest, at that contact's
	// expense; nil when we ask for it.
	reader func(ctx context.Context, f func(charge.Payment) error) error
	judge  func(omemo.Device) error // of the device that hands the rest out, when we ask
	told   func()                   // called when the contact has said yes to our request

	dir  *inbox.Dir
	own  bool // dir is closed with the download
	row  *journal.Handle
	part *inbox.Partial // nil when the file is released already
	sum  digest

	sender []omemo.Device // that hands it out
	begun  time.Time
	from   int64    // where in the file the session of the moment began
	moved  int64    // bytes of the file that are here
	plain  []string // of a plain file: the hashes by which it was verified
	taken  bool     // the sender knows that the offer was accepted
	agreed bool     // the contact has said yes to our request
	final  string   // absolute path, once the file is released
	// differs is what of a directory is not as it was sent; nil until it is released.
	differs *Differences
	past    bool // an earlier run has written it to its output: this one has not
}

// newDownload is the download of a row that exists.
func newDownload(e *Endpoint, row journal.Row, from jid.JID, how keeping) *download {
	name := filename.Safe(row.Name)
	head := Head{Transfer: row.ID, Direction: Receive, Peer: from.String(), Name: clean.Text(row.Name)}
	if row.Name == "" {
		head.Name = name
	}
	return &download{
		e: e, head: head, file: &jingle.File{Name: row.Name, Size: row.Size, Date: row.MTime}, name: name, how: how, begun: time.Now(),
	}
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
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", &sinkError{Err: fmt.Errorf("read partial file: %w", err)}
	}
	return hex.EncodeToString(d.sum.Sum()), nil
}

// Accept implements end: we say what we want, in our answer to an offer or in a request.
func (d *download) Accept(c *conversation) (s profile.Span, err error) {
	if c.sess.Initiator() {
		return d.agree(c)
	}
	prefix, err := d.chargedPrefix(c)
	if err != nil {
		return s, err
	}
	s = c.d.Span(c.sess.Content(), d.offset(), d.file.Size, d.e.sessionLimit())
	if !s.Valid(s.Size) { // a part of no bytes would go on for ever
		return s, refuse(fmt.Errorf("%w: an offer of no bytes", errOffer), jingle.Reason{Condition: jingle.IncompatibleParameters})
	}
	d.taken = true // the sender may know it even if we never learn that
	d.sender = c.devices
	return s, c.answer(s, prefix)
}

// chargedPrefix is prefix for the accept of an offer. Reading takes its turn among the
// contact's sessions; where nothing is here, nobody is waited for.
func (d *download) chargedPrefix(c *conversation) (prefix string, err error) {
	if !c.d.Form().Seals() {
		return "", nil
	}
	err = c.step(needs{server: true}, func(ctx context.Context) error {
		if d.offset() == 0 {
			prefix, err = d.prefix(ctx)
			return err
		}
		return d.reader(ctx, func(pay charge.Payment) error {
			d.sum.Pay = pay
			defer func() { d.sum.Pay = nil }()
			prefix, err = d.prefix(ctx)
			return err
		})
	})
	return prefix, err
}

// agree takes the contact's accept of our request.
func (d *download) agree(c *conversation) (s profile.Span, err error) {
	if s, err = d.checkAccept(c); err != nil {
		return s, err
	}
	row := d.row.Row()
	d.agreed, d.from = true, s.Offset
	d.told()
	d.e.cfg.Report(Offer{Head: d.head, Size: row.Size, ResumedFrom: s.Offset, Description: row.Description, Directory: row.Source == journal.SourceTree})
	c.reportAccepted(s.Offset)
	return s, nil
}

// Move implements end: it reads the span. When it returns nil what came is authentic.
func (d *download) Move(c *conversation, s profile.Span) error {
	c.reportPath()
	d.from = s.Offset
	return c.step(needs{path: true}, func(ctx context.Context) error { return d.stream(ctx, c, s) })
}

func (d *download) stream(ctx context.Context, c *conversation, s profile.Span) error {
	if err := c.sess.BeginStream(); err != nil {
		return err
	}
	if err := d.row.Run(ctx); err != nil {
		return err
	}
	var sum io.Writer
	if d.how.checksum || !s.Whole() || c.d.Form().Seals() && slices.Contains(d.file.HashUsed, "sha-256") {
		sum = &d.sum
	}
	m := startMeter(d.head, s.Offset, s.Size, d.e.cfg.Report)
	defer func() {
		m.End()
		d.moved = m.Bytes()
	}()
	defer d.keepSyncing(ctx)()
	return c.d.In(ctx, c.path, d.part, s, stream.Incoming{
		Options: stream.Options{Rate: &d.e.receiving, Meter: m, Sum: sum}, Ends: c.path.Ends, Patience: checkTime(s.Offset),
	})
}

// keepSyncing makes what comes durable from time to time, until its result is
// called.
func (d *download) keepSyncing(ctx context.Context) (stop func()) {
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
			if err := d.sync(ctx); err != nil && ctx.Err() == nil {
				d.e.log.Warn("sync partial file", "transfer", d.head.Transfer, "error", err)
			}
		}
	}()
	return func() { close(quit); <-done }
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

// Confirm implements end: it releases the file, or makes the part durable, and says so.
// From here on the sender's leaving changes nothing any more, but for a checksum that it
// has to tell.
func (d *download) Confirm(c *conversation, s profile.Span) error {
	if err := d.keep(c, s); err != nil {
		return err
	}
	if s.Last() {
		d.report()
	}
	if err := d.receipt(c, s.End()); err != nil {
		d.e.log.Warn("receipt", "transfer", d.head.Transfer, "error", err)
	}
	_ = c.sess.Terminate(context.Background(), jingle.Reason{Condition: jingle.Success})
	if err := d.e.omemo.MarkUsed(context.Background(), d.sender); err != nil {
		d.e.log.Warn("remember device", "error", err)
	}
	return nil
}

// keep makes what came durable, and releases the file when it is whole and verified.
func (d *download) keep(c *conversation, s profile.Span) error {
	if !s.Last() {
		if err := d.part.Sync(); err != nil {
			return &sinkError{Err: err}
		}
		return d.row.Progress(d.life, s.End())
	}
	proof, err := c.d.Verify(d.life, c.awaitTrailer, s, d.sum.Of(s.Size))
	if err != nil {
		return err
	}
	d.plain = proof.Hashes
	return d.release(d.life, proof.SHA256)
}

// receipt says to a jetsend what is durable, and to others that the file arrived.
func (d *download) receipt(c *conversation, stored int64) error {
	rec := profile.Receipt{Transfer: d.head.Transfer, Size: d.file.Size, Stored: stored}
	if stored == rec.Size {
		rec.SHA256, rec.Differs = hex.EncodeToString(d.row.Row().SHA256), (*profile.Differences)(d.difference())
	}
	word, err := c.d.Receipt(c.sess.Content(), rec)
	if err != nil {
		return err
	}
	return c.tell(d.life, word)
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

// restart throws away what there is.
func (d *download) restart(ctx context.Context) error { return d.rewind(ctx, 0) }

// rewind throws away what is behind the first n bytes. The row goes first: see
// package journal.
func (d *download) rewind(ctx context.Context, n int64) error {
	if err := d.row.Rewind(n); err != nil {
		return err
	}
	d.sum.Reset()
	if err := d.part.Rewind(n); err != nil {
		return &sinkError{Err: err}
	}
	return nil
}
