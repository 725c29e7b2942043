package omemo

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/libsignal/state/record"
)

// decrypt opens a message. It takes the place of the library's Decrypt and
// DecryptMessage, which try the current session state first and leave it
// changed when it does not fit; when an archived state then opens the message,
// they store the damaged one. Here every state is tried on a copy of its own.
func (r *ratchet) decrypt(ctx context.Context, m *message) (plain []byte, err error) {
	err = guard(func() error {
		rec, err := r.LoadSession(ctx, nil)
		if err != nil {
			return err
		}
		fresh := rec.IsFresh()
		built, err := r.accept(ctx, rec, m)
		if err != nil {
			return err
		}
		if fresh && !built {
			return signalerror.ErrNoSessionForUser
		}
		r.began = built
		plain, err = r.open(ctx, rec.Structure(), m, built)
		return err
	})
	if err != nil {
		r.session, r.used, r.began = nil, 0, false
		return nil, err
	}
	return plain, nil
}

// accept puts the state that a prekey message calls for into rec, unless rec
// has it already, which built tells.
func (r *ratchet) accept(ctx context.Context, rec *record.Session, m *message) (built bool, err error) {
	if m.prekey == nil {
		return false, nil
	}
	known := !rec.IsFresh() && rec.HasSessionState(m.prekey.MessageVersion(), m.prekey.BaseKey().Serialize())
	builder, _ := r.library()
	id, err := builder.Process(ctx, rec, m.prekey)
	if err != nil {
		return false, err
	}
	if !known && !id.IsEmpty {
		r.used = id.Value
	}
	return !known, nil
}

// open tries the states of a session, the current one first, and keeps the
// session as the message leaves it. A state that was just built must fit: no
// other one may answer for it.
func (r *ratchet) open(ctx context.Context, s *record.SessionStructure, m *message, built bool) ([]byte, error) {
	states := append([]*record.StateStructure{s.SessionState}, s.PreviousStates...)
	tried := states
	if built {
		tried = states[:1]
	}
	failure := signalerror.ErrNoValidSessions
	_, cipher := r.library()
	for i, state := range tried {
		if !bytes.Equal(state.RemoteIdentityPublic, r.key) {
			continue // cannot be: a pinned key never changes
		}
		candidate, err := copyOf(state)
		if err != nil {
			return nil, err
		}
		plain, _, err := cipher.DecryptWithState(ctx, candidate.SessionState(), m.signal)
		if errors.Is(err, signalerror.ErrOldCounter) {
			failure = err // this is its session, and it was opened before
		}
		if err != nil {
			continue
		}
		after := arrange(states, i, candidate.Structure().SessionState)
		next, err := record.NewSessionFromStructure(after, serializer.Session, serializer.State)
		if err != nil {
			return nil, err
		}
		return plain, r.StoreSession(ctx, nil, next)
	}
	return nil, failure
}

// copyOf makes a session of one state that shares nothing with it.
func copyOf(state *record.StateStructure) (*record.Session, error) {
	b := serializer.Session.Serialize(&record.SessionStructure{SessionState: state})
	return record.NewSessionFromBytes(b, serializer.Session, serializer.State)
}

// arrange returns the session after states[i] has opened a message and became
// opened. An archived state becomes the current one, so that both ends meet in
// one session, unless the current one was started by us and the other end has
// not answered in it yet: it heals a session that the other end may have lost,
// and a late message of the old one must not undo that.
func arrange(states []*record.StateStructure, i int, opened *record.StateStructure) *record.SessionStructure {
	rest := slices.Delete(slices.Clone(states), i, i+1)
	if i > 0 && states[0].PendingPreKey != nil {
		return &record.SessionStructure{
			SessionState:   states[0],
			PreviousStates: append([]*record.StateStructure{opened}, rest[1:]...),
		}
	}
	return &record.SessionStructure{SessionState: opened, PreviousStates: rest}
}
