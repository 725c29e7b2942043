package omemo

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"jetsend/internal/jid"
)

// Trust says how far a device's identity key is trusted.
type Trust int

// The levels of trust.
const (
	// Undecided: never decided on, and not used: a key of this contact was
	// verified before, or the trust mode asks for verification.
	Undecided Trust = iota
	// Blind: never decided on, and used because no key of this contact was ever
	// verified (blind trust before verification).
	Blind
	// Verified: the user compared the fingerprint.
	Verified
	// Distrusted: the user refused the key.
	Distrusted
)

// String returns the level as the events name it.
func (t Trust) String() string {
	switch t {
	case Undecided:
		return "undecided"
	case Blind:
		return "blind"
	case Verified:
		return "verified"
	case Distrusted:
		return "distrusted"
	}
	return "unknown"
}

// TrustMode says what is done with keys that nobody decided on.
type TrustMode int

// The trust modes.
const (
	// BlindMode is blind trust before verification: a contact's keys are used
	// until one of them was verified; from then on only verified ones are.
	BlindMode TrustMode = iota
	// VerifiedMode uses verified keys only.
	VerifiedMode
)

// Device is an OMEMO device of a contact, as we know it.
type Device struct {
	JID         jid.JID // bare
	ID          uint32
	IdentityKey []byte // 33 bytes, the first 0x05; nil while its bundle was never had
	Fingerprint string // 64 lower-case hex digits, without the 05; "" without a key
	Trust       Trust
	New         bool      // not part of any transfer so far
	Active      bool      // in the contact's device list as last seen
	FirstSeen   time.Time // when it was first in the list or sent something
	LastUsed    time.Time // when it last was part of a transfer; zero if never
	Decided     time.Time // when its key was verified or distrusted; zero if it was not
	Invited     bool      // it was verified by an invitation, not by the user's comparing
	// At is the full JID from which the device last sent something that opened,
	// or else to which it was last primed; zero when neither is known.
	At jid.JID
}

// Usable reports whether secrets may be exchanged with the device under the trust
// mode. Its key need not be known yet.
func (a *Account) Usable(d Device) bool { return d.Trust == Blind || d.Trust == Verified }

// Fingerprint returns an identity key of 33 bytes as 64 lower-case hex digits,
// without the leading type byte; anything else has none.
func fingerprint(key []byte) string {
	if len(key) != publicKeySize {
		return ""
	}
	return hex.EncodeToString(key[1:])
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// selectDevices reads devices with what was decided about their keys and
// whether any key of the contact was verified.
const selectDevices = `
SELECT d.jid, d.device, d.identity_key, d.active, d.is_new, d.first_seen, d.last_used,
	COALESCE(t.decision, 0),
	EXISTS (SELECT 1 FROM trust v WHERE v.jid = d.jid AND v.decision = ?),
	COALESCE(u.resource, ''), COALESCE(t.decided, 0), COALESCE(t.invited, 0)
FROM devices d LEFT JOIN trust t ON t.jid = d.jid AND t.identity_key = d.identity_key
	LEFT JOIN upkeep u ON u.jid = d.jid AND u.device = d.device
	LEFT JOIN sessions s ON s.jid = d.jid AND s.device = d.device`

// Devices returns what is known of a contact's devices, those of our own
// account among them when of is our own bare JID, ordered by device id. Nothing
// is fetched; see [Account.Refresh].
func (a *Account) Devices(ctx context.Context, of jid.JID) ([]Device, error) {
	d, err := a.devices(ctx, a.db, ` WHERE d.jid = ? ORDER BY d.device`, of.Bare().String())
	if err != nil {
		return nil, fmt.Errorf("read devices of %s: %w", of.Bare(), err)
	}
	return d, nil
}

// AllDevices returns the known devices of every contact and of our own
// account, ordered by address and device id.
func (a *Account) AllDevices(ctx context.Context) ([]Device, error) {
	d, err := a.devices(ctx, a.db, ` ORDER BY d.jid, d.device`)
	if err != nil {
		return nil, fmt.Errorf("read devices: %w", err)
	}
	return d, nil
}

// device returns one device and whether it is known.
func (a *Account) device(ctx context.Context, q queryer, of jid.JID, id uint32) (Device, bool, error) {
	d, err := a.devices(ctx, q, ` WHERE d.jid = ? AND d.device = ?`, of.String(), id)
	if err != nil || len(d) == 0 {
		return Device{JID: of, ID: id}, false, err
	}
	return d[0], true, nil
}

// devices runs selectDevices with more SQL.
func (a *Account) devices(ctx context.Context, q queryer, where string, args ...any) (out []Device, err error) {
	rows, err := q.QueryContext(ctx, selectDevices+where, append([]any{Verified}, args...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var d Device
		var address, resource string
		var first, last, decided int64
		var decision Trust
		var anyVerified bool
		if err := rows.Scan(&address, &d.ID, &d.IdentityKey, &d.Active, &d.New, &first, &last, &decision, &anyVerified, &resource, &decided, &d.Invited); err != nil {
			return nil, err
		}
		if d.JID, err = jid.Parse(address); err != nil {
			return nil, err
		}
		if resource != "" {
			if d.At, err = d.JID.WithResource(resource); err != nil {
				return nil, err
			}
		}
		d.Fingerprint = fingerprint(d.IdentityKey)
		d.FirstSeen = time.UnixMilli(first)
		if last > 0 {
			d.LastUsed = time.UnixMilli(last)
		}
		if decided > 0 {
			d.Decided = time.UnixMilli(decided)
		}
		d.Trust = a.judge(decision, anyVerified)
		out = append(out, d)
	}
	return out, rows.Err()
}

// judge turns what was decided about a key, if anything, into its trust.
func (a *Account) judge(decision Trust, anyVerified bool) Trust {
	switch {
	case decision == Verified, decision == Distrusted:
		return decision
	case a.cfg.Trust == BlindMode && !anyVerified:
		return Blind
	}
	return Undecided
}

// refusal returns the *TrustError for a device that may not be used, or nil.
func refusal(d Device) error {
	switch d.Trust {
	case Blind, Verified:
		return nil
	case Distrusted:
		return &TrustError{JID: d.JID, Device: d.ID, Fingerprint: d.Fingerprint, Kind: Revoked}
	}
	return &TrustError{JID: d.JID, Device: d.ID, Fingerprint: d.Fingerprint, Kind: Unverified}
}

// changed returns the *TrustError for a device that shows another key than the
// stored one, or nil.
func changed(d Device, key []byte) error {
	if d.IdentityKey == nil || subtle.ConstantTimeCompare(d.IdentityKey, key) == 1 {
		return nil
	}
	return &TrustError{JID: d.JID, Device: d.ID, Fingerprint: fingerprint(key), Known: d.Fingerprint, Kind: Changed}
}

// Verify records that the user compared the fingerprint of a contact's key (64
// hex digits; spaces, colons, case and a leading 05 do not matter). It returns
// ErrUnknownKey when no device of the contact has that key.
func (a *Account) Verify(ctx context.Context, of jid.JID, fingerprint string) error {
	if err := a.decide(ctx, of.Bare(), fingerprint, Verified); err != nil {
		return fmt.Errorf("verify key of %s: %w", of.Bare(), err)
	}
	return nil
}

// Distrust records that a contact's key must not be used. Errors are those of
// [Account.Verify].
func (a *Account) Distrust(ctx context.Context, of jid.JID, fingerprint string) error {
	if err := a.decide(ctx, of.Bare(), fingerprint, Distrusted); err != nil {
		return fmt.Errorf("distrust key of %s: %w", of.Bare(), err)
	}
	return nil
}

// decide stores what the user decided about a key.
func (a *Account) decide(ctx context.Context, of jid.JID, print string, decision Trust) error {
	key, err := parseFingerprint(print)
	if err != nil {
		return err
	}
	return a.step(ctx, func(tx *sql.Tx) error {
		var n int
		const known = `SELECT count(*) FROM devices WHERE jid = ? AND identity_key = ?`
		if err := tx.QueryRowContext(ctx, known, of.String(), key).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return ErrUnknownKey
		}
		return a.record(ctx, tx, of, key, decision)
	})
}

// record writes a decision about a key.
func (a *Account) record(ctx context.Context, tx *sql.Tx, of jid.JID, key []byte, decision Trust) error {
	const store = `INSERT INTO trust (jid, identity_key, decision, decided) VALUES (?, ?, ?, ?)
		ON CONFLICT (jid, identity_key) DO UPDATE SET decision = excluded.decision, decided = excluded.decided, invited = 0`
	_, err := tx.ExecContext(ctx, store, of.String(), key, decision, a.now())
	return err
}

// KeySize is the length of an identity key without its type byte.
const KeySize = publicKeySize - 1

// Named is a device as an invitation names it.
func Named(id uint32, key [KeySize]byte) Device {
	return Device{ID: id, IdentityKey: append([]byte{keyType}, key[:]...)}
}

// HasVerified reports whether a key of a contact is verified, in a transaction on the state of
// this account.
func (a *Account) HasVerified(ctx context.Context, tx *sql.Tx, of jid.JID) (yes bool, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM trust WHERE jid = ? AND decision = ?)`
	return yes, tx.QueryRowContext(ctx, query, of.Bare().String(), Verified).Scan(&yes)
}

// Vouch verifies the keys of devices of a contact that an invitation has proved, in a transaction
// on the state of this account. A device that is not known is from now on, with that key. What the
// user has decided about a key stays, and so does a key that a device has shown.
func (a *Account) Vouch(ctx context.Context, tx *sql.Tx, of jid.JID, devices []Device) error {
	const decide = `INSERT INTO trust (jid, identity_key, decision, decided, invited) VALUES (?, ?, ?, ?, 1)
		ON CONFLICT (jid, identity_key) DO NOTHING`
	const pin = `INSERT INTO devices (jid, device, identity_key, active, is_new, first_seen, last_used) VALUES (?, ?, ?, 0, 1, ?, 0)
		ON CONFLICT (jid, device) DO UPDATE SET identity_key = excluded.identity_key WHERE identity_key IS NULL`
	who, now := of.Bare().String(), a.now()
	for _, d := range devices {
		_, err := tx.ExecContext(ctx, decide, who, d.IdentityKey, Verified, now)
		if err == nil {
			_, err = tx.ExecContext(ctx, pin, who, d.ID, d.IdentityKey, now)
		}
		if err != nil {
			return fmt.Errorf("verify key of %s: %w", of.Bare(), err)
		}
	}
	return nil
}

// Vouched returns the devices of our account whose keys we stand for: this one first, then
// those on the list that the user has verified here.
func (a *Account) Vouched(ctx context.Context) ([]Device, error) {
	all := []Device{{JID: a.self, ID: a.deviceID, IdentityKey: a.IdentityKey(), Fingerprint: a.Fingerprint(), Trust: Verified, Active: true}}
	others, err := a.activeDevices(ctx, a.db, a.self)
	if err != nil {
		return nil, fmt.Errorf("own devices: %w", err)
	}
	for _, d := range others {
		if d.Trust == Verified && d.ID != a.deviceID {
			all = append(all, d)
		}
	}
	return all, nil
}

// parseFingerprint turns what a person typed into a key of 33 bytes.
func parseFingerprint(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == ':' || r == '\t' || r == '\n' {
			return -1
		}
		return r
	}, s)
	b, err := hex.DecodeString(s)
	switch {
	case err == nil && len(b) == publicKeySize-1:
		return append([]byte{keyType}, b...), nil
	case err == nil && len(b) == publicKeySize && b[0] == keyType:
		return b, nil
	}
	return nil, fmt.Errorf("%w: a fingerprint has %d hex digits", ErrUnknownKey, 2*(publicKeySize-1))
}

// MarkUsed records that the devices were part of a transfer that is done: they
// are new no longer.
func (a *Account) MarkUsed(ctx context.Context, devices []Device) error {
	err := a.step(ctx, func(tx *sql.Tx) error {
		for _, d := range devices {
			const mark = `UPDATE devices SET is_new = 0, last_used = ? WHERE jid = ? AND device = ?`
			if _, err := tx.ExecContext(ctx, mark, a.now(), d.JID.Bare().String(), d.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark devices as used: %w", err)
	}
	return nil
}

// IdentityKeys are those of devices.
func IdentityKeys(devices []Device) [][]byte {
	var keys [][]byte
	for _, d := range devices {
		keys = append(keys, d.IdentityKey)
	}
	return keys
}
