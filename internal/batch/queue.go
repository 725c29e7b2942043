package batch

import (
	"context"
	"sync"
)

// Queue lets one session of a `send` at a time look for its path: a person is asked
// about one file after the other, and both ends may have one port to listen on. The
// files begin in their order.
type Queue struct {
	token chan struct{}   // there when nobody has the turn
	last  <-chan struct{} // closed when the file that was added last has begun, or will not
}

// NewQueue is an empty one.
func NewQueue() *Queue {
	q := &Queue{token: make(chan struct{}, 1)}
	q.token <- struct{}{}
	return q
}

// Join is the turn of the next file.
func (q *Queue) Join() *Turn {
	begun := make(chan struct{})
	own := &Turn{token: q.token, before: q.last, Begin: sync.OnceFunc(func() { close(begun) })}
	q.last = begun
	return own
}

// Turn is that of one file, in each of its sessions.
type Turn struct {
	token  chan struct{}
	before <-chan struct{} // closed when the file before it has begun; nil for the first
	// Begin notes that the file begins, or will not: the next one may. It may be called
	// again.
	Begin func()
}

// Take waits for the turn of a session. The result ends it, and may be called
// again. The error is the cause of the end of ctx. A nil turn is always one's own.
func (t *Turn) Take(ctx context.Context) (end func(), err error) {
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
	t.Begin()
	return sync.OnceFunc(func() { t.token <- struct{}{} }), nil
}
