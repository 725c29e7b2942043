package session

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"jetsend/internal/xmltree"
)

// token is an honest server's side of a login by a token.
func (c *fakeConn) token(o *sasl2, auth *xmltree.Element) bool {
	x := tokenExchange{user: self.Local(), secret: o.token, hash: scram.SHA256}
	if strings.HasSuffix(auth.Attr("mechanism"), "-EXPR") {
		cs := c.Conn.(*tls.Conn).ConnectionState()
		cb, err := scram.NewTLSExporterBinding(&cs)
		if err != nil {
			panic(err)
		}
		x.binding = cb.Data
	}
	if want, _, _ := x.first(); auth.Child(nsFAST, "fast") == nil || saslData(auth.Child(nsSASL2, "initial-response")) != want {
		c.say("<failure xmlns='" + nsSASL2 + "'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>")
		for c.hear() != nil {
		}
		return false
	}
	proof := x.mac("Responder")
	if o.proof != "" {
		proof = o.proof
	}
	c.admit(o, proof)
	return true
}

// inlineFAST offers tokens beside everything else.
func inlineFAST(mechanisms ...string) string {
	var b strings.Builder
	for _, m := range mechanisms {
		b.WriteString("<mechanism>" + m + "</mechanism>")
	}
	return inlineAll + "<fast xmlns='" + nsFAST + "'>" + b.String() + "</fast>"
}

func givenToken(secret string) string {
	return "<token xmlns='" + nsFAST + "' token='" + secret + "' expiry='" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + "'/>"
}

// byToken logs in with what is kept, and tells whether the password was asked for.
func (f *fake) byToken(t *testing.T, kept *memory, setup ...func(*Session)) (s *Session, asked bool) {
	t.Helper()
	s = f.online(t, append([]func(*Session){func(s *Session) {
		s.cfg.UserAgent, s.cfg.Tokens = agentID, kept
		s.cfg.Password = func(context.Context) (string, error) { asked = true; return fakePassword, nil }
	}}, setup...)...)
	return s, asked
}

// TestFAST: a token comes with a login, is used once, and is replaced by the next.
func TestFAST(t *testing.T) {
	for _, mechanism := range []string{"HT-SHA-256-NONE", "HT-SHA-256-EXPR"} {
		t.Run(mechanism, func(t *testing.T) {
			o, kept := &sasl2{inline: inlineFAST(mechanism), success: boundAll + givenToken("one")}, &memory{}
			f := (&fake{}).modern(o).start(t)
			if _, asked := f.byToken(t, kept); !asked || o.heard.Child(nsFAST, "request-token").Attr("mechanism") != mechanism {
				t.Error(o.heard)
			}
			o.token, o.success = "one", boundAll+givenToken("two")
			s, asked := f.byToken(t, kept)
			if asked || o.heard.Attr("mechanism") != mechanism || s.Mechanism() != "SCRAM-SHA-256" || s.Careful() {
				t.Error(o.heard, s.Mechanism())
			}
			shown := o.heard.Child(nsSASL2, "initial-response").Text
			o.token = "two"
			if _, asked := f.byToken(t, kept); asked || o.heard.Child(nsSASL2, "initial-response").Text == shown {
				t.Error("a token was shown twice")
			}
			if _, asked := f.byToken(t, kept, func(s *Session) { s.cfg.ByPassword = true }); !asked {
				t.Error("the password was not proved")
			}
		})
	}
}

// TestFASTRefused: a token that is refused, or whose server cannot prove that it has it,
// costs a second connection, by the password, and is not shown again.
func TestFASTRefused(t *testing.T) {
	for name, change := range map[string]func(*sasl2){
		"refused":      func(o *sasl2) { o.token = "another" },
		"no proof":     func(o *sasl2) { o.proof = "nonsense" },
		"a replay":     func(o *sasl2) { o.proof = tokenExchange{secret: "older", hash: scram.SHA256}.mac("Responder") },
		"ours, echoed": func(o *sasl2) { o.proof = tokenExchange{secret: "one", hash: scram.SHA256}.mac("Initiator") },
	} {
		t.Run(name, func(t *testing.T) {
			o, kept := &sasl2{inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken("one")}, &memory{}
			f := (&fake{}).modern(o)
			honest := f.script["sasl"]
			f.script["sasl"] = func(c *fakeConn) bool {
				if c.n == 2 {
					o.proof = ""
				}
				return honest(c)
			}
			f.start(t).byToken(t, kept)
			o.token = "one"
			change(o)
			s, asked := f.byToken(t, kept)
			if tried := f.connections() - 1; !asked || tried != 2 || s.Careful() || !strings.HasPrefix(o.heard.Attr("mechanism"), "SCRAM") || o.heard.Child(nsFAST, "request-token") != nil {
				t.Error(f.connections(), o.heard)
			}
		})
	}
}

// TestFASTHeld: a token is shown to nobody but the key that gave it, by no older TLS, not
// after its time, and for no more than the login that it goes back to was.
func TestFASTHeld(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Token)
		maxTLS uint16
		offer  []string
	}{
		"another certificate": {change: func(k *Token) { k.Server[0] ^= 1 }},
		"expired":             {change: func(k *Token) { k.Expires = time.Now().Add(-time.Second) }},
		"older tls":           {maxTLS: tls.VersionTLS12},
		"lesser login":        {change: func(k *Token) { k.Login = "SCRAM-SHA-1" }},
		"plain login":         {change: func(k *Token) { k.Login = mechPlain }},
		"bound login":         {change: func(k *Token) { k.Login = "SCRAM-SHA-256-PLUS" }},
		"another mechanism":   {offer: []string{"HT-SHA-512-NONE", "HT-SHA-256-EXPR"}},
		"unknown mechanism":   {change: func(k *Token) { k.Mechanism = "HT-MD5-NONE" }, offer: []string{"HT-MD5-NONE"}},
		"none offered":        {offer: []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			kept := &memory{}
			first := (&fake{}).modern(&sasl2{inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken("one")}).start(t)
			first.byToken(t, kept)
			if c.change != nil {
				c.change(kept.t)
			}
			if c.offer == nil {
				c.offer = []string{"HT-SHA-256-NONE"}
			}
			o := &sasl2{inline: inlineFAST(c.offer...), success: boundAll, token: "one"}
			second := (&fake{maxTLS: c.maxTLS}).modern(o)
			second.cert = first.cert
			if _, asked := second.start(t).byToken(t, kept); !asked || o.heard.Child(nsFAST, "fast") != nil {
				t.Error(o.heard)
			}
		})
	}
	t.Run("the same key", func(t *testing.T) { // else the cases above show nothing
		kept := &memory{}
		first := (&fake{}).modern(&sasl2{inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken("one")}).start(t)
		first.byToken(t, kept)
		second := (&fake{}).modern(&sasl2{inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll, token: "one"})
		second.cert = first.cert
		if _, asked := second.start(t).byToken(t, kept); asked {
			t.Error("by the password")
		}
	})
}

// TestFASTDowngrade: with a token, too, a server that offers less than it did is not logged
// in to, and gets to see nothing; one that has lost SASL2 gets the login that is held.
func TestFASTDowngrade(t *testing.T) {
	kept := &memory{t: &Token{Secret: "one", Mechanism: "HT-SHA-256-NONE", Expires: time.Now().Add(time.Hour), Login: "SCRAM-SHA-256"}}
	setup := func(cfg *Config) { cfg.UserAgent, cfg.Tokens, cfg.BestMechanism = agentID, kept, "SCRAM-SHA-256" }
	f := (&fake{mechanisms: []string{"SCRAM-SHA-1"}}).modern(&sasl2{inline: inlineFAST("HT-SHA-256-NONE"), token: "one"})
	if err := f.login(t, noPassword(t), setup); !errors.Is(err, ErrDowngrade) || f.saw("authenticate") || f.saw("auth") || kept.t == nil {
		t.Error(err)
	}
	stripped := (&fake{}).start(t)
	s, asked := stripped.byToken(t, kept, func(s *Session) { s.cfg.BestMechanism = "SCRAM-SHA-256" })
	if !asked || s.Mechanism() != "SCRAM-SHA-256" || kept.t == nil {
		t.Error(asked, s.Mechanism(), "the token is gone:", kept.t == nil)
	}
}

// TestFASTGiven: what is no token is not kept, nor what nobody asked for.
func TestFASTGiven(t *testing.T) {
	for name, o := range map[string]*sasl2{
		"no time":    {inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + "<token xmlns='" + nsFAST + "' token='x'/>"},
		"no secret":  {inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken("")},
		"too long":   {inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken(strings.Repeat("x", maxToken+1))},
		"not asked":  {inline: inlineAll, success: boundAll + givenToken("one")},
		"not usable": {inline: inlineFAST("HT-SHA-256-UNIQ"), success: boundAll + givenToken("one")}, // with TLS 1.3
	} {
		t.Run(name, func(t *testing.T) {
			kept := &memory{}
			(&fake{}).modern(o).start(t).byToken(t, kept)
			if len(kept.all()) != 0 {
				t.Error(kept.all())
			}
		})
	}
}

// TestRevoke: the server is told, by the token, once.
func TestRevoke(t *testing.T) {
	o, kept := &sasl2{inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken("one")}, &memory{}
	f := (&fake{}).modern(o).start(t)
	s, _ := f.byToken(t, kept)
	o.token = "one"
	cfg := s.cfg
	cfg.Password = func(context.Context) (string, error) { return "", errors.New("asked for") }
	for range 2 {
		if err := Revoke(testContext(t), cfg); err != nil {
			t.Error(err)
		}
		if o.heard.Child(nsFAST, "fast").Attr("invalidate") != "true" || o.heard.Child(nsBind2, "bind") != nil {
			t.Error(o.heard)
		}
	}
	if kept.t != nil {
		t.Error("a token is left")
	}
}
