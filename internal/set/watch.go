package set

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// ErrSilent says that the other end, which owes an answer, has said nothing but that it is
// alive for too long.
var ErrSilent = errors.New("the other end makes no progress")

// watch ends a session: with ctx, when nothing gets on, or with the error of one of its
// halves. It wakes the other half.
type watch struct {
	out   *speaker
	limit time.Duration
	timer *time.Timer // nil: no limit
	stop  func() bool // of the end of ctx
	ended func(error) // nil, or told of the cause

	mu    sync.Mutex
	cause error
}

func newWatch(ctx context.Context, out *speaker, limit time.Duration, ended func(error)) *watch {
	w := &watch{out: out, limit: limit, ended: ended}
	w.stop = context.AfterFunc(ctx, func() { w.end(context.Cause(ctx)) })
	if limit > 0 {
		w.timer = time.AfterFunc(limit, func() { w.end(ErrSilent) })
	}
	return w
}

// progress says that something got on.
func (w *watch) progress() { w.atMost(w.limit) }

// atMost ends the session, unless something gets on, after so long.
func (w *watch) atMost(limit time.Duration) {
	if w.timer != nil {
		w.timer.Reset(limit)
	}
}

// hear takes what the other end says, until that is over.
func (w *watch) hear(r *Reader, over func() bool, take func(Message) error) error {
	for {
		m, err := r.Read()
		if errors.Is(err, io.EOF) && over() {
			return nil
		}
		if err != nil {
			return ended(err)
		}
		if m == Message(Alive{}) {
			continue
		}
		w.progress()
		if err := take(m); err != nil {
			return err
		}
	}
}

// ended is the error of a link whose end has not said that it is done.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// end ends the session because of err, unless it has ended.
func (w *watch) end(err error) {
	w.mu.Lock()
	first := w.cause == nil && err != nil
	if first {
		w.cause = err
	}
	w.mu.Unlock()
	if first {
		w.out.fail(err)
		_ = w.out.link.Close()
		if w.ended != nil {
			w.ended(err)
		}
	}
}

// close ends the watching, and returns why the session has ended, nil if it has not.
func (w *watch) close() error {
	w.stop()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// bell wakes the half of a session that speaks.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default: // it looks anyway
	}
}
