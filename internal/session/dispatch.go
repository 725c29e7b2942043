package session

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const nsPing = "urn:xmpp:ping"

// conditionInternal answers an iq whose handler failed.
const conditionInternal = "internal-server-error"

// inbound is a stanza with its addresses prepared.
type inbound struct {
	el       *xmltree.Element
	from, to jid.JID
	id, typ  string
	bad      error
	weight   int64
	b        *binding
	// flushed makes it no stanza but a mark, closed when all before it is handled.
	flushed chan struct{}
}

// handlers are what the inbox is dispatched to.
type handlers struct {
	mu       sync.RWMutex
	router   *xmpp.Router
	pep      map[string]func(context.Context, jid.JID, *xmltree.Element)
	presence []func(context.Context, stanza.Presence)
}

func (h *handlers) match(p gstanza.Packet) (xmpp.Handler, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var m xmpp.RouteMatch
	ok := h.router.Match(p, &m)
	return m.Handler, ok
}

func (h *handlers) route(m xmpp.Matcher, f xmpp.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.router.NewRoute().AddMatcher(m).HandlerFunc(f)
}

// HandleIQ has f answer the iq requests whose payload is in that namespace.
// The result is the payload of the answer, nil for an empty one; a
// *stanza.Error is sent as it is, any other error as internal-server-error
// without its text. The first registration for a namespace wins. f runs on
// the dispatcher: it must not block nor wait for an iq.
func (s *Session) HandleIQ(space string, f func(context.Context, stanza.IQ) (*xmltree.Element, error)) {
	s.HandleIQAsync(space, func(ctx context.Context, iq stanza.IQ, reply func(*xmltree.Element, error)) {
		reply(f(ctx, iq))
	})
}

// HandleIQAsync is HandleIQ for a handler that may answer later: f has reply
// called, from any goroutine; only the first call counts. Requests that are not
// answered yet must be bounded by f, for nothing else bounds them.
func (s *Session) HandleIQAsync(space string, f func(ctx context.Context, iq stanza.IQ, reply func(*xmltree.Element, error))) {
	s.handlers.route(iqMatcher(space), func(_ xmpp.Sender, p gstanza.Packet) {
		iq := p.(*gstanza.IQ).Payload.(*iqPayload).iq
		var once sync.Once
		reply := func(res *xmltree.Element, err error) { once.Do(func() { s.answer(iq, res, err) }) }
		if !s.guard("iq "+space, func() { f(s.ctx, iq, reply) }) {
			reply(nil, stanza.NewError(conditionInternal))
		}
	})
}

// HandleMessage gives f the messages that have such a child, but not those of
// type error, which only echo what we sent. A message goes to the first
// registration that fits. f runs on the dispatcher, as for HandleIQ.
func (s *Session) HandleMessage(space, local string, f func(context.Context, stanza.Message)) {
	s.handlers.route(messageMatcher{Space: space, Local: local}, func(_ xmpp.Sender, p gstanza.Packet) {
		m := carriedMessage(p.(gstanza.Message))
		s.guard("message "+space, func() { f(s.ctx, m) })
	})
}

// HandlePEP gives f the items that accounts publish at node (XEP-0163), each
// an <item/> with its payload as child; from is the bare JID of the account.
// The server sends them only when Config.Features has node with "+notify". f
// runs on the dispatcher, as for HandleIQ.
func (s *Session) HandlePEP(node string, f func(ctx context.Context, from jid.JID, item *xmltree.Element)) {
	s.handlers.mu.Lock()
	defer s.handlers.mu.Unlock()
	if s.handlers.pep == nil {
		s.handlers.pep = map[string]func(context.Context, jid.JID, *xmltree.Element){}
	}
	s.handlers.pep[node] = f
}

// HandlePresence gives f every presence, after the cache has taken it in; all
// registered functions are called. f runs on the dispatcher, as for HandleIQ.
func (s *Session) HandlePresence(f func(context.Context, stanza.Presence)) {
	s.handlers.mu.Lock()
	defer s.handlers.mu.Unlock()
	s.handlers.presence = append(s.handlers.presence, f)
}

// registerOwn registers what the session answers by itself.
func (s *Session) registerOwn() {
	s.HandleIQ(nsPing, s.ifVisible(func(context.Context, stanza.IQ) (*xmltree.Element, error) { return nil, nil }))
	s.HandleIQ(nsDiscoInfo, s.ifVisible(s.answerDiscoInfo))
	s.HandleIQ(nsDiscoItems, s.ifVisible(s.answerDiscoItems))
	s.HandleIQ(nsRoster, s.rosterPush)
	s.handlers.route(messageMatcher(xml.Name{Space: nsPubSubEvent, Local: "event"}), func(_ xmpp.Sender, p gstanza.Packet) {
		s.pepEvent(carriedMessage(p.(gstanza.Message)))
	})
	s.handlers.mu.Lock()
	defer s.handlers.mu.Unlock()
	s.handlers.router.HandleFunc("presence", func(_ xmpp.Sender, p gstanza.Packet) {
		s.gotPresence(carriedPresence(p.(gstanza.Presence)))
	})
}

// ifVisible keeps a handler from those who may not know that we are there.
func (s *Session) ifVisible(f func(context.Context, stanza.IQ) (*xmltree.Element, error)) func(context.Context, stanza.IQ) (*xmltree.Element, error) {
	return func(ctx context.Context, iq stanza.IQ) (*xmltree.Element, error) {
		if err := s.hide(iq.From, nil); err != nil {
			return nil, err
		}
		return f(ctx, iq)
	}
}

// hide is what somebody is told who may not know that we are there, or else shown.
func (s *Session) hide(from jid.JID, shown error) error {
	if s.cfg.Visible != nil && !s.cfg.Visible(from) {
		return stanza.NewError(stanza.ServiceUnavailable)
	}
	return shown
}

// receive takes a frame on the reader.
func (s *Session) receive(st *stream, f frame) error {
	if f.bad == nil {
		s.trace("receive", f.el)
	}
	switch {
	case f.el.Is(gstanza.NSStream, "error"):
		return parseStreamError(f.el, st.t)
	case f.el.Name.Space == nsSM:
		return st.b.sm.element(f.el)
	case f.el.Name.Space == gstanza.NSClient && isStanza(f.el.Name.Local):
		return s.takeIn(st, f)
	}
	return nil // the rest is features, or an extension that we did not ask for
}

// isStanza reports whether it is one of the three (RFC 6120 section 8).
func isStanza(local string) bool { return local == "iq" || local == "message" || local == "presence" }

// takeIn hands a stanza to who waits for it or to the inbox, and counts it: the
// server need not keep it any longer. It waits while the inbox is full, but not
// for longer than the stream lasts. The dispatcher may be waiting for the next
// one, to whose writer its answers are queued, and that comes after this reader.
func (s *Session) takeIn(st *stream, f frame) error {
	in, err := parseInbound(f)
	if err != nil {
		s.log.Debug("stanza dropped", "error", err)
		st.b.sm.received()
		return nil
	}
	if in.el.Name.Local == "iq" && (in.typ == typeResult || in.typ == typeError) {
		s.answered(st.b, in)
		st.b.sm.received()
		return nil
	}
	if err := s.weight.Acquire(st.ctx, in.weight); err != nil {
		return context.Cause(st.ctx)
	}
	in.b = st.b
	in.b.sm.open(1)
	select {
	case s.inbox <- in:
		in.b.sm.received()
		return nil
	case <-st.ctx.Done(): // the server has it still
		in.b.sm.open(-1)
		s.weight.Release(in.weight)
		return context.Cause(st.ctx)
	}
}

// parseInbound prepares the addresses of a stanza.
func parseInbound(f frame) (*inbound, error) {
	in := &inbound{
		el: f.el, bad: f.bad, id: f.el.Attr("id"), typ: f.el.Attr("type"),
		weight: min(int64(f.weight), inboxWeight),
	}
	var err error
	if in.from, err = address(f.el, "from"); err != nil {
		return nil, err
	}
	if in.to, err = address(f.el, "to"); err != nil {
		return nil, err
	}
	return in, nil
}

// address reads an address of a stanza; it is zero when there is none.
func address(el *xmltree.Element, name string) (jid.JID, error) {
	v, ok := el.LookupAttr(name)
	if !ok {
		return jid.JID{}, nil
	}
	j, err := jid.Parse(v)
	if err != nil {
		return jid.JID{}, fmt.Errorf("%s of <%.32s/>: %w", name, el.Name.Local, err)
	}
	return j, nil
}

// answered hands the answer to an iq of ours to who waits for it.
func (s *Session) answered(b *binding, in *inbound) {
	var a iqAnswer
	switch {
	case in.bad != nil:
		a.err = fmt.Errorf("answer skipped: %w", in.bad)
	case in.typ == typeError:
		a.err = stanza.ParseError(in.el.Child(gstanza.NSClient, "error"), in.from)
	case len(in.el.Children) > 0:
		a.payload = in.el.Children[0]
	}
	if !b.pending.deliver(in.id, in.from, a) {
		s.log.Debug("answer to nothing dropped", "from", in.from.String())
	}
}

// dispatch hands the inbox to the handlers, in order.
func (s *Session) dispatch() {
	for in := range s.inbox {
		if in.flushed != nil {
			s.presence.reset()
			close(in.flushed)
			continue
		}
		if s.ctx.Err() == nil {
			s.handle(in)
			in.b.sm.open(-1)
		}
		s.weight.Release(in.weight)
	}
}

func (s *Session) handle(in *inbound) {
	if in.from.IsZero() {
		in.from = s.cfg.JID // RFC 6120 section 8.1.2.1: the server, for our account
	}
	isIQ := in.el.Name.Local == "iq"
	if isIQ {
		switch request := (stanza.IQ{From: in.from, ID: in.id}); {
		case in.typ != string(stanza.Get) && in.typ != string(stanza.Set), in.id == "", len(in.id) > maxID:
			return
		case in.bad != nil && errors.Is(in.bad, ErrStanzaTooBig):
			s.answer(request, nil, s.hide(in.from, stanza.NewError(stanza.NotAcceptable)))
			return
		case in.bad != nil, len(in.el.Children) != 1:
			s.answer(request, nil, s.hide(in.from, stanza.NewError(stanza.BadRequest)))
			return
		}
	}
	if in.bad != nil {
		s.log.Debug("stanza dropped", "from", in.from.String(), "error", in.bad)
		return
	}
	if in.el.Name.Local == "message" && in.typ == typeError {
		s.log.Debug("message not delivered", "to", in.from.String(),
			"error", stanza.ParseError(in.el.Child(gstanza.NSClient, "error"), in.from))
		return
	}
	p := in.packet()
	if p == nil {
		return
	}
	h, ok := s.handlers.match(p)
	switch {
	case ok:
		h.HandlePacket(sender{s}, p)
	case isIQ:
		s.answer(stanza.IQ{From: in.from, ID: in.id}, nil, stanza.NewError(stanza.ServiceUnavailable))
	}
}

// guard runs a handler and survives its panic.
func (s *Session) guard(what string, f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("handler panicked", "handler", what, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			ok = false
		}
	}()
	f()
	return true
}

// answer sends the answer to an iq.
func (s *Session) answer(iq stanza.IQ, payload *xmltree.Element, err error) {
	typ := typeResult
	if err != nil {
		typ = typeError
		var se *stanza.Error
		if !errors.As(err, &se) {
			s.log.Warn("iq handler failed", "from", iq.From.String(), "error", err)
			se = stanza.NewError(conditionInternal)
		}
		payload = se.Element(gstanza.NSClient)
	}
	to := iq.From
	if to == s.cfg.JID {
		to = jid.JID{}
	}
	el := newIQ(to, stanza.IQType(typ), iq.ID, payload)
	if err := s.send(s.ctx, el, controlPriority); err != nil {
		s.log.Debug("iq not answered", "to", iq.From.String(), "error", err)
	}
}
