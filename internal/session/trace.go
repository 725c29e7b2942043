package session

import (
	"context"
	"fmt"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// nsIBB qualifies in-band file data (XEP-0047).
const nsIBB = "http://jabber.org/protocol/ibb"

// trace logs a stanza, without its secrets.
func (s *Session) trace(direction string, el *xmltree.Element) {
	if s.log.Enabled(context.Background(), LevelTrace) {
		s.log.Log(context.Background(), LevelTrace, direction, "stanza", redact(el))
	}
}

// redact returns el as XML in which what authenticates us and what may be file
// data is replaced by its length.
func redact(el *xmltree.Element) string {
	c := el.Clone()
	sasl := c.Name.Space == gstanza.NSSASL || c.Name.Space == nsSASL2
	hide(c, sasl && c.Name.Local != "failure")
	return c.String()
}

func hide(el *xmltree.Element, secret bool) {
	if (secret || el.Is(nsIBB, "data")) && el.Text != "" {
		el.Text = fmt.Sprintf("[%d characters]", len(el.Text))
	}
	for _, name := range []string{"id", "token"} {
		if (el.Is(nsSASL2, "user-agent") || el.Is(nsFAST, "token")) && el.Attr(name) != "" {
			el.Set(name, "[hidden]")
		}
	}
	for _, c := range el.Children {
		hide(c, secret || el.Is(nsRegister, "query"))
	}
}
