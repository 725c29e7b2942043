package main

import (
	"context"
	"fmt"

	"jetsend/internal/xmpptest/pair"
)

// observe takes note of an event as it comes.
func (r *round) observe(a *actor, e pair.Event) {
	if still := e.Event == "progress" && e.Bytes == a.bytes; !still {
		r.story.add(a.name, "%s", e.Line)
	}
	a.bytes = e.Bytes
	r.check(a, e)
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.waiting[:0]
	for _, w := range r.waiting {
		if w.end == a.end && w.event == e.Event {
			close(w.said)
		} else {
			rest = append(rest, w)
		}
	}
	r.waiting = rest
	switch e.Event {
	case "negotiated":
		r.id[a.end] = e.Transfer // of a set, that of an argument, which is as good
		if a.end == sender {
			r.sessions++ // for each argument
		}
	case "resumed":
		if a.end == sender {
			r.resumed += e.Offset
		}
	case "sent":
		r.told[e.Name] = true
		r.sent = r.goods == nil || len(r.told) == len(r.goods.names)
	}
}

// listen returns a channel that is closed when the event of the moment comes.
func (r *round) listen(m moment) <-chan struct{} {
	w := waiter{m.end, m.event, make(chan struct{})}
	if m.event != "" {
		r.mu.Lock()
		r.waiting = append(r.waiting, w)
		r.mu.Unlock()
	}
	return w.said
}

// blame notes what is wrong.
func (r *round) blame(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.story.add("WRONG", "%s", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, text)
	if r.abandon != nil {
		r.abandon(errAbandoned)
	}
}

func (r *round) setAbandon(f context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandon = f
}

func (r *round) count(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
}

func (r *round) circumstances() circumstances {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := circumstances{fired: map[kind]bool{}, beside: r.front != nil && r.daemons[r.front.end] != nil}
	for k := range r.fired {
		c.fired[k] = true
	}
	return c
}
