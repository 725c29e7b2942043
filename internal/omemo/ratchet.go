package omemo

import (
	"bytes"
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/libsignal/state/record"
)

// errUnused is returned by the store methods that libsignal has no reason to
// call.
var errUnused = errors.New("store method is not used here")

const (
	// maxArchived is how many archived states of a session are kept, newest
	// first, for messages that are late. The library keeps 40; every step
	// rewrites them all, and each one is tried on what does not open.
	maxArchived = 10
	// maxSkipped is how many keys of a chain are kept, the newest, for messages that
	// were skipped. The library keeps 2000 of each of five chains, 160 bytes each, and
	// every step reads and writes them. The messages skipped here are mostly copies of
	// chats that never come; offers come in order but for a handful.
	maxSkipped = 100
	// maxRecordBytes is the length of a session's record beyond which its archived
	// states are dropped. A state whose chains are all full of keys has 90 kB.
	maxRecordBytes = 256 << 10
)

// ratchet is one step with the session of one device. To libsignal it is the
// store. It reads afresh each time, because the library changes what it is given
// before it knows whether the message is genuine; what the library stores is kept
// here until store is called. A ratchet is used for one operation: to encrypt it
// reads from the transaction that stores; to decrypt, which is work that others
// choose, from no transaction, and what it read must still hold when it stores.
type ratchet struct {
	account *Account
	q       queryer
	addr    address
	key     []byte // the identity key that the device must have
	charge  charge // for what is done for the other end; nil: nothing is charged

	loaded  []byte      // the record as it was read last, nil for none
	session []byte      // record to be stored, nil for none
	summary sessionInfo // of session
	used    uint32      // one-time prekey to be removed, 0 for none
	began   bool        // the message that was opened began its session
}

// sessionInfo is what the state of a session is asked without its record.
type sessionInfo struct {
	base           string // names it: its base key, in base64
	pending        bool   // begun by us, and nothing received in it
	sent, received uint32 // next numbers of the newest chains
}

// describe reads what sessionInfo holds.
func describe(s *record.SessionStructure) sessionInfo {
	state := s.SessionState
	i := sessionInfo{
		base:    base64.StdEncoding.EncodeToString(state.SenderBaseKey),
		pending: state.PendingPreKey != nil,
		sent:    state.SenderChain.ChainKey.Index,
	}
	if n := len(state.ReceiverChains); n > 0 {
		i.received = state.ReceiverChains[n-1].ChainKey.Index
	}
	return i
}

// newRatchet starts a step with the device at addr, whose pinned identity key
// is key.
func (a *Account) newRatchet(q queryer, addr address, key []byte) *ratchet {
	return &ratchet{account: a, q: q, addr: addr, key: key}
}

// pay charges work that is about to be done.
func (r *ratchet) pay(ctx context.Context, price int) error {
	if r.charge == nil {
		return nil
	}
	return r.charge(ctx, price)
}

// library returns libsignal's builder and cipher for the session. (Its
// NewCipherFromSession makes ciphers that panic on prekey messages.)
func (r *ratchet) library() (*session.Builder, *session.Cipher) {
	to := protocol.NewSignalAddress(r.addr.jid.String(), r.addr.device)
	b := session.NewBuilder(r, r, r, r, to, serializer)
	return b, session.NewCipher(b, to)
}

// build starts a session from a bundle whose signature was verified. A session
// that exists is archived.
func (r *ratchet) build(ctx context.Context, b *bundle) error {
	theirs, err := b.signal(r.addr.device, r.account.draw)
	if err != nil {
		return err
	}
	return guard(func() error {
		builder, _ := r.library()
		return builder.ProcessBundle(ctx, theirs)
	})
}

// encrypt makes a message with the next message key. prekey tells that it has
// to be marked as a prekey message.
func (r *ratchet) encrypt(ctx context.Context, plain []byte) (data []byte, prekey bool, err error) {
	err = guard(func() error {
		if ok, err := r.ContainsSession(ctx, nil); err != nil || !ok {
			return errors.Join(err, signalerror.ErrNoSessionForUser)
		}
		_, c := r.library()
		// The library pads in place, into whatever lies behind the slice in its
		// array: it gets a copy.
		m, err := c.Encrypt(ctx, slices.Clone(plain))
		if err != nil {
			return err
		}
		data, prekey = m.Serialize(), m.Type() == protocol.PREKEY_TYPE
		return nil
	})
	return data, prekey, err
}

// errMoved: somebody else has made a step with the session meanwhile.
var errMoved = errors.New("session has moved on")

// still is nil when what the step began with still holds, else errMoved.
func (r *ratchet) still(ctx context.Context, tx *sql.Tx) error {
	var same bool
	var loaded any // nil is none, which an empty record would not be
	if r.loaded != nil {
		loaded = r.loaded
	}
	const query = `SELECT (SELECT record FROM sessions WHERE jid = ?1 AND device = ?2) IS ?3
		AND (?4 = 0 OR EXISTS (SELECT 1 FROM prekeys WHERE id = ?4))`
	err := tx.QueryRowContext(ctx, query, r.addr.jid.String(), r.addr.device, loaded, r.used).Scan(&same)
	if err == nil && !same {
		err = errMoved
	}
	return err
}

// store writes what the step has changed.
func (r *ratchet) store(ctx context.Context, tx *sql.Tx) error {
	if r.session != nil {
		const store = `INSERT OR REPLACE INTO sessions (jid, device, record, updated, base, pending, sent, received)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
		i := r.summary
		_, err := tx.ExecContext(ctx, store, r.addr.jid.String(), r.addr.device, r.session, r.account.now(),
			i.base, i.pending, i.sent, i.received)
		if err != nil {
			return fmt.Errorf("store session: %w", err)
		}
	}
	if r.used != 0 {
		if err := r.account.usePrekey(ctx, tx, r.used); err != nil {
			return fmt.Errorf("remove used prekey: %w", err)
		}
	}
	return nil
}

// GetIdentityKeyPair returns our identity key pair.
func (r *ratchet) GetIdentityKeyPair() *identity.KeyPair { return r.account.id.pair }

// GetLocalRegistrationID returns our device id: OMEMO knows no other.
func (r *ratchet) GetLocalRegistrationID() uint32 { return r.account.deviceID }

// SaveIdentity does nothing: the library calls it before it has authenticated
// the message. Keys are pinned by [Account.pin].
func (r *ratchet) SaveIdentity(context.Context, *protocol.SignalAddress, *identity.Key) error {
	return nil
}

// IsTrustedIdentity reports whether a key is the pinned one.
func (r *ratchet) IsTrustedIdentity(_ context.Context, _ *protocol.SignalAddress, key *identity.Key) (bool, error) {
	return subtle.ConstantTimeCompare(key.PublicKey().Serialize(), r.key) == 1, nil
}

// LoadSession returns a fresh copy of the stored session, or a fresh session.
func (r *ratchet) LoadSession(ctx context.Context, _ *protocol.SignalAddress) (*record.Session, error) {
	var b []byte
	const load = `SELECT record FROM sessions WHERE jid = ? AND device = ?`
	err := r.q.QueryRowContext(ctx, load, r.addr.jid.String(), r.addr.device).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return record.NewSession(serializer.Session, serializer.State), nil
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	if err := r.pay(ctx, len(b)/recordBytes); err != nil {
		return nil, err
	}
	r.loaded = b
	return record.NewSessionFromBytes(b, serializer.Session, serializer.State)
}

// StoreSession keeps a session for store. The library cannot serialise one
// without a state.
func (r *ratchet) StoreSession(_ context.Context, _ *protocol.SignalAddress, s *record.Session) error {
	if !s.SessionState().HasSenderChain() || !bytes.Equal(s.SessionState().RemoteIdentityKey().PublicKey().Serialize(), r.key) {
		return signalerror.ErrUninitializedSession
	}
	record := s.Structure()
	r.session, r.summary = trim(record, maxRecordBytes), describe(record)
	return nil
}

// trim serialises a session without the archived states, and the keys of skipped
// messages, that are too many; without any archived state when it is too long.
func trim(s *record.SessionStructure, limit int) []byte {
	s.PreviousStates = s.PreviousStates[:min(len(s.PreviousStates), maxArchived)]
	for _, state := range append(s.PreviousStates[:len(s.PreviousStates):len(s.PreviousStates)], s.SessionState) {
		for _, c := range state.ReceiverChains {
			c.MessageKeys = c.MessageKeys[max(len(c.MessageKeys)-maxSkipped, 0):]
		}
	}
	b := serializer.Session.Serialize(s)
	if len(b) > limit && len(s.PreviousStates) > 0 {
		s.PreviousStates = nil
		b = serializer.Session.Serialize(s)
	}
	return b
}

// ContainsSession reports whether there is a stored session.
func (r *ratchet) ContainsSession(ctx context.Context, _ *protocol.SignalAddress) (bool, error) {
	return r.account.hasSession(ctx, r.q, r.addr)
}

// hasSession reports whether there is a stored session.
func (a *Account) hasSession(ctx context.Context, q queryer, addr address) (ok bool, err error) {
	const has = `SELECT EXISTS (SELECT 1 FROM sessions WHERE jid = ? AND device = ?)`
	err = q.QueryRowContext(ctx, has, addr.jid.String(), addr.device).Scan(&ok)
	return ok, err
}

// LoadPreKey returns one of our one-time prekeys, or nil.
func (r *ratchet) LoadPreKey(ctx context.Context, id uint32) (*record.PreKey, error) {
	return loadPrekey(ctx, r.q, id)
}

// RemovePreKey keeps the id of a used one-time prekey for store.
func (r *ratchet) RemovePreKey(_ context.Context, id uint32) error {
	r.used = id
	return nil
}

// LoadSignedPreKey returns one of our signed prekeys, or nil.
func (r *ratchet) LoadSignedPreKey(ctx context.Context, id uint32) (*record.SignedPreKey, error) {
	if id == 0 {
		return nil, nil
	}
	k, err := loadSigned(ctx, r.q, id)
	if err != nil || k == nil {
		return nil, err
	}
	return k.record(), nil
}

// The rest of libsignal's store interfaces, which it does not call.

// GetSubDeviceSessions is not used.
func (r *ratchet) GetSubDeviceSessions(context.Context, string) ([]uint32, error) {
	return nil, errUnused
}

// DeleteSession is not used.
func (r *ratchet) DeleteSession(context.Context, *protocol.SignalAddress) error { return errUnused }

// DeleteAllSessions is not used.
func (r *ratchet) DeleteAllSessions(context.Context) error { return errUnused }

// StorePreKey is not used.
func (r *ratchet) StorePreKey(context.Context, uint32, *record.PreKey) error { return errUnused }

// ContainsPreKey is not used.
func (r *ratchet) ContainsPreKey(context.Context, uint32) (bool, error) { return false, errUnused }

// LoadSignedPreKeys is not used.
func (r *ratchet) LoadSignedPreKeys(context.Context) ([]*record.SignedPreKey, error) {
	return nil, errUnused
}

// StoreSignedPreKey is not used.
func (r *ratchet) StoreSignedPreKey(context.Context, uint32, *record.SignedPreKey) error {
	return errUnused
}

// ContainsSignedPreKey is not used.
func (r *ratchet) ContainsSignedPreKey(context.Context, uint32) (bool, error) {
	return false, errUnused
}

// RemoveSignedPreKey is not used.
func (r *ratchet) RemoveSignedPreKey(context.Context, uint32) error { return errUnused }
