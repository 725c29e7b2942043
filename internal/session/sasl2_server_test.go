package session

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// sasl2Server starts a Prosody with XEP-0388.
func sasl2Server(t *testing.T) *xmpptest.Server {
	t.Helper()
	if _, err := os.Stat(filepath.Join(xmpptest.CommunityModules, "mod_sasl2")); testing.Short() || err != nil {
		t.Skip("needs Prosody and Debian's prosody-modules")
	}
	return xmpptest.Start(t, xmpptest.Options{
		NoProxy: true, SASL2: true, Mutual: true,
		Accounts: []xmpptest.Account{{User: "romeo", Password: "pw"}, {User: "juliet", Password: "pw"}},
	})
}

// TestServerSASL2 logs in to a real server by XEP-0388, with the binding in the
// same breath, and resumes a stream.
func TestServerSASL2(t *testing.T) {
	srv := sasl2Server(t)
	relay := xmpptest.StartRelay(t, srv.Addr, xmpptest.RelayOptions{})
	var log safeBuffer
	setup := func(s *Session) {
		s.log, s.cfg.UserAgent, s.cfg.Resource = log.logger(), "d4565fa7-4d72-4749-b3d3-740edbf87770", "r"
	}
	s, states := resident(t, srv, "juliet", relay.Addr, setup)
	if !strings.HasPrefix(s.JID().Resource(), "r"+OtherResource) || !s.Management().Enabled {
		t.Errorf("%s, %+v", s.JID(), s.Management())
	}
	was := s.JID()
	relay.Cut()
	expect(t, states, State{Up: true})
	if s.JID() != was {
		t.Errorf("%s after %s", s.JID(), was)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.IQ(ctx, was.Bare(), stanza.Get, xmltree.New(nsDiscoInfo, "query")); err != nil {
		t.Error(err)
	}
	text := log.String()
	if strings.Contains(text, "urn:ietf:params:xml:ns:xmpp-bind'><resource") || !strings.Contains(text, "<authenticate") || strings.Contains(text, "d4565fa7") {
		t.Error(text)
	}
	t.Log(strings.Count(text, "msg=send"), "sent", strings.Count(text, "msg=receive"), "received")
}
