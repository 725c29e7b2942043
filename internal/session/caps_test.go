package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

func parseQuery(t *testing.T, s string) *DiscoInfo {
	t.Helper()
	el, err := xmltree.Parse([]byte("<query xmlns='http://jabber.org/protocol/disco#info'>" + s + "</query>"))
	if err != nil {
		t.Fatal(err)
	}
	return parseDiscoInfo(el)
}

// The examples of XEP-0115 sections 5.2 and 5.3.
const (
	simpleQuery = `<identity category='client' type='pc' name='Exodus 0.9.1'/>
<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>
<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>`
	simpleVer = "QgayPKawpkPSDYmwT/WM94uAlu0="

	complexQuery = `<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>
<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>
<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>
<x xmlns='jabber:x:data' type='result'>
<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
<field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>
<field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>
<field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x>`
	complexVer = "q07IKJEyjvHSyhy//CH0CxmKi8w="
)

func TestCapsExamples(t *testing.T) {
	for query, ver := range map[string]string{simpleQuery: simpleVer, complexQuery: complexVer} {
		d := parseQuery(t, query)
		if got := hashCaps(verification(d)); got != ver {
			t.Errorf("got %s, want %s of %q", got, ver, verification(d))
		}
		if err := verify(d, ver); err != nil {
			t.Error(err)
		}
		slices.Reverse(d.Features)
		slices.Reverse(d.Identities)
		if err := verify(d, ver); err != nil {
			t.Errorf("in another order: %v", err)
		}
		d.Features = append(d.Features, "jetsend:1")
		if err := verify(d, ver); err == nil {
			t.Error("an added feature passes")
		}
	}
}

// TestIllFormed has capabilities whose hash is right but could be that of
// something else (XEP-0115 section 5.4).
func TestIllFormed(t *testing.T) {
	const form = `<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>urn:f</value>%s</field></x>`
	for name, query := range map[string]string{
		"same identities":   `<identity category='client' type='pc'/><identity category='client' type='pc'/>`,
		"same features":     `<feature var='a'/><feature var='a'/>`,
		"same forms":        fmt.Sprintf(form+form, "", ""),
		"two form types":    fmt.Sprintf(form, "<value>urn:g</value>"),
		"feature with <":    `<feature var='a&lt;b'/>`,
		"identity with <":   `<identity category='client' type='pc' name='a&lt;b'/>`,
		"form value with <": `<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>f</value></field><field var='a'><value>&lt;</value></field></x>`,
	} {
		d := parseQuery(t, query)
		if err := verify(d, hashCaps(verification(d))); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for name, query := range map[string]string{
		"form without a type":  `<feature var='a'/><x xmlns='jabber:x:data'><field var='a'><value>1</value></field></x>`,
		"form type not hidden": `<feature var='a'/><x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>1</value></field></x>`,
		"nothing":              ``,
	} {
		d := parseQuery(t, query)
		if err := verify(d, hashCaps(verification(d))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if v := verification(d); v != "" && v != "a<" {
			t.Errorf("%s: %q", name, v)
		}
	}
}

func TestCapsCache(t *testing.T) {
	var c capsCache
	d := parseQuery(t, simpleQuery)
	for _, wrong := range []Caps{
		{},
		{Hash: "sha-1", Ver: complexVer},
		{Hash: "md5", Ver: simpleVer},
		{Hash: "sha-1"},
	} {
		if c.put(wrong, d); c.get(wrong) != nil || len(c.byVer) != 0 {
			t.Errorf("%v is cached", wrong)
		}
	}
	right := Caps{Hash: "sha-1", Ver: simpleVer}
	if c.put(right, d); c.get(right) != d {
		t.Error("not cached")
	}
	for i := range 2 * maxCapsCache {
		d := &DiscoInfo{Features: []string{fmt.Sprint(i)}}
		c.put(Caps{Hash: "sha-1", Ver: hashCaps(verification(d))}, d)
	}
	if len(c.byVer) != maxCapsCache {
		t.Errorf("%d entries", len(c.byVer))
	}
	big := &DiscoInfo{Features: []string{strings.Repeat("x", maxCapsEntry)}}
	ver := Caps{Hash: "sha-1", Ver: hashCaps(verification(big))}
	if c.put(ver, big); c.get(ver) != nil {
		t.Error("a huge entry is cached")
	}
}

// TestDiscoInfo asks a device whose presence has the right hash, and one whose
// has a wrong one.
func TestDiscoInfo(t *testing.T) {
	presence := func(resource, ver string) string {
		return "<presence from='romeo@jet.test/" + resource + "'><c xmlns='" + nsCaps + "' hash='sha-1' node='n' ver='" + ver + "'/></presence>"
	}
	asked := map[string]int{}
	f := &fake{session: func(c *fakeConn) {
		c.say(presence("true", simpleVer) + presence("same", simpleVer) + presence("lie", complexVer))
		for el := c.hear(); el != nil; el = c.hear() {
			asked[el.Attr("to")]++
			c.say("<iq type='result' from='" + el.Attr("to") + "' id='" + el.Attr("id") + "'><query xmlns='" + nsDiscoInfo + "'>" + simpleQuery + "</query></iq>")
		}
	}}
	s := f.start(t).online(t)
	waitFor(t, s, func() bool { return len(s.Resources(romeo.Bare())) == 3 })
	for _, res := range []string{"true", "true", "same", "lie", "lie", "absent"} {
		d, err := s.DiscoInfo(testContext(t), jid.MustParse("romeo@jet.test/"+res), "")
		if err != nil || !d.Has("http://jabber.org/protocol/muc") || d.Has("jetsend:1") {
			t.Errorf("%s: %v %v", res, d, err)
		}
	}
	if _, err := s.DiscoInfo(testContext(t), romeo.Bare(), ""); err != nil {
		t.Error(err)
	}
	closeSession(t, s)
	want := map[string]int{"romeo@jet.test/true": 1, "romeo@jet.test/lie": 2, "romeo@jet.test/absent": 1, "romeo@jet.test": 1}
	f.ln.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := cmp.Diff(want, asked); d != "" {
		t.Error(d)
	}
}

// TestDiscoAnswers asks us.
func TestDiscoAnswers(t *testing.T) {
	answers := make(chan *xmltree.Element, 8)
	var s *Session
	node := make(chan string, 1)
	f := &fake{session: func(c *fakeConn) {
		n := <-node
		for _, q := range []string{
			"<iq type='get' id='1' from='romeo@jet.test/a'><query xmlns='" + nsDiscoInfo + "'/></iq>",
			"<iq type='get' id='2' from='romeo@jet.test/a'><query xmlns='" + nsDiscoInfo + "' node='" + n + "'/></iq>",
			"<iq type='get' id='3' from='romeo@jet.test/a'><query xmlns='" + nsDiscoInfo + "' node='urn:other'/></iq>",
			"<iq type='set' id='4' from='romeo@jet.test/a'><query xmlns='" + nsDiscoInfo + "'/></iq>",
			"<iq type='get' id='5' from='romeo@jet.test/a'><query xmlns='" + nsDiscoItems + "'/></iq>",
			"<iq type='get' id='6' from='romeo@jet.test/a'><query xmlns='" + nsDiscoItems + "' node='x'/></iq>",
			"<iq type='set' id='7' from='romeo@jet.test/a'><query xmlns='" + nsDiscoItems + "'/></iq>",
		} {
			c.say(q)
			answers <- c.hear()
		}
		c.idle()
	}}
	cfg := f.start(t).config()
	cfg.Features = []string{"jetsend:1", "urn:xmpp:ping", "urn:a+notify"}
	s = New(cfg)
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, s)
	node <- s.caps.Load().fullNode()
	want := []string{nsCaps, nsDiscoInfo, "jetsend:1", "urn:a+notify", nsPing}
	for i := range 7 {
		el := receive(t, answers)
		q := el.Child(nsDiscoInfo, "query")
		switch i {
		case 0, 1:
			d := parseDiscoInfo(q)
			if diff := cmp.Diff(want, d.Features); diff != "" || len(d.Identities) != 1 || d.Identities[0].Category != "client" {
				t.Errorf("%d: %v %s", i, el, diff)
			}
			if err := verify(d, s.caps.Load().ver); err != nil {
				t.Errorf("our own capabilities: %v", err)
			}
			if (i == 1) != (q.Attr("node") == s.caps.Load().fullNode()) {
				t.Errorf("node %q", q.Attr("node"))
			}
		case 4:
			if items := el.Child(nsDiscoItems, "query"); items == nil || len(items.Children) > 0 {
				t.Errorf("%v", el)
			}
		default:
			if el.Attr("type") != typeError {
				t.Errorf("%d: %v", i, el)
			}
		}
	}
}

func TestDiscoItems(t *testing.T) {
	f := &fake{session: func(c *fakeConn) {
		iq := c.hear()
		c.say("<iq type='result' from='jet.test' id='" + iq.Attr("id") + "'><query xmlns='" + nsDiscoItems + "'>" +
			"<item jid='proxy.jet.test' name='Proxy'/><item jid='@@'/><item jid='jet.test' node='x'/></query></iq>")
		c.idle()
	}}
	got, err := f.start(t).online(t).DiscoItems(testContext(t), jid.MustParse("jet.test"), "n")
	want := []DiscoItem{{JID: jid.MustParse("proxy.jet.test"), Name: "Proxy"}, {JID: jid.MustParse("jet.test"), Node: "x"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
}

// waitFor waits until presence has made cond true.
func waitFor(t *testing.T, s *Session, cond func() bool) {
	t.Helper()
	for {
		ch := s.PresenceChanged()
		if cond() {
			return
		}
		receive(t, ch)
	}
}

// FuzzCaps: what a peer answers to disco#info is either not the capabilities of
// any hash, or of the same one in whatever order it comes, and of no other.
func FuzzCaps(f *testing.F) {
	f.Add(simpleQuery)
	f.Add(complexQuery)
	f.Add(`<feature var='a&lt;b'/><feature/><identity/><feature var='a'/><feature var='a'/>`)
	f.Add(`<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>f</value><value>g</value></field><field><value/></field></x>`)
	f.Fuzz(func(t *testing.T, in string) {
		el, err := xmltree.Parse([]byte("<query xmlns='http://jabber.org/protocol/disco#info'>" + in + "</query>"))
		if err != nil {
			return
		}
		d := parseDiscoInfo(el)
		ver := hashCaps(verification(d))
		if verify(d, ver) != nil {
			return
		}
		slices.Reverse(d.Features)
		slices.Reverse(d.Identities)
		slices.Reverse(d.Forms)
		if err := verify(d, ver); err != nil {
			t.Fatalf("in another order: %v", err)
		}
		d.Features = append(d.Features, "urn:example:added")
		if verify(d, ver) == nil {
			t.Fatal("an added feature passes")
		}
	})
}

// TestSetFeatures: other features are told by a presence with other capabilities, once we
// are to be seen; the same ones by none.
func TestSetFeatures(t *testing.T) {
	heard := make(chan *xmltree.Element, 8)
	f := (&fake{script: map[string]func(*fakeConn) bool{"roster": func(c *fakeConn) bool {
		for el := c.hear(); el != nil; el = c.hear() { // no presence is waited for
			if el.Name.Local == "presence" && el.Attr("type") == "" {
				heard <- el
			} else if el.Name.Local == "iq" {
				c.stanza(resultOf(el))
			}
		}
		return true
	}}}).start(t)
	s := f.online(t, func(s *Session) { s.cfg.Hidden = true })
	set := func(features ...string) {
		t.Helper()
		if err := s.SetFeatures(testContext(t), features); err != nil {
			t.Fatal(err)
		}
	}
	told := func() string {
		t.Helper()
		p := receive(t, heard)
		c := p.Child(nsCaps, "c")
		if p.Name.Local != "presence" || c == nil {
			t.Fatalf("told %s", p)
		}
		return c.Attr("ver")
	}
	verOf := func(features ...string) string { return newOwnCaps(s.cfg.Identity, features).ver }
	set("urn:b") // nobody sees us yet
	if err := s.Appear(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if ver := told(); ver != verOf("urn:b") {
		t.Errorf("appeared with %s", ver)
	}
	set("urn:b")
	set("urn:c", "urn:d")
	if ver := told(); ver != verOf("urn:c", "urn:d") {
		t.Errorf("changed to %s", ver)
	}
	q, err := s.answerDiscoInfo(t.Context(), stanza.IQ{Type: stanza.Get, Payload: xmltree.New(nsDiscoInfo, "query")})
	if d := parseDiscoInfo(q); err != nil || !d.Has("urn:c") || d.Has("urn:b") {
		t.Errorf("%s: %v", q, err)
	}
}
