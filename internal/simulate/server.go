package simulate

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// server is an XMPP server with its accounts, all of which are contacts of each other.
type server struct {
	links sync.WaitGroup

	mu    sync.Mutex
	homes map[jid.JID]*home
	// pass sees each request that is not to the server, and may have another one sent.
	pass func(*packet) *packet
}

// home is an account at the server.
type home struct {
	jid   jid.JID
	nodes map[string]*xmltree.Element // what is published: the last item of each node
	lines map[string]*line            // by resource
}

// line is a stream of an account, as the server sees it.
type line struct {
	full     jid.JID
	home     *home
	up, down *link
	notify   []string // nodes that it wants to be told of
	shown    *packet  // its presence, when it is available
}

func newServer(accounts ...jid.JID) *server {
	s := &server{homes: map[jid.JID]*home{}}
	for _, a := range accounts {
		s.homes[a] = &home{jid: a, nodes: map[string]*xmltree.Element{}, lines: map[string]*line{}}
	}
	return s
}

// login binds a resource. The client that had it before is gone.
func (s *server) login(full jid.JID, delay func(up bool) func() time.Duration, notify []string, receive func(packet)) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.homes[full.Bare()]
	if old := h.lines[full.Resource()]; old != nil {
		s.dropLocked(old, nil)
	}
	l := &line{full: full, home: h, notify: notify}
	l.down = newLink(delay(false), receive)
	l.up = newLink(delay(true), func(p packet) { s.take(l, p) })
	h.lines[full.Resource()] = l
	s.links.Go(l.up.run)
	s.links.Go(l.down.run)
	return l
}

// drop ends a stream that is lost. Requests that did not arrive, or as far as the server
// knows did not, are answered with an error where bounced says so.
func (s *server) drop(l *line, bounced func(n int, arrived bool) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(l, bounced)
}

func (s *server) dropLocked(l *line, bounced func(n int, arrived bool) bool) {
	if l.home.lines[l.full.Resource()] != l {
		return
	}
	delete(l.home.lines, l.full.Resource())
	l.up.stop()
	left, recent := l.down.stop()
	for n, p := range recent {
		if bounced != nil && bounced(n, true) {
			s.bounce(p)
		}
	}
	for n, p := range left {
		if bounced == nil || bounced(n, false) {
			s.bounce(p)
		}
	}
	if l.shown != nil {
		s.broadcast(l, packet{kind: presence, from: l.full, typ: "unavailable"})
	}
}

// bounce answers a request for somebody who is not there.
func (s *server) bounce(p packet) {
	if p.kind == request {
		s.deliver(packet{kind: answer, from: p.to, to: p.from, id: p.id, err: stanza.NewError(stanza.ServiceUnavailable)})
	}
}

// take takes a packet of a stream.
func (s *server) take(l *line, p packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.home.lines[l.full.Resource()] != l {
		return
	}
	p.from = l.full
	switch {
	case p.kind == farewell:
		s.dropLocked(l, nil)
		close(p.done)
	case p.kind == presence:
		s.show(l, p)
	case p.kind == request && p.to.IsBare():
		a := packet{kind: answer, from: p.to, to: l.full, id: p.id, err: stanza.NewError(stanza.ServiceUnavailable)}
		if p.ask != nil {
			a.el, a.err = p.ask()
		}
		l.down.push(a)
	default:
		var more *packet
		if p.kind == request && s.pass != nil {
			more = s.pass(&p)
		}
		s.deliver(p)
		if more != nil {
			s.deliver(*more)
		}
	}
}

// deliver sends a packet to a resource.
func (s *server) deliver(p packet) {
	h := s.homes[p.to.Bare()]
	if h == nil {
		s.bounce(p)
		return
	}
	to := h.lines[p.to.Resource()]
	if to == nil {
		s.bounce(p)
		return
	}
	to.down.push(p)
}

// show takes the presence of a stream: the others are told of it, and it of them.
func (s *server) show(l *line, p packet) {
	first := l.shown == nil
	l.shown = &p
	s.broadcast(l, p)
	if !first {
		return
	}
	for _, o := range s.others(l) {
		l.down.push(*o.shown)
	}
	for _, h := range s.sorted() {
		for _, node := range slices.Sorted(maps.Keys(h.nodes)) {
			s.tell(l, h, node, h.nodes[node])
		}
	}
}

// others are the streams that are available, but for one.
func (s *server) others(l *line) (all []*line) {
	for _, h := range s.sorted() {
		for _, r := range slices.Sorted(maps.Keys(h.lines)) {
			if o := h.lines[r]; o != l && o.shown != nil {
				all = append(all, o)
			}
		}
	}
	return all
}

// sorted are the accounts in an order that is always the same.
func (s *server) sorted() []*home {
	return slices.SortedFunc(maps.Values(s.homes), func(a, b *home) int { return strings.Compare(a.jid.String(), b.jid.String()) })
}

func (s *server) broadcast(l *line, p packet) {
	for _, o := range s.others(l) {
		o.down.push(p)
	}
}

// publish keeps an item and tells of it.
func (s *server) publish(owner jid.JID, node, id string, payload *xmltree.Element) {
	h := s.homes[owner]
	item := xmltree.New("", "item", payload.Clone()).Set("id", id)
	h.nodes[node] = item
	for _, l := range s.others(nil) {
		s.tell(l, h, node, item)
	}
}

// tell tells a stream of an item, if it wants to know.
func (s *server) tell(l *line, of *home, node string, item *xmltree.Element) {
	if slices.Contains(l.notify, node+"+notify") {
		l.down.push(packet{kind: published, from: of.jid, to: l.full, node: node, el: item.Clone()})
	}
}

// items are what is published at a node.
func (s *server) items(owner jid.JID, node string) (*xmltree.Element, *stanza.Error) {
	h := s.homes[owner]
	if h == nil || h.nodes[node] == nil {
		return nil, stanza.NewError(stanza.ItemNotFound)
	}
	return xmltree.New("", "items", h.nodes[node].Clone()), nil
}

// close ends all streams.
func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.sorted() {
		for _, l := range h.lines {
			s.dropLocked(l, nil)
		}
	}
}
