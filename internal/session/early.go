package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// attempt is what one login has done so far that not every server puts up with.
type attempt struct {
	hurried bool // more was asked for at once than RFC 6120 has in one turn
	token   bool // a token took the place of the password
}

// cut reports whether a connection broke, which happens to any.
func cut(err error) bool {
	var broke net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broke) && !broke.Timeout()
}

// early are the request for the roster and our presence, sent with the request for a
// resource: servers take what comes in the order in which it was sent, so that they are
// answered when the resource is bound, and one round trip sooner. Neither is a secret, and
// both go by TLS to who has proved to be the server.
type early struct {
	id       string // of the request
	stanzas  []*xmltree.Element
	presence string // the capabilities in our presence, "" when that is not among them
	roster   *wait  // for the answer, once the resource is known
}

// early prepares them. Nothing is sent yet.
func (s *Session) early(ctx context.Context) *early {
	e := &early{id: newID()}
	s.roster.awaited.Store(&e.id)
	e.stanzas = append(e.stanzas, newIQ(jid.JID{}, stanza.Get, e.id, s.rosterRequest(ctx)))
	s.mu.Lock()
	shown := !s.cfg.Hidden || s.visible
	s.mu.Unlock()
	if shown {
		el := s.initialPresence()
		e.presence = el.Child(nsCaps, "c").Attr("ver")
		e.stanzas = append(e.stanzas, el)
	}
	return e
}

// expect has the answer find who waits for it, from when the resource is known and
// before anything is read that comes after.
func (e *early) expect(s *Session, b *binding) (err error) {
	e.roster, err = b.pending.add(e.id, jid.JID{}, s.roster.set, answerersFor(b.full, jid.JID{})...)
	return err
}

// bindEarly opens the stream of who is logged in and asks in the same breath for a
// resource and what comes after it. That servers bind is not asked: RFC 6120 has them do
// so. What they do beside that is in the features, which come with the answer.
func (s *Session) bindEarly(ctx context.Context, t *transport, mech string) (*negotiated, error) {
	e, id := s.early(ctx), newID()
	s.attempt.hurried = true
	t.answerWithin(s.answerMax)
	req := newIQ(jid.JID{}, stanza.Set, id, bindRequest(cmp.Or(s.given, s.cfg.Resource)))
	if _, err := t.startStream(s.text(append([]*xmltree.Element{req}, e.stanzas...)...)); err != nil {
		return nil, err
	}
	features, err := s.features(t)
	if err != nil {
		return nil, err
	}
	if needsSession(features) {
		return nil, errTooEarly
	}
	res, err := s.answerTo(t, id)
	if conflict(err) && s.given == "" && s.cfg.Resource != "" {
		s.given = s.otherResource()
		return nil, errTaken
	}
	if err != nil {
		return nil, fmt.Errorf("bind resource: %w", err)
	}
	full, err := s.boundAs(res)
	if err != nil {
		return nil, fmt.Errorf("bind resource: %w", err)
	}
	n, err := s.settle(t, features, mech, full)
	if err != nil {
		return nil, err
	}
	n.early = e
	return n, e.expect(s, n.b)
}

// errTaken: the resource is in use, and what was sent behind the request for it is lost.
var errTaken = errors.New("the resource is in use")

// errTooEarly: what was sent cannot be answered yet.
var errTooEarly = errors.New("the server binds no resource with the login")

// needsSession reports whether a server insists on the session of RFC 3921.
func needsSession(features *xmltree.Element) bool {
	f := features.Child(gstanza.NSSession, "session")
	return f != nil && f.Child("", "optional") == nil
}

func (s *Session) setCareful(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.careful = on
}

// lessHaste reports whether a login that failed for err is to be tried once more, without
// what this server may not have put up with: first of all without a token, and then with
// one thing at a time. A login that was refused, and a server that is not who it should
// be, stay what they are.
// A connection that breaks is tried once more as it was.
func (s *Session) lessHaste(ctx context.Context, err error, tries int) bool {
	var auth *AuthError
	refused := errors.As(err, &auth) && !errors.Is(err, ErrChallenge) // an answer to something else looks like one
	switch {
	case ctx.Err() != nil || s.ctx.Err() != nil || redirection(err) != nil:
		return false
	case s.attempt.token && refused:
		s.tokenless = true
	case errors.Is(err, errTaken):
	case s.attempt.hurried && tries == 0 && cut(err):
	case s.attempt.hurried && !refused && (auth != nil || !permanent(err)):
		s.setCareful(true)
	default:
		return false
	}
	s.log.Debug("login once more", "without_token", s.tokenless, "careful", s.careful, "error", err)
	return true
}
