package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"jetsend/internal/carry"
	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/sink"
	"jetsend/internal/stream"
	"jetsend/internal/tally"
)

// checkRate is how slowly, in bytes per second, either end may read what the
// receiver has already, before its answer or its first byte of the rest is missed.
const checkRate = charge.ReadRate

// checkTime is how long that may take for so many bytes.
func checkTime(n int64) time.Duration { return time.Duration(n/checkRate) * time.Second }

// keeping says how received files are kept.
type keeping struct {
	sink.Options
	checksum bool // SHA-256 also of what comes in one session
	// released, unless nil, is told once of every file that was released.
	released func(event.Received)
}

// download is the receiving end of one transfer in a session, whoever opens it. It holds
// the row of the transfer and its partial file from take or resume to leave.
type download struct {
	e    *core
	head event.Head
	file *jingle.File // as offered
	name string       // made safe
	how  keeping
	// life is the context of the actor: what is verified does not end with the session.
	life context.Context
	// reader reads what is here for a contact who offers the rest, at that contact's
	// expense; nil when we ask for it.
	paths  route.Options // that an answer may take
	reader func(ctx context.Context, f func(charge.Payment) error) error
	judge  func(omemo.Device) error // of the device that hands the rest out, when we ask
	told   func()                   // called when the contact has said yes to our request

	sink   *sink.File     // nil until it is taken
	tally  *tally.Set     // of a set, which sink is then
	listed carry.Listed   // of a set that is offered
	sender []omemo.Device // that hands it out
	begun  time.Time
	from   int64    // where in the file the session of the moment began
	plain  []string // of a plain file: the hashes by which it was verified
	agreed bool     // the contact has said yes to our request
}

// newDownload is the download of a row that exists.
func newDownload(e *core, row journal.Row, from jid.JID, how keeping) *download {
	head, name := tally.HeadOfRow(row, from), ""
	head.Name, name = called(row.Name)
	return &download{
		e: e, head: head, file: &jingle.File{Name: row.Name, Size: row.Size, Date: row.MTime}, name: name, how: how, begun: time.Now(),
	}
}

// called is how a received file is shown, and the name that it is kept under: there is
// always one.
func called(offered string) (shown, safe string) {
	safe = filename.Safe(offered)
	if offered == "" {
		return safe, safe
	}
	return clean.Text(offered), safe
}

// sinks is where what this account receives is written down.
func (e *core) sinks() sink.Store {
	return sink.Store{Journal: e.journal, Sets: sink.Sets(e.cfg.StateDir, e.cfg.Session.JID), Log: e.log, Patience: e.timing.takeTime, Pause: e.timing.takePause}
}

// take takes the row and the partial file of what is offered; dir is given to it.
func (d *download) take(ctx context.Context, row journal.Row, dir *inbox.Dir) (err error) {
	d.sink, err = d.e.sinks().Take(ctx, row, dir, d.how.Options)
	return err
}

// resume is take for a transfer that the journal has.
func (d *download) resume(ctx context.Context, row journal.Row) (err error) {
	d.sink, err = d.e.sinks().Resume(ctx, row, d.how.Options)
	return err
}

// released reports whether the file is there: from this session, or since before a crash.
func (d *download) released() bool { return d.sink.Path() != "" || d.sink.Row().Released }

// Accept implements end: we say what we want, in our answer to an offer or in a request.
func (d *download) Accept(c *conversation.Conversation) (s profile.Span, err error) {
	if c.Session.Initiator() {
		return d.agree(c)
	}
	prefix, err := d.chargedPrefix(c)
	if err != nil {
		return s, err
	}
	s = c.Dialect.Span(c.Session.Content(), d.sink.Have(), d.file.Size, d.e.sessionLimit())
	if !s.Valid(s.Size) { // a part of no bytes would go on for ever
		return s, fault.Refuse(fmt.Errorf("%w: an offer of no bytes", profile.ErrOffer), jingle.Reason{Condition: jingle.IncompatibleParameters})
	}
	d.sender = c.Devices
	return s, d.e.answer(c, d.paths, s, prefix, d.sink.Accepted) // the sender may know it even if we never learn that
}

// chargedPrefix is prefix for the accept of an offer. Reading takes its turn among the
// contact's sessions; where nothing is here, nobody is waited for.
func (d *download) chargedPrefix(c *conversation.Conversation) (prefix string, err error) {
	if !c.Dialect.Form().Seals() {
		return "", nil
	}
	err = c.Step(conversation.Needs{Server: true}, func(ctx context.Context) error {
		if d.sink.Have() == 0 {
			prefix, err = d.sink.Prefix(ctx, nil)
			return err
		}
		return d.reader(ctx, func(pay charge.Payment) error {
			prefix, err = d.sink.Prefix(ctx, pay)
			return err
		})
	})
	return prefix, err
}

// agree takes the contact's accept of our request.
func (d *download) agree(c *conversation.Conversation) (s profile.Span, err error) {
	if s, err = d.checkAccept(c); err != nil {
		return s, err
	}
	row := d.sink.Row()
	d.agreed, d.from = true, s.Offset
	d.told()
	d.e.cfg.Report(event.Offer{Head: d.head, Size: row.Size, ResumedFrom: s.Offset, Description: row.Description, Directory: row.Source == journal.SourceTree})
	c.ReportAccepted(s.Offset)
	return s, nil
}

// Move implements end: it reads the span. When it returns nil what came is authentic.
func (d *download) Move(c *conversation.Conversation, s profile.Span) error {
	c.ReportPath()
	if d.isSet() {
		return d.moveSet(c)
	}
	d.from = s.Offset
	return c.Step(conversation.Needs{Path: true}, func(ctx context.Context) error { return d.stream(ctx, c, s) })
}

func (d *download) stream(ctx context.Context, c *conversation.Conversation, s profile.Span) error {
	if err := c.Session.BeginStream(); err != nil {
		return err
	}
	if err := d.sink.Run(ctx, s.Offset); err != nil {
		return err
	}
	var sum io.Writer
	if d.how.checksum || !s.Whole() || c.Dialect.Form().Seals() && slices.Contains(d.file.HashUsed, "sha-256") {
		sum = d.sink.Hash()
	}
	m := stream.StartMeter(s.Offset, func(bytes, rate int64) {
		d.e.cfg.Report(event.Progress{Head: d.head, Bytes: bytes, Size: s.Size, Rate: rate})
	})
	defer m.End()
	defer d.sink.KeepSyncing(ctx)()
	return c.Dialect.In(ctx, c.Path, d.sink, s, stream.Incoming{
		Options: stream.Options{Rate: &d.e.receiving, Meter: m, Sum: sum}, Ends: c.Path.Ends, Patience: checkTime(s.Offset),
	})
}

// Confirm implements end: it releases the file, or makes the part durable, and says so.
// From here on the sender's leaving changes nothing any more, but for a checksum that it
// has to tell.
func (d *download) Confirm(c *conversation.Conversation, s profile.Span) error {
	if err := d.keep(c, s); err != nil {
		return err
	}
	if !d.isSet() { // of which all has been told, here and in the stream
		if s.Last() {
			d.report()
		}
		if err := d.receipt(c, s.End()); err != nil {
			d.e.log.Warn("receipt", "transfer", d.head.Transfer, "error", err)
		}
	}
	_ = c.Session.Terminate(context.Background(), jingle.Reason{Condition: jingle.Success})
	if err := d.e.omemo.MarkUsed(context.Background(), d.sender); err != nil {
		d.e.log.Warn("remember device", "error", err)
	}
	return nil
}

// keep makes what came durable, and releases the file when it is whole and verified.
func (d *download) keep(c *conversation.Conversation, s profile.Span) error {
	if d.isSet() {
		return d.sink.Complete()
	}
	if !s.Last() {
		return d.sink.Sync(d.life)
	}
	proof, err := c.Dialect.Verify(d.life, c.AwaitTrailer, s, d.sink.SHA256())
	if err != nil {
		return err
	}
	d.plain = proof.Hashes
	return d.sink.Release(d.life, proof.SHA256)
}

// receipt says to a jetsend what is durable, and to others that the file arrived.
func (d *download) receipt(c *conversation.Conversation, stored int64) error {
	rec := profile.Receipt{Transfer: d.head.Transfer, Size: d.file.Size, Stored: stored}
	if stored == rec.Size {
		rec.SHA256, rec.Differs = hex.EncodeToString(d.sink.Row().SHA256), (*profile.Differences)(d.sink.Differences())
	}
	word, err := c.Dialect.Receipt(c.Session.Content(), rec)
	if err != nil {
		return err
	}
	return c.TellLast(d.life, word)
}

// report says that the file is there, and what of a directory is not as it was sent.
func (d *download) report() {
	for _, text := range d.sink.Changes(d.head.Name) {
		d.e.cfg.Report(event.Warning{Text: text})
	}
	of := d.sink.Received(d.head)
	if row := d.sink.Row(); row.Insecure() {
		of.Verified = append([]string{}, d.plain...)
	}
	of.Seconds = time.Since(d.begun).Seconds()
	d.e.cfg.Report(of)
	d.hooked(of)
}

// leave writes down how the session ended and lets go of row and partial file.
func (d *download) leave(err error) left {
	l := left{err: err, done: err == nil && d.released()}
	if d.tally != nil && l.done {
		l.code = d.tally.Code()
	}
	if err == nil && !l.done {
		l.err = fault.ErrNextPart
	}
	row, lost := d.sink.Leave(err)
	l.moved, l.resumable, l.lost = row.Durable, row.State == journal.Interrupted, lost
	return l
}

// settle ends the release of a verified file that a crash has cut, which needs
// nobody. It reports whether the file is released now, and logs what went wrong.
func (e *core) settle(ctx context.Context, row journal.Row, how keeping) (released bool) {
	d := newDownload(e, row, row.Peer, how)
	err := d.resume(ctx, row)
	switch {
	case err != nil:
	case d.released():
		d.report()
		released, err = true, d.sink.Close()
	default:
		err = d.leave(errors.New(row.LastError)).lost
	}
	if err != nil {
		e.log.Warn("release that was cut", "transfer", row.ID, "error", err)
	}
	return released
}

// checkAccept opens the sealed accept of our request. A sender whose file does not begin
// with what we have sends all of it. From here on the device that has sealed it is the
// one of the session, by its own word: each that the envelope is for could say so.
func (d *download) checkAccept(c *conversation.Conversation) (s profile.Span, err error) {
	a, err := c.ReadAccept(d.file.Size, d.e.sessionLimit())
	if err != nil {
		return s, err
	}
	s = a.Span
	i := slices.IndexFunc(c.Devices, func(d omemo.Device) bool { return d.ID == a.Device })
	if row := d.sink.Row(); i < 0 || !row.HasKey(c.Devices[i].IdentityKey) {
		return s, fmt.Errorf("%w: an accept of another device", profile.ErrSealed)
	}
	d.sender = c.Devices[i : i+1]
	if err := d.judge(c.Devices[i]); err != nil {
		return s, err
	}
	switch s.Offset {
	case d.sink.Have():
		return s, nil
	case 0:
		return s, d.sink.Restart()
	}
	return s, fmt.Errorf("%w: an accept from byte %d", profile.ErrSealed, s.Offset)
}
