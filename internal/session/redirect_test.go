package session

import (
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
)

func (f *fake) address() string { return f.ln.Addr().String() }

// sendOn has a fake answer the login with see-other-host, once encrypted.
func sendOn(place string) *fake {
	return &fake{script: map[string]func(*fakeConn) bool{"features": func(c *fakeConn) bool { return c.sayOther(place) }}}
}

func (c *fakeConn) sayOther(place string) bool { return c.sayError(conditionOther, place) }

// sayError answers the client's stream header with an error.
func (c *fakeConn) sayError(condition, text string) bool {
	c.dec = newDecoder(c.br)
	_, _ = c.dec.open()
	c.say(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>` + streamErr(condition, text))
	return true
}

// TestSeeOtherHost follows a redirection at the login.
func TestSeeOtherHost(t *testing.T) {
	there := (&fake{}).start(t)
	here := sendOn(there.address()).start(t)
	s := here.online(t)
	if here.saw("auth") || !there.saw("auth") {
		t.Errorf("the first host saw %v, the other one %v", here.seen, there.seen)
	}
	if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
		t.Error(err)
	}
}

// TestSeeOtherHostLater follows a redirection of a stream that is up.
func TestSeeOtherHostLater(t *testing.T) {
	there := (&fake{}).start(t)
	here := &fake{session: func(c *fakeConn) { c.say(streamErr("see-other-host", there.address())) }}
	_, states := here.start(t).lasting(t)
	expect(t, states, State{Up: true, Fresh: true})
	if !there.saw("auth") {
		t.Error("the other host was not asked")
	}
}

// TestRedirectionsRefused: by who has not proved to be the server, to who
// cannot, and round and round.
func TestRedirectionsRefused(t *testing.T) {
	evil := (&fake{certName: "evil.test"}).start(t)
	clear := &fake{script: map[string]func(*fakeConn) bool{"header": func(c *fakeConn) bool { return c.sayOther(evil.address()) }}}
	if err := clear.login(t, noPassword(t)); !isStream(conditionOther)(err) {
		t.Errorf("in the clear: %v", err)
	}
	if evil.hello != nil {
		t.Error("followed what was said in the clear")
	}
	wrong := sendOn(evil.address())
	if err := wrong.login(t, noPassword(t)); err == nil || evil.saw("auth") {
		t.Errorf("other domain: %v", err)
	}
	round := sendOn("")
	round.script["features"] = func(c *fakeConn) bool { return c.sayOther(round.address()) }
	if err := round.login(t, noPassword(t)); !isStream(conditionOther)(err) {
		t.Errorf("round and round: %v", err)
	}
	if n := len(round.open); n != maxRedirects+1 {
		t.Errorf("%d connections", n)
	}
}

// TestLocation resumes where the server would like it, and elsewhere when
// nobody is there.
func TestLocation(t *testing.T) {
	for _, gone := range []bool{false, true} {
		sm := &fakeSM{}
		there := (&fake{sm: sm}).start(t)
		sm.location = there.address()
		if gone {
			sm.location = "127.0.0.1:1"
		}
		here := &fake{sm: sm}
		here.session = func(c *fakeConn) {
			if c.n > 0 {
				c.idle()
			}
		}
		s, states := here.start(t).lasting(t)
		expect(t, states, State{Up: true})
		if there.saw("resume") == gone {
			t.Errorf("gone %v: the location saw %v", gone, there.seen)
		}
		if _, err := s.IQ(testContext(t), jid.JID{}, stanza.Get, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestParsePlace(t *testing.T) {
	for _, tt := range []struct {
		in     string
		direct bool
		want   *target
	}{
		{"a.test", false, &target{"a.test:5222", false}},
		{"a.test", true, &target{"a.test:5223", true}},
		{"a.test:5222", true, &target{"a.test:5222", false}},
		{"a.test:5223", false, &target{"a.test:5223", true}},
		{"a.test:443", false, &target{"a.test:443", true}},
		{"a.test:7000", true, &target{"a.test:7000", true}},
		{"müller.test:7000", false, &target{"xn--mller-kva.test:7000", false}},
		{"[::1]:7000", false, &target{"[::1]:7000", false}},
		{"[::1]", false, &target{"[::1]:5222", false}},
		{"::1", false, &target{"[::1]:5222", false}},
		{"127.0.0.1", false, &target{"127.0.0.1:5222", false}},
		{"", false, nil},
		{":5222", false, nil},
		{"a.test:0", false, nil},
		{"a.test:65536", false, nil},
		{"a.test:x", false, nil},
		{"a b", false, nil},
		{"a:b:c", false, nil},
		{"[::1]x:7", false, nil},
	} {
		got := parsePlace(tt.in, tt.direct)
		if (got == nil) != (tt.want == nil) || (got != nil && *got != *tt.want) {
			t.Errorf("%q: got %v, want %v", tt.in, got, tt.want)
		}
	}
}
