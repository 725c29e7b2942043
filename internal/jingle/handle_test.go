package jingle

import (
	"context"
	"errors"
	"strings"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// parse makes an element of text.
func parse(t testing.TB, s string) *xmltree.Element {
	t.Helper()
	e, err := xmltree.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

// Only the session's peer speaks for it.
func TestSpoofedFrom(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	otherResource, err := romeo.WithResource("garden")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []jid.JID{mallet, otherResource, romeo.Bare(), juliet, {}} {
		for _, action := range []Action{SessionTerminate, SessionInfo, TransportInfo, SessionAccept, TransportReplace, ContentRemove} {
			err := say(b, from, action, s.ID(), content().Element())
			wantError(t, err, stanza.ItemNotFound, "unknown-session")
		}
	}
	if r.State() != Active || unread(r) != 0 {
		t.Errorf("state %s", r.State())
	}
}

func TestAcceptMisfits(t *testing.T) {
	good := content()
	for _, tt := range []struct {
		name   string
		change func(*Content)
		ok     bool
	}{
		{"as offered", func(*Content) {}, true},
		{"creator and senders", func(c *Content) { c.Creator, c.Senders = "initiator", "initiator" }, true},
		{"no description", func(c *Content) { c.Description = nil }, true},
		{"another name", func(c *Content) { c.Name = "other" }, false},
		{"no name", func(c *Content) { c.Name = "" }, false},
		{"other senders", func(c *Content) { c.Senders = "responder" }, false},
		{"both send", func(c *Content) { c.Senders = "both" }, false},
		{"another creator", func(c *Content) { c.Creator = "responder" }, false},
		{"no transport", func(c *Content) { c.Transport = nil }, false},
		{"another transport", func(c *Content) { c.Transport = xmltree.New("urn:xmpp:jingle:transports:ibb:1", "transport") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newPair(t, nil)
			s, _ := pending(t, a, b)
			c := good
			tt.change(&c)
			err := say(a, juliet, SessionAccept, s.ID(), c.Element())
			if tt.ok {
				wantError(t, err, "", "")
				heard(t, s, SessionAccept)
				wantError(t, say(a, juliet, SessionAccept, s.ID(), c.Element()), stanza.UnexpectedRequest, "out-of-order")
				if s.State() != Active || unread(s) != 0 {
					t.Error("accepted twice")
				}
				return
			}
			wantError(t, err, stanza.BadRequest, "")
			wantEnd(t, s, IncompatibleParameters, false)
			if unread(s) != 0 {
				t.Error("accepted")
			}
			a.m.Close(t.Context())
			if a.count(SessionTerminate) != 1 {
				t.Errorf("sent %v", a.actions())
			}
		})
	}
	for name, children := range map[string][]*xmltree.Element{"no content": nil, "two contents": {good.Element(), good.Element()}} {
		a, b := newPair(t, nil)
		s, _ := pending(t, a, b)
		wantError(t, say(a, juliet, SessionAccept, s.ID(), children...), stanza.BadRequest, "")
		wantEnd(t, s, IncompatibleParameters, false)
		_ = name
	}
	// A bare content element has no senders, and the offer's hold: also for a request.
	a, b := newPair(t, nil)
	c := content()
	c.Senders = SenderResponder
	s, err := a.m.Initiate(t.Context(), juliet, "s", c)
	if err != nil {
		t.Fatal(err)
	}
	await(t, b.offers)
	bare := xmltree.New(NS, "content", transport("x")).Set("name", c.Name)
	wantError(t, say(a, juliet, SessionAccept, "s", bare), "", "")
	if got := await(t, s.Events()).Content; got.Senders != SenderResponder || got.Creator != SenderInitiator {
		t.Errorf("accepted %+v", got)
	}
}

func TestSessionInfo(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	info := func(es ...*xmltree.Element) error { return say(b, romeo, SessionInfo, s.ID(), es...) }
	wantError(t, info(), "", "") // a ping
	if unread(r) != 0 {
		t.Error("a ping is no info")
	}
	for _, e := range []*xmltree.Element{
		(&Checksum{Name: "a-file-offer"}).Element(),
		xmltree.New(NSJetsend, "sealed"),
		xmltree.New(NSEncryptedFile, "checksum"),
	} {
		wantError(t, info(e), "", "")
		if got := heard(t, r, SessionInfo); got.Name != e.Name {
			t.Errorf("info %s", got)
		}
	}
	for _, space := range []string{"urn:xmpp:jingle:apps:rtp:info:1", "urn:x", ""} {
		wantError(t, info(xmltree.New(space, "ringing")), stanza.FeatureNotImplemented, "unsupported-info")
	}
	wantError(t, info(xmltree.New(NSJetsend, "sealed"), xmltree.New("urn:x", "y")), stanza.FeatureNotImplemented, "unsupported-info")
	if unread(r) != 0 || r.State() != Active {
		t.Error("an unknown info had an effect")
	}
	for _, action := range []Action{DescriptionInfo, SecurityInfo} {
		wantError(t, say(b, romeo, action, s.ID(), content().Element()), stanza.FeatureNotImplemented, "unsupported-info")
	}
}

// A peer that says more than anybody reads loses its session, not our stream.
func TestOverflow(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(b *peer, sid string) error
	}{
		{"session-info", func(b *peer, sid string) error {
			return say(b, romeo, SessionInfo, sid, xmltree.New(NSJetsend, "x"))
		}},
		{"transport-info", func(b *peer, sid string) error {
			return say(b, romeo, TransportInfo, sid, content().Element())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newPair(t, nil)
			s, r := active(t, a, b)
			for range maxUnread {
				wantError(t, tt.send(b, s.ID()), "", "")
			}
			wantError(t, tt.send(b, s.ID()), stanza.ResourceConstraint, "")
			wantEnd(t, r, GeneralError, false)
			wantEnd(t, s, GeneralError, true)
			b.m.wg.Wait() // it has told so
			wantError(t, tt.send(b, s.ID()), stanza.ItemNotFound, "unknown-session")
			if n := unread(r); n != maxUnread {
				t.Errorf("%d kept", n)
			}
		})
	}
	// Few of them may hold much, in bytes, elements or attributes.
	candidates := func(n int, attrs string) *xmltree.Element {
		return parse(t, "<content xmlns='"+NS+"'><transport xmlns='urn:t'>"+strings.Repeat("<candidate"+attrs+"/>", n)+"</transport></content>")
	}
	for name, send := range map[string]func(b *peer, sid string) error{
		"long text": func(b *peer, sid string) error {
			return say(b, romeo, SessionInfo, sid, xmltree.New(NSJetsend, "x").SetText(strings.Repeat("x", maxHeard)))
		},
		"long name": func(b *peer, sid string) error {
			return say(b, romeo, SessionInfo, sid, xmltree.New(NSJetsend, strings.Repeat("x", maxHeard)))
		},
		"long name space": func(b *peer, sid string) error {
			return say(b, romeo, SessionInfo, sid, xmltree.New(NSJetsend, "x", xmltree.New(strings.Repeat("x", maxHeard), "x")))
		},
		"long attribute": func(b *peer, sid string) error {
			return say(b, romeo, SessionInfo, sid, xmltree.New(NSJetsend, "x").Set(strings.Repeat("x", maxHeard), ""))
		},
		"many elements": func(b *peer, sid string) error {
			return say(b, romeo, TransportInfo, sid, candidates(maxHeard/100, ""))
		},
		"many attributes": func(b *peer, sid string) error {
			return say(b, romeo, TransportInfo, sid, candidates(maxHeard/300, " a='' b='' c='' d='' e=''"))
		},
	} {
		a, b := newPair(t, nil)
		s, r := pending(t, a, b)
		wantError(t, send(b, s.ID()), stanza.ResourceConstraint, "")
		wantEnd(t, r, GeneralError, false)
		if n := unread(r); n != 0 {
			t.Errorf("%s: %d kept", name, n)
		}
	}
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	// As many candidates as are read of a peer are no overflow, however they come.
	full := " cid='" + strings.Repeat("c", 64) + "' host='2001:db8:1111:2222:3333:4444:5555:6666' jid='" + romeo.String() + "' port='65535' priority='8257636' type='direct'"
	wantError(t, say(b, romeo, TransportInfo, s.ID(), candidates(64, full)), "", "")
	heard(t, r, TransportInfo)
	if err := r.BeginStream(); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxUnread { // nobody reads them any more
		wantError(t, say(b, romeo, TransportInfo, s.ID(), content().Element()), "", "")
	}
	if r.State() != Streaming || unread(r) != 0 {
		t.Errorf("state %s", r.State())
	}
}

func TestTransportActions(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := pending(t, a, b)
	el := func(inner string) *xmltree.Element { return parse(t, `<content xmlns='`+NS+`' `+inner) }
	for _, tt := range []struct{ inner, condition string }{
		{`name='a-file-offer' creator='initiator'><transport xmlns='urn:t'/></content>`, ""},
		{`><transport xmlns='urn:t'/></content>`, ""},
		{`name='other'><transport xmlns='urn:t'/></content>`, stanza.ItemNotFound},
		{`name='a-file-offer'/>`, stanza.BadRequest},
	} {
		wantError(t, say(b, romeo, TransportInfo, s.ID(), el(tt.inner)), tt.condition, "")
	}
	wantError(t, say(b, romeo, TransportInfo, s.ID()), stanza.BadRequest, "")
	heard(t, r, TransportInfo)
	heard(t, r, TransportInfo)
	if n := unread(r); n != 0 {
		t.Errorf("%d transport-infos more", n)
	}
	// Before the accept no transport is replaced.
	wantError(t, say(b, romeo, TransportReplace, s.ID(), content().Element()), stanza.UnexpectedRequest, "out-of-order")
	if err := r.Accept(t.Context(), content()); err != nil {
		t.Fatal(err)
	}
	wantError(t, say(b, romeo, TransportReplace, s.ID()), stanza.BadRequest, "")
	wantError(t, say(b, romeo, TransportReplace, s.ID(), content().Element()), "", "")
	wantError(t, say(b, romeo, TransportReplace, s.ID(), content().Element()), stanza.UnexpectedRequest, "out-of-order")
	if r.State() != Answering || unread(r) != 1 {
		t.Errorf("state %s", r.State())
	}
	// Answered, but never read: some day the next overflows.
	for range maxUnread - 1 {
		if err := r.RejectTransport(t.Context(), transport("x")); err == nil {
			t.Error("the other side did not ask")
		}
		wantError(t, say(b, romeo, TransportReplace, s.ID(), content().Element()), "", "")
	}
	if err := r.RejectTransport(t.Context(), transport("x")); err == nil {
		t.Error("the other side did not ask")
	}
	wantError(t, say(b, romeo, TransportReplace, s.ID(), content().Element()), stanza.ResourceConstraint, "")
	wantEnd(t, r, GeneralError, false)
}

func TestContentActions(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	more := content()
	more.Name = "additional"
	wantError(t, say(b, romeo, ContentAdd, s.ID(), more.Element()), "", "")
	wantError(t, say(b, romeo, ContentAdd, s.ID()), stanza.BadRequest, "")
	same, turned := content(), content()
	turned.Senders = SenderResponder
	wantError(t, say(b, romeo, ContentModify, s.ID(), same.Element()), "", "")
	wantError(t, say(b, romeo, ContentModify, s.ID(), turned.Element()), stanza.NotAcceptable, "")
	wantError(t, say(b, romeo, ContentModify, s.ID(), more.Element()), stanza.ItemNotFound, "")
	wantError(t, say(b, romeo, ContentRemove, s.ID(), more.Element()), stanza.ItemNotFound, "")
	for _, action := range []Action{ContentAccept, ContentReject} {
		wantError(t, say(b, romeo, action, s.ID(), more.Element()), stanza.UnexpectedRequest, "out-of-order")
	}
	if r.State() != Active {
		t.Errorf("state %s", r.State())
	}
	// Without its content a session is void.
	wantError(t, say(b, romeo, ContentRemove, s.ID(), same.Element(), Reason{Condition: FailedTransport}.Element()), "", "")
	wantEnd(t, r, FailedTransport, true)
	b.m.Close(t.Context())
	if b.count(ContentReject) != 1 || b.count(SessionTerminate) != 1 {
		t.Errorf("sent %v", b.actions())
	}
	for _, e := range b.sent {
		if e.Attr("action") == "content-reject" && e.Child(NS, "content").Attr("name") != "additional" {
			t.Errorf("rejected %s", e)
		}
	}
	a, b = newPair(t, nil)
	s, r = active(t, a, b)
	wantError(t, say(b, romeo, ContentRemove, s.ID(), content().Element()), "", "")
	wantEnd(t, r, Cancel, true)
}

// Content-adds are rejected a few at a time.
func TestContentAddFlood(t *testing.T) {
	a, b := newPair(t, nil)
	s, _ := active(t, a, b)
	release := make(chan struct{})
	b.setHook(func(context.Context, *xmltree.Element) (bool, error) {
		<-release
		return true, errors.New("stream lost")
	})
	more := content().Element()
	for range maxRejects {
		wantError(t, say(b, romeo, ContentAdd, s.ID(), more), "", "")
	}
	for range 100 {
		wantError(t, say(b, romeo, ContentAdd, s.ID(), more), stanza.ResourceConstraint, "")
	}
	close(release)
	b.m.Close(t.Context())
	if n := b.count(ContentReject); n != maxRejects {
		t.Errorf("%d rejects", n)
	}
}

// The stanzas that Dino 0.4.2 sends are understood.
func TestCaptured(t *testing.T) {
	dinoRomeo, dinoJuliet := jid.MustParse("romeo@jet.test/dino.romeo"), jid.MustParse("juliet@jet.test/dino.juliet")
	b := &peer{jid: dinoJuliet, offers: make(chan *Session, 1)}
	b.m = NewManager(Config{Port: wire{b, b}, Self: func() jid.JID { return dinoJuliet }, OnOffer: func(s *Session) { b.offers <- s }})
	from := func(to *peer, j jid.JID, name string) error {
		_, err := to.receive(t.Context(), stanza.IQ{From: j, To: to.jid, Type: stanza.Set, Payload: captured(t, name)})
		return err
	}
	if err := from(b, dinoRomeo, "dino-initiate.xml"); err != nil {
		t.Fatal(err)
	}
	s := await(t, b.offers)
	c := s.Content()
	f, err := ParseDescription(c.Description)
	if err != nil || f.Name != "f300k.bin" || f.Size != 300000 || c.Name != "a-file-offer" {
		t.Errorf("%+v, %v", f, err)
	}
	sec, err := ParseSecurity(c.Security)
	if err != nil || sec.Name != "" || sec.Cipher != "urn:xmpp:ciphers:aes-128-gcm-nopadding" || sec.Type != "eu.siacs.conversations.axolotl" ||
		!sec.Envelope.Is(sec.Type, "encrypted") {
		t.Errorf("%+v, %v", sec, err)
	}
	if err := from(b, dinoRomeo, "dino-success.xml"); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, s, Success, true)

	// The answers of the other Dino, to an offer of ours.
	a := &peer{jid: dinoRomeo}
	a.setHook(func(context.Context, *xmltree.Element) (bool, error) { return true, nil })
	a.m = NewManager(Config{Port: wire{a, b}, Self: func() jid.JID { return dinoRomeo }})
	s, err = a.m.Initiate(t.Context(), dinoJuliet, "c3a4b473-6c1d-4e15-b620-e51a680f81e2", c)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dino-accept.xml", "dino-info.xml"} {
		if err := from(a, dinoJuliet, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	heard(t, s, SessionAccept)
	heard(t, s, TransportInfo)
	if r := ParseReason(captured(t, "dino-failed.xml").Child(NS, "reason")); r.Condition != FailedTransport || r.Text != "Exception has been thrown" {
		t.Errorf("reason %+v", r)
	}
	a.m.Close(t.Context())
}

func FuzzHandleIQ(f *testing.F) {
	for _, name := range []string{"dino-initiate.xml", "dino-accept.xml", "dino-info.xml", "dino-success.xml", "dino-failed.xml"} {
		f.Add(captured(f, name).String())
	}
	for _, action := range []Action{ContentAdd, ContentModify, ContentRemove, TransportReplace, TransportAccept, TransportReject, SessionInfo} {
		f.Add(xmltree.New(NS, "jingle", content().Element()).Set("action", string(action)).Set("sid", "sid").String())
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			return
		}
		ours, theirs := jid.MustParse("romeo@jet.test/dino.romeo"), jid.MustParse("juliet@jet.test/dino.juliet")
		p := &peer{jid: ours}
		p.setHook(func(context.Context, *xmltree.Element) (bool, error) { return true, nil })
		var offered []*Session
		p.m = NewManager(Config{Port: wire{p, p}, Self: func() jid.JID { return ours }, OnOffer: func(s *Session) { offered = append(offered, s) }})
		defer p.m.Close(t.Context())
		s, err := p.m.Initiate(t.Context(), theirs, "sid", content())
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for range 3 { // the first may change what the next means
			_, err := p.receive(t.Context(), stanza.IQ{From: theirs, To: ours, Type: stanza.Set, Payload: e})
			var se *stanza.Error
			if err != nil && !errors.As(err, &se) {
				t.Fatalf("error %v", err)
			}
			for len(s.Events()) > 0 {
				if ev := <-s.Events(); ev.Action == SessionAccept {
					accepted++
				}
			}
		}
		if accepted > 1 || len(offered) > 1 {
			t.Fatalf("%d accepts, %d offers", accepted, len(offered))
		}
		for _, o := range offered {
			if c := o.Content(); c.Name == "" || c.Description == nil || c.Transport == nil {
				t.Fatalf("offer %+v", c)
			}
		}
	})
}
