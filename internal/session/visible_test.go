package session

import (
	"strings"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// TestVisible: whatever somebody sends who may not know that we are there, the answer
// is that of a server for somebody who is offline.
func TestVisible(t *testing.T) {
	for name, payload := range map[string]string{
		"ping":         "<ping xmlns='urn:xmpp:ping'/>",
		"disco#info":   "<query xmlns='" + nsDiscoInfo + "'/>",
		"of a node":    "<query xmlns='" + nsDiscoInfo + "' node='x'/>",
		"disco#items":  "<query xmlns='" + nsDiscoItems + "'/>",
		"unknown":      "<x xmlns='urn:nobody'/>",
		"no payload":   "",
		"two payloads": "<ping xmlns='urn:xmpp:ping'/><x xmlns='urn:x'/>",
		"bad content":  "<x xmlns='urn:x' a='1' a='2'/>",
		"too big":      "<x xmlns='urn:x'>" + strings.Repeat("x", maxStanza) + "</x>",
		"roster push":  "<query xmlns='jabber:iq:roster'><item jid='x@evil.test' subscription='both'/></query>",
	} {
		t.Run(name, func(t *testing.T) {
			answers := make(chan *xmltree.Element, 2)
			f := &fake{session: func(c *fakeConn) {
				for _, from := range []string{"tybalt@evil.test/a", "romeo@jet.test/a"} {
					c.say("<iq type='get' id='1' from='" + from + "'>" + payload + "</iq>")
					answers <- c.hear()
				}
				c.idle()
			}}
			f.start(t).online(t, func(s *Session) { s.cfg.Visible = func(from jid.JID) bool { return from.Domain() == "jet.test" } })
			const want = "<iq xmlns='jabber:client' type='error' id='1' to='tybalt@evil.test/a'><error type='cancel'>" +
				"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
			if got := receive(t, answers).String(); got != want {
				t.Errorf("the stranger is told %s", got)
			}
			unknown := name == "unknown" || name == "roster push"
			if got := receive(t, answers).String(); strings.Contains(got, "service-unavailable") != unknown {
				t.Errorf("the contact is told %s", got)
			}
		})
	}
}

// TestContactAt: whose server may ask.
func TestContactAt(t *testing.T) {
	taken := make(chan *xmltree.Element, 1)
	f := &fake{session: func(c *fakeConn) {
		c.say("<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@from.test' subscription='from'/>" +
			"<item jid='a@to.test' subscription='to'/><item jid='none.test'/></query></iq>")
		taken <- c.hear()
		c.idle()
	}}
	s := f.start(t).online(t)
	receive(t, taken)
	for domain, want := range map[string]bool{"jet.test": true, "from.test": true, "to.test": false, "none.test": false, "other.test": false} {
		if s.ContactAt(domain) != want {
			t.Errorf("%s: %t", domain, !want)
		}
	}
}
