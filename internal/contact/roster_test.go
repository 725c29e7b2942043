package contact_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"jetsend/internal/contact"
	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// server is an account whose server holds a list of contacts. A change that an account
// makes comes to be with the next ping, as with a server that is slow.
type server struct {
	items    []session.RosterItem
	requests []jid.JID
	keeps    bool // pre-approvals
	sent     []string
	late     func()
}

func (s *server) JID() jid.JID { return jid.MustParse("juliet@jet.test/x") }

func (s *server) IQ(_ context.Context, to jid.JID, _ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error) {
	if to != jid.MustParse("jet.test") || payload.Name.Local != "ping" {
		return nil, errors.New("not a ping of the server")
	}
	if s.late != nil {
		s.late()
	}
	s.late = nil
	return nil, stanza.NewError(stanza.ServiceUnavailable) // an answer all the same
}

func (s *server) Roster(context.Context) ([]session.RosterItem, error) { return s.items, nil }
func (s *server) RefreshRoster(context.Context) error                  { return nil }
func (s *server) SubscriptionRequests() []jid.JID                      { return s.requests }
func (s *server) PreApproves() bool                                    { return s.keeps }

func (s *server) Subscription(bare jid.JID) string {
	for _, it := range s.items {
		if it.JID == bare {
			return it.Subscription
		}
	}
	return "none"
}

func (s *server) NameContact(_ context.Context, _ jid.JID, name string) error {
	s.sent = append(s.sent, "name "+name)
	return nil
}

func (s *server) Subscribe(context.Context, jid.JID) error {
	s.sent = append(s.sent, "subscribe")
	return nil
}

func (s *server) Approve(_ context.Context, from jid.JID) error {
	s.sent = append(s.sent, "approve")
	s.late = func() {
		if i := slices.Index(s.requests, from); i >= 0 {
			s.items = append(s.items, session.RosterItem{JID: from, Subscription: "from"})
		}
	}
	return nil
}

func (s *server) Refuse(context.Context, jid.JID) error {
	s.sent = append(s.sent, "refuse")
	return nil
}

func (s *server) RemoveContact(_ context.Context, of jid.JID) error {
	s.sent = append(s.sent, "remove")
	if s.Subscription(of) == "none" {
		return stanza.NewError(stanza.ItemNotFound)
	}
	return nil
}

var (
	romeo   = jid.MustParse("romeo@jet.test")
	tybalt  = jid.MustParse("tybalt@jet.test")
	friends = []session.RosterItem{{JID: romeo, Name: "Romeo", Subscription: "both", Ask: true}}
)

// TestRosterList: those who ask are listed, too, also when the server says so late.
func TestRosterList(t *testing.T) {
	s := &server{items: friends}
	s.late = func() { s.requests = []jid.JID{romeo, tybalt} }
	got, err := contact.Roster{Account: s}.List(t.Context())
	want := []contact.Entry{
		{JID: romeo, Name: "Romeo", Subscription: "both", Asked: true, Asks: true},
		{JID: tybalt, Subscription: "none", Asks: true},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRosterApprove: whether a contact has asked shows in what comes of the approval.
func TestRosterApprove(t *testing.T) {
	for name, tt := range map[string]struct {
		server server
		sees   bool
		err    error
	}{
		"asked":           {server{requests: []jid.JID{tybalt}}, true, nil},
		"will ask":        {server{keeps: true}, false, nil},
		"nobody keeps it": {server{}, false, contact.ErrNotAsked},
	} {
		sees, err := contact.Roster{Account: &tt.server}.Approve(t.Context(), tybalt)
		if sees != tt.sees || !errors.Is(err, tt.err) {
			t.Errorf("%s: %t, %v", name, sees, err)
		}
	}
}

// TestRosterRemove: an account that may have asked without being a contact is refused.
func TestRosterRemove(t *testing.T) {
	for name, tt := range map[string]struct {
		server server
		sent   []string
		err    error
	}{
		"a contact":          {server{items: []session.RosterItem{{JID: tybalt, Subscription: "both"}}}, []string{"remove"}, nil},
		"a contact who asks": {server{items: []session.RosterItem{{JID: tybalt, Subscription: "to"}}, requests: []jid.JID{tybalt}}, []string{"refuse", "remove"}, nil},
		"a stranger, asking": {server{requests: []jid.JID{tybalt}}, []string{"refuse", "remove"}, nil},
		"a stranger":         {server{}, []string{"refuse", "remove"}, contact.ErrNotListed},
	} {
		err := contact.Roster{Account: &tt.server}.Remove(t.Context(), tybalt)
		if !errors.Is(err, tt.err) || !slices.Equal(tt.server.sent, tt.sent) {
			t.Errorf("%s: %q, %v", name, tt.server.sent, err)
		}
	}
}
