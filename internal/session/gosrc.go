package session

import (
	"context"
	"encoding/xml"
	"fmt"

	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// What this package takes from gosrc.io/xmpp, held to its types.
var (
	_ xmpp.Transport    = (*transport)(nil)
	_ xmpp.Sender       = sender{}
	_ xmpp.Matcher      = iqMatcher("")
	_ xmpp.Matcher      = messageMatcher{}
	_ gstanza.IQPayload = (*iqPayload)(nil)
	_ gstanza.Packet    = (*gstanza.IQ)(nil)
	_ gstanza.Packet    = gstanza.Message{}
	_ gstanza.Packet    = gstanza.Presence{}
)

// iqPayload carries a tree and the iq it came in through gosrc's IQ.
type iqPayload struct {
	*xmltree.Element
	iq stanza.IQ
}

// Namespace implements gstanza.IQPayload.
func (p *iqPayload) Namespace() string { return p.Name.Space }

// GetSet implements gstanza.IQPayload. Result sets stay in the tree.
func (p *iqPayload) GetSet() *gstanza.ResultSet { return nil }

// packet turns a stanza that is to be dispatched into gosrc's type of it, in
// which the prepared form travels along. It is nil for what is none.
func (in *inbound) packet() gstanza.Packet {
	a := gstanza.Attrs{
		Id: in.id, Type: gstanza.StanzaType(in.typ),
		From: in.el.Attr("from"), To: in.el.Attr("to"),
	}
	switch in.el.Name.Local {
	case "iq":
		iq := stanza.IQ{From: in.from, To: in.to, ID: in.id, Type: stanza.IQType(in.typ), Payload: in.el.Children[0]}
		return &gstanza.IQ{XMLName: in.el.Name, Attrs: a, Payload: &iqPayload{Element: iq.Payload, iq: iq}}
	case "message":
		m := stanza.Message{From: in.from, To: in.to, ID: in.id, Type: in.typ, Children: in.el.Children}
		return gstanza.Message{XMLName: in.el.Name, Attrs: a, Extensions: []gstanza.MsgExtension{m}}
	case "presence":
		p := stanza.Presence{From: in.from, To: in.to, Type: in.typ, Children: in.el.Children}
		return gstanza.Presence{XMLName: in.el.Name, Attrs: a, Extensions: []gstanza.PresExtension{p}}
	}
	return nil
}

// iqMatcher matches iq requests by the namespace of their payload. Unlike
// gosrc's own it does not change the case of namespaces.
type iqMatcher string

// Match implements xmpp.Matcher.
func (m iqMatcher) Match(p gstanza.Packet, _ *xmpp.RouteMatch) bool {
	iq, ok := p.(*gstanza.IQ)
	return ok && iq.Payload != nil && iq.Payload.Namespace() == string(m)
}

// messageMatcher matches messages that have such a child.
type messageMatcher xml.Name

// Match implements xmpp.Matcher.
func (m messageMatcher) Match(p gstanza.Packet, _ *xmpp.RouteMatch) bool {
	msg, ok := p.(gstanza.Message)
	return ok && carriedMessage(msg).Child(m.Space, m.Local) != nil
}

func carriedMessage(p gstanza.Message) stanza.Message {
	if len(p.Extensions) == 1 {
		if m, ok := p.Extensions[0].(stanza.Message); ok {
			return m
		}
	}
	return stanza.Message{}
}

func carriedPresence(p gstanza.Presence) stanza.Presence {
	if len(p.Extensions) == 1 {
		if m, ok := p.Extensions[0].(stanza.Presence); ok {
			return m
		}
	}
	return stanza.Presence{}
}

// sender is a Session as gosrc's handlers see it. (Session's own Send takes a
// context and our type, so it cannot be the method of the same name.)
type sender struct{ s *Session }

// Send implements xmpp.Sender.
func (x sender) Send(p gstanza.Packet) error {
	b, err := xml.Marshal(p)
	if err != nil {
		return fmt.Errorf("marshal %s: %w", p.Name(), err)
	}
	return x.SendRaw(string(b))
}

// SendRaw implements xmpp.Sender. The text must be one stanza.
func (x sender) SendRaw(packet string) error {
	el, err := xmltree.Parse([]byte(packet))
	if err != nil {
		return err
	}
	if el.Name.Space == "" {
		qualify(el)
	}
	if el.Name.Space != gstanza.NSClient || !isStanza(el.Name.Local) {
		return fmt.Errorf("send <%.32s/>: not a stanza", el.Name.Local)
	}
	return x.s.send(x.s.ctx, el, controlPriority)
}

// SendIQ implements xmpp.Sender. The channel holds the answer, if any, and is
// closed when the round trip has ended.
func (x sender) SendIQ(ctx context.Context, iq *gstanza.IQ) (chan gstanza.IQ, error) {
	to := jid.JID{}
	if iq.To != "" {
		var err error
		if to, err = jid.Parse(iq.To); err != nil {
			return nil, err
		}
	}
	b, err := xml.Marshal(iq.Payload)
	if err != nil {
		return nil, fmt.Errorf("marshal iq payload: %w", err)
	}
	payload, err := xmltree.Parse(b)
	if err != nil {
		return nil, err
	}
	out := make(chan gstanza.IQ, 1)
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.s.state != stateRunning {
		return nil, lost(ErrClosed)
	}
	x.s.wg.Go(func() {
		defer close(out)
		res, err := x.s.IQ(ctx, to, stanza.IQType(iq.Type), payload)
		if err != nil {
			return
		}
		answer := gstanza.IQ{Attrs: gstanza.Attrs{Type: gstanza.IQTypeResult, Id: iq.Id, From: iq.To}}
		if res != nil {
			answer.Payload = &iqPayload{Element: res}
		}
		out <- answer
	})
	return out, nil
}

// qualify puts an element that has no namespace, and such children, into that
// of the stream: gosrc marshals stanzas without one.
func qualify(el *xmltree.Element) {
	el.Name.Space = gstanza.NSClient
	for _, c := range el.Children {
		if c.Name.Space == "" {
			qualify(c)
		}
	}
}
