package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/stanza"
)

func TestLogin(t *testing.T) {
	for name, tt := range map[string]struct {
		f    *fake
		mech string
	}{
		"starttls":           {&fake{}, "SCRAM-SHA-256"},
		"direct":             {&fake{direct: true}, "SCRAM-SHA-256"},
		"sha-512":            {&fake{mechanisms: []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512"}}, "SCRAM-SHA-512"},
		"sha-1":              {&fake{mechanisms: []string{"X-OAUTH2", "SCRAM-SHA-1"}}, "SCRAM-SHA-1"},
		"legacy session":     {&fake{legacy: true}, "SCRAM-SHA-256"},
		"exporter":           {&fake{mechanisms: []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, bindings: []string{"tls-exporter"}}, "SCRAM-SHA-1-PLUS"},
		"end point":          {&fake{mechanisms: []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, bindings: []string{"tls-server-end-point"}}, "SCRAM-SHA-256-PLUS"},
		"unique":             {&fake{maxTLS: tls.VersionTLS12, mechanisms: []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}}, "SCRAM-SHA-1-PLUS"},
		"unique excluded":    {&fake{maxTLS: tls.VersionTLS12, mechanisms: []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, bindings: []string{"x"}}, "SCRAM-SHA-1"},
		"plus without a way": {&fake{mechanisms: []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}}, "SCRAM-SHA-1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tt.f.start(t).online(t)
			if got := s.JID().String(); got != "juliet@jet.test/r" {
				t.Errorf("bound %s", got)
			}
			if s.Mechanism() != tt.mech {
				t.Errorf("mechanism %s, want %s", s.Mechanism(), tt.mech)
			}
			if !s.OverLoopback() {
				t.Error("127.0.0.1 is no loopback")
			}
			closeSession(t, s)
			select {
			case <-s.Done():
			default:
				t.Error("Done is open after Close")
			}
			if err := s.Err(); err != nil {
				t.Errorf("Err after Close: %v", err)
			}
			if _, err := s.IQ(testContext(t), self, stanza.Get, nil); !errors.Is(err, ErrSessionLost) {
				t.Errorf("IQ after Close: %v", err)
			}
		})
	}
}

// login tries to log in to f and returns the error.
func (f *fake) login(t *testing.T, change ...func(*Config)) error {
	t.Helper()
	cfg := f.start(t).config()
	for _, c := range change {
		c(&cfg)
	}
	s := New(cfg)
	err := s.Start(testContext(t))
	closeSession(t, s)
	if err == nil {
		t.Fatal("logged in")
	}
	return err
}

func wrongPassword(cfg *Config) {
	cfg.Password = func(context.Context) (string, error) { return "wrong", nil }
}

func noPassword(t *testing.T) func(*Config) {
	return func(cfg *Config) {
		cfg.Password = func(context.Context) (string, error) {
			t.Error("password asked for")
			return "", errors.New("none")
		}
	}
}

func TestWrongPassword(t *testing.T) {
	err := (&fake{}).login(t, wrongPassword)
	var ae *AuthError
	if !errors.As(err, &ae) || ae.Condition != "not-authorized" || ae.Text != "sorry" || ae.Temporary() {
		t.Fatalf("%#v", err)
	}
	if !strings.Contains(err.Error(), "wrong password") {
		t.Errorf("not in words: %v", err)
	}
}

func TestPasswordSource(t *testing.T) {
	want := errors.New("keyring is locked")
	err := (&fake{}).login(t, func(cfg *Config) {
		cfg.Password = func(context.Context) (string, error) { return "", want }
	})
	if !errors.Is(err, want) {
		t.Error(err)
	}
}

func TestCertificate(t *testing.T) {
	for name, tt := range map[string]struct {
		f     *fake
		trust bool
		words string
	}{
		"unknown authority": {&fake{}, false, "unknown authority"},
		"other name":        {&fake{certName: "evil.test"}, true, "not for jet.test"},
		"other name direct": {&fake{certName: "evil.test", direct: true}, true, "not for jet.test"},
		"expired":           {&fake{certUntil: time.Now().Add(-time.Hour)}, true, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.f.login(t, noPassword(t), func(cfg *Config) {
				if !tt.trust {
					cfg.RootCAs = nil
				}
			})
			var ce *CertificateError
			if !errors.As(err, &ce) || ce.Domain != fakeDomain {
				t.Fatalf("%#v", err)
			}
			if !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%q lacks %q", err, tt.words)
			}
			if tt.f.saw("auth") {
				t.Error("authentication was begun")
			}
		})
	}
}

func TestStartTLSStripped(t *testing.T) {
	sasl := "<mechanisms xmlns='" + gstanza.NSSASL + "'><mechanism>PLAIN</mechanism></mechanisms>"
	for name, f := range map[string]*fake{
		"not offered": {script: map[string]func(*fakeConn) bool{"header": func(c *fakeConn) bool {
			c.header(sasl)
			for c.hear() != nil {
			}
			return true
		}}},
		"refused": {script: map[string]func(*fakeConn) bool{"starttls": func(c *fakeConn) bool {
			c.hear()
			c.say("<failure xmlns='" + nsTLS + "'/>")
			for c.hear() != nil {
			}
			return true
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := f.login(t, noPassword(t), func(cfg *Config) { cfg.AllowPlain = true })
			var ae *AuthError
			if !errors.Is(err, ErrPlaintext) || !errors.As(err, &ae) {
				t.Error(err)
			}
			if f.saw("auth") || f.saw("iq") {
				t.Errorf("sent in the clear: %v", f.seen)
			}
		})
	}
}

func TestDataAfterProceed(t *testing.T) {
	f := &fake{script: map[string]func(*fakeConn) bool{"starttls": func(c *fakeConn) bool {
		c.hear()
		c.say("<proceed xmlns='" + nsTLS + "'/><stream:features/>")
		c.silent()
		return true
	}}}
	err := f.login(t, noPassword(t))
	if !strings.Contains(err.Error(), "unencrypted data") {
		t.Error(err)
	}
}

func TestSilentServer(t *testing.T) {
	for _, direct := range []bool{false, true} {
		for _, step := range []string{"header", "starttls", "tls", "features", "sasl", "restart", "bind", "roster"} {
			if direct && (step == "header" || step == "starttls") {
				continue
			}
			t.Run(step, func(t *testing.T) {
				f := (&fake{direct: direct, silentAt: step}).start(t)
				s := New(f.config())
				ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				defer cancel()
				err := s.Start(ctx)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				closeSession(t, s)
			})
		}
	}
}

func TestCancelledLogin(t *testing.T) {
	f := &fake{script: map[string]func(*fakeConn) bool{}}
	ctx, cancel := context.WithCancel(testContext(t))
	f.script["sasl"] = func(c *fakeConn) bool { cancel(); c.silent(); return true }
	s := New(f.start(t).config())
	if err := s.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	closeSession(t, s)
}

func TestCloseInterruptsLogin(t *testing.T) {
	f := &fake{script: map[string]func(*fakeConn) bool{}}
	reached := make(chan struct{})
	f.script["sasl"] = func(c *fakeConn) bool { close(reached); c.silent(); return true }
	s := New(f.start(t).config())
	got := make(chan error, 1)
	go func() { got <- s.Start(testContext(t)) }()
	<-reached
	closeSession(t, s)
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestStreamErrorAtLogin(t *testing.T) {
	f := &fake{script: map[string]func(*fakeConn) bool{
		"header": func(c *fakeConn) bool { return c.sayError("host-unknown", "") },
	}}
	err := f.login(t)
	var se *StreamError
	if !errors.As(err, &se) || se.Condition != "host-unknown" {
		t.Error(err)
	}
}

func TestBindRefused(t *testing.T) {
	for name, answer := range map[string]string{
		"conflict":      "<iq type='error' id='ID'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
		"other account": "<iq type='result' id='ID'><bind xmlns='" + gstanza.NSBind + "'><jid>romeo@jet.test/r</jid></bind></iq>",
		"bare":          "<iq type='result' id='ID'><bind xmlns='" + gstanza.NSBind + "'><jid>juliet@jet.test</jid></bind></iq>",
		"nothing":       "<iq type='result' id='ID'/>",
		"other id":      "<iq type='result' id='x'/>",
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{script: map[string]func(*fakeConn) bool{"bind": func(c *fakeConn) bool {
				for iq := c.hear(); iq != nil; iq = c.hear() {
					c.say(strings.ReplaceAll(answer, "ID", iq.Attr("id")))
				}
				return true
			}}}
			err := f.login(t)
			var se *stanza.Error
			if (name == "conflict") != (errors.As(err, &se) && se.Condition == stanza.Conflict) {
				t.Error(err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	cfg := (&fake{}).start(t).config()
	cfg.Server = closed
	s := New(cfg)
	err = s.Start(testContext(t))
	var ue *UnreachableError
	if !errors.As(err, &ue) || ue.Domain != fakeDomain || len(ue.Errs) != 1 {
		t.Fatal(err)
	}
	if !errors.Is(s.Err(), err) {
		t.Errorf("Err: %v", s.Err())
	}
}

// TestNextTarget has the first host refuse, the second one present a wrong
// certificate and the third one be right.
func TestNextTarget(t *testing.T) {
	wrong := (&fake{certName: "evil.test"}).start(t)
	right := (&fake{direct: true}).start(t)
	port := func(f *fake) uint16 { return uint16(f.ln.Addr().(*net.TCPAddr).Port) }
	cfg := right.config()
	cfg.LookupSRV = func(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
		if proto != "tcp" || name != fakeDomain {
			t.Errorf("looked up %s %s", proto, name)
		}
		if service == srvDirectTLS {
			return "", []*net.SRV{{Target: "127.0.0.1.", Port: port(right), Priority: 9}}, nil
		}
		return "", []*net.SRV{
			{Target: "127.0.0.1.", Port: 1, Priority: 1},
			{Target: "127.0.0.1.", Port: port(wrong), Priority: 5},
		}, nil
	}
	s := New(cfg)
	defer closeSession(t, s)
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if wrong.saw("auth") || slices.Contains(wrong.seen, "iq") {
		t.Errorf("the wrong server saw %v", wrong.seen)
	}
}

// TestSlowHost: the last host may take longer than any before it, once it has
// answered at all. One that says nothing still costs no more than its share.
func TestSlowHost(t *testing.T) {
	last := (&fake{}).start(t)
	cfg := last.config()
	cfg.Dial = func(_ context.Context, network, address string) (net.Conn, error) { return net.Dial(network, address) }
	s := New(cfg)
	s.targetMax = time.Nanosecond
	if err := s.Start(testContext(t)); err != nil {
		t.Errorf("alone: %v", err)
	}
	closeSession(t, s)

	first := (&fake{silentAt: "features"}).start(t)
	cfg = last.config()
	cfg.LookupSRV = func(_ context.Context, service, _, _ string) (string, []*net.SRV, error) {
		if service != srvStartTLS {
			return "", nil, &net.DNSError{IsNotFound: true}
		}
		var out []*net.SRV
		for i, f := range []*fake{first, last} {
			out = append(out, &net.SRV{Target: "127.0.0.1.", Port: uint16(f.ln.Addr().(*net.TCPAddr).Port), Priority: uint16(i)})
		}
		return "", out, nil
	}
	s = New(cfg)
	s.targetMax = 100 * time.Millisecond
	if err := s.Start(testContext(t)); err != nil {
		t.Errorf("after a silent one: %v", err)
	}
	closeSession(t, s)
}

func TestStartTwice(t *testing.T) {
	s := (&fake{}).start(t).online(t)
	if err := s.Start(testContext(t)); err == nil {
		t.Error("started twice")
	}
}

func TestNeverStarted(t *testing.T) {
	s := New((&fake{}).start(t).config())
	closeSession(t, s)
	closeSession(t, s)
	<-s.Done()
	if err := s.Start(testContext(t)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.Send(testContext(t), stanza.Message{}); !errors.Is(err, ErrSessionLost) {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{}, {JID: self}} {
		s := New(cfg)
		if err := s.Start(testContext(t)); err == nil {
			t.Errorf("%v started", cfg.JID)
		}
		closeSession(t, s)
	}
}
