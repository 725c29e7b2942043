package omemo

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"go.mau.fi/libsignal/keys/chain"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/libsignal/state/record"
)

// How far ahead of a chain that is not known yet the number of a message may be:
// anybody can make up a ratchet key, and each number costs us work in each state
// that the message is tried with.
const (
	// maxNewGap holds in the current state, and in one that the message begins. The
	// other end has begun the chain for a message of ours, and what it wrote in it
	// before did not get here: the offers that went to other devices only, which
	// jetsends do not count, or copies of chats, which servers do not hand to a
	// client that is not for chats. Two weeks after it was last heard a device gets
	// a new session (silentAfter): until then a person may write 70 a day.
	maxNewGap = 1000
	// maxArchivedGap holds in older states, which are kept for messages that are
	// late and for sessions begun at both ends at once: a handful.
	maxArchivedGap = 100
	// maxKnownGap is the library's own limit.
	maxKnownGap = 2000
)

// errFarAhead: the number of a message is too far ahead.
var errFarAhead = errors.New("number of the message is too far ahead")

// decrypt opens a message, and charges what it costs before it does it. It takes
// the place of the library's Decrypt and DecryptMessage, which try the current
// session state first and leave it changed when it does not fit; when an archived
// state then opens the message, they store the damaged one. Here the state that
// fits is found first, by the message's MAC, and then opens it on a copy.
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
		plain, err = r.open(ctx, rec, m, built)
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
	if !known {
		if err := r.pay(ctx, beginWork); err != nil {
			return false, err
		}
	}
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

// open finds the state of a session that a message belongs to, the current one
// first, and keeps the session as the message leaves it. A state that was just
// built must fit: no other one may answer for it.
func (r *ratchet) open(ctx context.Context, rec *record.Session, m *message, built bool) ([]byte, error) {
	states := append([]*record.State{rec.SessionState()}, rec.PreviousSessionStates()...)
	tried := states
	if built {
		tried = states[:1]
	}
	knows := func(s *record.State) bool { return s.HasReceiverChain(m.signal.SenderRatchetKey()) }
	known := slices.ContainsFunc(tried, knows) // then it is of no other: ratchet keys are drawn for one session
	failure := signalerror.ErrNoValidSessions
	for i, state := range tried {
		if !bytes.Equal(state.RemoteIdentityKey().PublicKey().Serialize(), r.key) {
			continue // cannot be: a pinned key never changes
		}
		if known && !knows(state) {
			continue
		}
		gap := uint32(maxNewGap)
		if i > 0 {
			gap = maxArchivedGap
		}
		switch skipped, err := r.fits(ctx, state, m.signal, gap); {
		case err == nil:
			return r.openWith(ctx, rec.Structure(), i, m, skipped)
		case errors.Is(err, ErrTooMany), ctx.Err() != nil:
			return nil, err
		case errors.Is(err, signalerror.ErrOldCounter):
			failure = err // this is its session, and it was opened before
		}
	}
	return nil, failure
}

// fits finds out, by its MAC, whether a message belongs to a state. It is what the
// library would find, without the keys of all messages that were skipped, and
// without a change to the state. newGap is how far ahead the number may be in a
// chain that the state does not know; skipped is how far it is.
func (r *ratchet) fits(ctx context.Context, s *record.State, m *protocol.SignalMessage, newGap uint32) (skipped int, err error) {
	if !s.HasSenderChain() {
		return 0, signalerror.ErrUninitializedSession
	}
	if m.MessageVersion() != s.Version() {
		return 0, signalerror.ErrWrongMessageVersion
	}
	theirs, number, price := m.SenderRatchetKey(), m.Counter(), agreementWork
	first, gap := uint32(0), newGap
	var key *chain.Key
	if s.HasReceiverChain(theirs) {
		key = s.ReceiverChainKey(theirs)
		first, gap, price = key.Index(), maxKnownGap, 0
	}
	switch {
	case number < first && s.HasMessageKeys(theirs, number):
		return 0, nil // one key is tried, and is there already
	case number < first:
		return 0, signalerror.ErrOldCounter
	case number-first > gap:
		return 0, errFarAhead
	}
	skipped = int(number - first)
	if err := r.pay(ctx, price+chainWork*skipped); err != nil {
		return 0, err
	}
	if key == nil {
		pair, err := s.RootKey().CreateChain(theirs, s.SenderRatchetKeyPair())
		if err != nil {
			return 0, err
		}
		key = pair.ChainKey.Current()
	}
	for key.Index() < number {
		key = key.NextKey()
	}
	return skipped, m.VerifyMac(m.MessageVersion(), s.RemoteIdentityKey(), s.LocalIdentityKey(), key.MessageKeys().MacKey())
}

// openWith opens a message with a copy of the i-th state, and keeps the session,
// with the keys of those that it skips.
func (r *ratchet) openWith(ctx context.Context, s *record.SessionStructure, i int, m *message, skipped int) ([]byte, error) {
	if err := r.pay(ctx, keyWork*skipped+len(r.loaded)/recordBytes); err != nil {
		return nil, err
	}
	states := append([]*record.StateStructure{s.SessionState}, s.PreviousStates...)
	candidate, err := copyOf(states[i])
	if err != nil {
		return nil, err
	}
	_, cipher := r.library()
	plain, _, err := cipher.DecryptWithState(ctx, candidate.SessionState(), m.signal)
	if err != nil {
		return nil, err
	}
	after := arrange(states, i, candidate.Structure().SessionState)
	next, err := record.NewSessionFromStructure(after, serializer.Session, serializer.State)
	if err != nil {
		return nil, err
	}
	return plain, r.StoreSession(ctx, nil, next)
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
