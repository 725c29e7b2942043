package session

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	gstanza "gosrc.io/xmpp/stanza"
)

// TestPasses has attempts fail in ways that pass: each is tried again.
func TestPasses(t *testing.T) {
	bad := func(step string, do func(*fakeConn)) func(*fake) {
		return func(f *fake) {
			steps := f.honest()
			honest := steps[slices.IndexFunc(steps, func(s honestStep) bool { return s.name == step })].do
			f.script[step] = func(c *fakeConn) bool {
				if c.n > 0 && c.n <= 6 { // an attempt may have three connections, see lessHaste
					do(c)
					return true
				}
				return !honest(c)
			}
		}
	}
	// A stream error in the clear may be anybody's word.
	clear := func(condition string) func(*fake) {
		return bad("header", func(c *fakeConn) { c.sayError(condition, "") })
	}
	certificate := func(name string, until time.Time) func(*fake) {
		return bad("tls", func(c *fakeConn) { c.encryptAs(theCA().issue(c.f.t, name, until)) })
	}
	silent := func(step string) func(*fake) {
		return bad(step, func(c *fakeConn) { _, _ = c.br.Discard(1 << 20) })
	}
	for name, change := range map[string]func(*fake){
		"no encryption": bad("header", func(c *fakeConn) {
			c.header("<mechanisms xmlns='" + gstanza.NSSASL + "'><mechanism>PLAIN</mechanism></mechanisms>")
			if el := c.hear(); el != nil {
				c.f.t.Errorf("sent in the clear: %v", el)
			}
		}),
		"no passwords": bad("sasl", func(c *fakeConn) { c.hear(); c.fail("temporary-auth-failure") }),
		"resource taken": bad("bind", func(c *fakeConn) {
			c.say("<iq type='error' id='" + c.hear().Attr("id") + "'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
			c.hear()
		}),
		"closed before tls": bad("tls", func(c *fakeConn) {}),
		"closed at binding": bad("bind", func(c *fakeConn) { c.hear() }),
		"closed at roster":  bad("roster", func(c *fakeConn) { c.hear() }),
		"silent header":     silent("header"),
		"silent starttls":   silent("starttls"),
		"silent tls":        silent("tls"),
		"silent features":   silent("features"),
		"silent sasl":       silent("sasl"),
		"silent restart":    silent("restart"),
		"silent bind":       silent("bind"),
		"silent roster":     silent("roster"),

		"another's certificate": certificate("evil.test", time.Now().Add(time.Hour)),
		"expired certificate":   certificate(fakeDomain, time.Now().Add(-time.Hour)),
		"clear host-unknown":    clear("host-unknown"),
		"clear host-gone":       clear("host-gone"),
		"clear conflict":        clear("conflict"),
		"clear not-authorized":  clear("not-authorized"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{script: map[string]func(*fakeConn) bool{}}
			change(f)
			f.session = func(c *fakeConn) {
				if c.n > 0 {
					c.idle()
				}
			}
			tries := 0
			s, states := f.start(t).dormant(t, func(s *Session) { s.loginMax, s.cfg.AllowPlain = time.Second, true })
			if err := s.Start(testContext(t)); err != nil {
				t.Fatal(err)
			}
			for up := 0; up < 2; {
				st := receive(t, states)
				if st.Up {
					up++
					continue
				}
				tries++
			}
			if tries < 3 {
				t.Errorf("%d times down", tries)
			}
		})
	}
}

// TestOneBadHost: what one host of several says ends nothing, while the good one
// is away for a moment. Nor does it hold up the next attempt.
func TestOneBadHost(t *testing.T) {
	port := func(f *fake) uint16 { return uint16(f.ln.Addr().(*net.TCPAddr).Port) }
	for name, bad := range map[string]*fake{
		"certificate": {certName: "evil.test"},
		"not served": {script: map[string]func(*fakeConn) bool{
			"features": func(c *fakeConn) bool { return c.sayError("host-unknown", "") },
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bad.start(t)
			good := &fake{session: func(c *fakeConn) {
				if c.n > 0 {
					c.idle()
				}
			}}
			s, states := good.start(t).dormant(t)
			s.backoff.Last = time.Hour
			s.cfg.LookupSRV = resolver(nil, []*net.SRV{
				{Target: "127.0.0.1.", Port: port(good), Priority: 1}, {Target: "127.0.0.1.", Port: port(bad), Priority: 2},
			})
			dialled := 0
			s.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dialled++; dialled == 2 { // the good one, after the loss
					return nil, syscall.ECONNREFUSED
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			if err := s.Start(testContext(t)); err != nil {
				t.Fatal(err)
			}
			expect(t, states, State{Up: true, Fresh: true})
			receive(t, states) // the loss
			var far *UnreachableError
			if st := receive(t, states); st.Up || !errors.As(st.Err, &far) || len(far.Errs) != 2 {
				t.Errorf("%+v", st)
			}
			expect(t, states, State{Up: true, Fresh: true})
		})
	}
}

// TestSilentResume: silence in place of the answer to <resume/> is bounded, and
// the stream can be resumed after it.
func TestSilentResume(t *testing.T) {
	f := &fake{sm: &fakeSM{}, script: map[string]func(*fakeConn) bool{}}
	f.script["bind"] = func(c *fakeConn) bool {
		if c.n != 1 {
			return !c.bind()
		}
		if el := c.hear(); !el.Is(nsSM, "resume") {
			t.Errorf("heard %v", el)
		}
		_, _ = c.br.Discard(1 << 20)
		return true
	}
	f.session = func(c *fakeConn) {
		if c.n > 0 {
			c.idle()
		}
	}
	_, states := f.start(t).lasting(t, func(s *Session) { s.loginMax = time.Second })
	receive(t, states) // the loss
	if st := receive(t, states); st.Up || !errors.Is(st.Err, context.DeadlineExceeded) {
		t.Errorf("%+v", st)
	}
	expect(t, states, State{Up: true})
}

// TestRefusedAndBack: nobody listens for a while.
func TestRefusedAndBack(t *testing.T) {
	f := &fake{session: func(c *fakeConn) {
		if c.n > 0 {
			c.idle()
		}
	}}
	s, states := f.start(t).dormant(t)
	dialled := 0
	s.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled++; dialled > 1 && dialled < 5 {
			address = "127.0.0.1:1"
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, states, State{Up: true, Fresh: true})
	receive(t, states) // the loss
	for range 3 {
		if st := receive(t, states); st.Up || !errors.Is(st.Err, syscall.ECONNREFUSED) {
			t.Errorf("%+v", st)
		}
	}
	expect(t, states, State{Up: true, Fresh: true})
}
