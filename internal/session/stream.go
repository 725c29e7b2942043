package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// priority is a lane of the writer.
type priority int

// The lanes: bulk waits while there is control.
const (
	controlPriority priority = iota // requests, answers, presence, messages
	bulkPriority                    // file data
)

// stream is one negotiated TCP connection: what a Session loses when the
// network breaks.
type stream struct {
	t       *transport
	control chan []byte
	bulk    chan []byte
	drain   chan struct{} // closed: send what waits, then the end of the stream
	once    sync.Once     // closes drain

	ctx  context.Context // ended by fail
	fail context.CancelCauseFunc
	wg   sync.WaitGroup // reader and writer
}

func newStream(t *transport) *stream {
	st := &stream{
		t:       t,
		control: make(chan []byte, controlLane),
		bulk:    make(chan []byte, bulkLane),
		drain:   make(chan struct{}),
	}
	st.ctx, st.fail = context.WithCancelCause(context.Background())
	return st
}

// run starts reader and writer. handle is given every frame, in order, on the
// reader; an error from it ends the stream.
func (st *stream) run(handle func(frame) error) {
	st.wg.Go(func() {
		defer st.t.ReceivedStreamClose()
		for {
			f, err := st.t.next()
			if err == nil {
				err = handle(f)
			}
			if errors.Is(err, ErrStreamEnd) {
				// Answer, so that the server need not wait, then let go.
				st.t.ReceivedStreamClose()
				_ = st.t.Close()
			}
			if err != nil {
				st.fail(err)
				return
			}
		}
	})
	st.wg.Go(func() {
		if err := st.write(); err != nil {
			st.fail(err)
		}
	})
	// Whoever calls fail unblocks both by it.
	st.wg.Go(func() {
		<-st.ctx.Done()
		_ = st.t.abort()
	})
}

// close ends the stream in an orderly way, in at most 250 ms, and waits.
func (st *stream) close() {
	st.t.lastWords()
	st.once.Do(func() { close(st.drain) })
	wait := time.NewTimer(closeWrite + closeWait)
	defer wait.Stop()
	select {
	case <-st.ctx.Done(): // by the reader, at the peer's end of stream
	case <-wait.C:
	}
	st.fail(ErrClosed)
	st.wg.Wait()
}

// queue hands bytes to the writer. It waits while the lane is full.
func (st *stream) queue(ctx context.Context, b []byte, p priority) error {
	lane := st.control
	if p == bulkPriority {
		lane = st.bulk
	}
	select {
	case <-st.ctx.Done():
		return lost(context.Cause(st.ctx))
	case <-st.drain:
		return lost(ErrClosed)
	default:
	}
	select {
	case lane <- b:
		return nil
	case <-st.ctx.Done():
		return lost(context.Cause(st.ctx))
	case <-st.drain:
		return lost(ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("queue stanza: %w", context.Cause(ctx))
	}
}

// lost makes cause an ErrSessionLost.
func lost(cause error) error {
	if cause == nil || errors.Is(cause, ErrSessionLost) {
		return ErrSessionLost
	}
	return fmt.Errorf("%w: %w", ErrSessionLost, cause)
}

// write sends the lanes until the stream ends.
func (st *stream) write() error {
	for {
		b, ok := st.take()
		if !ok {
			return nil
		}
		if b == nil { // drained
			return st.t.endStream()
		}
		if _, err := st.t.Write(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

// take waits for something to send and joins what else waits, control first.
// It returns nil when the stream is to be ended and nothing is left.
func (st *stream) take() ([]byte, bool) {
	var b []byte
	select {
	case b = <-st.control:
	default:
		select {
		case <-st.ctx.Done():
			return nil, false
		case b = <-st.control:
		case b = <-st.bulk:
		case <-st.drain:
		}
	}
	for joined := false; len(b) < writeBatch; {
		var more []byte
		select {
		case more = <-st.control:
		default:
			select {
			case more = <-st.bulk:
			default:
				return b, true
			}
		}
		if !joined { // a queued slice is not ours to grow
			b = append(make([]byte, 0, len(b)+len(more)+writeBatch), b...)
			joined = true
		}
		b = append(b, more...)
	}
	return b, true
}

// encode turns a stanza into bytes for the stream.
func encode(el *xmltree.Element) ([]byte, error) {
	b := el.Append(nil, gstanza.NSClient)
	if len(b) > maxStanza {
		return nil, fmt.Errorf("send <%s/> of %d bytes: %w", el.Name.Local, len(b), ErrStanzaTooBig)
	}
	return b, nil
}
