package set

import (
	"context"
	"errors"
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
func (w *watch) progress() {
	if w.timer != nil {
		w.timer.Reset(w.limit)
	}
}

// atMost ends the session, unless something gets on, after so long.
func (w *watch) atMost(limit time.Duration) {
	if w.timer != nil {
		w.timer.Reset(limit)
	}
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
