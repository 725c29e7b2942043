package session

import (
	"context"
	"errors"
	"strings"
	"testing"

	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

func xmppConfig() xmpp.TransportConfiguration {
	return xmpp.TransportConfiguration{Address: "127.0.0.1:1", Domain: fakeDomain}
}

// TestAnswerers has answers come from the right and from wrong senders; only
// the one from the right one may count.
func TestAnswerers(t *testing.T) {
	domain := jid.MustParse(fakeDomain)
	for name, tt := range map[string]struct {
		to    jid.JID
		wrong []string // from attributes, "" is none at all
		right string
	}{
		"contact":                 {romeo, []string{"", "romeo@jet.test", "romeo@jet.test/other", "carol@jet.test/x", "jet.test", "juliet@jet.test"}, "romeo@jet.test/orchard"},
		"contact, not normalised": {romeo, []string{"carol@jet.test/x"}, "Romeo@JET.test/orchard"},
		"account, no from":        {jid.JID{}, []string{"carol@jet.test/x", "juliet@jet.test/other"}, ""},
		"account, bare":           {jid.JID{}, []string{"carol@jet.test/x"}, "juliet@jet.test"},
		"account, full":           {jid.JID{}, nil, "juliet@jet.test/r"},
		"account, server":         {jid.JID{}, nil, "jet.test"},
		"own bare, no from":       {self, []string{"juliet@jet.test/other", "romeo@jet.test"}, ""},
		"own bare":                {self, nil, "juliet@jet.test"},
		"server":                  {domain, []string{"evil.test", "romeo@jet.test"}, "jet.test"},
		"server, no from":         {domain, nil, ""},
		"other server":            {jid.MustParse("proxy.jet.test"), []string{"", "jet.test", "juliet@jet.test"}, "proxy.jet.test"},
		"own other device":        {jid.MustParse("juliet@jet.test/phone"), []string{"", "juliet@jet.test"}, "juliet@jet.test/phone"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{session: func(c *fakeConn) {
				iq := c.hear()
				for _, from := range append(tt.wrong, tt.right) {
					attr := ""
					if from != "" {
						attr = " from='" + from + "'"
					}
					mark := "wrong"
					if from == tt.right {
						mark = "right"
					}
					// Neither are requests with the id of the answer answers.
					c.say("<iq type='get' id='" + iq.Attr("id") + "'" + attr + "><wrong xmlns='urn:x'/></iq>")
					c.say("<iq type='result' id='" + iq.Attr("id") + "'" + attr + "><" + mark + " xmlns='urn:x'/></iq>")
				}
				c.idle()
			}}
			s := f.start(t).online(t)
			res, err := s.IQ(testContext(t), tt.to, stanza.Get, xmltree.New("urn:x", "x"))
			if err != nil || !res.Is("urn:x", "right") {
				t.Errorf("%v %v", res, err)
			}
		})
	}
}

func TestErrorAnswer(t *testing.T) {
	f := &fake{session: func(c *fakeConn) {
		iq := c.hear()
		c.say("<iq type='error' from='romeo@jet.test/orchard' id='" + iq.Attr("id") + "'><x xmlns='urn:x'/>" +
			"<error type='wait'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><out-of-order xmlns='urn:xmpp:jingle:errors:1'/></error></iq>")
		iq = c.hear()
		c.say("<iq type='error' from='romeo@jet.test/orchard' id='" + iq.Attr("id") + "'/>")
		c.idle()
	}}
	s := f.start(t).online(t)
	for _, want := range []string{"unexpected-request", "undefined-condition"} {
		_, err := s.IQ(testContext(t), romeo, stanza.Set, xmltree.New("urn:x", "x"))
		var se *stanza.Error
		if !errors.As(err, &se) || se.Condition != want || se.From != romeo {
			t.Errorf("%#v", err)
		}
		if want == "unexpected-request" && se.App.Local != "out-of-order" {
			t.Errorf("application condition: %v", se.App)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	f := &fake{session: func(c *fakeConn) {
		for c.hear() != nil {
			cancel(context.DeadlineExceeded)
		}
	}}
	s := f.start(t).online(t)
	if _, err := s.IQ(ctx, romeo, stanza.Get, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), romeo.String()) {
		t.Error(err)
	}
	cancelled, cancel2 := context.WithCancel(context.Background())
	cancel2()
	if _, err := s.IQ(cancelled, romeo, stanza.Get, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := len(s.bound.pending.byID); n != 0 {
		t.Errorf("%d round trips are still pending", n)
	}
}

func TestAnswerTooBig(t *testing.T) {
	f := &fake{session: func(c *fakeConn) {
		iq := c.hear()
		c.say("<iq type='result' from='romeo@jet.test/orchard' id='" + iq.Attr("id") + "'><x>" + strings.Repeat("x", maxStanza) + "</x></iq>")
		c.idle()
	}}
	if _, err := f.start(t).online(t).IQ(testContext(t), romeo, stanza.Get, nil); !errors.Is(err, ErrStanzaTooBig) {
		t.Error(err)
	}
}

func TestPendingIsBounded(t *testing.T) {
	var p pending
	for range maxPendingIQ {
		if _, err := p.add(newID(), romeo, nil, romeo); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.add(newID(), romeo, nil, romeo); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	p.failAll(ErrSessionLost)
	if _, err := p.add(newID(), romeo, nil, romeo); !errors.Is(err, ErrSessionLost) {
		t.Error(err)
	}
}

// TestRequests asks us all sorts of things.
func TestRequests(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"ping":         {"<iq type='get' id='1' from='jet.test'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq xmlns='jabber:client' type='result' id='1' to='jet.test'/>"},
		"unknown":      {"<iq type='get' id='1' from='romeo@jet.test/a'><x xmlns='urn:nobody'/></iq>", "service-unavailable"},
		"no namespace": {"<iq type='get' id='1' from='romeo@jet.test/a'><x/></iq>", "service-unavailable"},
		"no payload":   {"<iq type='set' id='1' from='romeo@jet.test/a'/>", "bad-request"},
		"two payloads": {"<iq type='set' id='1' from='romeo@jet.test/a'><ping xmlns='urn:xmpp:ping'/><x xmlns='urn:x'/></iq>", "bad-request"},
		"too big":      {"<iq type='set' id='1' from='romeo@jet.test/a'><x xmlns='urn:x'>" + strings.Repeat("x", maxStanza) + "</x></iq>", "not-acceptable"},
		"bad content":  {"<iq type='set' id='1' from='romeo@jet.test/a'><x xmlns='urn:x' a='1' a='2'/></iq>", "bad-request"},
		"result":       {"<iq type='get' id='1' from='romeo@jet.test/a'><x xmlns='urn:X'/></iq>", "<iq xmlns='jabber:client' type='result' id='1' to='romeo@jet.test/a'><y xmlns='urn:X'/></iq>"},
		"our server":   {"<iq type='get' id='1'><x xmlns='urn:X'/></iq>", "<iq xmlns='jabber:client' type='result' id='1'><y xmlns='urn:X'/></iq>"},
		"first wins":   {"<iq type='set' id='1' from='romeo@jet.test/a'><x xmlns='urn:X'/></iq>", "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"},
		"plain error":  {"<iq type='get' id='1' from='romeo@jet.test/a'><x xmlns='urn:secret'/></iq>", "internal-server-error"},
		"endless id": {"<iq type='get' id='" + strings.Repeat("\"", maxID+1) + "' from='tybalt@jet.test/a'><x xmlns='urn:nobody'/></iq>" +
			"<iq type='set' id='" + strings.Repeat("\"", maxStanza) + "' from='tybalt@jet.test/a'><x xmlns='urn:nobody'/></iq>" +
			"<iq type='get' id='1' from='jet.test'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq xmlns='jabber:client' type='result' id='1' to='jet.test'/>"},
		"escaped id": {"<iq type='get' id='&lt;&apos;' from='jet.test'><ping xmlns='urn:xmpp:ping'/></iq>", "id='&lt;&#39;'"},
	} {
		t.Run(name, func(t *testing.T) {
			answers := make(chan *xmltree.Element, 1)
			f := &fake{session: func(c *fakeConn) {
				c.say(tt.in)
				answers <- c.hear()
				c.idle()
			}}
			f.start(t).online(t, func(s *Session) {
				s.HandleIQ("urn:X", func(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) {
					if iq.Type == stanza.Set {
						return nil, stanza.NewError(stanza.ItemNotFound)
					}
					return xmltree.New("urn:X", "y"), nil
				})
				s.HandleIQ("urn:X", func(context.Context, stanza.IQ) (*xmltree.Element, error) { return nil, nil })
				s.HandleIQ("urn:secret", func(context.Context, stanza.IQ) (*xmltree.Element, error) {
					return nil, errors.New("open /home/juliet/secret")
				})
			})
			got := receive(t, answers).String()
			if !strings.Contains(got, tt.want) || strings.Contains(got, "secret") {
				t.Errorf("got  %.300s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSend(t *testing.T) {
	got := make(chan *xmltree.Element, 2)
	f := &fake{session: func(c *fakeConn) {
		got <- c.hear()
		got <- c.hear()
		c.idle()
	}}
	s := f.start(t).online(t)
	m := stanza.Message{To: romeo, Type: "chat", ID: "7", Children: []*xmltree.Element{xmltree.New("urn:x", "x").SetText("<&")}}
	for range 2 {
		if err := s.Send(testContext(t), m); err != nil {
			t.Fatal(err)
		}
		m.ID = ""
	}
	if el := receive(t, got); el.String() != "<message xmlns='jabber:client' to='romeo@jet.test/orchard' type='chat' id='7'><x xmlns='urn:x'>&lt;&amp;</x></message>" {
		t.Error(el)
	}
	if el := receive(t, got); len(el.Attr("id")) < 20 {
		t.Errorf("id %q", el.Attr("id"))
	}
}

// TestSender uses the session the way gosrc's handlers do.
func TestSender(t *testing.T) {
	f := &fake{session: func(c *fakeConn) {
		m := c.hear()
		if m.String() != "<message xmlns='jabber:client' to='romeo@jet.test'><body>hi</body></message>" {
			c.f.t.Errorf("message: %v", m)
		}
		if m = c.hear(); m.Name.Local != "presence" {
			c.f.t.Errorf("raw: %v", m)
		}
		c.say("<iq type='result' from='romeo@jet.test/orchard' id='" + c.hear().Attr("id") + "'><y xmlns='urn:y'/></iq>")
		c.idle()
	}}
	s := sender{f.start(t).online(t)}
	m := gstanza.NewMessage(gstanza.Attrs{To: "romeo@jet.test"})
	m.Body = "hi"
	if err := s.Send(m); err != nil {
		t.Fatal(err)
	}
	if err := s.SendRaw("<presence/>"); err != nil {
		t.Fatal(err)
	}
	if err := s.SendRaw("<r xmlns='urn:xmpp:sm:3'/>"); err == nil {
		t.Error("something that is no stanza was sent")
	}
	if err := s.SendRaw("<raw></stream:stream>"); err == nil {
		t.Error("half an element was sent")
	}
	iq, err := gstanza.NewIQ(gstanza.Attrs{Type: gstanza.IQTypeGet, To: romeo.String()})
	if err != nil {
		t.Fatal(err)
	}
	iq.Payload = &iqPayload{Element: xmltree.New("urn:y", "x")}
	ch, err := s.SendIQ(testContext(t), iq)
	if err != nil {
		t.Fatal(err)
	}
	if res, ok := <-ch; !ok || res.Payload.Namespace() != "urn:y" || res.Payload.GetSet() != nil {
		t.Errorf("%v", res)
	}
	if _, ok := <-ch; ok {
		t.Error("the channel is not closed")
	}
}
