package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const nsTLS = "urn:ietf:params:xml:ns:xmpp-tls"

// negotiated is what a negotiation has brought.
type negotiated struct {
	t      *transport
	b      *binding // a new one, or the one that was resumed
	early  *early   // what was sent before the binding was known; nil after a resumption
	resend [][]byte // what to send first, after a resumption
	proved <-chan struct{}
}

// negotiate dials the server and does everything up to and including the
// binding of the resource, or the resumption of prev. The transport is the
// caller's when there is no error, and gone when there is one.
func (s *Session) negotiate(ctx context.Context, prev *binding) (*negotiated, error) {
	careful := s.careful
	redirects := 0
	for tries := 0; ; tries++ {
		s.attempt = attempt{}
		n, err := s.negotiateOnce(ctx, prev)
		switch {
		case err == nil:
			s.tokenless = false
			return n, nil
		case s.lessHaste(ctx, err, tries):
		case redirects < maxRedirects && s.redirected(err):
			redirects++
		default:
			s.setCareful(careful) // haste was not what it failed for
			return nil, err
		}
	}
}

func (s *Session) negotiateOnce(ctx context.Context, prev *binding) (*negotiated, error) {
	t, features, err := s.reach(ctx, prev)
	if err != nil {
		return nil, err
	}
	s.setRemote(t.remoteAddr())
	if s.cfg.Dialled != nil {
		s.cfg.Dialled()
	}
	// A context cannot interrupt a read; closing the connection does.
	stop := context.AfterFunc(ctx, func() { _ = t.abort() })
	n, err := s.login(ctx, t, features, prev)
	t.answerWithin(0)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		t.hangUp()
		return nil, s.loginError(ctx, err)
	}
	return n, nil
}

// loginError says why a login ended: when the context did it, the error of the
// connection only says that it was closed.
func (s *Session) loginError(ctx context.Context, err error) error {
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.Canceled):
		return fmt.Errorf("login of %s: %w", s.cfg.JID, context.Cause(ctx))
	case cause != nil:
		return &UnreachableError{Domain: s.cfg.JID.Domain(), Errs: []error{fmt.Errorf("no answer in time: %w", cause)}}
	}
	var (
		auth   *AuthError
		stream *StreamError
		bind   *stanza.Error
	)
	if errors.As(err, &auth) || errors.As(err, &stream) || errors.As(err, &bind) {
		return err
	}
	err = fmt.Errorf("login of %s: %w", s.cfg.JID, err)
	var cut net.Error
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &cut) { // the server was there, and went away
		return &UnreachableError{Domain: s.cfg.JID.Domain(), Errs: []error{err}}
	}
	return err
}

// reach tries the server's hosts in turn until one gives an encrypted stream
// with a proved identity.
func (s *Session) reach(ctx context.Context, prev *binding) (*transport, *xmltree.Element, error) {
	domain, err := asciiDomain(s.cfg.JID.Domain())
	if err != nil {
		return nil, nil, err
	}
	if tg := s.preferred(prev); tg != nil {
		t, features, err := s.try(ctx, domain, *tg, 2)
		if err == nil {
			return t, features, nil
		}
		if redirection(err) != nil {
			return nil, nil, s.unreachable([]error{err})
		}
		// A failure of this host decides nothing: DNS has the last word.
	}
	targets, err := s.targets(ctx, domain)
	if err != nil {
		if errors.Is(err, errNoService) {
			err = &UnreachableError{Domain: s.cfg.JID.Domain(), Errs: []error{err}}
		}
		return nil, nil, err
	}
	return s.firstOf(ctx, domain, targets)
}

// firstOf tries hosts in turn.
func (s *Session) firstOf(ctx context.Context, domain string, targets []target) (*transport, *xmltree.Element, error) {
	var errs []error
	for i, tg := range targets {
		if ctx.Err() != nil {
			break
		}
		t, features, err := s.try(ctx, domain, tg, len(targets)-i)
		if err == nil {
			return t, features, nil
		}
		if redirection(err) != nil {
			return nil, nil, s.unreachable([]error{err})
		}
		errs = append(errs, err)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, nil, fmt.Errorf("connect to %s: %w", domain, context.Cause(ctx))
	}
	return nil, nil, s.unreachable(errs)
}

// dialFunc opens a TCP connection.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// try connects to one host, of so many that are left.
func (s *Session) try(ctx context.Context, domain string, tg target, left int) (*transport, *xmltree.Element, error) {
	ctx, cancel := s.targetContext(ctx, left)
	defer cancel()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, s.targetMax)
		defer cancel()
		return s.dial(ctx, network, address)
	}
	t := newTransport(ctx, xmpp.TransportConfiguration{
		Address: tg.address, Domain: s.cfg.JID.Domain(),
		TLSConfig: &tls.Config{
			ServerName: domain, MinVersion: tls.VersionTLS12, RootCAs: s.cfg.RootCAs,
			DynamicRecordSizingDisabled: true, // see writeBatch
		},
	}, tg.direct, dial)
	t.closeMax, t.roster, t.from = s.closeMax, s.roster.awaits, s.cfg.JID.String()
	features, err := s.secure(ctx, t)
	if err != nil {
		_ = t.abort()
		s.log.Debug("server not usable", "address", tg.address, "direct_tls", tg.direct, "error", err)
		return nil, nil, fmt.Errorf("%s: %w", tg.address, err)
	}
	return t, features, nil
}

// targetContext gives a host its share of the time that is left. The last one has
// all of it: on a slow path the negotiation takes longer than it may take while
// there is another host to turn to.
func (s *Session) targetContext(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	if left == 1 {
		return context.WithCancel(ctx)
	}
	d := s.targetMax
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)/time.Duration(left))
	}
	return context.WithTimeout(ctx, d)
}

// unreachable picks the error that tells most: a server that answers and is
// not the right one, or speaks no TLS, rather than one that does not answer.
// After the first login one host decides nothing: the others may be back soon.
func (s *Session) unreachable(errs []error) error {
	if cert, ok := pick[*CertificateError](errs, s.welcome); ok {
		return cert
	}
	if auth, ok := pick[*AuthError](errs, s.welcome); ok {
		return auth
	}
	if stream, ok := pick[*StreamError](errs, s.welcome); ok {
		return stream
	}
	return &UnreachableError{Domain: s.cfg.JID.Domain(), Errs: errs}
}

// pick returns the first error of a type, if there is one or, with all, if every
// error is of it.
func pick[E error](errs []error, all bool) (first E, ok bool) {
	n := 0
	for _, err := range errs {
		var e E
		if errors.As(err, &e) {
			if n++; n == 1 {
				first = e
			}
		}
	}
	return first, n > 0 && (!all || n == len(errs))
}

// secure connects t and returns the features of the encrypted stream. On
// nothing but an encrypted stream anything is said that matters.
func (s *Session) secure(ctx context.Context, t *transport) (*xmltree.Element, error) {
	stop := context.AfterFunc(ctx, func() { _ = t.abort() })
	defer stop()
	features, err := s.secureStream(t)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	return features, err
}

func (s *Session) secureStream(t *transport) (*xmltree.Element, error) {
	if _, err := t.Connect(); err != nil {
		return nil, err
	}
	features, err := s.features(t)
	if err != nil || !t.DoesStartTLS() {
		return features, err
	}
	if features.Child(nsTLS, "starttls") == nil {
		return nil, &AuthError{Err: ErrPlaintext}
	}
	if err := s.say(t, xmltree.New(nsTLS, "starttls")); err != nil {
		return nil, err
	}
	el, err := s.hear(t)
	if err != nil {
		return nil, err
	}
	if !el.Is(nsTLS, "proceed") {
		return nil, &AuthError{Err: ErrPlaintext}
	}
	if err := t.StartTLS(); err != nil {
		return nil, err
	}
	if _, err := t.StartStream(); err != nil {
		return nil, err
	}
	return s.features(t)
}

// features reads the stream features (RFC 6120 section 4.3.2).
func (s *Session) features(t *transport) (*xmltree.Element, error) {
	el, err := s.hear(t)
	if err != nil {
		return nil, err
	}
	if !el.Is(gstanza.NSStream, "features") {
		return nil, fmt.Errorf("unexpected <%.32s/> in place of the stream features", el.Name.Local)
	}
	return el, nil
}

// login authenticates, and resumes prev or binds.
func (s *Session) login(ctx context.Context, t *transport, features *xmltree.Element, prev *binding) (*negotiated, error) {
	in, err := s.authenticate(ctx, t, features, prev)
	if err != nil {
		return nil, err
	}
	if in.space == nsSASL2 {
		return s.admitted(ctx, t, in, prev)
	}
	if !s.careful && (prev == nil || !prev.sm.resumable()) {
		return s.bindEarly(ctx, t, in.mech)
	}
	if _, err := t.StartStream(); err != nil {
		return nil, err
	}
	if features, err = s.features(t); err != nil {
		return nil, err
	}
	return s.bindOrResume(t, features, in.mech, prev)
}

// bindOrResume is the rest of a login by which nothing else was done.
func (s *Session) bindOrResume(t *transport, features *xmltree.Element, mech string, prev *binding) (*negotiated, error) {
	if prev != nil {
		n, err := s.resume(t, features, prev)
		if err != nil {
			return nil, fmt.Errorf("resume stream: %w", err)
		}
		if n != nil {
			return n, nil
		}
	}
	full, err := s.bind(t)
	if err != nil {
		return nil, fmt.Errorf("bind resource: %w", err)
	}
	if err := s.legacySession(t, features); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	return s.settle(t, features, mech, full)
}

// settle makes the binding of a resource that the server has bound, and asks for stream
// management.
func (s *Session) settle(t *transport, features *xmltree.Element, mech string, full jid.JID) (*negotiated, error) {
	b := newBinding(s.ctx.Done())
	b.full, b.mech = full, mech
	b.offers(features)
	if err := s.enable(t, features, b); err != nil {
		return nil, fmt.Errorf("enable stream management: %w", err)
	}
	return &negotiated{t: t, b: b}, nil
}

// bind asks for the resource of the configuration, or for what the server has made of it
// before, so that contacts find us where we were. Where a server refuses one that is
// in use (RFC 6120 section 7.7.2.2), as that of a process that was killed is until the
// server has noticed, another one is taken, which begins like it.
func (s *Session) bind(t *transport) (jid.JID, error) {
	full, err := s.bindAs(t, cmp.Or(s.given, s.cfg.Resource))
	if s.cfg.Resource == "" || !conflict(err) {
		return full, err
	}
	return s.bindAs(t, s.otherResource())
}

// conflict reports whether a server says that a resource is in use.
func conflict(err error) bool {
	var refused *stanza.Error
	return errors.As(err, &refused) && refused.Condition == stanza.Conflict
}

// otherResource is one to take in the place of ours.
func (s *Session) otherResource() string {
	other := s.cfg.Resource + OtherResource + rand.Text()[:8]
	s.log.Warn("the server says that our resource is in use; another one is taken", "resource", s.cfg.Resource, "taken", other)
	return other
}

// bindAs asks for a resource (RFC 6120 section 7).
func (s *Session) bindAs(t *transport, resource string) (jid.JID, error) {
	res, err := s.ask(t, bindRequest(resource))
	if err != nil {
		return jid.JID{}, err
	}
	return s.boundAs(res)
}

func bindRequest(resource string) *xmltree.Element {
	req := xmltree.New(gstanza.NSBind, "bind")
	if resource != "" {
		req.Add(xmltree.New(gstanza.NSBind, "resource").SetText(resource))
	}
	return req
}

// boundAs reads which resource was bound. The server may give another one than was asked
// for, but not another account.
func (s *Session) boundAs(res *xmltree.Element) (jid.JID, error) {
	full, err := jid.Parse(res.Child(gstanza.NSBind, "bind").ChildText(gstanza.NSBind, "jid"))
	if err != nil {
		return jid.JID{}, err
	}
	if full.IsBare() || full.Bare() != s.cfg.JID {
		return jid.JID{}, fmt.Errorf("the server bound %s for the account %s", full, s.cfg.JID)
	}
	return full, nil
}

// legacySession opens the session of RFC 3921, where a server insists on it.
func (s *Session) legacySession(t *transport, features *xmltree.Element) error {
	if !needsSession(features) {
		return nil
	}
	_, err := s.ask(t, xmltree.New(gstanza.NSSession, "session"))
	return err
}

// ask does an iq set with the server before there is a reader, and returns the
// whole answer.
func (s *Session) ask(t *transport, payload *xmltree.Element) (*xmltree.Element, error) {
	return s.askTo(t, "", stanza.Set, payload)
}

// askTo is ask with the type of the iq, and whom it is for.
func (s *Session) askTo(t *transport, to string, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error) {
	id := newID()
	iq := xmltree.New(gstanza.NSClient, "iq", payload).Set("type", string(typ)).Set("id", id)
	if to != "" {
		iq.Set("to", to)
	}
	if err := s.say(t, iq); err != nil {
		return nil, err
	}
	return s.answerTo(t, id)
}

// answerTo reads the answer to an iq before there is a reader.
func (s *Session) answerTo(t *transport, id string) (*xmltree.Element, error) {
	el, err := s.hear(t)
	if err != nil {
		return nil, err
	}
	if !el.Is(gstanza.NSClient, "iq") || el.Attr("id") != id {
		return nil, fmt.Errorf("unexpected <%.32s/>", el.Name.Local)
	}
	switch el.Attr("type") {
	case typeResult:
		return el, nil
	case typeError:
		return nil, stanza.ParseError(el.Child(gstanza.NSClient, "error"), jid.JID{})
	}
	return nil, errors.New("unexpected iq")
}

// say writes elements during the negotiation, all at once.
func (s *Session) say(t *transport, els ...*xmltree.Element) error {
	_, err := t.Write(s.text(els...))
	return err
}

// text is what is written of elements during the negotiation.
func (s *Session) text(els ...*xmltree.Element) (b []byte) {
	for _, el := range els {
		s.trace("send", el)
		b = el.Append(b, gstanza.NSClient)
	}
	return b
}

// hear reads one element during the negotiation.
func (s *Session) hear(t *transport) (*xmltree.Element, error) {
	f, err := t.next()
	if err != nil {
		return nil, err
	}
	if f.bad != nil {
		return nil, f.bad
	}
	s.trace("receive", f.el)
	if f.el.Is(gstanza.NSStream, "error") {
		return nil, parseStreamError(f.el, t)
	}
	return f.el, nil
}
