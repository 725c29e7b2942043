// Package charge keeps the accounts of what contacts make a receiver do: how many of their
// transfers run, how many of their offers are looked at, what is read for them, what of
// theirs is kept, and how often the user is told of them. Each is bounded for each
// contact, so that one cannot take the share of the others. It knows contacts by their
// bare addresses and nothing of a session.
package charge

import (
	"context"
	"sync"

	"jetsend/internal/jid"
)

const (
	// MaxRunning bounds the transfers that run at once: each costs buffers,
	// sockets and a share of the disk.
	MaxRunning = 16
	// MaxRunningContact bounds those of one contact, so that somebody who lets
	// his files trickle does not take all places. The files of a batch come one
	// by one, but several senders of a contact may be at work.
	MaxRunningContact = 4
	// maxHooksWaiting bounds the hooks that wait for a place, whose files are there
	// already. As long as so many do, no transfer begins.
	maxHooksWaiting = 256
)

// Places are those of running transfers. The zero value has all of them free.
type Places struct {
	mu    sync.Mutex
	all   int
	of    map[jid.JID]int
	hooks int           // that wait
	freed chan struct{} // closed when there may be a place again; nil while nobody waits
	held  bool          // see Hold
}

// Hold keeps every place from being taken, until it is called with false. Who has one keeps
// it, and hooks are not held: what they are for is here.
func (p *Places) Hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = on
	p.tell()
}

// Held reports whether the places are.
func (p *Places) Held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// EnterHook waits for a place for a hook, until ctx ends. The hooks together are treated
// like a contact. [Places.LeaveHook] gives the place back.
func (p *Places) EnterHook(ctx context.Context) error {
	p.mu.Lock()
	p.hooks++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hooks--
		p.tell()
	}()
	return p.Enter(ctx, jid.JID{})
}

// Enter waits for a place for a session of the contact, until ctx ends: the error is its
// cause then. [Places.Leave] gives the place back.
func (p *Places) Enter(ctx context.Context, bare jid.JID) error {
	for {
		freed := p.take(bare)
		if freed == nil {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take takes a place. Without one it returns what is closed when to look again.
func (p *Places) take(bare jid.JID) (freed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= MaxRunning || p.of[bare] >= MaxRunningContact || !bare.IsZero() && (p.held || p.hooks >= maxHooksWaiting) {
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		return p.freed
	}
	if p.of == nil {
		p.of = map[jid.JID]int{}
	}
	p.all++
	p.of[bare]++
	return nil
}

// LeaveHook gives the place of a hook back.
func (p *Places) LeaveHook() { p.Leave(jid.JID{}) }

// Leave gives a place of the contact back.
func (p *Places) Leave(bare jid.JID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.of[bare]--; p.of[bare] == 0 {
		delete(p.of, bare)
	}
	p.tell()
}

// tell has those who wait look again. The caller holds p.mu.
func (p *Places) tell() {
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}
