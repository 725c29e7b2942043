package session

import (
	"testing"

	gstanza "gosrc.io/xmpp/stanza"
)

// TestSASL2Resume resumes a stream along with the login, or, refused, is bound by it anew;
// and after a server has resumed a stream that is not ours it is asked for a new one.
func TestSASL2Resume(t *testing.T) {
	resumed := "<resumed xmlns='" + nsSM + "' previd='a' h='0'/>"
	for name, c := range map[string]struct {
		inline, second string
		kept, fails    bool
	}{
		"granted":      {inline: inlineAll, second: resumed, kept: true},
		"refused":      {inline: inlineAll, second: "<failed xmlns='" + nsSM + "'/>" + boundAll},
		"not answered": {inline: inlineAll, second: boundAll},
		"another":      {inline: inlineAll, second: "<resumed xmlns='" + nsSM + "' previd='b' h='0'/>", fails: true},
		"more":         {inline: inlineAll, second: "<resumed xmlns='" + nsSM + "' previd='a' h='7'/>", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := &sasl2{inline: c.inline, success: c.second, after: "<bind xmlns='" + gstanza.NSBind + "'/>"}
			f := (&fake{}).modern(o).start(t)
			s := New(f.config())
			defer closeSession(t, s)
			prev := newBinding(s.ctx.Done())
			prev.full = self
			prev.sm.asked, prev.sm.on, prev.sm.keep, prev.sm.id = true, true, true, "a"
			n, err := s.negotiate(testContext(t), prev)
			if err != nil {
				t.Fatal(err)
			}
			defer n.t.hangUp()
			if s.careful != c.fails || c.fails && (n.b == prev || prev.sm.resumable()) {
				t.Error(s.careful, n.b == prev)
			}
			if c.fails {
				return
			}
			if ask := o.heard.Child(nsSM, "resume"); (n.b == prev) != c.kept || ask.Attr("previd") != "a" || ask.Attr("h") != "0" {
				t.Error(n.b == prev, o.heard)
			}
		})
	}
}
