package session

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// sasl2Server starts a Prosody with XEP-0388.
func sasl2Server(t *testing.T, o xmpptest.Options) *xmpptest.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	o.Software, o.NoProxy, o.Mutual = xmpptest.ProsodySASL2, true, true
	o.Accounts = []xmpptest.Account{{User: "romeo", Password: "pw"}, {User: "juliet", Password: "pw"}}
	return xmpptest.Start(t, o)
}

// memory keeps a token where a state file would.
type memory struct {
	mu   sync.Mutex
	t    *Token
	kept []*Token
}

func (m *memory) Take(context.Context) (t *Token, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, m.t = m.t, nil
	return t, nil
}

func (m *memory) Keep(_ context.Context, t *Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t = t
	m.kept = append(m.kept, t)
	return nil
}

func (m *memory) all() []*Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*Token(nil), m.kept...)
}

const agentID = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// TestServerSASL2 logs in to a real server by XEP-0388, with the binding in the
// same breath, and resumes a stream.
func TestServerSASL2(t *testing.T) {
	srv := sasl2Server(t, xmpptest.Options{})
	relay := xmpptest.StartRelay(t, srv.Addr, xmpptest.RelayOptions{})
	var log safeBuffer
	setup := func(s *Session) {
		s.log, s.cfg.UserAgent, s.cfg.Resource = log.logger(), agentID, "r"
	}
	s, states := resident(t, srv, "juliet", relay.Addr, setup)
	if !strings.HasPrefix(s.JID().Resource(), "r"+OtherResource) || !s.Management().Enabled || s.Careful() {
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
	if strings.Contains(text, "urn:ietf:params:xml:ns:xmpp-bind'><resource") || !strings.Contains(text, "<authenticate") || strings.Contains(text, agentID) {
		t.Error(text)
	}
}

// TestServerFAST logs in to a real server by tokens, each used once, without a password;
// one that the server no longer takes costs nothing but the time; the last one is revoked.
func TestServerFAST(t *testing.T) {
	srv := sasl2Server(t, xmpptest.Options{})
	var log safeBuffer
	asked, kept := 0, &memory{}
	setup := func(s *Session) {
		s.log, s.cfg.UserAgent, s.cfg.Resource, s.cfg.Tokens = log.logger(), agentID, newID(), kept
		s.cfg.Password = func(context.Context) (string, error) { asked++; return "pw", nil }
	}
	login := func() *Session {
		s, _ := resident(t, srv, "juliet", srv.Addr, setup)
		if s.Mechanism() != "SCRAM-SHA-256" || s.Careful() {
			t.Error(s.Mechanism(), s.Careful())
		}
		return s
	}
	for range 3 {
		closeSession(t, login())
	}
	all := kept.all()
	if asked != 1 || len(all) != 3 || all[0].Secret == all[1].Secret || all[1].Secret == all[2].Secret {
		t.Errorf("asked %d times for the password, %d tokens", asked, len(all))
	}
	// One that was used up, as after a state file that was put back.
	_ = kept.Keep(t.Context(), all[0])
	closeSession(t, login())
	if asked != 2 {
		t.Errorf("asked %d times for the password", asked)
	}
	text := log.String()
	for _, k := range kept.all() {
		if strings.Contains(text, k.Secret) {
			t.Error("a token in the log")
		}
	}
	cfg := login().cfg // by the password: after a refusal no token is asked for
	if err := Revoke(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	last := kept.all()[len(kept.all())-1]
	_ = kept.Keep(t.Context(), last)
	closeSession(t, login())
	if asked != 4 {
		t.Errorf("a revoked token was taken: asked %d times for the password", asked)
	}
}

// TestServerMute: a server that does not answer when asked for everything at once is asked
// for one thing at a time, and that is remembered.
func TestServerMute(t *testing.T) {
	srv := sasl2Server(t, xmpptest.Options{Mute: true})
	s, _ := resident(t, srv, "juliet", srv.Addr, func(s *Session) { s.answerMax = time.Second })
	if !s.Careful() || !s.Management().Enabled {
		t.Error(s.Careful(), s.Management())
	}
	closeSession(t, s)
	s, _ = resident(t, srv, "juliet", srv.Addr, func(s *Session) { s.careful, s.answerMax = true, time.Nanosecond })
	if !s.Careful() || !s.Management().Enabled {
		t.Error(s.Careful(), s.Management())
	}
}
