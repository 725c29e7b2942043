package session

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The types of presence used here (RFC 6121 section 4.7.1); "" is available.
const (
	typeUnavailable  = "unavailable"
	typeSubscribe    = "subscribe"
	typeSubscribed   = "subscribed"
	typeUnsubscribe  = "unsubscribe"
	typeUnsubscribed = "unsubscribed"
)

// nsPreApproval is the stream feature of RFC 6121 section 3.4.
const nsPreApproval = "urn:xmpp:features:pre-approval"

// Resource is a device that is online.
type Resource struct {
	JID      jid.JID
	Priority int
	Show     string // "", away, chat, dnd or xa
	Caps     Caps
	Seen     time.Time // of its latest presence
	// Arrival differs from what it was when the device has come anew since: after
	// it was gone, or with other capabilities.
	Arrival uint64
}

// Caps is the annotation of XEP-0115 in a presence. It is the sender's claim.
type Caps struct {
	Hash, Node, Ver string
}

// presenceCache is who is online, as far as we were told.
type presenceCache struct {
	mu       sync.Mutex
	byBare   map[jid.JID]map[string]Resource
	count    int
	arrivals uint64        // so far, of anybody
	changed  chan struct{} // closed at the next change
	requests []jid.JID     // bare JIDs that asked for a subscription
	now      func() time.Time
}

func (c *presenceCache) init() {
	c.byBare = map[jid.JID]map[string]Resource{}
	c.changed = make(chan struct{})
	c.now = time.Now
}

// initialPresence is what makes us available (RFC 6121 section 4.2).
func (s *Session) initialPresence() *xmltree.Element {
	return xmltree.New(gstanza.NSClient, "presence",
		xmltree.New(gstanza.NSClient, "priority").SetText(strconv.Itoa(int(s.cfg.Priority))),
		s.caps.Load().element(),
	)
}

// gotPresence runs on the dispatcher.
func (s *Session) gotPresence(p stanza.Presence) {
	if p.From == s.JID() {
		return // the server's reflection of our own
	}
	s.presence.take(p, s.roster.has)
	s.handlers.mu.RLock()
	fs := slices.Clone(s.handlers.presence)
	s.handlers.mu.RUnlock()
	for _, f := range fs {
		s.guard("presence", func() { f(s.ctx, p) })
	}
}

// take brings the cache up to date. known tells who is in the roster.
func (c *presenceCache) take(p stanza.Presence, known func(jid.JID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bare := p.From.Bare()
	switch p.Type {
	case "":
		if p.From.IsBare() {
			return
		}
		c.put(p, known)
	case typeUnavailable, typeError:
		switch {
		case !p.From.IsBare():
			c.drop(bare, p.From.Resource())
		case p.Type == typeError:
			// Of our own presence, which one device did not get: Prosody answers so for
			// each that a stream had not acknowledged when it was given up. It says
			// nothing about the others.
			return
		default:
			c.count -= len(c.byBare[bare])
			delete(c.byBare, bare)
		}
	case typeSubscribe:
		if slices.Contains(c.requests, bare) || len(c.requests) >= maxRequests {
			return
		}
		c.requests = append(c.requests, bare)
	case typeUnsubscribe:
		c.forgetRequest(bare)
	default:
		return
	}
	c.tell()
}

// tell wakes who waits for a change. c.mu is held.
func (c *presenceCache) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// reset forgets everybody: after a new login the server tells anew.
func (c *presenceCache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byBare, c.count, c.requests = map[jid.JID]map[string]Resource{}, 0, nil
	c.tell()
}

// wake has those who wait for a change look again.
func (c *presenceCache) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell()
}

func (c *presenceCache) put(p stanza.Presence, known func(jid.JID) bool) {
	bare := p.From.Bare()
	m := c.byBare[bare]
	old, have := m[p.From.Resource()]
	if !have && len(m) >= maxPerContact {
		return
	}
	if !have && c.count >= maxResources && !c.evict(known) {
		return
	}
	if m = c.byBare[bare]; m == nil {
		m = map[string]Resource{}
		c.byBare[bare] = m
	}
	if !have {
		c.count++
	}
	r := parseResource(p, c.now())
	if r.Arrival = old.Arrival; !have || r.Caps != old.Caps {
		c.arrivals++
		r.Arrival = c.arrivals
	}
	m[p.From.Resource()] = r
}

// evict makes room by forgetting a device of somebody who is not in the
// roster: of some taken at random the one not heard of for longest.
func (c *presenceCache) evict(known func(jid.JID) bool) bool {
	var oldest Resource
	left := evictSample
	for bare, m := range c.byBare {
		if left <= 0 {
			break
		}
		if known(bare) {
			continue
		}
		for _, r := range m {
			left--
			if oldest.JID.IsZero() || r.Seen.Before(oldest.Seen) {
				oldest = r
			}
		}
	}
	if oldest.JID.IsZero() {
		return false
	}
	c.drop(oldest.JID.Bare(), oldest.JID.Resource())
	return true
}

func (c *presenceCache) drop(bare jid.JID, resource string) {
	m := c.byBare[bare]
	if _, ok := m[resource]; !ok {
		return
	}
	delete(m, resource)
	c.count--
	if len(m) == 0 {
		delete(c.byBare, bare)
	}
}

func (c *presenceCache) forgetRequest(bare jid.JID) {
	c.requests = slices.DeleteFunc(c.requests, func(j jid.JID) bool { return j == bare })
}

// parseResource reads what is of interest; anything odd counts as absent.
func parseResource(p stanza.Presence, now time.Time) Resource {
	el := &xmltree.Element{Children: p.Children}
	r := Resource{JID: p.From, Seen: now}
	if n, err := strconv.ParseInt(el.ChildText(gstanza.NSClient, "priority"), 10, 8); err == nil {
		r.Priority = int(n)
	}
	switch show := el.ChildText(gstanza.NSClient, "show"); show {
	case "away", "chat", "dnd", "xa":
		r.Show = show
	}
	if c := el.Child(nsCaps, "c"); c != nil {
		caps := Caps{Hash: c.Attr("hash"), Node: c.Attr("node"), Ver: c.Attr("ver")}
		if max(len(caps.Hash), len(caps.Node), len(caps.Ver)) <= maxCapsString {
			// Copies, so that the cache does not hold the whole stanza.
			r.Caps = Caps{strings.Clone(caps.Hash), strings.Clone(caps.Node), strings.Clone(caps.Ver)}
		}
	}
	return r
}

// Resources returns the devices of a contact that are online, best first:
// highest priority, then latest seen, then lowest address. For our own account
// they are the others.
func (s *Session) Resources(bare jid.JID) []Resource {
	c := &s.presence
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Resource
	for _, r := range c.byBare[bare.Bare()] {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Resource) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		if n := b.Seen.Compare(a.Seen); n != 0 {
			return n
		}
		return strings.Compare(a.JID.String(), b.JID.String())
	})
	return out
}

// PresenceChanged returns a channel that is closed when the presence of anyone
// changes, a subscription request arrives, or a stream is lost or up again.
// Take it before looking, then wait on it.
func (s *Session) PresenceChanged() <-chan struct{} {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	return s.presence.changed
}

// SubscriptionRequests returns who asks to see when we are online, in the
// order of asking. The server repeats them after every login, just after the
// initial presence, so they may come a little after Start.
func (s *Session) SubscriptionRequests() []jid.JID {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	return slices.Clone(s.presence.requests)
}

// Subscribe asks a contact to let us see when it is online.
func (s *Session) Subscribe(ctx context.Context, contact jid.JID) error {
	return s.directed(ctx, contact, typeSubscribe)
}

// SubscribeWith is Subscribe with something for the contact's clients in it. Servers may drop
// that, most of all while the contact is away.
func (s *Session) SubscribeWith(ctx context.Context, contact jid.JID, children ...*xmltree.Element) error {
	return s.directed(ctx, contact, typeSubscribe, children...)
}

// Greet shows all clients of somebody that are online that we are, and something more, whether
// they may see us otherwise or not (RFC 6121 sections 4.6 and 8.5.2.1.2).
func (s *Session) Greet(ctx context.Context, who jid.JID, children ...*xmltree.Element) error {
	el := s.initialPresence().Set("to", who.Bare().String()).Add(children...)
	return s.send(ctx, el, controlPriority)
}

// PreApproves reports whether the server takes an approval before the request.
func (s *Session) PreApproves() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead
}

// Approve lets a contact see when we are online, whether it has asked already
// or, with [Session.PreApproves], not yet.
func (s *Session) Approve(ctx context.Context, contact jid.JID) error {
	return s.directed(ctx, contact, typeSubscribed)
}

// Refuse denies a request, or ends a subscription that the contact had.
func (s *Session) Refuse(ctx context.Context, contact jid.JID) error {
	return s.directed(ctx, contact, typeUnsubscribed)
}

// Unsubscribe ends our own subscription.
func (s *Session) Unsubscribe(ctx context.Context, contact jid.JID) error {
	return s.directed(ctx, contact, typeUnsubscribe)
}

func (s *Session) directed(ctx context.Context, contact jid.JID, typ string, children ...*xmltree.Element) error {
	el := xmltree.New(gstanza.NSClient, "presence", children...).Set("to", contact.Bare().String()).Set("type", typ)
	if err := s.send(ctx, el, controlPriority); err != nil {
		return err
	}
	if typ == typeSubscribed || typ == typeUnsubscribed {
		s.presence.mu.Lock()
		defer s.presence.mu.Unlock()
		s.presence.forgetRequest(contact.Bare())
	}
	return nil
}
