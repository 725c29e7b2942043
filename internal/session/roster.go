package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// nsRoster qualifies the contact list (RFC 6121 section 2).
const nsRoster = "jabber:iq:roster"

// RosterItem is a contact on the account's list.
type RosterItem struct {
	JID          jid.JID
	Name         string
	Subscription string // none, to, from or both
	Ask          bool   // our request to subscribe is not answered yet
	Groups       []string
}

// SeesUs reports whether a contact with such a subscription is told when we are online
// (RFC 6121, section 3).
func SeesUs(subscription string) bool { return subscription == "from" || subscription == "both" }

// roster mirrors the server's list.
type roster struct {
	awaited atomic.Pointer[string] // the id of the latest request for it

	mu     sync.Mutex
	loaded bool
	items  map[jid.JID]RosterItem
	err    error // why it could not be taken

	version version
}

// awaits reports whether an iq of that id answers our request for the list.
func (r *roster) awaits(id string) bool {
	awaited := r.awaited.Load()
	return awaited != nil && *awaited == id
}

// refuse notes that the list is one that cannot be taken: nobody is a contact then.
func (r *roster) refuse(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.items, r.loaded, r.version.whole = why, nil, false, false
}

func (r *roster) has(bare jid.JID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.items[bare]
	return ok
}

// set takes a whole list or, when nothing is answered, the one that we said we have.
func (r *roster) set(query *xmltree.Element) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.err = true, nil
	if query == nil && r.version.asked != "" {
		return
	}
	r.items, r.version.whole = map[jid.JID]RosterItem{}, true
	r.version.is(query.Attr("ver"))
	for _, el := range query.All(nsRoster, "item") {
		r.take(el)
	}
}

// take brings one item up to date.
func (r *roster) take(el *xmltree.Element) {
	j, err := jid.Parse(el.Attr("jid"))
	if err != nil {
		return
	}
	if el.Attr("subscription") == "remove" {
		delete(r.items, j)
		return
	}
	it := RosterItem{JID: j, Name: el.Attr("name"), Subscription: el.Attr("subscription"), Ask: el.Attr("ask") == "subscribe"}
	if it.Subscription == "" {
		it.Subscription = "none"
	}
	for _, g := range el.All(nsRoster, "group") {
		it.Groups = append(it.Groups, g.Text)
	}
	r.items[j] = it
}

// rosterPush takes a change that the server tells (RFC 6121 section 2.1.6).
// Nobody else may.
func (s *Session) rosterPush(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) {
	if iq.From != s.cfg.JID || iq.Type != stanza.Set {
		return nil, stanza.NewError(stanza.ServiceUnavailable)
	}
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	if s.roster.items == nil {
		s.roster.items = map[jid.JID]RosterItem{}
	}
	for _, el := range iq.Payload.All(nsRoster, "item") {
		s.roster.take(el)
	}
	s.roster.version.is(iq.Payload.Attr("ver"))
	return nil, nil
}

// beginRoster asks for the list, which is taken in on the reader: a push that
// comes after it must not be handled before it.
func (s *Session) beginRoster(ctx context.Context) (*wait, error) {
	id := newID()
	s.roster.awaited.Store(&id)
	return s.beginAs(ctx, id, jid.JID{}, stanza.Get, s.rosterRequest(ctx), s.roster.set)
}

// RosterError says why the account's list of contacts is not known although the server
// has answered, as when it is longer than maxRoster; nil when it is known, or when the
// account has none.
func (s *Session) RosterError() error {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	return s.roster.err
}

// RefreshRoster asks the server for the account's contacts, whatever is known of
// them: a push may not be handled yet when the answer to what came after it is.
func (s *Session) RefreshRoster(ctx context.Context) error {
	w, err := s.beginRoster(ctx)
	if err == nil {
		_, err = w.answer(ctx)
	}
	return rosterError(err)
}

// rosterError says what is too long when the answer is.
func rosterError(err error) error {
	if errors.Is(err, ErrStanzaTooBig) {
		return fmt.Errorf("the account's list of contacts: %w", err)
	}
	return err
}

// Subscription returns the state of the subscription with a contact as the
// roster has it: none, to, from or both; "" for somebody who is not on it. It
// does not wait for anything and may be called by handlers.
func (s *Session) Subscription(bare jid.JID) string {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	return s.roster.items[bare.Bare()].Subscription
}

// ContactAt reports whether a contact who sees us online has the account on that
// server, which then asks us for what its PEP service filters by (XEP-0163
// section 4.2). It does not wait for anything and may be called by handlers.
func (s *Session) ContactAt(domain string) bool {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	for j, it := range s.roster.items {
		if j.Domain() == domain && SeesUs(it.Subscription) {
			return true
		}
	}
	return false
}

// Roster returns the account's contacts, sorted by address. It asks the server
// only when the login did not.
func (s *Session) Roster(ctx context.Context) ([]RosterItem, error) {
	s.roster.mu.Lock()
	loaded := s.roster.loaded
	s.roster.mu.Unlock()
	if !loaded {
		if err := s.RefreshRoster(ctx); err != nil {
			return nil, err
		}
	}
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	out := make([]RosterItem, 0, len(s.roster.items))
	for _, it := range s.roster.items {
		out = append(out, it)
	}
	slices.SortFunc(out, func(a, b RosterItem) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	return out, nil
}

// NameContact gives a contact a name on the account's list, which it is put on where it
// is not. An item is set as a whole (RFC 6121 section 2.1.2.6), so its groups stay.
func (s *Session) NameContact(ctx context.Context, contact jid.JID, name string) error {
	s.roster.mu.Lock()
	groups, err := s.roster.items[contact.Bare()].Groups, s.roster.err
	s.roster.mu.Unlock()
	if err != nil {
		return err
	}
	item := xmltree.New(nsRoster, "item").Set("jid", contact.Bare().String()).Set("name", name)
	for _, g := range groups {
		item.Add(xmltree.New(nsRoster, "group").SetText(g))
	}
	_, err = s.IQ(ctx, jid.JID{}, stanza.Set, xmltree.New(nsRoster, "query", item))
	return err
}

// RemoveContact takes a contact off the list, which ends the subscriptions of
// both sides (RFC 6121 section 2.5).
func (s *Session) RemoveContact(ctx context.Context, contact jid.JID) error {
	item := xmltree.New(nsRoster, "item").Set("jid", contact.Bare().String()).Set("subscription", "remove")
	_, err := s.IQ(ctx, jid.JID{}, stanza.Set, xmltree.New(nsRoster, "query", item))
	return err
}
