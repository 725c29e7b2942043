package transfer

import (
	"context"
	"sync"

	"jetsend/internal/jid"
)

const (
	// maxRunning bounds the transfers that run at once: each costs buffers,
	// sockets and a share of the disk.
	maxRunning = 16
	// maxRunningContact bounds those of one contact, so that somebody who lets
	// his files trickle does not take all places. The files of a batch come one
	// by one, but several senders of a contact may be at work.
	maxRunningContact = 4
	// maxHooksWaiting bounds the hooks that wait for a place, whose files are there
	// already. As long as so many do, no transfer begins.
	maxHooksWaiting = 256
)

// places are those of running transfers. The zero value has all of them free.
type places struct {
	mu    sync.Mutex
	all   int
	of    map[jid.JID]int
	hooks int           // that wait
	freed chan struct{} // closed when there may be a place again; nil while nobody waits
}

// enterHook waits for a place for a hook. The hooks together are treated like a
// contact.
func (p *places) enterHook(ctx context.Context) error {
	p.mu.Lock()
	p.hooks++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hooks--
		p.tell()
	}()
	return p.wait(ctx, jid.JID{})
}

// wait waits for a place for a session of the contact, until ctx ends.
func (p *places) wait(ctx context.Context, bare jid.JID) error {
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
func (p *places) take(bare jid.JID) (freed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= maxRunning || p.of[bare] >= maxRunningContact || !bare.IsZero() && p.hooks >= maxHooksWaiting {
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

// leave gives a place of the contact back.
func (p *places) leave(bare jid.JID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.of[bare]--; p.of[bare] == 0 {
		delete(p.of, bare)
	}
	p.tell()
}

// tell has those who wait look again. The caller holds p.mu.
func (p *places) tell() {
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}
