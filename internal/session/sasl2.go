package session

import (
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
type framing struct {
	space string
	along []*xmltree.Element // what is asked for with the login; XEP-0388 alone
}

// auth begins the exchange.
func (f framing) auth(mech, data string) *xmltree.Element {
	if f.space != nsSASL2 {
		return xmltree.New(f.space, "auth").Set("mechanism", mech).SetText(encodeSASL(data))
	}
	el := xmltree.New(f.space, "authenticate").Set("mechanism", mech)
	el.Add(xmltree.New(f.space, "initial-response").SetText(encodeSASL(data)))
	for _, x := range f.along {
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
	bind    bool // Bind 2
	manage  bool // and stream management with it (XEP-0198 section 9)
	resumes bool // a resumption
}

func parseInline(auth *xmltree.Element) (in inline) {
	list := auth.Child(nsSASL2, "inline")
	in.resumes = list.Child(nsSM, "sm") != nil
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

// along returns what is asked for with the login. Carbons are not: copies of what others
// write to this account are nothing that a file needs.
func (s *Session) along(o offer, prev *binding) (along []*xmltree.Element) {
	if o.space != nsSASL2 {
		return nil
	}
	if s.cfg.UserAgent != "" {
		agent := xmltree.New(nsSASL2, "user-agent", xmltree.New(nsSASL2, "software").SetText("jetsend"))
		along = append(along, agent.Set("id", s.cfg.UserAgent))
	}
	waits := false // a stream, to be resumed once we are logged in: then nothing may be bound before
	if prev != nil {
		ask, ok := prev.sm.askToResume()
		if waits = ok && !o.inline.resumes; ok && !waits {
			along = append(along, ask)
		}
	}
	if !o.inline.bind || waits {
		return along
	}
	bind := xmltree.New(nsBind2, "bind")
	if s.cfg.Resource != "" { // what the server adds makes it one like OtherResource says
		bind.Add(xmltree.New(nsBind2, "tag").SetText(s.cfg.Resource + OtherResource))
	}
	if s.cfg.Reconnect && o.inline.manage {
		bind.Add(enableElement())
	}
	return append(along, bind)
}

// errBindRefused: the server would not bind a resource with the login.
var errBindRefused = errors.New("the server binds no resource")

// admitted takes the success of XEP-0388 with all that was done along with it. It
// returns nil when a resource is still to be bound, or a stream to be resumed.
func (s *Session) admitted(t *transport, in *admission, prev *binding) (*negotiated, error) {
	full, err := jid.Parse(in.success.ChildText(nsSASL2, "authorization-identifier"))
	if err != nil {
		return nil, fmt.Errorf("authorization identifier: %w", err)
	}
	if full.Bare() != s.cfg.JID {
		return nil, fmt.Errorf("the server let %s in for the account %s", full, s.cfg.JID)
	}
	if in.asked(nsSM) && prev != nil {
		if el := in.success.Child(nsSM, "resumed"); el != nil {
			return resumedAs(t, el, prev)
		}
		prev.sm.refusedBy(in.success.Child(nsSM, "failed"))
	}
	bound := in.success.Child(nsBind2, "bound")
	if !in.asked(nsBind2) || bound == nil {
		if el := in.success.Child(nsBind2, "failed").Child("", "error"); el != nil {
			s.log.Debug("not bound along with the login", "error", stanza.ParseError(el, jid.JID{}))
		}
		return nil, nil
	}
	if full.IsBare() {
		return nil, errBindRefused
	}
	b := newBinding(s.ctx.Done())
	b.mech, b.full = in.mech, full
	if el := bound.Child(nsSM, "enabled"); el != nil && in.manage {
		b.sm.enable()
		b.direct = t.direct
		if err := b.sm.element(el); err != nil {
			return nil, err
		}
	}
	return &negotiated{t: t, b: b}, nil
}

// admission is a login that the server has agreed to, and has proved itself for.
type admission struct {
	mech    string
	space   string
	manage  bool // stream management was asked for along with it
	along   []*xmltree.Element
	success *xmltree.Element
}

func (in *admission) asked(space string) bool {
	return slices.ContainsFunc(in.along, func(x *xmltree.Element) bool { return x.Name.Space == space })
}

// featuresAfter reads the features of who is logged in: after a success of XEP-0388
// without a new stream.
func (s *Session) featuresAfter(t *transport, in *admission) (*xmltree.Element, error) {
	if in.space == gstanza.NSSASL {
		if _, err := t.StartStream(); err != nil {
			return nil, err
		}
	}
	return s.features(t)
}
