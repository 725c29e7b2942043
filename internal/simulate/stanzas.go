package simulate

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// HandleIQ implements transfer.Account.
func (a *account) HandleIQ(space string, f func(context.Context, stanza.IQ) (*xmltree.Element, error)) {
	a.HandleIQAsync(space, func(ctx context.Context, iq stanza.IQ, reply func(*xmltree.Element, error)) { reply(f(ctx, iq)) })
}

// HandleIQAsync implements transfer.Account.
func (a *account) HandleIQAsync(space string, f func(context.Context, stanza.IQ, func(*xmltree.Element, error))) {
	a.handlers.iq[space] = f
}

// HandlePEP implements transfer.Account.
func (a *account) HandlePEP(node string, f func(context.Context, jid.JID, *xmltree.Element)) {
	a.handlers.pep[node] = f
}

// HandleMessage implements transfer.Account.
func (a *account) HandleMessage(space, local string, f func(context.Context, stanza.Message)) {
	a.handlers.messages[[2]string{space, local}] = f
}

// receive takes what arrives on a stream, on the goroutine of its link.
func (a *account) receive(l *line, p packet) {
	a.mu.Lock()
	dead := a.ended || a.line != l
	a.mu.Unlock()
	if dead {
		return
	}
	a.net.passed(a)
	switch p.kind {
	case answer:
		a.answered(p)
	case request:
		a.asked(l, p)
	case message:
		m := stanza.Message{From: p.from, To: p.to, ID: p.id, Type: p.typ, Children: p.children}
		for name, f := range a.handlers.messages {
			if m.Child(name[0], name[1]) != nil {
				f(a.ctx, m)
				return
			}
		}
	case presence:
		a.sees(p)
	case published:
		if f := a.handlers.pep[p.node]; f != nil {
			f(a.ctx, p.from, p.el)
		}
	}
}

// answered hands an answer to who waits for it.
func (a *account) answered(p packet) {
	a.mu.Lock()
	w := a.pending[p.id]
	if w == nil || w.to != p.from {
		a.mu.Unlock()
		return
	}
	delete(a.pending, p.id)
	a.mu.Unlock()
	if p.err != nil {
		e := *p.err
		e.From = p.from
		w.answered(nil, &e)
		return
	}
	w.answered(p.el, nil)
}

// asked answers a request.
func (a *account) asked(l *line, p packet) {
	var one sync.Once
	reply := func(el *xmltree.Element, err error) {
		one.Do(func() {
			r := packet{kind: answer, to: p.from, id: p.id, el: el.Clone()}
			if err != nil {
				r.el, r.err = nil, asStanzaError(err)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if !a.ended && a.line == l {
				a.send(r)
			}
		})
	}
	f := a.handlers.iq[p.el.Name.Space]
	if f == nil {
		reply(nil, stanza.NewError(stanza.ServiceUnavailable))
		return
	}
	f(a.ctx, stanza.IQ{From: p.from, To: p.to, ID: p.id, Type: stanza.IQType(p.typ), Payload: p.el}, reply)
}

func asStanzaError(err error) *stanza.Error {
	if e, ok := err.(*stanza.Error); ok { //nolint:errorlint // as the session has it
		return e
	}
	return stanza.NewError("internal-server-error")
}

// sees takes the presence of somebody.
func (a *account) sees(p packet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.wake()
	if p.typ != "" {
		delete(a.present, p.from)
		return
	}
	r := session.Resource{JID: p.from, Seen: time.Now(), Caps: session.Caps{Hash: "sha-1", Node: session.CapsNode, Ver: p.el.Attr("ver")}}
	r.Priority, _ = strconv.Atoi(p.el.Attr("priority"))
	old, known := a.present[p.from]
	if r.Arrival = old.Arrival; !known || old.Caps != r.Caps {
		a.arrivals++
		r.Arrival = a.arrivals
	}
	a.present[p.from] = r
}

// Resources implements transfer.Account.
func (a *account) Resources(bare jid.JID) (all []session.Resource) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for j, r := range a.present {
		if j.Bare() == bare.Bare() && j != a.line.full {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(x, y session.Resource) int {
		if x.Priority != y.Priority {
			return y.Priority - x.Priority
		}
		if n := y.Seen.Compare(x.Seen); n != 0 {
			return n
		}
		return strings.Compare(x.JID.String(), y.JID.String())
	})
	return all
}

// PresenceChanged implements transfer.Account.
func (a *account) PresenceChanged() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Send implements transfer.Account.
func (a *account) Send(_ context.Context, m stanza.Message) error {
	p := packet{kind: message, to: m.To, id: m.ID, typ: m.Type}
	for _, c := range m.Children {
		p.children = append(p.children, c.Clone())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.offline(); err != nil {
		return err
	}
	a.send(p)
	return nil
}

// offline says why nothing can be sent, or nothing. a.mu is held.
func (a *account) offline() error {
	switch {
	case a.ended:
		return lostTo(session.ErrClosed)
	case isClosed(a.lost):
		return lostTo(errCut)
	}
	return nil
}

// begin sends a request, and has answered called once, unless it is forgotten before.
func (a *account) begin(p packet, answered func(*xmltree.Element, error)) (forget func(), err error) {
	p.el = p.el.Clone()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.offline(); err != nil {
		return nil, err
	}
	if p.to.IsZero() {
		p.to = a.cfg.JID
	}
	a.ids++
	p.kind, p.id = request, fmt.Sprintf("%s-%d", a.cfg.Resource, a.ids)
	id := p.id
	a.pending[id] = &wait{to: p.to, answered: answered}
	a.send(p)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.pending, id)
	}, nil
}

// do sends a request and waits for the answer.
func (a *account) do(ctx context.Context, p packet) (*xmltree.Element, error) {
	type result struct {
		el  *xmltree.Element
		err error
	}
	came := make(chan result, 1)
	forget, err := a.begin(p, func(el *xmltree.Element, err error) { came <- result{el, err} })
	if err != nil {
		return nil, err
	}
	defer forget()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case r := <-came:
		return r.el, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer from %s: %w", p.to, context.Cause(ctx))
	}
}

// IQ implements transfer.Account.
func (a *account) IQ(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error) {
	return a.do(ctx, packet{to: to, typ: string(typ), el: payload})
}

// BeginIQ implements transfer.Account.
func (a *account) BeginIQ(_ context.Context, to jid.JID, payload *xmltree.Element, answered func(error)) (forget func(), err error) {
	return a.begin(packet{to: to, typ: string(stanza.Set), el: payload}, func(_ *xmltree.Element, err error) { answered(err) })
}

// BulkIQ implements transfer.Account.
func (a *account) BulkIQ(_ context.Context, to jid.JID, encode func(dst []byte, id string) []byte, answered func(error)) (forget func(), err error) {
	el, err := xmltree.Parse(encode(nil, "bulk"))
	if err != nil {
		return nil, err
	}
	data := el.Children[0]
	a.net.carried(a.JID(), to, data)
	return a.begin(packet{to: to, typ: string(stanza.Set), el: data}, func(_ *xmltree.Element, err error) { answered(err) })
}

// DiscoInfo implements transfer.Account.
func (a *account) DiscoInfo(ctx context.Context, of jid.JID, _ string) (*session.DiscoInfo, error) {
	q, err := a.IQ(ctx, of, stanza.Get, xmltree.New(nsDisco, "query"))
	if err != nil {
		return nil, fmt.Errorf("features of %s: %w", of, err)
	}
	d := &session.DiscoInfo{}
	for _, el := range q.All(nsDisco, "identity") {
		d.Identities = append(d.Identities, session.Identity{Category: el.Attr("category"), Type: el.Attr("type"), Name: el.Attr("name")})
	}
	for _, el := range q.All(nsDisco, "feature") {
		d.Features = append(d.Features, el.Attr("var"))
	}
	return d, nil
}

// Publish implements transfer.Account.
func (a *account) Publish(ctx context.Context, node, itemID string, payload *xmltree.Element, _ bool) error {
	payload = payload.Clone()
	_, err := a.do(ctx, packet{typ: string(stanza.Set), ask: func() (*xmltree.Element, *stanza.Error) {
		a.srv.publish(a.cfg.JID, node, itemID, payload)
		return nil, nil
	}})
	return err
}

// Items implements transfer.Account.
func (a *account) Items(ctx context.Context, owner jid.JID, node string) ([]*xmltree.Element, error) {
	if owner.IsZero() {
		owner = a.cfg.JID
	}
	res, err := a.do(ctx, packet{to: owner.Bare(), typ: string(stanza.Get), ask: func() (*xmltree.Element, *stanza.Error) {
		return a.srv.items(owner.Bare(), node)
	}})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", node, err)
	}
	return res.Children, nil
}

// DeleteNode implements transfer.Account.
func (a *account) DeleteNode(ctx context.Context, node string) error {
	_, err := a.do(ctx, packet{typ: string(stanza.Set), ask: func() (*xmltree.Element, *stanza.Error) {
		delete(a.srv.homes[a.cfg.JID].nodes, node)
		return nil, nil
	}})
	return err
}
