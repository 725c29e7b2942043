package session

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	okAnswer           = "<iq type='result' id='%s'/>"
	preconditionAnswer = "<iq type='error' id='%s'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><precondition-not-met xmlns='http://jabber.org/protocol/pubsub#errors'/></error></iq>"
	notFoundAnswer     = "<iq type='error' id='%s'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
	forbiddenAnswer    = "<iq type='error' id='%s'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
)

// TestPublish checks what is sent for each course of the answers.
func TestPublish(t *testing.T) {
	const (
		publish   = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:n'><item id='current'><list xmlns='urn:n'/></item></publish></pubsub>"
		openForm  = "<field var='FORM_TYPE' type='hidden'><value>%s</value></field><field var='pubsub#persist_items'><value>true</value></field><field var='pubsub#access_model'><value>open</value></field></x>"
		withOpts  = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:n'><item id='current'><list xmlns='urn:n'/></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>" + openForm + "</publish-options></pubsub>"
		configure = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:n'><x xmlns='jabber:x:data' type='submit'>" + openForm + "</configure></pubsub>"
	)
	open := fmt.Sprintf(withOpts, formPublish)
	conf := fmt.Sprintf(configure, formNodeConfig)
	for name, tt := range map[string]struct {
		open    bool
		answers []string
		want    []string
		fails   bool
	}{
		"plain":                 {false, []string{okAnswer}, []string{publish}, false},
		"open":                  {true, []string{okAnswer}, []string{open}, false},
		"reconfigured":          {true, []string{preconditionAnswer, okAnswer, okAnswer}, []string{open, conf, open}, false},
		"still not met":         {true, []string{preconditionAnswer, okAnswer, preconditionAnswer}, []string{open, conf, open}, true},
		"configuration refused": {true, []string{preconditionAnswer, forbiddenAnswer}, []string{open, conf}, true},
		"made meanwhile":        {true, []string{notFoundAnswer, preconditionAnswer, okAnswer, okAnswer}, []string{open, open, conf, open}, false},
		"not made":              {false, []string{notFoundAnswer, notFoundAnswer}, []string{publish, publish}, true},
		"refused":               {true, []string{forbiddenAnswer}, []string{open}, true},
		"plain, precondition":   {false, []string{preconditionAnswer}, []string{publish}, true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 5)
			f := &fake{session: func(c *fakeConn) {
				for _, a := range tt.answers {
					iq := c.hear()
					asked <- iq.Children[0].String()
					c.say(fmt.Sprintf(a, iq.Attr("id")))
				}
				c.idle()
			}}
			s := f.start(t).online(t)
			payload := xmltree.New("urn:n", "list")
			err := s.Publish(testContext(t), "urn:n", "current", payload, tt.open)
			var se *stanza.Error
			if tt.fails != errors.As(err, &se) || !tt.fails && err != nil {
				t.Errorf("error %v", err)
			}
			for _, want := range tt.want {
				if d := cmp.Diff(want, receive(t, asked)); d != "" {
					t.Error(d)
				}
			}
			if len(asked) > 0 {
				t.Errorf("asked also %s", <-asked)
			}
		})
	}
}

func TestItems(t *testing.T) {
	f := &fake{session: func(c *fakeConn) {
		iq := c.hear()
		if iq.Attr("to") != "romeo@jet.test" || iq.Child("", "pubsub").Child("", "items").Attr("node") != "urn:n" {
			c.f.t.Errorf("asked %v", iq)
		}
		c.say("<iq type='result' from='romeo@jet.test' id='" + iq.Attr("id") + "'><pubsub xmlns='http://jabber.org/protocol/pubsub'>" +
			"<items node='urn:n'><item id='1'><list xmlns='urn:n' a='1'/></item><other/><item id='2'/></items></pubsub></iq>")
		iq = c.hear()
		c.say("<iq type='error' from='romeo@jet.test' id='" + iq.Attr("id") + "'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		iq = c.hear()
		c.say("<iq type='result' from='romeo@jet.test' id='" + iq.Attr("id") + "'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:other'><item/></items></pubsub></iq>")
		iq = c.hear()
		c.say("<iq type='result' from='romeo@jet.test' id='" + iq.Attr("id") + "'/>")
		iq = c.hear()
		c.say("<iq type='result' id='" + iq.Attr("id") + "'/>")
		c.idle()
	}}
	s := f.start(t).online(t)
	ctx := testContext(t)
	items, err := s.Items(ctx, romeo, "urn:n")
	if err != nil || len(items) != 2 || items[0].Attr("id") != "1" || items[0].Child("urn:n", "list").Attr("a") != "1" {
		t.Errorf("%v %v", items, err)
	}
	var se *stanza.Error
	if _, err := s.Items(ctx, romeo, "urn:n"); !errors.As(err, &se) || se.Condition != stanza.ItemNotFound {
		t.Error(err)
	}
	for range 2 {
		if items, err := s.Items(ctx, romeo, "urn:n"); err == nil {
			t.Errorf("an answer to something else: %v", items)
		}
	}
	if err := s.DeleteNode(ctx, "urn:n"); err != nil {
		t.Error(err)
	}
}

func TestPEPEvents(t *testing.T) {
	event := func(from, node, item string) string {
		return "<message type='headline' from='" + from + "'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='" + node + "'>" + item + "</items></event></message>"
	}
	f := talk(event("romeo@jet.test/orchard", "urn:n", "<item id='spoofed'/>") +
		event("romeo@jet.test", "urn:other", "<item id='other'/>") +
		event("romeo@jet.test", "urn:n", "<retract id='gone'/>") +
		"<message from='romeo@jet.test'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>" +
		event("romeo@jet.test", "urn:n", "<item id='1'><list xmlns='urn:n'/></item><item id='2'/>") +
		event("juliet@jet.test", "urn:n", "<item id='3'/>"))
	type got struct{ from, id string }
	ch := make(chan got, 5)
	s := f.start(t).online(t, func(s *Session) {
		s.HandlePEP("urn:n", func(_ context.Context, from jid.JID, item *xmltree.Element) {
			ch <- got{from.String(), item.Attr("id")}
		})
	})
	for _, want := range []got{{"romeo@jet.test", "1"}, {"romeo@jet.test", "2"}, {"juliet@jet.test", "3"}} {
		if g := receive(t, ch); g != want {
			t.Errorf("got %v, want %v", g, want)
		}
	}
	closeSession(t, s)
	if len(ch) > 0 {
		t.Errorf("also %v", <-ch)
	}
}
