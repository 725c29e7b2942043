package session

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The types of an iq that answer (RFC 6120 section 8.2.3).
const (
	typeResult = "result"
	typeError  = "error"
)

// newID returns an id that nobody can guess, so that nobody can answer in
// another's place (130 random bits).
func newID() string { return rand.Text() }

// newIQ makes an iq stanza; a zero to leaves the address out.
func newIQ(to jid.JID, typ stanza.IQType, id string, payload *xmltree.Element) *xmltree.Element {
	el := xmltree.New(gstanza.NSClient, "iq", payload).Set("type", string(typ)).Set("id", id)
	if !to.IsZero() {
		el.Set("to", to.String())
	}
	return el
}

// pending are the iq round trips under way by one binding, by id.
type pending struct {
	mu    sync.Mutex
	byID  map[string]*wait
	ended error
}

// wait is one iq round trip under way.
type wait struct {
	p    *pending
	id   string
	to   jid.JID
	from map[jid.JID]bool // who may answer
	ch   chan iqAnswer    // capacity 1
	// hook is given a result on the reader, before anything that comes after
	// it on the stream is handled. It must not block. May be nil.
	hook func(payload *xmltree.Element)
	// done is told how it ended instead of ch, on the reader or on whatever ends
	// the binding, with no lock held. It must not block. May be nil.
	done func(error)
}

// tell hands out the answer, once. The caller holds no lock.
func (w *wait) tell(a iqAnswer) {
	if w.done != nil {
		w.done(a.err)
		return
	}
	w.ch <- a // capacity 1, and only ever one
}

type iqAnswer struct {
	payload *xmltree.Element
	err     error
}

func (p *pending) add(id string, to jid.JID, hook func(*xmltree.Element), from ...jid.JID) (*wait, error) {
	w := &wait{id: id, to: to, ch: make(chan iqAnswer, 1), hook: hook}
	return w, p.register(w, from...)
}

// register makes w known, so that an answer finds it.
func (p *pending) register(w *wait, from ...jid.JID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return p.ended
	}
	if len(p.byID) >= maxPendingIQ {
		return ErrBusy
	}
	if p.byID == nil {
		p.byID = map[string]*wait{}
	}
	w.p, w.from = p, map[jid.JID]bool{}
	for _, j := range from {
		w.from[j] = true
	}
	p.byID[w.id] = w
	return nil
}

// deliver hands an answer to who waits for it, if it comes from who was asked.
func (p *pending) deliver(id string, from jid.JID, a iqAnswer) bool {
	p.mu.Lock()
	w := p.byID[id]
	if w == nil || !w.from[from] {
		p.mu.Unlock()
		return false
	}
	delete(p.byID, id)
	p.mu.Unlock()
	if w.hook != nil && a.err == nil {
		w.hook(a.payload)
	}
	w.tell(a)
	return true
}

// failAll ends all round trips, those to come too.
func (p *pending) failAll(err error) {
	p.mu.Lock()
	p.ended = err
	all := p.byID
	p.byID = nil
	p.mu.Unlock()
	for _, w := range all {
		w.tell(iqAnswer{err: err})
	}
}

// forget gives up waiting.
func (w *wait) forget() {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	delete(w.p.byID, w.id)
}

// answer waits for the end of the round trip.
func (w *wait) answer(ctx context.Context) (*xmltree.Element, error) {
	defer w.forget()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, iqTimeout)
		defer cancel()
	}
	select {
	case a := <-w.ch:
		return a.payload, a.err
	case <-ctx.Done():
		select {
		case a := <-w.ch: // what came before the end counts
			return a.payload, a.err
		default:
		}
		who := "the server"
		if !w.to.IsZero() {
			who = w.to.String()
		}
		return nil, fmt.Errorf("no answer from %s: %w", who, context.Cause(ctx))
	}
}

// IQ asks to, or our own account when to is zero, and returns the payload of
// the result, which is nil when it is empty. An error answer is a
// *stanza.Error. When the stream is lost first, or there is none, the error is
// ErrSessionLost; while a lost stream may still be resumed the answer is
// waited for, and new requests are queued. Without a deadline in ctx the answer is waited for 30 s
// (context.DeadlineExceeded). Never call it from a handler.
func (s *Session) IQ(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error) {
	w, err := s.begin(ctx, to, typ, payload, nil)
	if err != nil {
		return nil, err
	}
	return w.answer(ctx)
}

// begin sends an iq. The caller waits for the answer, or forgets it. For hook
// see wait.
func (s *Session) begin(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element,
	hook func(*xmltree.Element)) (*wait, error) {
	return s.beginAs(ctx, newID(), to, typ, payload, hook)
}

// beginAs is begin with an id that nobody can guess.
func (s *Session) beginAs(ctx context.Context, id string, to jid.JID, typ stanza.IQType, payload *xmltree.Element,
	hook func(*xmltree.Element)) (*wait, error) {
	b, err := s.current()
	if err != nil {
		return nil, err
	}
	w, err := b.pending.add(id, to, hook, s.answerers(to)...) // before sending: answers are fast
	if err != nil {
		return nil, err
	}
	if err := s.sendBy(ctx, b, newIQ(to, typ, id, payload), controlPriority); err != nil {
		w.forget()
		return nil, err
	}
	return w, nil
}

// BeginIQ is an IQ of type set without the wait: it returns when the request is
// queued. answered is then called once, with nil for a result, a *stanza.Error,
// or ErrSessionLost; it must not block, and may be called before BeginIQ
// returns. There is no time limit: forget gives up the answer.
func (s *Session) BeginIQ(ctx context.Context, to jid.JID, payload *xmltree.Element, answered func(error)) (forget func(), err error) {
	w := &wait{id: newID(), to: to, done: answered}
	return s.start(w, func(b *binding) error {
		return s.sendBy(ctx, b, newIQ(to, stanza.Set, w.id, payload), controlPriority)
	})
}

// BulkIQ is BeginIQ for file data, which waits while there is anything else to
// send, and BulkIQ with it while the lane is full. encode appends the whole
// stanza, with that id and to, to dst; it is called before BulkIQ returns, at
// most once.
func (s *Session) BulkIQ(ctx context.Context, to jid.JID, encode func(dst []byte, id string) []byte, answered func(error)) (forget func(), err error) {
	w := &wait{id: newID(), to: to, done: answered}
	return s.start(w, func(b *binding) error { return b.queue(ctx, encode(nil, w.id), bulkPriority) })
}

// start registers w and then sends its request.
func (s *Session) start(w *wait, send func(*binding) error) (forget func(), err error) {
	b, err := s.current()
	if err != nil {
		return nil, err
	}
	if err := b.pending.register(w, s.answerers(w.to)...); err != nil {
		return nil, err
	}
	if err := send(b); err != nil {
		w.forget()
		return nil, err
	}
	return w.forget, nil
}

// answerers returns who may answer what is sent to to. Our server answers in
// the place of our account (RFC 6120 section 8.1.2.1) and then puts our bare
// JID, our full one, its own domain or nothing into the answer's from; nobody
// else can use any of these.
func (s *Session) answerers(to jid.JID) []jid.JID { return answerersFor(s.JID(), to) }

func answerersFor(self, to jid.JID) []jid.JID {
	domain, err := jid.Parse(self.Domain())
	if err != nil {
		domain = self.Bare()
	}
	if to.IsZero() || to == self.Bare() || to == domain {
		return []jid.JID{{}, self.Bare(), self, domain}
	}
	return []jid.JID{to}
}
