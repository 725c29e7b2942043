package session

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// learnt is what a state file would keep.
type learnt struct {
	mu sync.Mutex
	m  map[string]string
}

func (l *learnt) Get(_ context.Context, name string, _ time.Duration) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.m[name]
	return []byte(v), ok
}

func (l *learnt) Put(_ context.Context, name string, value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[string]string{}
	}
	l.m[name] = string(value)
}

// versioned is a server that knows versions of the roster, or does not; answer is what it
// says to the request, which asked is told of.
func versioned(offers bool, answer string, asked *xmltree.Element) *fake {
	f := &fake{rosterVersion: offers}
	f.script = map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		iq := c.hear()
		*asked = *iq.Child(nsRoster, "query")
		c.say("<iq type='result' id='" + iq.Attr("id") + "'>" + answer + "</iq>")
		return c.hear() == nil // the presence
	}}
	return f
}

// TestRosterVersion: a roster is kept with its version, and counts at the next login when
// the server says that it is still the one; else the one that the server sends counts.
func TestRosterVersion(t *testing.T) {
	const (
		romeo = "<query xmlns='jabber:iq:roster' ver='7'><item jid='romeo@jet.test' name='R &amp; co' ask='subscribe' subscription='both'><group>x</group></item></query>"
		other = "<query xmlns='jabber:iq:roster' ver='8'><item jid='mercutio@jet.test' subscription='to'/></query>"
	)
	ask := func(l *learnt, offers bool, answer string) (s *Session, ver string, has bool) {
		var q xmltree.Element
		s = versioned(offers, answer, &q).start(t).online(t, func(s *Session) { s.cfg.Known = l })
		ver, has = q.LookupAttr("ver")
		return s, ver, has
	}
	l := &learnt{}
	if _, _, has := ask(l, true, romeo); has {
		t.Error("asked for a version before the server offered any")
	}
	s, ver, _ := ask(l, true, "")
	got, err := s.Roster(testContext(t))
	want := RosterItem{JID: jid.MustParse("romeo@jet.test"), Name: "R & co", Subscription: "both", Ask: true, Groups: []string{"x"}}
	if ver != "7" || err != nil || len(got) != 1 || got[0].JID != want.JID || got[0].Name != want.Name || !got[0].Ask || got[0].Groups[0] != "x" {
		t.Errorf("%q %+v %v", ver, got, err)
	}
	s, ver, _ = ask(l, true, other)
	if ver != "7" || s.Subscription(want.JID) != "" || s.Subscription(jid.MustParse("mercutio@jet.test")) != "to" {
		t.Error(ver, s.roster.items)
	}
	if _, ver, _ = ask(l, false, other); ver != "8" {
		t.Error(ver)
	}
	if s, _, has := ask(l, true, ""); has || s.Subscription(jid.MustParse("mercutio@jet.test")) != "" {
		t.Error("of a server that no longer offered it")
	}
	for name, text := range map[string]string{"damaged": "<query", "something else": "<a/>"} {
		l.m[knownRoster] = text
		if _, _, has := ask(l, true, romeo); has {
			t.Error(name)
		}
	}
	l.m[knownRoster] = strings.Replace(romeo, "'7'", "''", 1)
	if s, ver, has := ask(l, true, ""); !has || ver != "" || s.Subscription(want.JID) != "" {
		t.Error("without a version", ver, has)
	}
}

// TestRosterVersionRefused: a roster of before does not count when the server gives none.
func TestRosterVersionRefused(t *testing.T) {
	l := &learnt{m: map[string]string{knownRoster: "<query xmlns='jabber:iq:roster' ver='7'><item jid='romeo@jet.test' subscription='both'/></query>"}}
	f := &fake{script: map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		c.say("<iq type='error' id='" + c.hear().Attr("id") + "'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		return c.hear() == nil
	}}}
	s := f.start(t).online(t, func(s *Session) { s.cfg.Known = l })
	if got := s.Subscription(jid.MustParse("romeo@jet.test")); got != "" {
		t.Error(got)
	}
}

// TestServerRosterVersion: with real servers what changed while we were away, and while
// we were there, is known; and of what did not change nothing is sent.
func TestServerRosterVersion(t *testing.T) {
	srv := realServer(t)
	l := &learnt{}
	var log safeBuffer
	login := func() *Session {
		s, _ := resident(t, srv, "juliet", srv.Addr, func(s *Session) { s.cfg.Known, s.cfg.Resource, s.log = l, newID(), log.logger() })
		return s
	}
	ctx := testContext(t)
	for i, name := range []string{"one", "two", "three"} {
		s := login()
		if i > 0 {
			if items, err := s.Roster(ctx); err != nil || len(items) != 1 || items[0].Subscription != "both" {
				t.Errorf("%+v %v", items, err)
			}
		}
		if err := s.NameContact(ctx, jid.MustParse(srv.JID("romeo")), name); err != nil {
			t.Fatal(err)
		}
		if _, err := s.IQ(ctx, jid.JID{}, stanza.Get, xmltree.New(nsDiscoInfo, "query")); err != nil { // the push has come
			t.Fatal(err)
		}
		closeSession(t, s)
		s = login()
		items, err := s.Roster(ctx)
		if err != nil || len(items) != 1 || items[0].Name != name {
			t.Errorf("%+v %v, want %s", items, err, name)
		}
		closeSession(t, s)
	}
	if n := strings.Count(log.String(), "<query xmlns='jabber:iq:roster' ver='"); n == 0 {
		t.Error("no version was asked for")
	}
}

// TestRosterVersionPushed: a change of a list that was not given is no list.
func TestRosterVersionPushed(t *testing.T) {
	l := &learnt{}
	f := &fake{rosterVersion: true, script: map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		c.say("<iq type='error' id='" + c.hear().Attr("id") + "'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		return c.hear() == nil
	}}}
	f.session = func(c *fakeConn) {
		c.say("<iq type='set' id='p'><query xmlns='jabber:iq:roster' ver='9'><item jid='romeo@jet.test' subscription='both'/></query></iq>")
		c.idle()
	}
	s := f.start(t).online(t, func(s *Session) { s.cfg.Known = l })
	if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, xmltree.New(nsDiscoInfo, "query")); err != nil {
		t.Error(err)
	}
	closeSession(t, s)
	if got := l.m[knownRoster]; got != "" {
		t.Error(got)
	}
}

// TestKnownCaps: capabilities that an earlier session has verified are not asked for again,
// and what is kept is no longer than what the hash is of allows for.
func TestKnownCaps(t *testing.T) {
	l := &learnt{}
	info := &DiscoInfo{Identities: []Identity{{Category: "client", Type: "pc", Name: "x"}}, Features: []string{"urn:f"}}
	ver := hashCaps(verification(info))
	romeo := jid.MustParse("romeo@jet.test/a")
	ask := func(junk string) (asked int) {
		f := &fake{}
		f.session = func(c *fakeConn) {
			c.say("<presence from='romeo@jet.test/a'><c xmlns='" + nsCaps + "' hash='sha-1' node='n' ver='" + ver + "'/></presence>")
			for el := c.hear(); el != nil; el = c.hear() {
				if el.Child(nsDiscoInfo, "query") != nil {
					asked++
					c.say("<iq type='result' id='" + el.Attr("id") + "' from='romeo@jet.test/a'><query xmlns='" + nsDiscoInfo + "'><identity category='client' type='pc' name='x'/><feature var='urn:f'/>" + junk + "</query></iq>")
				}
			}
		}
		s := f.start(t).online(t, func(s *Session) { s.cfg.Known = l })
		waitFor(t, s, func() bool { return len(s.Resources(romeo.Bare())) == 1 })
		if d, err := s.DiscoInfo(testContext(t), romeo, ""); err != nil || !d.Has("urn:f") {
			t.Error(d, err)
		}
		closeSession(t, s)
		return asked
	}
	if n := ask("<junk>" + strings.Repeat("x", 2*maxCapsEntry) + "</junk>"); n != 1 || len(l.m) != 0 {
		t.Error(n, len(l.m))
	}
	if a, b := ask(""), ask(""); a != 1 || b != 0 {
		t.Error(a, b)
	}
	for name := range l.m {
		l.m[name] = strings.Replace(l.m[name], "urn:f", "urn:lie", 1)
	}
	if n := ask(""); n != 1 {
		t.Error("what does not match its hash was taken")
	}
}
