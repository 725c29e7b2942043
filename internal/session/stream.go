package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// stream is one negotiated TCP connection: what a Session loses when the
// network breaks.
type stream struct {
	t *transport
	b *binding
	// resend is what the writer sends first: the stanzas of b that the stream
	// before this one did not bring across.
	resend   [][]byte
	patience time.Duration // see management.room; shorter in tests
	prove    time.Duration // see prove; shorter in tests

	ctx  context.Context // ended by fail
	fail context.CancelCauseFunc
	wg   sync.WaitGroup // reader and writer

	written chan struct{} // closed when the writer has ended
}

func newStream(t *transport, b *binding, resend [][]byte) *stream {
	st := &stream{t: t, b: b, resend: resend, patience: ackPatience, prove: proveTime, written: make(chan struct{})}
	st.ctx, st.fail = context.WithCancelCause(context.Background())
	return st
}

// run starts reader and writer. handle is given every frame, in order, on the
// reader; an error from it ends the stream.
func (st *stream) run(handle func(*stream, frame) error) {
	st.wg.Go(func() {
		defer st.t.ReceivedStreamClose()
		for {
			f, err := st.t.next()
			if err == nil {
				err = handle(st, f)
			}
			switch {
			case err == nil:
				continue
			case errors.Is(err, ErrStreamEnd):
				// Answer, so that the server need not wait, then let go.
				st.t.ReceivedStreamClose()
				_ = st.t.Close()
			case errors.Is(err, errAckTooHigh):
				st.t.lastWords()
				_ = st.t.endStream([]byte(ackComplaint))
			}
			st.fail(err)
			return
		}
	})
	st.wg.Go(func() {
		defer close(st.written)
		if err := st.write(); err != nil {
			st.fail(err)
		}
	})
	// A call of fail unblocks both by it.
	st.wg.Go(func() {
		<-st.ctx.Done()
		_ = st.t.abort()
	})
}

// ackComplaint is the last word to a server that acknowledges what was never
// sent (XEP-0198 section 4).
const ackComplaint = "<stream:error><undefined-condition xmlns='" + nsStreamErrors + "'/>" +
	"<handled-count-too-high xmlns='" + nsSM + "'/></stream:error>"

// close ends the stream in an orderly way, in at most closeWrite and closeWait
// together, and waits. The session is closing already, so the writer sends what
// waits and then the end.
func (st *stream) close() {
	st.t.lastWords()
	<-st.written
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-st.ctx.Done(): // by the reader, at the peer's end of stream
	case <-wait.C:
	}
	st.fail(ErrClosed)
	st.wg.Wait()
}

// lost makes cause an ErrSessionLost.
func lost(cause error) error {
	if cause == nil {
		return ErrSessionLost
	}
	if errors.Is(cause, ErrSessionLost) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrSessionLost, cause)
}

// write sends the lanes until the stream ends.
func (st *stream) write() error {
	for len(st.resend) > 0 {
		b := st.b.sm.appendOwed(nil, false) // first of all: see prove
		for len(st.resend) > 0 && len(b) < writeBatch {
			b = append(b, st.resend[0]...)
			st.resend = st.resend[1:]
		}
		if _, err := st.t.Write(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	settle := time.NewTimer(ackAfter) // from the latest write
	defer settle.Stop()
	for {
		b, ev := st.next(settle.C)
		switch ev {
		case streamGone:
			return nil
		case allSent:
			return st.t.endStream(st.b.sm.appendLast(nil))
		}
		b = st.b.sm.appendOwed(b, ev == settled)
		if len(b) == 0 {
			continue
		}
		if _, err := st.t.Write(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		settle.Reset(ackAfter)
	}
}

// event is what the writer waited for.
type event int

const (
	woken      event = iota // there is something to send, or may be
	settled                 // nothing was sent for ackAfter
	allSent                 // the session is closing and the lanes are empty
	streamGone              // the stream has ended
)

// next waits until there is something for the writer to do, and takes what
// there is to send.
func (st *stream) next(settle <-chan time.Time) ([]byte, event) {
	if b := st.take(nil); b != nil {
		return b, woken
	}
	control, bulk, closing := st.b.control, st.b.bulk, st.b.closing
	var acked <-chan time.Time
	switch ok, wait := st.b.sm.room(st.patience); {
	case st.isClosing():
		return nil, allSent
	case !ok:
		control, bulk = nil, nil
		timer := time.NewTimer(wait)
		defer timer.Stop()
		acked = timer.C
	}
	select {
	case <-st.ctx.Done():
		return nil, streamGone
	case b := <-control:
		return st.take(b), woken
	case b := <-bulk:
		return st.take(b), woken
	case <-settle:
		return nil, settled
	case <-st.b.sm.wake:
	case <-acked:
	case <-closing:
	}
	return nil, woken
}

// take joins what waits in the lanes to first, control before bulk, up to a
// batch and to what may be sent without an acknowledgement.
func (st *stream) take(first []byte) []byte {
	b := slices.Clip(first) // a queued slice is not ours to grow
	if first != nil {
		st.b.sm.push(first)
	}
	for len(b) < writeBatch && st.mayTake() {
		var more []byte
		select {
		case more = <-st.b.control:
		default:
			select {
			case more = <-st.b.bulk:
			default:
				return b
			}
		}
		st.b.sm.push(more)
		if b == nil {
			b = slices.Clip(more)
		} else {
			b = append(b, more...)
		}
	}
	return b
}

// mayTake reports whether the lanes may be emptied further. At the end all that
// waits is sent, which the lanes bound.
func (st *stream) mayTake() bool {
	if st.ctx.Err() != nil {
		return false // what is in the lanes may go by the next stream
	}
	ok, _ := st.b.sm.room(st.patience)
	return ok || st.isClosing()
}

func (st *stream) isClosing() bool {
	select {
	case <-st.b.closing:
		return true
	default:
		return false
	}
}

// encode turns a stanza into bytes for the stream.
func encode(el *xmltree.Element) ([]byte, error) {
	b := el.Append(nil, gstanza.NSClient)
	if len(b) > maxSent {
		return nil, fmt.Errorf("send <%s/> of %d bytes: %w", el.Name.Local, len(b), ErrStanzaTooBig)
	}
	return b, nil
}
