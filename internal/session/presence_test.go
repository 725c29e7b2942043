package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// newCache returns a cache whose clock steps by a second.
func newCache() *presenceCache {
	c := &presenceCache{}
	c.init()
	now := time.Unix(1e9, 0)
	c.now = func() time.Time { now = now.Add(time.Second); return now }
	return c
}

func nobody(jid.JID) bool { return false }

func available(full string, children ...*xmltree.Element) stanza.Presence {
	return stanza.Presence{From: jid.MustParse(full), Children: children}
}

func text(local, s string) *xmltree.Element {
	return xmltree.New(gstanza.NSClient, local).SetText(s)
}

func TestPresenceCache(t *testing.T) {
	c := newCache()
	s := &Session{presence: presenceCache{}}
	list := func() []string {
		s.presence.byBare = c.byBare
		var out []string
		for _, r := range s.Resources(romeo) {
			out = append(out, r.JID.Resource())
		}
		return out
	}
	check := func(want ...string) {
		t.Helper()
		if d := cmp.Diff(want, list()); d != "" {
			t.Error(d)
		}
	}
	c.take(available("romeo@jet.test/a", text("priority", "5")), nobody)
	c.take(available("romeo@jet.test/b", text("priority", " -1 "), text("show", "dnd")), nobody)
	c.take(available("romeo@jet.test/c", text("priority", "500"), text("show", "evil")), nobody)
	c.take(available("romeo@jet.test/d"), nobody)
	c.take(available("romeo@jet.test"), nobody) // a bare JID is no device
	check("a", "d", "c", "b")
	got := c.byBare[romeo.Bare()]
	if got["b"].Priority != -1 || got["b"].Show != "dnd" || got["c"].Priority != 0 || got["c"].Show != "" {
		t.Errorf("%v", got)
	}
	c.take(available("romeo@jet.test/c"), nobody) // seen later than d now
	check("a", "c", "d", "b")
	p := available("romeo@jet.test/a")
	p.Type = typeUnavailable
	c.take(p, nobody)
	check("c", "d", "b")
	c.take(stanza.Presence{From: jid.MustParse("romeo@jet.test/b"), Type: typeError}, nobody)
	check("c", "d")
	p.From, p.Type = romeo.Bare(), typeError // one device did not get our presence; which, it does not say
	c.take(p, nobody)
	check("c", "d")
	p.Type = typeUnavailable
	c.take(p, nobody)
	check()
	if c.count != 0 {
		t.Errorf("count %d", c.count)
	}
}

// TestArrivals: a device that has come anew can be told from one that only says
// something new, however fast it was.
func TestArrivals(t *testing.T) {
	c := newCache()
	caps := func(ver string) *xmltree.Element {
		return xmltree.New(nsCaps, "c").Set("hash", "sha-1").Set("ver", ver)
	}
	away := available("romeo@jet.test/a")
	away.Type = typeUnavailable
	last := uint64(0)
	for _, tt := range []struct {
		what string
		ps   []stanza.Presence
		anew bool
	}{
		{"the first", []stanza.Presence{available("romeo@jet.test/a", caps("x"))}, true},
		{"the same", []stanza.Presence{available("romeo@jet.test/a", caps("x"))}, false},
		{"busy", []stanza.Presence{available("romeo@jet.test/a", caps("x"), text("show", "dnd"))}, false},
		{"other capabilities", []stanza.Presence{available("romeo@jet.test/a", caps("y"))}, true},
		{"gone and back", []stanza.Presence{away, available("romeo@jet.test/a", caps("y"))}, true},
		{"another device", []stanza.Presence{available("romeo@jet.test/b", caps("y"))}, false},
	} {
		for _, p := range tt.ps {
			c.take(p, nobody)
		}
		now := c.byBare[romeo.Bare()]["a"].Arrival
		if (now != last) != tt.anew {
			t.Errorf("%s: arrival %d after %d", tt.what, now, last)
		}
		last = now
	}
	c.reset()
	c.take(available("romeo@jet.test/a", caps("y")), nobody)
	if now := c.byBare[romeo.Bare()]["a"].Arrival; now == last {
		t.Error("after a login of our own it is the same arrival")
	}
}

func TestPresenceBounds(t *testing.T) {
	c := newCache()
	for i := range 2 * maxPerContact {
		c.take(available(fmt.Sprintf("romeo@jet.test/%d", i)), nobody)
	}
	if n := len(c.byBare[romeo.Bare()]); n != maxPerContact || c.count != n {
		t.Errorf("%d devices of one contact, count %d", n, c.count)
	}
	known := func(j jid.JID) bool { return j == romeo.Bare() }
	for i := range maxResources {
		c.take(available(fmt.Sprintf("s%d@evil.test/x", i)), known)
	}
	if c.count != maxResources || len(c.byBare[romeo.Bare()]) != maxPerContact {
		t.Errorf("count %d, %d of the contact", c.count, len(c.byBare[romeo.Bare()]))
	}
	if c.byBare[jid.MustParse(fmt.Sprintf("s%d@evil.test", maxResources-1))] == nil {
		t.Error("the latest is not in the cache")
	}
	all := func(jid.JID) bool { return true }
	c.take(available("late@evil.test/x"), all)
	if c.count != maxResources || c.byBare[jid.MustParse("late@evil.test")] != nil {
		t.Error("a full cache took one more")
	}
	for i := range 2 * maxRequests {
		c.take(stanza.Presence{From: jid.MustParse(fmt.Sprintf("s%d@evil.test", i)), Type: typeSubscribe}, nobody)
	}
	if len(c.requests) != maxRequests {
		t.Errorf("%d requests", len(c.requests))
	}
	caps := xmltree.New(nsCaps, "c").Set("hash", "sha-1").Set("ver", strings.Repeat("x", maxCapsString+1))
	if r := parseResource(available("a@b/c", caps), time.Now()); r.Caps != (Caps{}) {
		t.Error("huge caps were kept")
	}
}

// TestSubscriptions goes through a request, its approval and the requests of ours.
func TestSubscriptions(t *testing.T) {
	sent := make(chan string, 10)
	f := &fake{session: func(c *fakeConn) {
		c.say("<presence from='romeo@jet.test' type='subscribe'/><presence from='romeo@jet.test' type='subscribe'/>" +
			"<presence from='carol@jet.test/x' type='subscribe'/><presence from='dave@jet.test' type='subscribe'/><presence from='dave@jet.test' type='unsubscribe'/>" +
			"<presence from='romeo@jet.test' type='subscribed'/><presence from='juliet@jet.test/r'/><presence from='juliet@jet.test/other'/>")
		for el := c.hear(); el != nil; el = c.hear() {
			sent <- el.Attr("type") + " " + el.Attr("to")
		}
	}}
	seen := make(chan stanza.Presence, 20)
	s := f.start(t).online(t, func(s *Session) {
		s.HandlePresence(func(_ context.Context, p stanza.Presence) { seen <- p })
	})
	waitFor(t, s, func() bool { return len(s.Resources(self)) > 0 })
	if r := s.Resources(self); len(r) != 1 || r[0].JID.Resource() != "other" {
		t.Errorf("our other devices: %v", r)
	}
	want := []jid.JID{jid.MustParse("romeo@jet.test"), jid.MustParse("carol@jet.test")}
	if d := cmp.Diff(fmt.Sprint(want), fmt.Sprint(s.SubscriptionRequests())); d != "" {
		t.Error(d)
	}
	for range 7 {
		receive(t, seen)
	}
	ctx := testContext(t)
	for _, step := range []struct {
		do   func(context.Context, jid.JID) error
		want string
	}{
		{s.Approve, "subscribed romeo@jet.test"}, {s.Subscribe, "subscribe romeo@jet.test"},
		{s.Unsubscribe, "unsubscribe romeo@jet.test"}, {s.Refuse, "unsubscribed romeo@jet.test"},
	} {
		if err := step.do(ctx, romeo); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, sent); got != step.want {
			t.Errorf("sent %q, want %q", got, step.want)
		}
	}
	if got := s.SubscriptionRequests(); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

func TestInitialPresence(t *testing.T) {
	for priority, want := range map[int8]string{0: "-1", -5: "-5", 7: "7"} {
		cfg := Config{JID: self, Password: func(context.Context) (string, error) { return "", nil }, Priority: priority}
		p := New(cfg).initialPresence()
		if p.ChildText(gstanza.NSClient, "priority") != want || p.Child(nsCaps, "c").Attr("ver") == "" {
			t.Errorf("priority %d: %v", priority, p)
		}
	}
}

// TestRoster has pushes by the server and by an impostor.
func TestRoster(t *testing.T) {
	answers := make(chan *xmltree.Element, 4)
	removed := make(chan *xmltree.Element, 1)
	f := &fake{session: func(c *fakeConn) {
		for _, from := range []string{"", " from='juliet@jet.test'", " from='carol@jet.test/x'"} {
			c.say("<iq type='set' id='1'" + from + "><query xmlns='jabber:iq:roster'><item jid='new" + fmt.Sprint(len(from)) +
				"@jet.test' subscription='none' ask='subscribe'/></query></iq>")
			answers <- c.hear()
		}
		c.say("<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='romeo@jet.test' subscription='remove'/><item jid='@@'/></query></iq>")
		answers <- c.hear()
		iq := c.hear()
		removed <- iq
		c.say("<iq type='result' id='" + iq.Attr("id") + "'/>")
		c.idle()
	}}
	s := f.start(t).online(t)
	for i := range 4 {
		if el := receive(t, answers); (el.Attr("type") == typeError) != (i == 2) {
			t.Errorf("push %d: %v", i, el)
		}
	}
	got, err := s.Roster(testContext(t))
	want := []RosterItem{
		{JID: jid.MustParse("new0@jet.test"), Subscription: "none", Ask: true},
		{JID: jid.MustParse("new23@jet.test"), Subscription: "none", Ask: true},
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v %v", got, err)
	}
	for j, want := range map[string]string{"new0@jet.test/x": "none", "romeo@jet.test": ""} {
		if got := s.Subscription(jid.MustParse(j)); got != want {
			t.Errorf("subscription of %s: %q", j, got)
		}
	}
	if err := s.RemoveContact(testContext(t), romeo); err != nil {
		t.Error(err)
	}
	if it := receive(t, removed).Child("", "query").Child("", "item"); it.Attr("jid") != "romeo@jet.test" || it.Attr("subscription") != "remove" {
		t.Errorf("%v", it)
	}
}

// TestNameKeepsGroups: an item of the list is set as a whole, so a name goes with the
// groups that the server told of at the login, and is not set where those are unknown.
func TestNameKeepsGroups(t *testing.T) {
	set := make(chan *xmltree.Element, 1)
	f := &fake{script: map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		c.stanza("<iq type='result' id='" + c.hear().Attr("id") + "'><query xmlns='jabber:iq:roster'><item jid='romeo@jet.test' subscription='both'>" +
			"<group>Family</group><x xmlns='other'>Strangers</x><group>R &amp; J</group></item></query></iq>")
		c.hear()
		return false
	}}, session: func(c *fakeConn) {
		iq := c.hear()
		set <- iq
		c.stanza(resultOf(iq))
		c.idle()
	}}
	s := f.start(t).online(t)
	if err := s.NameContact(testContext(t), romeo, "R"); err != nil {
		t.Fatal(err)
	}
	var groups []string
	for _, g := range receive(t, set).Child("", "query").Child("", "item").All(nsRoster, "group") {
		groups = append(groups, g.Text)
	}
	if !slices.Equal(groups, []string{"Family", "R & J"}) {
		t.Errorf("the contact is now in %q", groups)
	}
	s.roster.refuse(ErrStanzaTooBig)
	if err := s.NameContact(testContext(t), romeo, "R"); !errors.Is(err, ErrStanzaTooBig) {
		t.Errorf("with a list that is not known: %v", err)
	}
}

// TestNoRoster has an account without one at the login, but with one later.
func TestNoRoster(t *testing.T) {
	f := &fake{}
	f.script = map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		c.say("<iq type='error' id='" + c.hear().Attr("id") + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		c.hear()
		return false
	}}
	f.session = func(c *fakeConn) {
		c.say("<iq type='result' id='" + c.hear().Attr("id") + "'><query xmlns='jabber:iq:roster'><item jid='romeo@jet.test'/></query></iq>")
		c.idle()
	}
	got, err := f.start(t).online(t).Roster(testContext(t))
	if err != nil || len(got) != 1 || got[0].Subscription != "none" {
		t.Errorf("%v %v", got, err)
	}
}

// TestPreApproves: only a server that says so takes an approval before the request.
func TestPreApproves(t *testing.T) {
	for _, does := range []bool{false, true} {
		if got := (&fake{preApproval: does}).start(t).online(t).PreApproves(); got != does {
			t.Errorf("%v, but the server says %v", got, does)
		}
	}
}

// TestLargeRoster logs in to an account of a large company, where everybody is on
// everybody's list, and to one whose list is beyond what is taken.
func TestLargeRoster(t *testing.T) {
	for _, tt := range []struct {
		contacts, groups int // of each
		fits             bool
	}{{5000, 2, true}, {12000, 2, true}, {maxContacts, 4, true}, {maxContacts + 1, 1, false}, {maxContacts / 4, 17, false}} {
		contacts, fits := tt.contacts, tt.fits
		t.Run(strconv.Itoa(contacts), func(t *testing.T) {
			if testing.Short() && contacts > 5000 {
				t.Skip("the race detector has seen it all with fewer")
			}
			var items strings.Builder
			for i := range contacts {
				fmt.Fprintf(&items, "<item jid='firstname.lastname%d@jet.test' name='Firstname Lastname (%d)' subscription='both'>"+
					strings.Repeat("<group>Department</group>", tt.groups)+"</item>", i, i)
			}
			f := &fake{script: map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
				c.say("<iq type='result' id='" + c.hear().Attr("id") + "'><query xmlns='jabber:iq:roster'>" + items.String() + "</query></iq>")
				return false
			}}}
			s := New(f.start(t).config())
			switch err := s.Start(testContext(t)); {
			case err != nil:
				t.Fatal(err)
			case fits && s.RosterError() != nil:
				t.Errorf("with %d contacts: %v", contacts, s.RosterError())
			case fits && s.Subscription(jid.MustParse(fmt.Sprintf("firstname.lastname%d@jet.test", contacts-1))) != "both":
				t.Error("the last contact is missing")
			case !fits && (!errors.Is(s.RosterError(), ErrStanzaTooBig) || !strings.Contains(s.RosterError().Error(), "list of contacts")):
				t.Errorf("with %d contacts: %v", contacts, s.RosterError())
			}
			closeSession(t, s)
		})
	}
}
