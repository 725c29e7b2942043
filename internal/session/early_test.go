package session

import (
	"context"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
)

// patient makes f a server that takes one thing at a time: hasty is what it does to a client
// that sends more with its second header.
func (f *fake) patient(hasty func(*fakeConn)) *fake {
	f.script = map[string]func(*fakeConn) bool{"restart": func(c *fakeConn) bool {
		c.dec = newDecoder(c.br)
		if _, err := c.dec.open(); err != nil {
			return true
		}
		if c.br.Buffered() > 0 { // in the same record as the header
			hasty(c)
			return true
		}
		c.say(`<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' version='1.0' from='` +
			fakeDomain + `'><stream:features>` + f.bindFeatures() + `</stream:features>`)
		return false
	}}
	return f
}

// connections is how many clients have come.
func (f *fake) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// TestEarly: a server that does not put up with what is sent early is asked for one thing at
// a time, at once, and that is remembered; whatever it did.
func TestEarly(t *testing.T) {
	for name, hasty := range map[string]func(*fakeConn){
		"closes":      func(*fakeConn) {},
		"is silent":   func(c *fakeConn) { c.silent() },
		"complains":   func(c *fakeConn) { c.sayError("not-well-formed", "") },
		"answers it":  func(c *fakeConn) { c.say("<iq type='error'/>") },
		"says no XML": func(c *fakeConn) { c.say("HTTP/1.1 400\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := (&fake{}).patient(hasty).start(t)
			s := f.online(t, func(s *Session) { s.answerMax = 100 * time.Millisecond })
			want := 2
			if name == "closes" { // what may happen to any connection
				want = 3
			}
			if !s.Careful() || f.connections() != want {
				t.Error(s.Careful(), f.connections())
			}
			if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
				t.Error(err)
			}
			cfg := s.cfg
			cfg.Careful = true
			again := New(cfg)
			defer closeSession(t, again)
			if err := again.Start(testContext(t)); err != nil || f.connections() != want+1 {
				t.Error(err, f.connections())
			}
		})
	}
}

// TestEarlyCut: a connection that breaks once, and a resource that is in use, are no reason to
// be asked for one thing at a time from then on.
func TestEarlyCut(t *testing.T) {
	for name, once := range map[string]func(*fakeConn){
		"cut": func(c *fakeConn) { c.hear() },
		"in use": func(c *fakeConn) {
			c.say("<iq type='error' id='" + c.hear().Attr("id") + "'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{script: map[string]func(*fakeConn) bool{"bind": func(c *fakeConn) bool {
				if c.n == 0 {
					once(c)
					return true
				}
				return !c.bind()
			}}}
			s := f.start(t).online(t)
			if s.Careful() || f.connections() != 2 || (name == "in use") == (s.JID().Resource() == "r") {
				t.Error(s.Careful(), f.connections(), s.JID())
			}
		})
	}
}

// TestEarlyChanged: what we can do may change while we log in; then it is told again.
func TestEarlyChanged(t *testing.T) {
	told := make(chan string, 10)
	var s *Session
	f := &fake{}
	f.script = map[string]func(*fakeConn) bool{"bind": func(c *fakeConn) bool {
		if err := s.SetFeatures(context.Background(), []string{"urn:new"}); err != nil {
			t.Error(err)
		}
		return !c.bind()
	}}
	f.session = func(c *fakeConn) {
		for el := c.hear(); el != nil; el = c.hear() {
			told <- el.Child(nsCaps, "c").Attr("ver")
		}
	}
	s = New(f.start(t).config())
	defer closeSession(t, s)
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, told); got != s.caps.Load().ver {
		t.Error(got)
	}
}

// TestEarlyGone: a server that goes away in the middle of a login has not complained of haste.
func TestEarlyGone(t *testing.T) {
	f := (&fake{}).patient(func(*fakeConn) {})
	honest := f.script["restart"]
	f.script["restart"] = func(c *fakeConn) bool { return c.n > 0 || honest(c) }
	s := New(f.start(t).config())
	err := s.Start(testContext(t))
	closeSession(t, s)
	if err == nil || s.Careful() || f.connections() != 3 {
		t.Error(err, s.Careful(), f.connections())
	}
}

// TestEarlyRefused: who is refused, or sent on, is not tried again with less haste.
func TestEarlyRefused(t *testing.T) {
	for name, c := range map[string]struct {
		f     *fake
		setup func(*Config)
	}{
		"wrong password": {&fake{}, wrongPassword},
		"by SASL2":       {(&fake{}).modern(&sasl2{inline: inlineAll, success: boundAll}), wrongPassword},
		"no proof":       {(&fake{}).modern(&sasl2{inline: inlineAll, success: boundAll, proof: "v=AAAA"}), func(*Config) {}},
		"not served":     {(&fake{}).patient(func(c *fakeConn) { c.sayError("host-unknown", "") }), func(*Config) {}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.f.login(t, c.setup); c.f.connections() != 1 {
				t.Error(c.f.connections(), err)
			}
		})
	}
}

// TestEarlyLegacy: the session of RFC 3921, where it is insisted on, comes before what was
// sent too early.
func TestEarlyLegacy(t *testing.T) {
	f := (&fake{legacy: true}).start(t)
	if s := f.online(t); !s.Careful() || s.Subscription(jid.MustParse("romeo@jet.test")) != "both" {
		t.Error(s.Careful())
	}
}

// TestEarlyCounted: stream management that came with the binding counts what was sent early.
func TestEarlyCounted(t *testing.T) {
	sent := make(chan string, 10)
	o := &sasl2{inline: inlineAll, success: boundAll}
	f := (&fake{}).modern(o)
	f.session = func(c *fakeConn) {
		c.say("<a xmlns='" + nsSM + "' h='2'/>")
		for el := c.hear(); el != nil; el = c.hear() {
			sent <- el.Name.Local
		}
	}
	s := f.start(t).online(t, func(s *Session) { s.cfg.Reconnect = true })
	if err := s.Send(testContext(t), stanza.Message{To: self}); err != nil {
		t.Fatal(err)
	}
	for receive(t, sent) != "message" {
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	n := s.bound.sm.unacked()
	s.mu.Unlock()
	if n != 1 || s.Careful() {
		t.Errorf("%d not acknowledged", n)
	}
}

// TestDialled: who gathers beside the login knows in time whether the server is on this machine,
// and is told for each connection to one that has proved itself.
func TestDialled(t *testing.T) {
	told := 0
	f := (&fake{}).patient(func(*fakeConn) {}).start(t)
	f.online(t, func(s *Session) {
		s.cfg.Dialled = func() {
			told++
			if !s.OverLoopback() || f.saw("auth") && told == 1 {
				t.Error("too late")
			}
		}
	})
	if told != 3 {
		t.Errorf("told %d times", told)
	}
	evil := &fake{certName: "evil.test"}
	_ = evil.login(t, func(cfg *Config) { cfg.Dialled = func() { t.Error("of somebody else's server") } })
}
