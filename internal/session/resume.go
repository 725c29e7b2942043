package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/xmltree"
)

// enable turns stream management on for a new binding (XEP-0198 section 3), if
// there is any use for it and the server offers it. Nobody waits for the
// answer: the reader gets it. A session that ends with its stream goes
// without, so that the server does not keep the stream of a `send` that was
// killed for minutes.
func (s *Session) enable(t *transport, features *xmltree.Element, b *binding) error {
	if !s.cfg.Reconnect || features.Child(nsSM, "sm") == nil {
		return nil
	}
	b.sm.enable()
	b.direct = t.direct
	return s.say(t, enableElement())
}

func enableElement() *xmltree.Element { return xmltree.New(nsSM, "enable").Set("resume", "true") }

// resume asks the server to go on with prev on this connection (XEP-0198
// section 5). When the server refuses, it returns nil and a resource may be
// bound instead.
func (s *Session) resume(t *transport, features *xmltree.Element, prev *binding) (*negotiated, error) {
	ask, ok := prev.sm.askToResume()
	if !ok || features.Child(nsSM, "sm") == nil {
		prev.sm.drop()
		return nil, nil
	}
	if err := s.say(t, ask); err != nil {
		return nil, err
	}
	el, err := s.hear(t)
	switch {
	case err != nil:
		return nil, err
	case el.Is(nsSM, "failed"):
		prev.sm.refused(el)
		return nil, nil
	case !el.Is(nsSM, "resumed"):
		return nil, fmt.Errorf("unexpected <%.32s/>", el.Name.Local)
	}
	return resumedAs(t, el, prev)
}

// resumedAs goes on with prev, as the server has agreed to.
func resumedAs(t *transport, el *xmltree.Element, prev *binding) (n *negotiated, err error) {
	n = &negotiated{t: t, b: prev}
	if n.resend, n.proved, err = prev.sm.resumed(el); err != nil {
		if errors.Is(err, errAckTooHigh) {
			_ = t.endStream([]byte(ackComplaint))
		}
		return nil, err
	}
	return n, nil
}

// prove waits until the server has acknowledged something on a resumed stream.
// Some servers feed what comes by the new connection to the parser of the old
// one (Prosody 0.12 does): if that was cut off within a stanza, all that we
// send becomes part of it, or an error. A stream like that is given up.
func prove(ctx context.Context, st *stream, proved <-chan struct{}) (err error) {
	for {
		left := st.prove - st.t.silence()
		if left <= 0 {
			return errDeaf
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
			continue
		case <-proved:
		case <-st.ctx.Done():
			err = context.Cause(st.ctx)
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", errDeaf, context.Cause(ctx))
		}
		timer.Stop()
		return err
	}
}

// errDeaf: a resumption was granted, but nothing gets through.
var errDeaf = errors.New("the server resumed the stream but acknowledges nothing")
