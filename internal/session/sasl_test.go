package session

import (
	"errors"
	"strings"
	"testing"

	gstanza "gosrc.io/xmpp/stanza"
)

func TestMechanismPolicy(t *testing.T) {
	plain := func() *fake { return &fake{mechanisms: []string{"PLAIN", "EXTERNAL"}} }
	t.Run("plain refused", func(t *testing.T) {
		f := plain()
		if err := f.login(t, noPassword(t)); !errors.Is(err, ErrPlainOnly) || f.saw("auth") {
			t.Error(err, f.seen)
		}
	})
	t.Run("plain allowed", func(t *testing.T) {
		f := plain().start(t)
		cfg := f.config()
		cfg.AllowPlain = true
		s := New(cfg)
		defer closeSession(t, s)
		if err := s.Start(testContext(t)); err != nil || s.Mechanism() != mechPlain {
			t.Error(err, s.Mechanism())
		}
	})
	t.Run("plain allowed, wrong password", func(t *testing.T) {
		var ae *AuthError
		err := plain().login(t, wrongPassword, func(cfg *Config) { cfg.AllowPlain = true })
		if !errors.As(err, &ae) || ae.Condition != "not-authorized" {
			t.Error(err)
		}
	})
	t.Run("nothing known", func(t *testing.T) {
		f := &fake{mechanisms: []string{"EXTERNAL", "X\x20\u202e"}}
		if err := f.login(t, noPassword(t)); !errors.Is(err, ErrNoMechanism) {
			t.Error(err)
		}
	})
	t.Run("downgrade", func(t *testing.T) {
		for _, best := range []string{"SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"} {
			f := &fake{}
			err := f.login(t, noPassword(t), func(cfg *Config) { cfg.BestMechanism = best })
			if !errors.Is(err, ErrDowngrade) || f.saw("auth") {
				t.Error(err)
			}
		}
		f := plain()
		err := f.login(t, noPassword(t), func(cfg *Config) { cfg.BestMechanism, cfg.AllowPlain = "SCRAM-SHA-1", true })
		if !errors.Is(err, ErrDowngrade) || f.saw("auth") {
			t.Error(err)
		}
	})
}

// TestMechanismKept has logins that the remembered mechanism does not stand against.
func TestMechanismKept(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"upgrade":           func(cfg *Config) { cfg.BestMechanism = "SCRAM-SHA-1" },
		"same":              func(cfg *Config) { cfg.BestMechanism = "SCRAM-SHA-256" },
		"unknown best":      func(cfg *Config) { cfg.BestMechanism = "HT-SHA-256" },
		"allowed downgrade": func(cfg *Config) { cfg.BestMechanism, cfg.AllowSASLDowngrade = "SCRAM-SHA-512", true },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := (&fake{}).start(t).config()
			change(&cfg)
			s := New(cfg)
			defer closeSession(t, s)
			if err := s.Start(testContext(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHostileSASL has a server that does not know the password, or wants to
// keep us busy.
func TestHostileSASL(t *testing.T) {
	// script answers <auth/>; nonce is the client's.
	script := func(then func(c *fakeConn, nonce string)) *fake {
		return &fake{script: map[string]func(*fakeConn) bool{"sasl": func(c *fakeConn) bool {
			_, nonce, _ := strings.Cut(saslData(c.hear()), ",r=")
			then(c, nonce)
			for c.hear() != nil {
			}
			return true
		}}}
	}
	const salt = ",s=c2FsdHNhbHQ=,i="
	for name, tt := range map[string]struct {
		f    *fake
		want error
	}{
		"iteration bomb":  {script(func(c *fakeConn, n string) { c.challenge("r=" + n + "x" + salt + "30000000") }), ErrChallenge},
		"few iterations":  {script(func(c *fakeConn, n string) { c.challenge("r=" + n + "x" + salt + "1") }), ErrChallenge},
		"huge iterations": {script(func(c *fakeConn, n string) { c.challenge("r=" + n + "x" + salt + "99999999999999999999") }), ErrChallenge},
		"bare nonce":      {script(func(c *fakeConn, n string) { c.challenge("r=" + n + salt + "4096") }), ErrChallenge},
		"other nonce":     {script(func(c *fakeConn, n string) { c.challenge("r=x" + n + salt + "4096") }), ErrChallenge},
		"no salt":         {script(func(c *fakeConn, n string) { c.challenge("r=" + n + "x,s=,i=4096") }), ErrChallenge},
		"extension":       {script(func(c *fakeConn, n string) { c.challenge("m=x,r=" + n + "x" + salt + "4096") }), ErrChallenge},
		"rubbish":         {script(func(c *fakeConn, _ string) { c.challenge("x") }), ErrChallenge},
		"not base64":      {script(func(c *fakeConn, _ string) { c.say("<challenge xmlns='" + gstanza.NSSASL + "'>!</challenge>") }), ErrChallenge},
		"long":            {script(func(c *fakeConn, _ string) { c.challenge(strings.Repeat("x", maxChallenge+3)) }), ErrChallenge},
		"other element":   {script(func(c *fakeConn, _ string) { c.say("<x xmlns='urn:x'/>") }), ErrChallenge},
		"success at once": {script(func(c *fakeConn, n string) { c.success("r=" + n + "x" + salt + "4096") }), ErrServerProof},
		"empty success":   {script(func(c *fakeConn, _ string) { c.success("") }), ErrServerProof},
		"no proof":        {script(func(c *fakeConn, n string) { c.challenge("r=" + n + "x" + salt + "4096"); c.hear(); c.success("") }), ErrServerProof},
		"wrong proof": {script(func(c *fakeConn, n string) {
			c.challenge("r=" + n + "x" + salt + "4096")
			c.hear()
			c.success("v=AAAA")
		}), ErrServerProof},
		"endless": {script(func(c *fakeConn, n string) {
			for range 9 {
				c.challenge("r=" + n + "x" + salt + "4096")
			}
		}), ErrServerProof},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.f.login(t)
			var ae *AuthError
			if !errors.Is(err, tt.want) || !errors.As(err, &ae) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestProofInChallenge has a server that proves itself in a second challenge
// (RFC 5802 leaves that to the profile; RFC 6120 section 6.4.6 allows both).
func TestProofInChallenge(t *testing.T) {
	f := &fake{script: map[string]func(*fakeConn) bool{"sasl": func(c *fakeConn) bool {
		auth := c.hear()
		conv := c.conversation(auth.Attr("mechanism"))
		m, _ := conv.Step(saslData(auth))
		c.challenge(m)
		m, _ = conv.Step(saslData(c.hear()))
		c.challenge(m)
		if r := c.hear(); r == nil || r.Name.Local != "response" || r.Text != "" {
			return true
		}
		c.say("<success xmlns='" + gstanza.NSSASL + "'/>")
		return false
	}}}
	f.start(t).online(t)
}

// TestEndlessChallenges has a server that knows the password, says so, and goes on
// to ask for nothing.
func TestEndlessChallenges(t *testing.T) {
	turns := make(chan int, 1)
	f := &fake{script: map[string]func(*fakeConn) bool{"sasl": func(c *fakeConn) bool {
		auth := c.hear()
		conv := c.conversation(auth.Attr("mechanism"))
		m, _ := conv.Step(saslData(auth))
		n := 0
		for c.challenge(m); n < 10*maxSASLSteps; c.challenge(m) {
			r := c.hear()
			if r == nil || r.Name.Local != "response" {
				break
			}
			if m = ""; n == 0 {
				m, _ = conv.Step(saslData(r))
			}
			n++
		}
		turns <- n
		return true
	}}}
	if err := f.login(t); !errors.Is(err, ErrChallenge) {
		t.Error(err)
	}
	if n := receive(t, turns); n != maxSASLSteps {
		t.Errorf("%d turns", n)
	}
}
