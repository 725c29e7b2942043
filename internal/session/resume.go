package session

import (
	"fmt"
	"strconv"

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
	return s.say(t, xmltree.New(nsSM, "enable").Set("resume", "true"))
}

// resume asks the server to go on with prev on this connection (XEP-0198
// section 5). It returns what is to be sent again. When the server refuses, ok
// is false and a resource may be bound instead.
func (s *Session) resume(t *transport, features *xmltree.Element, prev *binding) (resend [][]byte, ok bool, err error) {
	id, h, ok := prev.sm.resumption()
	if !ok || features.Child(nsSM, "sm") == nil {
		prev.sm.drop()
		return nil, false, nil
	}
	ask := xmltree.New(nsSM, "resume").Set("previd", id).Set("h", strconv.FormatUint(uint64(h), 10))
	if err := s.say(t, ask); err != nil {
		return nil, false, err
	}
	el, err := s.hear(t)
	switch {
	case err != nil:
		return nil, false, err
	case el.Is(nsSM, "failed"):
		prev.sm.refused(el)
		return nil, false, nil
	case !el.Is(nsSM, "resumed"):
		return nil, false, fmt.Errorf("unexpected <%.32s/>", el.Name.Local)
	}
	if resend, err = prev.sm.resumed(el); err != nil {
		_ = t.endStream([]byte(ackComplaint))
		return nil, false, err
	}
	return resend, true, nil
}
