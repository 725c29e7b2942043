package transfer

import (
	"context"
	"sync"
)

// sendingAtOnce bounds the sessions of one `send`: enough that the line is not
// idle while one file is being agreed on or confirmed, and few enough that one
// large file gets most of it.
const sendingAtOnce = 3

// queue lets one session of a `send` at a time look for its path: a person is asked
// about one file after the other, and both ends may have one port to listen on. The
// files begin in their order.
type queue struct {
	token chan struct{}   // there when nobody has the turn
	last  <-chan struct{} // closed when the file that was added last has begun, or will not
}

func newQueue() *queue {
	q := &queue{token: make(chan struct{}, 1)}
	q.token <- struct{}{}
	return q
}

// join is the turn of the next file.
func (q *queue) join() *turn {
	begun := make(chan struct{})
	own := &turn{token: q.token, before: q.last, begin: sync.OnceFunc(func() { close(begun) })}
	q.last = begun
	return own
}

// turn is that of one file, in each of its sessions.
type turn struct {
	token  chan struct{}
	before <-chan struct{} // closed when the file before it has begun; nil for the first
	begin  func()          // the file begins, or will not
}

// take waits for the turn of a session. The result ends it, and may be called
// again. A nil turn is always one's own.
func (t *turn) take(ctx context.Context) (end func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	if t.before != nil {
		select {
		case <-t.before:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	select {
	case <-t.token:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	t.begin()
	return sync.OnceFunc(func() { t.token <- struct{}{} }), nil
}
