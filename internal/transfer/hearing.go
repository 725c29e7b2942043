package transfer

import (
	"context"

	"jetsend/internal/jingle"
	"jetsend/internal/route"
	"jetsend/internal/xmltree"
)

// hearing is what was heard of a session and not asked for yet: each wait takes what
// it is about and leaves the rest to the next one. One goroutine waits at a time.
type hearing struct {
	accepted *jingle.Content
	infos    []*xmltree.Element
	paths    []jingle.Event // transport-infos and transport-replaces
	ended    bool
}

// add keeps an event, as it is received from a session.
func (h *hearing) add(ev jingle.Event, open bool) {
	switch {
	case !open, ev.Action == jingle.SessionTerminate:
		h.ended = true
	case ev.Action == jingle.SessionAccept:
		h.accepted = ev.Content
	case ev.Action == jingle.SessionInfo:
		h.infos = append(h.infos, ev.Payload)
	default:
		h.paths = append(h.paths, ev)
	}
}

// look gives the infos to f until that says that it has what it looks for.
func (h *hearing) look(f func(info *xmltree.Element) (bool, error)) (found bool, err error) {
	for len(h.infos) > 0 && !found && err == nil {
		info := h.infos[0]
		h.infos = h.infos[1:]
		found, err = f(info)
	}
	return found, err
}

// catchUp hears all that has come so far.
func (h *hearing) catchUp(s *jingle.Session) {
	for !h.ended {
		select {
		case ev, open := <-s.Events():
			h.add(ev, open)
		default:
			return
		}
	}
}

// lookNow is look for all that has come so far.
func (t *talk) lookNow(f func(info *xmltree.Element) (bool, error)) (found bool, err error) {
	t.heard.catchUp(t.sess)
	return t.heard.look(f)
}

// connect finds the path of r, which hears what the peer says meanwhile.
func (t *talk) connect(ctx context.Context, r *route.Route, remote *xmltree.Element) (*bytestream, error) {
	for _, ev := range t.heard.paths {
		r.Hear(ev)
	}
	t.heard.paths = nil
	found, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for !t.heard.ended {
			select {
			case ev, open := <-t.sess.Events():
				t.heard.add(ev, open)
				r.Hear(ev)
			case <-found:
				return
			}
		}
	}()
	path, err := r.Connect(ctx, t.sess, remote)
	close(found)
	<-stopped
	return path, err
}
