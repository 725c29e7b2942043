package main

import (
	"fmt"
	"slices"

	"jetsend/internal/xmpptest/pair"
)

// The exit codes that the contract has and this program expects.
const (
	codeDone        = 0
	codeUnreachable = 5
	codeOffline     = 6
	codeDeclined    = 8
	codeIntegrity   = 10
	codeInterrupted = 11
	codeLocal       = 12
	codeInt         = 130
	codeTerm        = 143
	codeKilled      = -1
)

// circumstances is what has happened in a round so far, as far as it excuses an
// exit code.
type circumstances struct {
	fired  map[kind]bool // in this round
	beside bool          // two processes of one account work on the transfer
}

// any reports whether one of the kinds has happened.
func (c circumstances) any(kinds ...kind) bool {
	return slices.ContainsFunc(kinds, func(k kind) bool { return c.fired[k] })
}

// allowed reports whether a process may end with a code. silent is one that has not
// said anything.
func allowed(a *actor, code int, silent bool, c circumstances) bool {
	away := c.any(killServer, cutStream, stallStream)
	if c.fired[cutPath] || c.fired[flipPath] || c.fired[refusePath] || c.fired[stallPath] {
		// With in-band bytestreams the path is the stream.
		away = true
	}
	switch code {
	case codeDone:
		return a.role == command || a.wasStruck(terminate)
	case codeKilled: // by a signal, if only because it did not handle them yet
		return a.wasStruck(kill) || silent && (a.wasStruck(terminate) || a.wasStruck(interrupt))
	case codeInt:
		return a.wasStruck(interrupt)
	case codeTerm:
		return a.role == command && a.wasStruck(terminate)
	case codeUnreachable:
		return away
	case codeInterrupted:
		return len(c.fired) > 0 && (a.role == command || away)
	}
	if a.role == daemon {
		return false
	}
	switch code {
	case codeOffline, codeDeclined: // the other end was away, stopped, or not done with a session that we lost
		return len(c.fired) > 0
	case codeIntegrity:
		return c.fired[flipPath]
	case codeLocal: // another process of ours is at it
		return c.beside
	}
	return false
}

// last is the last event of a kind, nil when there is none.
func last(events []pair.Event, kind string) *pair.Event {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Event == kind {
			return &events[i]
		}
	}
	return nil
}

// judgeEnd says what is wrong with the end of a process, given what it said.
func judgeEnd(a *actor, code int, events []pair.Event, c circumstances) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !allowed(a, code, len(events) == 0, c) {
		wrong("exit code %d is not allowed here", code)
	}
	ends, more := judgeTerminals(a, code, events)
	problems = append(problems, more...)
	failed, negotiated := last(events, "failed"), last(events, "negotiated") != nil
	if a.role != command || code == codeKilled {
		return problems
	}
	switch {
	case failed != nil && failed.Code != code:
		wrong("exit code %d, but the failed event says %d", code, failed.Code)
	case failed == nil && code != codeDone:
		wrong("exit code %d without a failed event", code)
	case failed != nil && negotiated && slices.Contains([]int{codeInterrupted, codeInt, codeTerm}, code) && !failed.Resumable:
		wrong("interrupted with %d, but not resumable", code)
	case code == codeDone && ends == 0 && a.isSend():
		wrong("exit code 0, but nothing was sent")
	}
	return problems
}

// judgeTerminals says what is wrong with the terminal events: a command has exactly one for
// each transfer that it speaks of, and it is the last about that.
func judgeTerminals(a *actor, code int, events []pair.Event) (ends int, problems []string) {
	if a.role != command {
		return 0, nil
	}
	over := map[string]string{} // transfer -> terminal event
	for _, e := range events {
		key := e.Transfer + " " + e.Direction
		if before := over[key]; before != "" {
			problems = append(problems, fmt.Sprintf("%s after the terminal %s of its transfer", e.Event, before))
		}
		if slices.Contains([]string{"sent", "received", "failed"}, e.Event) {
			over[key] = e.Event
		}
	}
	ends = len(over)
	for _, e := range events {
		if key := e.Transfer + " " + e.Direction; e.Transfer != "" && over[key] == "" && code != codeKilled {
			problems = append(problems, fmt.Sprintf("no terminal event of the transfer of %s", e.Line))
			over[key] = "missing"
		}
	}
	return ends, problems
}

// isSend tells a send, which must send something, from a resume, which may find
// nothing to do.
func (a *actor) isSend() bool { return a.way == bySend || a.way == byAgain }

// check looks at one event as it comes, with the download directory as it is.
func (r *round) check(a *actor, e pair.Event) {
	switch e.Event {
	case "garbage":
		r.blame("%s wrote something that is no event: %s", a.name, e.Line)
	case "progress":
		if e.Bytes > e.Size || e.Set == "" && e.Size != r.plan.size || e.SetBytes > e.SetSize || e.SetSize > r.plan.size {
			r.blame("%s: progress %d of %d, %d of %d", a.name, e.Bytes, e.Size, e.SetBytes, e.SetSize)
		}
	case "resumed":
		if e.Offset > r.plan.size {
			r.blame("%s: resumed at %d of %d", a.name, e.Offset, r.plan.size)
		}
	case "failed":
		if a.role == daemon && r.wasComplete(a, e) {
			r.blame("%s says failed with %d after the transfer was complete", a.name, e.Code)
		}
	case "sent":
		r.checkDone(a, e, sender)
		if !e.ByPeer {
			r.blame("%s says sent without the receiver's proof", a.name)
		}
	case "received":
		r.checkDone(a, e, receiver)
		if n := r.countReceived(a, e); n > 1 {
			r.blame("%s says received for the %d. time", a.name, n)
		}
	}
}

// checkDone looks at the good end of a transfer, which is for that end to say.
func (r *round) checkDone(a *actor, e pair.Event, is end) {
	r.noteComplete(a, e)
	if a.end != is {
		r.blame("%s says %s", a.name, e.Event)
	}
	switch {
	case r.goods != nil:
		if text := r.goods.missing(r.inbox, e.Name); text != "" {
			r.blame("%s says %s of %s, but %s", a.name, e.Event, e.Name, text)
		}
	case !r.released():
		r.blame("%s says %s, but the file is not there", a.name, e.Event)
	}
}

// countReceived counts how often a process says that it received a file: each of them
// speaks of its own end.
func (r *round) countReceived(a *actor, e pair.Event) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received[a.name+" "+e.Transfer]++
	return r.received[a.name+" "+e.Transfer]
}

// noteComplete remembers when an end of a transfer first said that it is complete.
func (r *round) noteComplete(a *actor, e pair.Event) {
	key := string(a.end) + " " + e.Transfer
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, said := r.complete[key]; !said || e.Time.Before(before) {
		r.complete[key] = e.Time
	}
}

// wasComplete reports whether a process of that end had said that the transfer is
// complete before the event. The journal, which they share, had it then.
func (r *round) wasComplete(a *actor, e pair.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, said := r.complete[string(a.end)+" "+e.Transfer]
	return said && e.Time.After(at)
}
