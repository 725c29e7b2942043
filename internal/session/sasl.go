package session

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdg-go/scram"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// nsChannelBinding qualifies the channel-binding types of a server (XEP-0440).
const nsChannelBinding = "urn:xmpp:sasl-cb:0"

// mechPlain is RFC 4616; all other mechanisms here are SCRAM (RFC 5802, 7677).
const mechPlain = "PLAIN"

// plusSuffix marks SCRAM with channel binding.
const plusSuffix = "-PLUS"

// mechanisms returns the mechanisms known here, best first.
func mechanisms() []string {
	return []string{
		"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1",
		mechPlain,
	}
}

// better returns the better one of two mechanisms; an unknown one is the worst.
func better(a, b string) string {
	known := mechanisms()
	if i := slices.Index(known, b); i >= 0 && (i < slices.Index(known, a) || !slices.Contains(known, a)) {
		return b
	}
	return a
}

// offer is what a server offers for authentication.
type offer struct {
	mechanisms []string
	bindings   []string // XEP-0440
	listed     bool     // there is a XEP-0440 list
	space      string   // how it is offered, see framing
	inline     inline
}

func parseOffer(features *xmltree.Element) offer {
	o := offer{space: gstanza.NSSASL}
	m := features.Child(gstanza.NSSASL, "mechanisms")
	for _, x := range m.All(gstanza.NSSASL, "mechanism") {
		o.mechanisms = append(o.mechanisms, trimmed(x))
	}
	cb := features.Child(nsChannelBinding, "sasl-channel-binding")
	if cb == nil {
		cb = m.Child(nsChannelBinding, "sasl-channel-binding")
	}
	o.listed = cb != nil
	for _, x := range cb.All(nsChannelBinding, "channel-binding") {
		o.bindings = append(o.bindings, x.Attr("type"))
	}
	return o
}

func trimmed(x *xmltree.Element) string { return strings.TrimSpace(x.Text) }

func (o offer) has(mechanism string) bool { return slices.Contains(o.mechanisms, mechanism) }

func (o offer) plus() bool {
	return slices.ContainsFunc(o.mechanisms, func(m string) bool { return strings.HasSuffix(m, plusSuffix) })
}

// binding returns the channel binding to use, if any: one that the server says
// it can do, or tls-unique on TLS 1.2, which servers that offer -PLUS and say
// nothing do. Guessing more than that fails against ejabberd, which offers
// -PLUS and then refuses every type of it.
func (o offer) binding(cs *tls.ConnectionState) (scram.ChannelBinding, bool) {
	if slices.Contains(o.bindings, string(scram.ChannelBindingTLSExporter)) {
		if cb, err := scram.NewTLSExporterBinding(cs); err == nil {
			return cb, true
		}
	}
	if slices.Contains(o.bindings, string(scram.ChannelBindingTLSServerEndpoint)) {
		if cb, err := scram.NewTLSServerEndpointBinding(cs); err == nil {
			return cb, true
		}
	}
	unique := !o.listed || slices.Contains(o.bindings, string(scram.ChannelBindingTLSUnique))
	if unique && cs.Version == tls.VersionTLS12 && len(cs.TLSUnique) > 0 {
		return scram.NewTLSUniqueBinding(cs.TLSUnique), true
	}
	return scram.ChannelBinding{}, false
}

// policy is what the configuration says about mechanisms.
type policy struct {
	allowPlain     bool
	best           string // remembered
	allowDowngrade bool
}

// choose picks the mechanism.
func (o offer) choose(bindable bool, p policy) (string, error) {
	known := mechanisms()
	i := slices.IndexFunc(known, func(m string) bool {
		return o.has(m) && (bindable || !strings.HasSuffix(m, plusSuffix))
	})
	if i < 0 {
		return "", &AuthError{Err: fmt.Errorf("%w (it offers %s)", ErrNoMechanism, printable(o.mechanisms))}
	}
	if best := slices.Index(known, p.best); best >= 0 && i > best && !p.allowDowngrade {
		return "", &AuthError{Mechanism: known[i], Err: fmt.Errorf("%w: %s now, %s then", ErrDowngrade, known[i], p.best)}
	}
	if known[i] == mechPlain && !p.allowPlain {
		return "", &AuthError{Mechanism: mechPlain, Err: ErrPlainOnly}
	}
	return known[i], nil
}

// printable joins names that a server sent, for an error text.
func printable(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	const most = 10
	var out []string
	for _, n := range names[:min(len(names), most)] {
		out = append(out, fmt.Sprintf("%.32q", n))
	}
	return strings.Join(out, ", ")
}

// exchange is the client's side of one SASL exchange.
type exchange interface {
	// first is what the exchange begins with; last tells that there is no more to say.
	first() (data string, last bool, err error)
	// respond answers the server's challenge, which is the last that is said.
	respond(challenge string) (string, error)
	// finish judges what the server sent last; an exchange that has proved the
	// server before accepts an empty text.
	finish(data string) error
}

// plainExchange is RFC 4616.
type plainExchange struct{ user, password string }

func (x plainExchange) first() (string, bool, error) {
	return "\x00" + x.user + "\x00" + x.password, true, nil
}
func (x plainExchange) respond(string) (string, error) {
	return "", &AuthError{Mechanism: mechPlain, Err: ErrChallenge}
}
func (x plainExchange) finish(string) error { return nil }

// authenticate proves to the server who we are, and has it prove that it knows
// us. prev is what may be resumed along with that.
func (s *Session) authenticate(ctx context.Context, t *transport, features *xmltree.Element, prev *binding) (*admission, error) {
	o := ways(features)
	cs := t.tls.ConnectionState()
	cb, bindable := o.binding(&cs)
	mech, err := o.choose(bindable, policy{
		allowPlain: s.cfg.AllowPlain, best: better(s.cfg.BestMechanism, s.Mechanism()), allowDowngrade: s.cfg.AllowSASLDowngrade,
	})
	if err != nil {
		return nil, err
	}
	in := &admission{mech: mech, space: o.space, manage: s.cfg.Reconnect && o.inline.manage}
	name, x := s.byToken(ctx, o, in, &cs)
	if x == nil {
		name = mech
		if x, err = s.byPassword(ctx, mech, cb, o.plus()); err != nil {
			return nil, err
		}
	}
	s.along(ctx, o, in, prev)
	s.log.Debug("authenticating", "mechanism", name, "binding", string(cb.Type), "sasl2", o.space == nsSASL2)
	in.success, err = s.runSASL(t, in, name, x)
	return in, err
}

// byPassword begins an exchange by which we prove that we know the password.
func (s *Session) byPassword(ctx context.Context, mech string, cb scram.ChannelBinding, serverHasPlus bool) (x exchange, err error) {
	if s.password == "" {
		if s.password, err = s.cfg.Password(ctx); err != nil {
			return nil, fmt.Errorf("password of %s: %w", s.cfg.JID, err)
		}
	}
	if mech == mechPlain {
		return plainExchange{s.cfg.JID.Local(), s.password}, nil
	}
	return s.newScram(mech, s.password, cb, serverHasPlus)
}

// runSASL carries the exchange over the stream (RFC 6120 section 6.4, XEP-0388). It
// returns the server's success.
func (s *Session) runSASL(t *transport, in *admission, mech string, x exchange) (*xmltree.Element, error) {
	f := framing{in.space}
	text, last, err := x.first()
	if err != nil {
		return nil, &AuthError{Mechanism: mech, Err: err}
	}
	if err := s.saySASL(t, in, f.auth(mech, text, in.along), last); err != nil {
		return nil, err
	}
	challenged := false
	for range maxSASLSteps {
		data, success, err := s.hearSASL(t, f, mech, x)
		if success != nil || err != nil {
			return success, err
		}
		answer := ""
		if !challenged {
			answer, err = x.respond(data)
		} else { // the server's proof may come in a challenge of its own
			err = x.finish(data)
		}
		if err != nil {
			return nil, s.abortSASL(t, f, mech, err)
		}
		if err := s.saySASL(t, in, xmltree.New(f.space, "response").SetText(encodeSASL(answer)), !challenged); err != nil {
			return nil, err
		}
		challenged = true
	}
	return nil, s.abortSASL(t, f, mech, ErrChallenge)
}

// saySASL says our part of an exchange and, with the last of it, what is sent early.
func (s *Session) saySASL(t *transport, in *admission, el *xmltree.Element, last bool) error {
	if !last {
		return s.say(t, el)
	}
	if s.attempt.hurried {
		t.answerWithin(s.answerMax)
	}
	els := []*xmltree.Element{el}
	if in.early != nil {
		els = append(els, in.early.stanzas...)
	}
	return s.say(t, els...)
}

// hearSASL waits for the server's next word. It returns what is in a challenge, or the
// success with which the exchange came to its good end.
func (s *Session) hearSASL(t *transport, f framing, mech string, x exchange) (challenge string, success *xmltree.Element, err error) {
	el, err := s.hear(t)
	if err != nil {
		return "", nil, err
	}
	data, err := f.data(el)
	switch {
	case err != nil:
		return "", nil, s.abortSASL(t, f, mech, err)
	case el.Is(f.space, "failure"):
		return "", nil, saslFailure(mech, el)
	case el.Is(f.space, "success"):
		if err := x.finish(data); err != nil {
			return "", nil, &AuthError{Mechanism: mech, Err: err}
		}
		return "", el, nil
	case !el.Is(f.space, "challenge"): // a task (XEP-0388 section 2.6.3) too: none is known here
		return "", nil, s.abortSASL(t, f, mech, ErrChallenge)
	}
	return data, nil, nil
}

// abortSASL tells the server that we do not go on.
func (s *Session) abortSASL(t *transport, f framing, mech string, why error) error {
	_ = s.say(t, xmltree.New(f.space, "abort")) // the connection ends anyway
	var ae *AuthError
	if errors.As(why, &ae) {
		return why
	}
	return &AuthError{Mechanism: mech, Err: why}
}

// encodeSASL writes data; "=" is data of no length in <auth/> and <success/>,
// but in <response/> an empty element is, and no message here is empty but that.
func encodeSASL(data string) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

func decodeSASL(el *xmltree.Element) (string, error) {
	text := strings.TrimSpace(el.Text)
	if text == "" || text == "=" || el.Name.Local == "failure" {
		return "", nil
	}
	if len(text) > base64.StdEncoding.EncodedLen(maxChallenge) {
		return "", ErrChallenge
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", ErrChallenge
	}
	return string(b), nil
}

func saslFailure(mech string, el *xmltree.Element) error {
	e := &AuthError{Mechanism: mech}
	for _, c := range el.Children {
		switch {
		case c.Name.Local == "text":
			e.Text = c.Text
		case c.Name.Space == gstanza.NSSASL && e.Condition == "":
			e.Condition = c.Name.Local
		}
	}
	return e
}
