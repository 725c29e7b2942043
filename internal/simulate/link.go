package simulate

import (
	"slices"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// kind is the kind of a packet.
type kind int

const (
	request   kind = iota // an iq of type get or set
	answer                // its result, or its error
	message               // with its children
	presence              // available, or of typ
	published             // what somebody published: node and item
	farewell              // the end of a stream
)

// packet is a stanza on its way.
type packet struct {
	kind     kind
	from, to jid.JID
	id, typ  string
	el       *xmltree.Element // payload
	children []*xmltree.Element
	err      *stanza.Error // of an answer
	// ask is what the server does for a request that is to itself.
	ask  func() (*xmltree.Element, *stanza.Error)
	node string // of what is published
	done chan struct{}
}

// maxRecent is how many packets of a stream its server may still hold when it is lost,
// although they arrived.
const maxRecent = 4

// link is one direction of a stream: packets arrive late, in order, and not at all while
// it is stalled.
type link struct {
	handle func(packet)
	delay  func() time.Duration

	mu      sync.Mutex
	queue   []packet
	due     []time.Time
	recent  []packet
	stalled bool
	stopped bool
	wake    chan struct{}
}

func newLink(delay func() time.Duration, handle func(packet)) *link {
	return &link{handle: handle, delay: delay, wake: make(chan struct{}, 1)}
}

// push sends a packet; one that comes too late is lost.
func (l *link) push(p packet) {
	at := time.Now().Add(l.delay())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	if n := len(l.due); n > 0 && at.Before(l.due[n-1]) {
		at = l.due[n-1]
	}
	l.queue, l.due = append(l.queue, p), append(l.due, at)
	l.poke()
}

// poke has run look again. l.mu is held.
func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// stall holds everything up, or lets it go on.
func (l *link) stall(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = is
	l.poke()
}

// stop ends the link, and returns what had not arrived and the last of what had.
func (l *link) stop() (left, recent []packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	left, recent = l.queue, l.recent
	l.queue, l.due, l.recent = nil, nil, nil
	l.poke()
	return left, recent
}

// run hands packets over until the link is stopped.
func (l *link) run() {
	for {
		p, wait, ok := l.next()
		switch {
		case ok:
			l.handle(p)
		case wait < 0:
			return
		case wait == 0:
			<-l.wake
		default:
			late := time.NewTimer(wait)
			select {
			case <-late.C:
			case <-l.wake:
			}
			late.Stop()
		}
	}
}

// next takes the packet that has arrived. Without one it says how long that takes: 0
// when nothing is on the way, less when the link is stopped.
func (l *link) next() (p packet, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return p, -1, false
	case l.stalled || len(l.queue) == 0:
		return p, 0, false
	}
	if wait := time.Until(l.due[0]); wait > 0 {
		return p, wait, false
	}
	p = l.queue[0]
	l.queue, l.due = l.queue[1:], l.due[1:]
	l.recent = append(l.recent, p)
	if len(l.recent) > maxRecent {
		l.recent = slices.Delete(l.recent, 0, 1)
	}
	return p, 0, true
}
