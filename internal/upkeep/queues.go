package upkeep

import (
	"context"
	"sync"

	"jetsend/internal/jid"
)

const (
	// maxChores bounds what waits of our own.
	maxChores = 128
	// maxErrands bounds what waits of one contact's: somebody whose server does not
	// answer what we have to ask keeps each waiting for choreTime.
	maxErrands = 16
	// maxAllErrands bounds what waits of all of them.
	maxAllErrands = 128
)

// task is a piece of work.
type task struct {
	what string // for the log
	do   func(context.Context) error
}

// ours is whose our own work is.
var ours jid.JID

// queues hold work, one for each that it is done for. Each has a goroutine, as long as
// there is some. The zero value takes none.
type queues struct {
	mu      sync.Mutex
	do      func(context.Context, task) // does one
	ctx     context.Context             // that they all end with; nil before begin and after end
	stop    context.CancelFunc
	of      map[jid.JID][]task // the first is being done
	errands int                // those of all contacts
	tasks   sync.WaitGroup
}

// begin takes work until end, or until ctx ends.
func (q *queues) begin(ctx context.Context, do func(context.Context, task)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ctx, q.stop = context.WithCancel(ctx)
	q.do, q.of = do, map[jid.JID][]task{}
}

// end ends what is being done, waits for it, and takes no more.
func (q *queues) end() {
	q.mu.Lock()
	if q.ctx != nil {
		q.stop()
		q.ctx = nil
	}
	q.mu.Unlock()
	q.tasks.Wait()
}

// add takes a task, unless there are too many.
func (q *queues) add(of jid.JID, t task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.of[of]
	switch {
	case q.ctx == nil:
		return false
	case of == ours:
		if len(waiting) >= maxChores {
			return false
		}
	case len(waiting) >= maxErrands || q.errands >= maxAllErrands:
		return false
	default:
		q.errands++
	}
	q.of[of] = append(waiting, t)
	if len(waiting) == 0 {
		ctx := q.ctx
		q.tasks.Go(func() { q.run(ctx, of, t) })
	}
	return true
}

// run does the work of one until there is none.
func (q *queues) run(ctx context.Context, of jid.JID, t task) {
	for more := true; more; {
		if ctx.Err() == nil {
			q.do(ctx, t)
		}
		t, more = q.next(of)
	}
}

// next takes the first task off a queue and returns the one after it.
func (q *queues) next(of jid.JID) (t task, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if of != ours {
		q.errands--
	}
	rest := q.of[of][1:]
	if len(rest) == 0 {
		delete(q.of, of)
		return t, false
	}
	q.of[of] = rest
	return rest[0], true
}
