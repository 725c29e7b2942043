package jingle

import (
	"context"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// request is a received <jingle/>.
type request struct {
	action               Action
	sid                  string
	initiator, responder string // as written, empty when absent
	contents             []Content
	reason               *xmltree.Element
	payloads             []*xmltree.Element
}

// parseRequest reads an iq. The request is usable as far as it was read.
func parseRequest(iq stanza.IQ) (request, *stanza.Error) {
	p := iq.Payload
	r := request{
		action: Action(p.Attr("action")), sid: p.Attr("sid"),
		initiator: p.Attr("initiator"), responder: p.Attr("responder"),
	}
	if iq.Type != stanza.Set || !p.Is(NS, "jingle") || !r.action.known() || r.sid == "" || len(r.sid) > maxSID {
		return r, stanza.NewError(stanza.BadRequest)
	}
	for _, c := range p.Children {
		switch {
		case c.Is(NS, "content"):
			x, err := ParseContent(c)
			if err != nil {
				return r, badRequest(err.Error())
			}
			r.contents = append(r.contents, x)
		case c.Is(NS, "reason"):
			r.reason = c
		default:
			r.payloads = append(r.payloads, c)
		}
	}
	return r, nil
}

// HandleIQ takes an iq with a Jingle payload and returns what to answer: nil
// for a result, or a *[stanza.Error]. Calls must come from one goroutine, in
// the order of arrival. It never waits for the network.
func (m *Manager) HandleIQ(ctx context.Context, iq stanza.IQ) (*xmltree.Element, error) {
	if err := m.handle(ctx, iq); err != nil {
		m.cfg.Log.Debug("jingle request refused",
			"from", iq.From.String(), "action", iq.Payload.Attr("action"), "error", err)
		return nil, err
	}
	return nil, nil
}

func (m *Manager) handle(ctx context.Context, iq stanza.IQ) *stanza.Error {
	r, err := parseRequest(iq)
	m.mu.Lock()
	s := m.sessions[key{iq.From, r.sid}]
	if s != nil && err == nil && r.action == SessionInitiate && s.initiator && s.state == Initiating {
		if s.self.String() < iq.From.String() {
			m.mu.Unlock()
			return tieBreakError()
		}
		// XEP-0166 section 7.2.16: same id, the lower address overrules.
		s.end(input{kind: aborted}, Reason{Condition: AlternativeSession}, true)
		s = nil
	}
	if s != nil {
		defer m.mu.Unlock()
		if err != nil {
			return err
		}
		return s.handle(ctx, r)
	}
	crossed := m.leaving[key{iq.From, r.sid}]
	m.mu.Unlock()
	if crossed && err == nil && r.action == SessionInfo {
		return outOfOrderError() // a peer that asks whether we are there gets our own word on why it is over
	}
	return m.handleNew(iq.From, r, err)
}

// handleNew answers what belongs to no session.
func (m *Manager) handleNew(from jid.JID, r request, malformed *stanza.Error) *stanza.Error {
	take := m.cfg.OnOffer
	isOffer := malformed == nil && r.action == SessionInitiate && len(r.contents) == 1
	if m.cfg.Admit != nil {
		var offer *Content
		if isOffer {
			offer = &r.contents[0]
		}
		own, err := m.cfg.Admit(from, offer)
		if err != nil {
			return err
		}
		if own != nil {
			take = own
		}
	}
	switch {
	case malformed != nil:
		return malformed
	case r.action != SessionInitiate:
		return unknownSessionError()
	case len(r.contents) > 1:
		return stanza.NewError(stanza.FeatureNotImplemented) // one file, one session
	}
	return m.offered(from, r, take)
}

// offered makes a session of a session-initiate, for take.
func (m *Manager) offered(from jid.JID, r request, take func(*Session)) *stanza.Error {
	if len(r.contents) != 1 || from.IsZero() {
		return stanza.NewError(stanza.BadRequest)
	}
	c := r.contents[0]
	c.Inferred = r.initiator == ""
	if c.Name == "" || c.Creator == SenderResponder || c.Description == nil || c.Transport == nil {
		return badRequest("content lacks a part or is not the initiator's")
	}
	if take == nil {
		return stanza.NewError(stanza.ServiceUnavailable)
	}
	if c.Element().Weight() > maxOffer {
		return stanza.NewError(stanza.ResourceConstraint)
	}
	s := newSession(m, from, r.sid, false, c)
	if !s.speaksTruth(r) {
		s.cancel()
		return badRequest("initiator or responder does not match the stanza")
	}
	m.mu.Lock()
	all, contact := m.count(s)
	if m.closed || all >= m.cfg.MaxSessions || contact >= m.cfg.MaxPerContact {
		m.mu.Unlock()
		s.cancel()
		return stanza.NewError(stanza.ResourceConstraint)
	}
	m.sessions[s.key] = s
	m.mu.Unlock()
	take(s)
	return nil
}

// speaksTruth reports whether the initiator and responder of r, where they are
// given, are those of the session.
func (s *Session) speaksTruth(r request) bool {
	same := func(text string, want jid.JID) bool {
		if text == "" {
			return true
		}
		j, err := jid.Parse(text)
		return err == nil && j == want
	}
	return same(r.initiator, s.InitiatorJID()) && same(r.responder, s.ResponderJID())
}

// badRequest, and the others below, are the errors of XEP-0166 section 12.
func badRequest(text string) *stanza.Error {
	e := stanza.NewError(stanza.BadRequest)
	e.Text = text
	return e
}

func tieBreakError() *stanza.Error {
	return stanza.NewError(stanza.Conflict).WithApp(NSErrors, "tie-break")
}

func unknownSessionError() *stanza.Error {
	return stanza.NewError(stanza.ItemNotFound).WithApp(NSErrors, "unknown-session")
}

func outOfOrderError() *stanza.Error {
	return stanza.NewError(stanza.UnexpectedRequest).WithApp(NSErrors, "out-of-order")
}

func unsupportedInfoError() *stanza.Error {
	return stanza.NewError(stanza.FeatureNotImplemented).WithApp(NSErrors, "unsupported-info")
}
