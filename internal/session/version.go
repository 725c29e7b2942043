package session

import (
	"context"
	"time"

	"jetsend/internal/xmltree"
)

// nsRosterVersion is the feature of servers that send of a roster only what has changed
// (RFC 6121 section 2.6).
const nsRosterVersion = "urn:xmpp:features:rosterver"

const (
	// knownRoster is by what name the roster is known, rosterAge for how long.
	knownRoster = "roster"
	rosterAge   = 90 * 24 * time.Hour
	// keepTime bounds the writing of it: what is not kept is asked for.
	keepTime = 2 * time.Second
	// maxRosterVersion bounds the version that a server gives, in bytes.
	maxRosterVersion = 256
)

// version is how a roster is kept from login to login. The server says which version it
// is, and is told at the next login: then it sends the whole list, or nothing and after
// that each change.
type version struct {
	looked  bool   // whether there is one of an earlier session
	offered bool   // the server knows versions, as far as we know
	whole   bool   // the items are a list, and not only what has changed of an unknown one
	have    string // the version of the items; "" is none
	asked   string // what we said we have
	changed bool   // since it was kept
}

// is notes that the server has given the items a version.
func (v *version) is(ver string) {
	if len(ver) > maxRosterVersion {
		ver = ""
	}
	v.have, v.changed = ver, true
}

// rosterRequest asks for the roster, or for what has changed of it.
func (s *Session) rosterRequest(ctx context.Context) *xmltree.Element {
	s.knownRoster(ctx)
	q := xmltree.New(nsRoster, "query")
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	v := &s.roster.version
	v.asked = ""
	if v.offered {
		if v.asked = v.have; !v.whole {
			v.asked = ""
		}
		q.Set("ver", v.asked)
	}
	return q
}

// knownRoster takes, once, the roster of an earlier session. It counts when the server has
// said that it is still the one.
func (s *Session) knownRoster(ctx context.Context) {
	r := &s.roster
	r.mu.Lock()
	looked := r.version.looked
	r.version.looked = true
	r.mu.Unlock()
	if looked || s.cfg.Known == nil || s.cfg.ByPassword { // who looks at an account takes nothing for known
		return
	}
	text, ok := s.cfg.Known.Get(ctx, knownRoster, rosterAge)
	if !ok {
		return
	}
	q, err := xmltree.Parse(text)
	if err != nil || !q.Is(nsRoster, "query") {
		return
	}
	r.set(q)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.version.offered, r.version.changed = false, true, false
}

// keepRoster has the next session know the roster, if the server knows versions.
func (s *Session) keepRoster(ctx context.Context, offered bool) {
	r := &s.roster
	r.mu.Lock()
	was := r.version
	r.version.offered, r.version.changed = offered, false
	text := []byte{} // of no list
	if offered && r.version.whole {
		text = r.query().Bytes()
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	if s.cfg.Known != nil && (was.offered != offered || offered && was.changed) {
		s.cfg.Known.Put(ctx, knownRoster, text)
	}
}

// query is the roster as a server would send it. The caller holds r.mu.
func (r *roster) query() *xmltree.Element {
	q := xmltree.New(nsRoster, "query").Set("ver", r.version.have)
	for _, it := range r.items {
		el := xmltree.New(nsRoster, "item").Set("jid", it.JID.String()).Set("subscription", it.Subscription)
		if it.Name != "" {
			el.Set("name", it.Name)
		}
		if it.Ask {
			el.Set("ask", "subscribe")
		}
		for _, g := range it.Groups {
			el.Add(xmltree.New(nsRoster, "group").SetText(g))
		}
		q.Add(el)
	}
	return q
}
