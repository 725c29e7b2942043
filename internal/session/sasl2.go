package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	nsSASL2 = "urn:xmpp:sasl:2" // XEP-0388
	nsBind2 = "urn:xmpp:bind:0" // XEP-0386
)

// framing is the XML around a SASL exchange: that of RFC 6120 or, with space nsSASL2,
// that of XEP-0388. Mechanisms and the rules for them are the same in both.
type framing struct{ space string }

// auth begins the exchange, and asks for what is to be done along with it (XEP-0388 alone).
func (f framing) auth(mech, data string, along []*xmltree.Element) *xmltree.Element {
	if f.space != nsSASL2 {
		return xmltree.New(f.space, "auth").Set("mechanism", mech).SetText(encodeSASL(data))
	}
	el := xmltree.New(f.space, "authenticate").Set("mechanism", mech)
	el.Add(xmltree.New(f.space, "initial-response").SetText(encodeSASL(data)))
	for _, x := range along {
		el.Add(x)
	}
	return el
}

// data returns what a challenge or a success carries.
func (f framing) data(el *xmltree.Element) (string, error) {
	if f.space == nsSASL2 && el.Is(f.space, "success") {
		if el = el.Child(f.space, "additional-data"); el == nil {
			return "", nil
		}
	}
	return decodeSASL(el)
}

// inline is what a server does along with a login.
type inline struct {
	bind    bool     // Bind 2
	manage  bool     // and stream management with it (XEP-0198 section 9)
	resumes bool     // a resumption
	tokens  []string // the mechanisms by which a token is as good as a password (XEP-0484)
}

func parseInline(auth *xmltree.Element) (in inline) {
	list := auth.Child(nsSASL2, "inline")
	in.resumes = list.Child(nsSM, "sm") != nil
	for _, x := range list.Child(nsFAST, "fast").All(nsFAST, "mechanism") {
		in.tokens = append(in.tokens, trimmed(x))
	}
	bind := list.Child(nsBind2, "bind")
	in.bind = bind != nil
	in.manage = slices.ContainsFunc(bind.Child(nsBind2, "inline").All(nsBind2, "feature"), func(x *xmltree.Element) bool {
		return x.Attr("var") == nsSM
	})
	return in
}

// ways reads both forms in which a server may offer mechanisms and returns the one to
// use: XEP-0388, unless the other one has a better mechanism. What is between us and the
// server gains nothing by leaving one out: what was remembered binds both.
func ways(features *xmltree.Element) offer {
	old, auth := parseOffer(features), features.Child(nsSASL2, "authentication")
	if auth == nil {
		return old
	}
	o := offer{space: nsSASL2, bindings: old.bindings, listed: old.listed, inline: parseInline(auth)}
	for _, x := range auth.All(nsSASL2, "mechanism") {
		o.mechanisms = append(o.mechanisms, trimmed(x))
	}
	if o.rank() > old.rank() {
		return old
	}
	return o
}

// rank is the place of the best mechanism of an offer in mechanisms.
func (o offer) rank() int {
	known := mechanisms()
	if i := slices.IndexFunc(known, o.has); i >= 0 {
		return i
	}
	return len(known)
}

// along adds to what is asked for with the login. Carbons are not: copies of what others
// write to this account are nothing that a file needs.
func (s *Session) along(ctx context.Context, o offer, in *admission, prev *binding) {
	if o.space != nsSASL2 {
		return
	}
	if s.cfg.UserAgent != "" {
		agent := xmltree.New(nsSASL2, "user-agent", xmltree.New(nsSASL2, "software").SetText("jetsend"))
		in.add(agent.Set("id", s.cfg.UserAgent))
	}
	if prev != nil {
		if ask, ok := prev.sm.askToResume(); ok {
			if !o.inline.resumes || s.careful { // once we are logged in: then nothing may be bound before
				return
			}
			in.add(ask)
			s.attempt.hurried = true
		}
	}
	if o.inline.bind {
		s.bindAlong(ctx, in)
	}
}

// bindAlong asks for a resource with the login and, unless a stream may be resumed in its
// place, for what comes after that.
func (s *Session) bindAlong(ctx context.Context, in *admission) {
	bind := xmltree.New(nsBind2, "bind")
	if s.cfg.Resource != "" { // what the server adds makes it one like OtherResource says
		bind.Add(xmltree.New(nsBind2, "tag").SetText(s.cfg.Resource + OtherResource))
	}
	if s.careful {
		in.manage = false
	}
	if in.manage {
		bind.Add(enableElement())
		s.attempt.hurried = true
	}
	if !in.asked(nsSM) && !s.careful {
		in.early = s.early(ctx)
		s.attempt.hurried = true
	}
	in.add(bind)
}

// errBindRefused: the server would not bind a resource with the login.
var errBindRefused = errors.New("the server binds no resource")

// admitted takes the success of XEP-0388 with all that was done along with it, and does
// what is left to do.
func (s *Session) admitted(ctx context.Context, t *transport, in *admission, prev *binding) (*negotiated, error) {
	full, err := jid.Parse(in.success.ChildText(nsSASL2, "authorization-identifier"))
	if err != nil {
		return nil, fmt.Errorf("authorization identifier: %w", err)
	}
	if full.Bare() != s.cfg.JID {
		return nil, fmt.Errorf("the server let %s in for the account %s", full, s.cfg.JID)
	}
	s.keepToken(ctx, t, in)
	if in.asked(nsSM) {
		if el := in.success.Child(nsSM, "resumed"); el != nil {
			return resumedAs(t, el, prev) // what was missed comes now, perhaps before the features
		}
		prev.sm.refused(in.success.Child(nsSM, "failed"))
	}
	bound := in.success.Child(nsBind2, "bound")
	switch {
	case in.asked(nsBind2) && bound != nil && full.IsBare():
		return nil, errBindRefused
	case in.asked(nsBind2) && bound != nil:
		return s.boundAlong(t, in, full, bound)
	case in.early != nil:
		return nil, errTooEarly
	}
	if el := in.success.Child(nsBind2, "failed").Child("", "error"); el != nil {
		s.log.Debug("not bound along with the login", "error", stanza.ParseError(el, jid.JID{}))
	}
	features, err := s.features(t)
	if err != nil {
		return nil, err
	}
	return s.bindOrResume(t, features, in.mech, prev)
}

// boundAlong makes the binding of a resource that was bound with the login.
func (s *Session) boundAlong(t *transport, in *admission, full jid.JID, bound *xmltree.Element) (*negotiated, error) {
	b := newBinding(s.ctx.Done())
	b.mech, b.full, s.given = in.mech, full, full.Resource()
	el := bound.Child(nsSM, "enabled")
	managed := el != nil && in.manage
	if managed {
		b.sm.enable()
		b.direct = t.direct
		if in.early != nil {
			for _, x := range in.early.stanzas { // the server counts them
				b.sm.push(x.Append(nil, gstanza.NSClient))
			}
		}
		if err := b.sm.element(el); err != nil {
			return nil, err
		}
	}
	features, err := s.features(t)
	if err != nil {
		return nil, err
	}
	b.offers(features)
	if !managed {
		if err := s.enable(t, features, b); err != nil {
			return nil, fmt.Errorf("enable stream management: %w", err)
		}
	}
	n := &negotiated{t: t, b: b, early: in.early}
	if n.early != nil {
		err = n.early.expect(s, b)
	}
	return n, err
}

// admission is a login, with what is asked for along with it. When the server has agreed
// to it, it has proved that it knows us.
type admission struct {
	mech    string // what the account is held to: that of a password
	space   string
	manage  bool // stream management is asked for along with it
	along   []*xmltree.Element
	early   *early
	tokens  string // the mechanism for which a token was asked, or ""
	success *xmltree.Element
}

func (in *admission) add(el *xmltree.Element) { in.along = append(in.along, el) }

func (in *admission) asked(space string) bool {
	return slices.ContainsFunc(in.along, func(x *xmltree.Element) bool { return x.Name.Space == space })
}
