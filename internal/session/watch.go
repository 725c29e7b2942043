package session

import (
	"context"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// wallClock notices that the machine has slept. Timers stand still meanwhile,
// or go on, depending on the system; the clock on the wall always goes on.
type wallClock struct {
	now  func() time.Time // without a monotonic reading
	last time.Time
}

// jumped is called at every tick, and reports whether it came far too late.
func (c *wallClock) jumped(tick time.Duration) bool {
	now := c.now()
	late := now.Sub(c.last) - tick
	c.last = now
	return late > wakeJump
}

// watch asks a silent server for a sign of life, at once when the machine has
// slept, and ends the stream of one that gives none. It returns when the
// stream has ended, with its goroutines, and says why.
func (s *Session) watch(st *stream) error {
	every := min(s.tick, s.idle, s.patient)
	tick := time.NewTicker(every)
	defer tick.Stop()
	clock := wallClock{now: s.wall, last: s.wall()}
	var (
		due   time.Time // when the sign of life must have come; zero: none is waited for
		heard int64
	)
	for {
		select {
		case <-st.ctx.Done():
			st.wg.Wait()
			return context.Cause(st.ctx)
		case <-tick.C:
		}
		slept, latest := clock.jumped(every), st.t.lastRead.Load()
		patience := s.patient
		if slept {
			patience = min(patience, wakePatience)
		}
		switch {
		case !due.IsZero() && latest != heard && !slept:
			due = time.Time{}
		case !due.IsZero() && !slept:
			if !time.Now().Before(due) {
				st.fail(ErrSilent)
			}
		case slept || st.t.silence() >= s.idle:
			due, heard = time.Now().Add(patience), latest
			s.probe(st)
		}
	}
}

// probe asks the server for a sign of life: for an acknowledgement (XEP-0198
// section 4), or with a ping (XEP-0199 section 4.2). Any byte will do, so
// nobody waits for the answer.
func (s *Session) probe(st *stream) {
	if st.b.sm.request() {
		return
	}
	el := newIQ(jid.JID{}, stanza.Get, newID(), xmltree.New(nsPing, "ping"))
	b, err := encode(el)
	if err != nil {
		return
	}
	s.trace("send", el)
	select {
	case st.b.control <- b:
	default: // a full lane means that the writer is stuck, which silence will show
	}
}
