package transfer

import (
	"context"
	"sync"

	"jetsend/internal/jid"
)

const (
	// maxErrands bounds what waits of one contact's: somebody whose server does not
	// answer what we have to ask keeps each waiting for choreTime.
	maxErrands = 16
	// maxAllErrands bounds what waits of all of them.
	maxAllErrands = 128
)

// errands are the chores that those on the account's list give us. Each contact has
// a goroutine for them, as long as there are some: what we have to do for ourselves,
// and for others, waits for nobody else's server. The zero value takes none.
type errands struct {
	mu    sync.Mutex
	do    func(ctx context.Context, c chore) // does one
	ctx   context.Context                    // that they all end with; nil before begin
	of    map[jid.JID][]chore                // the first is being done
	all   int
	tasks sync.WaitGroup
}

// begin takes errands until end.
func (s *errands) begin(ctx context.Context, do func(context.Context, chore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.do, s.of = ctx, do, map[jid.JID][]chore{}
}

// end waits for those that are being done, after their context has ended, and takes
// no more.
func (s *errands) end() {
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	s.tasks.Wait()
}

// add takes an errand, unless there are too many.
func (s *errands) add(of jid.JID, c chore) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.of[of]
	if s.ctx == nil || len(waiting) >= maxErrands || s.all >= maxAllErrands {
		return false
	}
	s.of[of] = append(waiting, c)
	s.all++
	if len(waiting) == 0 {
		ctx := s.ctx
		s.tasks.Go(func() { s.run(ctx, of, c) })
	}
	return true
}

// run does the errands of a contact until there are none.
func (s *errands) run(ctx context.Context, of jid.JID, c chore) {
	for more := true; more; {
		if ctx.Err() == nil {
			s.do(ctx, c)
		}
		c, more = s.next(of)
	}
}

// next takes the first errand of a contact off the list and returns the one after it.
func (s *errands) next(of jid.JID) (c chore, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	rest := s.of[of][1:]
	if len(rest) == 0 {
		delete(s.of, of)
		return c, false
	}
	s.of[of] = rest
	return rest[0], true
}

// errand takes a chore that somebody on the account's list gives us. What does not
// fit is no news for the log, which he could fill.
func (e *Endpoint) errand(of jid.JID, what string, f func(context.Context) error) {
	if !e.errands.add(of.Bare(), chore{what, f}) {
		e.log.Debug("too much to do at once, left out", "what", what, "of", of)
	}
}
