package transfer

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/xmltree"
)

// upload is the sending end of one transfer, over as many sessions as it takes,
// whoever opens them.
type upload struct {
	e     *Endpoint
	head  Head
	src   *source
	sum   digest
	row   *journal.Handle
	check bool // SHA-256 also of what goes in one session
	begun time.Time

	told   bool  // an offer event has been reported
	marked bool  // a byte has been handed to a transport
	moved  int64 // bytes of the file that went out, or that the receiver had
	// differs is what the receiver says that is not as it was sent; nil when it says nothing.
	differs *Differences
}

// checkPrefix compares what the receiver has with the first bytes of the file.
func (u *upload) checkPrefix(ctx context.Context, offset int64, prefix string) error {
	if offset == 0 {
		u.sum.Reset()
		return nil
	}
	if err := u.sum.Advance(ctx, u.src.Data, offset); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return &sourceError{Err: fmt.Errorf("read %s: %w", u.src.Name, err)}
	}
	if hex.EncodeToString(u.sum.Sum()) != prefix {
		return errPrefix
	}
	return nil
}

// transmit sends the span over a path that stands, says what has to be said
// after it, and waits for the receiver's word.
func (u *upload) transmit(ctx context.Context, t *talk, path *bytestream, s span) error {
	path.ReadBack(t.writesBack)
	streaming, cancel := u.e.streaming(ctx, t.sess, path)
	defer cancel(nil)
	err := u.stream(streaming, t, path, s)
	if err == nil {
		err = endStream(streaming, t, path)
	}
	if err == nil {
		t.tellWireSum(streaming)
	}
	err = causeOf(streaming, err)
	cancel(nil) // from here on the peer's end of the session is what we wait for
	if err != nil {
		return unacknowledged(path, t.reasoned(err))
	}
	if t.offer == nil {
		err := t.await(ctx, receiptTime, errUnconfirmed, func(*xmltree.Element) (bool, error) { return false, nil }) // a <received/> proves nothing
		if saysSuccess(err) {
			return nil
		}
		return err
	}
	if s.last() && !s.whole() {
		if err := u.tellChecksum(ctx, t); err != nil {
			return err
		}
	}
	return u.awaitReceipt(ctx, t, s)
}

// digest is the SHA-256 of the whole file in hex when it was computed.
func (u *upload) digest() string {
	return hex.EncodeToString(u.sum.Of(u.src.Size))
}

func (u *upload) stream(ctx context.Context, t *talk, path *bytestream, s span) error {
	if err := t.sess.BeginStream(); err != nil {
		return err
	}
	if err := u.row.Run(ctx); err != nil {
		return err
	}
	if err := u.confirm(ctx, s.offset); err != nil {
		return err
	}
	u.marked = true
	var sum io.Writer
	if u.check || !s.whole() {
		sum = &u.sum
	}
	m := startMeter(u.head, s.offset, u.src.Size, u.e.cfg.Report)
	defer func() {
		m.End()
		u.moved = m.Bytes()
	}()
	unchanged := func() error { return u.src.Unchanged(ctx) }
	if t.holdsTag() {
		unchanged = func() error {
			if err := waitFor(ctx, u.e.timing.tagHold); err != nil {
				return err
			}
			return u.src.Unchanged(ctx)
		}
	}
	src := io.NewSectionReader(u.src.Data, s.offset, s.length)
	if t.insecure != nil {
		return insecureOut(ctx, t.tapped(path), src, s.length, unchanged, &u.e.sending, sum, m)
	}
	return streamOut(ctx, t.tapped(path), src, s.length, unchanged, t.ts, &u.e.sending, sum, m)
}

// holdsTag reports whether the tag is held back from the other end, for timing.tagHold.
func (t *talk) holdsTag() bool { return t.offer == nil && t.insecure == nil }

// confirm records what the receiver says that it has.
func (u *upload) confirm(ctx context.Context, durable int64) error {
	if durable < u.row.Row().Durable {
		return u.row.Rewind(ctx, durable)
	}
	return u.row.Progress(ctx, durable)
}

// endStream ends our half of the path after the tag. A receiver that counts
// bytes may be done, and gone, before that: then what it said counts. But
// in-band nothing has been sent before its blocks are acknowledged, and a client
// that seals no receipt must not get away with saying success before: it has
// lateAcks to acknowledge them, which is when ctx ends.
func endStream(ctx context.Context, t *talk, path *bytestream) error {
	path.BeforeEnd(t.sess.Done())
	stop := context.AfterFunc(ctx, func() { _ = path.Close() }) // wakes an in-band wait
	defer stop()
	_ = path.SetWriteDeadline(time.Now().Add(idle)) // for what is still on its way
	err := path.CloseWrite()
	if err == nil {
		return nil
	}
	if path.Transport != IBB || t.offer != nil {
		select {
		case <-t.sess.Done():
			return nil
		default:
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// tellChecksum says what the receiver must have in all.
func (u *upload) tellChecksum(ctx context.Context, t *talk) error {
	if u.sum.Len() != u.src.Size {
		return fmt.Errorf("checksum of %d of %d bytes", u.sum.Len(), u.src.Size)
	}
	c := checksum{Transfer: t.offer.Transfer, Size: u.src.Size, SHA256: u.digest()}
	sealed, err := t.seal(kindChecksum, c.Element())
	if err != nil {
		return err
	}
	return t.reasoned(t.tell(ctx, checksumElement(t.offer.Content, sealed)))
}

// awaitReceipt waits for the sealed receipt. Nothing else is success.
func (u *upload) awaitReceipt(ctx context.Context, t *talk, s span) error {
	found := false
	err := t.await(ctx, u.receiptPatience(), errUnconfirmed, func(info *xmltree.Element) (_ bool, err error) {
		found, err = u.checkReceipt(t, info, s.end())
		return found, err
	})
	if saysSuccess(err) {
		return errUnconfirmed
	}
	if !found {
		return err
	}
	u.goodbye(ctx, t)
	return nil
}

// checkReceipt tells whether info is the receipt for so many bytes. A <received/>
// that does not open is a lie about one and ends the transfer.
func (u *upload) checkReceipt(t *talk, info *xmltree.Element, stored int64) (bool, error) {
	if !info.Is(jingle.NSFile, "received") {
		return false, nil
	}
	if info.Attr("creator") != jingle.SenderInitiator || info.Attr("name") != t.offer.Content {
		return false, fmt.Errorf("%w: the receipt was changed on its way", errSealed)
	}
	x, err := t.unseal(kindReceipt, info.Children...)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	r, err := parseReceipt(x)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	digest := u.digest()
	if r.Transfer != t.offer.Transfer || r.Size != u.src.Size || r.Stored != stored || r.Stored == r.Size && digest != "" && r.SHA256 != digest {
		return false, fmt.Errorf("%w: the receipt is for something else", errSealed)
	}
	u.differs = (*Differences)(r.Differs)
	return true, nil
}

// goodbye leaves the end of the session to the receiver, for a while.
func (u *upload) goodbye(ctx context.Context, t *talk) {
	timer := time.NewTimer(u.e.timing.goodbyeTime)
	defer timer.Stop()
	select {
	case <-t.sess.Done():
	case <-u.e.sess.Done():
	case <-timer.C:
		_ = t.sess.Terminate(ctx, jingle.Reason{Condition: jingle.Success})
	}
}
