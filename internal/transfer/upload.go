package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/stream"
	"jetsend/internal/tally"
	"jetsend/internal/xmltree"
)

const (
	// receiptTime bounds what the receiver does between the last byte and its
	// receipt: bringing the file to a slow disk.
	receiptTime = 5 * time.Minute
	// unpackTime is how much longer that may take for each file of a directory: every
	// one of them is synced.
	unpackTime = 20 * time.Millisecond
)

// upload is the sending end of one transfer, over as many sessions as it takes,
// whoever opens them. It holds the row of the transfer.
type upload struct {
	e     *core
	head  event.Head
	src   *source.Source
	sum   stream.Digest
	set   *outset.Set // nil for a file
	tally *tally.Set  // of a set
	row   *journal.Handle
	form  dialect.Form // of the offer
	// readsBack: the receiver's client may write something back over the path.
	readsBack bool
	check     bool // SHA-256 also of what goes in one session
	begun     time.Time
	// reader reads the source for a contact who asked for it, at that contact's expense;
	// nil when we offer.
	paths  route.Options // that an answer may take
	reader func(ctx context.Context, f func(charge.Payment) error) error
	marks  *charge.Readings // how far the source was read before; with reader
	// told is called when a session has been agreed on that the contact opened.
	told func()

	restart  bool  // the next offer says that the receiver has to begin anew
	accepted bool  // the receiver has said yes, and knows the transfer
	marked   bool  // a byte has been handed to a transport
	from     int64 // where in the file the session of the moment began
	moved    int64 // bytes of the file that went out, or that the receiver had
	released bool  // a receipt says that the file is complete at the other end
	lost     int64 // entries of a set that have failed, by the receiver's receipt
	// differs is what the receiver says that is not as it was sent; nil when it says nothing.
	differs *event.Differences
}

// Accept implements end: the receiver says what it wants, in its answer to our offer or in
// its own request.
func (u *upload) Accept(c *conversation.Conversation) (profile.Span, error) {
	if !c.Session.Initiator() {
		return u.grant(c)
	}
	s, err := u.checkAccept(c)
	if err != nil {
		return s, err
	}
	u.accepted, u.restart, u.from = true, false, s.Offset
	c.ReportAccepted(s.Offset)
	return s, nil
}

// grant accepts a request for the rest of the file.
func (u *upload) grant(c *conversation.Conversation) (s profile.Span, err error) {
	err = c.Step(conversation.Needs{Server: true}, func(ctx context.Context) (err error) {
		s, err = u.wanted(ctx, c)
		return err
	})
	if err != nil {
		return s, fault.NotBegun(err)
	}
	u.accepted, u.from = true, s.Offset
	u.told()
	u.e.cfg.Report(event.Offer{Head: u.head, Size: s.Size, ResumedFrom: s.Offset, Directory: u.src.Tree != nil})
	return s, u.e.answer(c, u.paths, s, "", func() {})
}

// wanted is the span that answers a request: what it asks for, or the file from
// its beginning when the bytes before that are not those of the file.
func (u *upload) wanted(ctx context.Context, c *conversation.Conversation) (s profile.Span, err error) {
	public, err := jingle.ParseDescription(c.Session.Content().Description)
	if err != nil {
		return s, err
	}
	offset := int64(0)
	if public.Range != nil {
		offset = public.Range.Offset
	}
	if u.set == nil && offset > u.src.Size || (offset > 0) != (c.Dialect.Sealed().Prefix != "") {
		return s, fmt.Errorf("%w: a request from byte %d", profile.ErrOffer, offset)
	}
	if u.set != nil { // as much as the request says; what it comes to shows in the stream
		return profile.Whole(c.Dialect.Sealed().File.Size), nil
	}
	if offset == 0 { // nothing is read
		return c.Dialect.Span(c.Session.Content(), 0, u.src.Size, u.e.sessionLimit()), nil
	}
	err = u.reader(ctx, func(pay charge.Payment) error {
		u.sum = u.marks.Resume(u.head.Transfer, offset)
		u.sum.Pay = pay
		defer func() { u.sum.Pay = nil }()
		err := u.checkPrefix(ctx, offset, c.Dialect.Sealed().Prefix)
		u.marks.Mark(u.head.Transfer, &u.sum)
		return err
	})
	if errors.Is(err, fault.ErrPrefix) {
		offset, err = 0, nil
		u.sum.Reset()
	}
	return c.Dialect.Span(c.Session.Content(), offset, u.src.Size, u.e.sessionLimit()), err
}

// checkPrefix compares what the receiver has with the first bytes of the file.
func (u *upload) checkPrefix(ctx context.Context, offset int64, prefix string) error {
	if offset == 0 {
		u.sum.Reset()
		return nil
	}
	if err := u.sum.Advance(ctx, u.src.Data, offset); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &source.Error{Err: fmt.Errorf("read %s: %w", u.src.Name, err)}
	}
	if hex.EncodeToString(u.sum.Sum()) != prefix {
		return fault.ErrPrefix
	}
	return nil
}

// Move implements end. A receiver that says success when all of it went out has a receipt
// to prove it.
func (u *upload) Move(c *conversation.Conversation, s profile.Span) error {
	if u.set != nil {
		return u.moveSet(c)
	}
	if err := u.move(c, s); !c.Proves(err) || u.moved < s.End() {
		return conversation.Unacknowledged(c.Path, err)
	}
	return nil
}

// move sends the span and says what has to be said after it.
func (u *upload) move(c *conversation.Conversation, s profile.Span) error {
	if c.Session.Initiator() {
		err := c.Step(conversation.Needs{Server: true}, func(ctx context.Context) error { return u.checkPrefix(ctx, s.Offset, c.Prefix) })
		if err != nil {
			return err
		}
	}
	c.ReportPath()
	c.Path.ReadBack(u.readsBack)
	return c.Step(conversation.Needs{Path: true}, func(ctx context.Context) error {
		err := u.stream(ctx, c, s)
		if err == nil {
			err = c.EndStream(ctx)
		}
		if err == nil {
			c.TellTrailer(ctx)
		}
		return err
	})
}

func (u *upload) stream(ctx context.Context, c *conversation.Conversation, s profile.Span) error {
	if err := c.Session.BeginStream(); err != nil {
		return err
	}
	if err := u.row.Run(ctx); err != nil {
		return err
	}
	if err := u.confirm(ctx, s.Offset); err != nil {
		return err
	}
	u.marked = true
	var sum io.Writer
	if u.check || !s.Whole() {
		sum = &u.sum
	}
	m := stream.StartMeter(s.Offset, func(bytes, rate int64) {
		u.e.cfg.Report(event.Progress{Head: u.head, Bytes: bytes, Size: u.src.Size, Rate: rate})
	})
	defer func() {
		m.End()
		u.moved = m.Bytes()
	}()
	unchanged := func() error { return u.src.Unchanged(ctx) }
	if c.Dialect.Form().HoldsTag() { // for timing.tagHold
		unchanged = func() error {
			if err := backoff.Wait(ctx, u.e.timing.tagHold); err != nil {
				return err
			}
			return u.src.Unchanged(ctx)
		}
	}
	src := io.NewSectionReader(u.src.Data, s.Offset, s.Length)
	moving := c.Path.Outgoing(stream.Options{Rate: &u.e.sending, Meter: m, Sum: sum})
	moving.Unchanged = unchanged
	return c.Dialect.Out(ctx, c.Path, src, s.Length, moving)
}

// confirm records what the receiver says that it has.
func (u *upload) confirm(ctx context.Context, durable int64) error {
	if durable < u.row.Row().Durable {
		return u.row.Rewind(durable)
	}
	return u.row.Progress(ctx, durable)
}

// Confirm implements end: the receiver's word is the only thing that becomes sent.
func (u *upload) Confirm(c *conversation.Conversation, s profile.Span) (err error) {
	if u.set != nil {
		return u.confirmSet(c)
	}
	if !c.Dialect.Form().Seals() {
		err = c.Await(receiptTime, fault.ErrUnconfirmed, func(*xmltree.Element) (bool, error) { return false, nil }) // a <received/> proves nothing
		if !fault.Of(err).Said(jingle.Success) {
			return err
		}
	} else {
		if err = u.tellChecksum(c, s); err == nil || c.Proves(err) {
			err = u.awaitReceipt(c, s)
		}
		if err != nil {
			return err
		}
	}
	u.released = s.Last()
	if err = u.confirm(context.Background(), s.End()); err != nil && u.released { // the receipt counts
		u.e.log.Error("journal", "transfer", u.head.Transfer, "error", err)
		err = nil
	}
	if u.released {
		u.sent(c)
	}
	c.Goodbye()
	return err
}

// sent writes down and reports that the file is there.
func (u *upload) sent(c *conversation.Conversation) {
	if err := u.row.Complete(); err != nil {
		u.e.log.Error("journal", "transfer", u.head.Transfer, "error", err)
	}
	if err := u.e.omemo.MarkUsed(context.Background(), c.Devices); err != nil {
		u.e.log.Warn("remember devices", "error", err)
	}
	if u.set != nil {
		u.e.carrier().Arrived(u.tally, u.row, u.lost)
		u.remember()
		return
	}
	u.reportSent(event.Sent{
		Head: u.head, Size: u.src.Size, VerifiedByPeer: u.profile(), SHA256: u.shown(), Seconds: time.Since(u.begun).Seconds(),
	})
}

// profile reports whether the transfer is offered in our profile, not in a form of other
// clients.
func (u *upload) profile() bool { return u.form == dialect.FormJetsend }

// digest is the SHA-256 of the whole file in hex when it was computed.
func (u *upload) digest() string {
	return hex.EncodeToString(u.sum.Of(u.src.Size))
}

// shown is the SHA-256 for the event.
func (u *upload) shown() string {
	if !u.check {
		return ""
	}
	return u.digest()
}

// tellChecksum says what the receiver must have in all of a file that was put together.
func (u *upload) tellChecksum(c *conversation.Conversation, s profile.Span) error {
	word, err := c.Dialect.Checksum(s, u.digest())
	if err != nil || word == nil {
		return err
	}
	return c.Step(conversation.Needs{}, func(ctx context.Context) error { return c.Tell(ctx, word) })
}

// awaitReceipt waits for the sealed receipt. Nothing else is success.
func (u *upload) awaitReceipt(c *conversation.Conversation, s profile.Span) error {
	err := c.Await(u.receiptPatience(), fault.ErrUnconfirmed, func(info *xmltree.Element) (bool, error) {
		return u.checkReceipt(c, info, s.End())
	})
	if fault.Of(err).Said(jingle.Success) {
		return fault.ErrUnconfirmed
	}
	return err
}

// checkReceipt reports whether info is the receipt for so many bytes.
func (u *upload) checkReceipt(c *conversation.Conversation, info *xmltree.Element, stored int64) (bool, error) {
	r, err := c.Dialect.ReadReceipt(info, profile.Receipt{Size: u.src.Size, Stored: stored, SHA256: u.digest()})
	if err != nil || r == nil {
		return false, err
	}
	u.differs, u.lost = (*event.Differences)(r.Differs), r.Failed
	return true, nil
}

// leave writes down how a session that the contact opened ended, and lets go of the row.
func (u *upload) leave(err error) left {
	l := left{err: err, moved: u.moved, done: u.released}
	switch {
	case u.released:
	case err == nil:
		l.err, l.lost = fault.ErrNextPart, u.row.Interrupt(fault.ErrNextPart)
	default:
		u.writeDown(err)
	}
	l.resumable = u.row.Row().State == journal.Interrupted
	l.lost = errors.Join(l.lost, u.close())
	source.Close(u.src)
	return l
}

// writeDown records that the transfer ended, in this run, without its file, and reports
// whether it may be taken up again.
func (u *upload) writeDown(err error) (resumable bool) {
	k := fault.Of(err)
	resumable = k.Resumable(u.standing())
	jerr := error(nil)
	switch {
	case resumable:
		jerr = u.row.Pause(k.Paused, err)
	case k.Declined:
		jerr = u.row.Decline(err)
	default:
		jerr = u.row.Fail(err)
	}
	if jerr != nil {
		u.e.log.Error("journal", "transfer", u.head.Transfer, "error", jerr)
	}
	return resumable
}

// close lets go of the row, and of what is not needed of the source.
func (u *upload) close() error {
	err := u.row.Release()
	if err != nil {
		u.e.log.Error("journal", "transfer", u.head.Transfer, "error", err)
	}
	u.src.Settled(u.row.Row())
	return err
}

// standing is how the transfer stands, for package fault.
func (u *upload) standing() fault.Standing {
	return fault.Standing{
		Resumes: u.form != dialect.FormPlaintext, Accepted: u.accepted, Phase: u.row.Row().Phase, Started: u.marked,
	}
}

// checkAccept reads the accept of our offer: what the receiver wants, and in c.Prefix the
// SHA-256 of what it has before that.
func (u *upload) checkAccept(c *conversation.Conversation) (s profile.Span, err error) {
	a, err := c.ReadAccept(u.src.Size, u.e.sessionLimit())
	if err != nil || !c.Dialect.Form().Seals() {
		return a.Span, err
	}
	if (a.Offset > 0) != (a.Prefix != "") || c.Dialect.Sealed().Restart && a.Offset > 0 {
		return s, fmt.Errorf("%w: an accept from byte %d", profile.ErrSealed, a.Offset)
	}
	for _, d := range c.Devices {
		if d.ID == a.Device {
			u.e.contacts().RememberJetsend(context.Background(), d)
			if u.set != nil {
				u.e.contacts().RememberSets(context.Background(), d)
			}
		}
	}
	c.Prefix = a.Prefix
	return a.Span, nil
}

// reportSent says that the file is complete at the other end, and what is not as it
// was sent: by the word of the receiver, or else by the rules for names.
func (u *upload) reportSent(sent event.Sent) {
	switch {
	case u.differs != nil:
		sent.Differences = *u.differs
	case sent.VerifiedByPeer:
		if name, _ := u.src.Renamed(); name != "" {
			sent.Renamed = 1
		}
	}
	if n := sent.LeftOut; n > 0 {
		u.e.cfg.Report(event.Warning{Text: fmt.Sprintf("%s: the receiver left out %d symbolic links, which its file system does not have", clean.Text(u.head.Name), n)})
	}
	u.e.cfg.Report(sent)
}

// receiptPatience is how long the receiver may take from the last byte to its
// receipt.
func (u *upload) receiptPatience() time.Duration {
	if u.src.Tree == nil {
		return receiptTime
	}
	return receiptTime + time.Duration(u.src.Tree.Files)*unpackTime
}
