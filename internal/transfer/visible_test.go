package transfer

import (
	"errors"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestVisible: an account that may neither offer us files nor see our presence gets the
// answers of a server for somebody who is offline.
func TestVisible(t *testing.T) {
	s := prosody(t)
	if err := s.AddAccount("tybalt", "tybaltpw"); err != nil {
		t.Fatal(err)
	}
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	tybalt := online(t, s, s.Addr, "tybalt", false, nil)
	self := juliet.JID()
	nobody, err := self.WithResource("nobody")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(e *Endpoint, of jid.JID, x *xmltree.Element) string {
		t.Helper()
		_, err := e.sess.IQ(t.Context(), of, stanza.Get, x)
		var no *stanza.Error
		switch {
		case err == nil:
			return "here"
		case errors.As(err, &no):
			if software() == xmpptest.Ejabberd {
				no.Text = "" // it says a sentence: see docs/security.md
			}
			return no.Type + " " + no.Condition + " " + no.App.Local + no.Text
		}
		t.Fatal(err)
		return ""
	}
	for _, tt := range []struct {
		name                  string
		opt                   ReceiveOptions
		toStranger, toContact string
	}{
		{"contacts", ReceiveOptions{Accept: policy.Contacts}, "", "here"},
		{"the stranger is named", ReceiveOptions{Accept: policy.From, From: []jid.JID{tybalt.JID()}}, "here", "here"},
		{"another device of the stranger is named", ReceiveOptions{Accept: policy.From, From: []jid.JID{jid.MustParse("tybalt@jet.test/x")}}, "", "here"},
		{"all", ReceiveOptions{Accept: policy.All}, "here", "here"},
	} {
		tt.opt.Dir = t.TempDir()
		stop := receiving(t, juliet, tt.opt)
		waitIdle(t, juliet)
		for _, space := range []string{"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "urn:xmpp:ping"} {
			x := func() *xmltree.Element { return xmltree.New(space, "query") }
			want := tt.toStranger
			if want == "" {
				want = ask(tybalt, nobody, x())
			}
			if got := ask(tybalt, self, x()); got != want {
				t.Errorf("%s: the stranger is told %q by %s, want %q", tt.name, got, space, want)
			}
			if got := ask(romeo, self, x()); got != tt.toContact {
				t.Errorf("%s: the contact is told %q by %s", tt.name, got, space)
			}
		}
		stop()
	}
}

// TestVisibleServers: the servers of those who see our presence may ask for our
// capabilities, or they would not tell us of their devices.
func TestVisibleServers(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	for from, want := range map[string]bool{
		"jet.test": true, "romeo@jet.test": true, "juliet@jet.test/other": true, "other.test": false, "tybalt@jet.test": false,
	} {
		if got := juliet.visible(jid.MustParse(from)); got != want {
			t.Errorf("%s: %t", from, got)
		}
	}
}
