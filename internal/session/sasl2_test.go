package session

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// safeBuffer is a log that several goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *safeBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: LevelTrace}))
}

// sasl2 is what a scripted server of XEP-0388 offers, and says to who is let in.
type sasl2 struct {
	mechanisms []string // those of XEP-0388, if not those of the fake
	inline     string
	identity   string // in place of juliet@jet.test/r.x
	success    string // what is in it beside that
	proof      string // in place of the true one
	after      string // features
	heard      *xmltree.Element
	token      string // what is taken in the place of the password
}

const (
	inlineAll = "<sm xmlns='" + nsSM + "'/><bind xmlns='" + nsBind2 + "'><inline><feature var='" + nsSM + "'/></inline></bind>"
	boundAll  = "<bound xmlns='" + nsBind2 + "'><enabled xmlns='" + nsSM + "' id='a' resume='true'/></bound>"
)

// modern makes f speak XEP-0388 with Bind 2.
func (f *fake) modern(o *sasl2) *fake {
	if f.script == nil {
		f.script = map[string]func(*fakeConn) bool{}
	}
	f.script["features"] = func(c *fakeConn) bool {
		var b strings.Builder
		mechanisms := o.mechanisms
		if mechanisms == nil {
			mechanisms = f.mechanisms
		}
		for _, m := range mechanisms {
			b.WriteString("<mechanism>" + m + "</mechanism>")
		}
		return !c.header(f.mechanismList() + "<authentication xmlns='" + nsSASL2 + "'>" + b.String() + "<inline>" + o.inline + "</inline></authentication>")
	}
	f.script["sasl"] = func(c *fakeConn) bool { return !c.sasl2(o) }
	f.script["restart"] = func(c *fakeConn) bool {
		c.say("<stream:features>" + o.after + "</stream:features>")
		return false
	}
	if strings.Contains(o.success, "<bound") {
		f.script["bind"] = func(*fakeConn) bool { return false }
	}
	return f
}

func (c *fakeConn) sasl2(o *sasl2) bool {
	auth := c.hear()
	if !auth.Is(nsSASL2, "authenticate") {
		return false
	}
	o.heard = auth
	text := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	if strings.HasPrefix(auth.Attr("mechanism"), "HT-") {
		return c.token(o, auth)
	}
	conv := c.conversation(auth.Attr("mechanism"))
	m, err := conv.Step(saslData(auth.Child(nsSASL2, "initial-response")))
	if err != nil {
		return false
	}
	c.say("<challenge xmlns='" + nsSASL2 + "'>" + text(m) + "</challenge>")
	resp := c.hear()
	if !resp.Is(nsSASL2, "response") {
		return false
	}
	if m, err = conv.Step(saslData(resp)); err != nil {
		c.say("<failure xmlns='" + nsSASL2 + "'><not-authorized xmlns='" + gstanza.NSSASL + "'/><text>sorry</text></failure>")
		for c.hear() != nil {
		}
		return false
	}
	if o.proof != "" {
		m = o.proof
	}
	c.admit(o, m)
	return true
}

// admit is the success, with the server's proof.
func (c *fakeConn) admit(o *sasl2, proof string) {
	who := o.identity
	if who == "" {
		who = self.String() + "/r.x"
	}
	c.say("<success xmlns='" + nsSASL2 + "'><additional-data>" + base64.StdEncoding.EncodeToString([]byte(proof)) +
		"</additional-data><authorization-identifier>" + who + "</authorization-identifier>" + o.success + "</success>")
}

// TestSASL2 logs in in one exchange, with no secret in the log, and where less is offered
// does the rest as ever.
func TestSASL2(t *testing.T) {
	for name, o := range map[string]*sasl2{
		"all":          {inline: inlineAll, success: boundAll},
		"bind alone":   {inline: "<bind xmlns='" + nsBind2 + "'/>", success: "<bound xmlns='" + nsBind2 + "'/>"},
		"nothing":      {identity: self.String(), after: "<bind xmlns='" + gstanza.NSBind + "'/>"},
		"bind refused": {inline: inlineAll, identity: self.String(), success: "<failed xmlns='" + nsBind2 + "'/>"},
	} {
		t.Run(name, func(t *testing.T) {
			var log safeBuffer
			f := (&fake{}).modern(o).start(t)
			s := f.online(t, func(s *Session) { s.log, s.cfg.UserAgent = log.logger(), "uuid-of-mine" })
			want := "r"
			if strings.Contains(o.success, "<bound") {
				want = "r.x"
			}
			if s.JID().Resource() != want || f.saw("auth") || s.Mechanism() != "SCRAM-SHA-256" {
				t.Error(s.JID(), s.Mechanism(), f.seen)
			}
			first := o.heard.Child(nsSASL2, "initial-response").Text
			if text := log.String(); strings.Contains(text, first) || strings.Contains(text, "uuid-of-mine") {
				t.Error(text)
			}
			if o.heard.String() == "" || strings.Contains(o.heard.String(), "carbons") {
				t.Error(o.heard)
			}
		})
	}
}

// TestHostileSASL2 has a server that does not know the password, or lets somebody else in.
func TestHostileSASL2(t *testing.T) {
	for name, o := range map[string]*sasl2{
		"proof":         {inline: inlineAll, success: boundAll, proof: "v=AAAA"},
		"no proof":      {inline: inlineAll, success: boundAll, proof: "e=other-error"},
		"other account": {inline: inlineAll, success: boundAll, identity: "romeo@jet.test/r.x"},
		"other domain":  {inline: inlineAll, success: boundAll, identity: "juliet@evil.test/r.x"},
		"no resource":   {inline: inlineAll, success: boundAll, identity: self.String()},
		"no address":    {inline: inlineAll, success: boundAll, identity: "@/"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&fake{}).modern(o).login(t)
			var ae *AuthError
			if strings.HasSuffix(name, "proof") && !errors.Is(err, ErrServerProof) {
				t.Error(err)
			}
			if errors.As(err, &ae) != strings.HasSuffix(name, "proof") {
				t.Error(err)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		var ae *AuthError
		err := (&fake{}).modern(&sasl2{inline: inlineAll}).login(t, wrongPassword)
		if !errors.As(err, &ae) || ae.Condition != "not-authorized" || ae.Text != "sorry" {
			t.Error(err)
		}
	})
	t.Run("task", func(t *testing.T) {
		f := (&fake{}).modern(&sasl2{inline: inlineAll})
		f.script["sasl"] = func(c *fakeConn) bool {
			c.hear()
			c.say("<continue xmlns='" + nsSASL2 + "'><tasks><task>HOTP</task></tasks></continue>")
			for c.hear() != nil {
			}
			return true
		}
		if err := f.login(t); !errors.Is(err, ErrChallenge) {
			t.Error(err)
		}
	})
	t.Run("success at once", func(t *testing.T) {
		f := (&fake{}).modern(&sasl2{inline: inlineAll})
		f.script["sasl"] = func(c *fakeConn) bool {
			c.hear()
			c.say("<success xmlns='" + nsSASL2 + "'><authorization-identifier>juliet@jet.test/r.x</authorization-identifier>" + boundAll + "</success>")
			for c.hear() != nil {
			}
			return true
		}
		if err := f.login(t); !errors.Is(err, ErrServerProof) {
			t.Error(err)
		}
	})
}

// TestSASL2Downgrade: what was remembered of the mechanism binds both forms of the offer.
func TestSASL2Downgrade(t *testing.T) {
	t.Run("stripped", func(t *testing.T) { // SASL2 was there: as good a login, or none
		f := &fake{mechanisms: []string{"SCRAM-SHA-1"}}
		if err := f.login(t, noPassword(t), func(cfg *Config) { cfg.BestMechanism = "SCRAM-SHA-256" }); !errors.Is(err, ErrDowngrade) || f.saw("auth") {
			t.Error(err)
		}
	})
	t.Run("both less", func(t *testing.T) {
		f := (&fake{mechanisms: []string{"SCRAM-SHA-1"}}).modern(&sasl2{})
		if err := f.login(t, noPassword(t), func(cfg *Config) { cfg.BestMechanism = "SCRAM-SHA-256" }); !errors.Is(err, ErrDowngrade) || f.saw("authenticate") {
			t.Error(err)
		}
	})
	t.Run("plain", func(t *testing.T) {
		f := (&fake{mechanisms: []string{"PLAIN"}}).modern(&sasl2{})
		if err := f.login(t, noPassword(t)); !errors.Is(err, ErrPlainOnly) || f.saw("authenticate") {
			t.Error(err)
		}
	})
	t.Run("less in the new form", func(t *testing.T) {
		f := (&fake{}).modern(&sasl2{mechanisms: []string{"SCRAM-SHA-1"}})
		f.script["sasl"], f.script["restart"] = nil, nil
		if s := f.start(t).online(t); s.Mechanism() != "SCRAM-SHA-256" || !f.saw("auth") || f.saw("authenticate") {
			t.Error(s.Mechanism())
		}
	})
}

// FuzzWays reads features, which are whatever was sent: no offer panics, and XEP-0388 is
// never chosen for less than what the other form has.
func FuzzWays(f *testing.F) {
	f.Add("<features><authentication xmlns='" + nsSASL2 + "'><mechanism>PLAIN</mechanism><inline>" + inlineAll + "</inline></authentication></features>")
	f.Add("<features><mechanisms xmlns='" + gstanza.NSSASL + "'><mechanism>PLAIN</mechanism></mechanisms><authentication xmlns='" + nsSASL2 + "'/></features>")
	f.Fuzz(func(t *testing.T, text string) {
		el, err := xmltree.Parse([]byte(text))
		if err != nil {
			return
		}
		if o := ways(el); o.rank() > parseOffer(el).rank() {
			t.Errorf("%+v", o)
		}
	})
}
