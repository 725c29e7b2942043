package omemo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/state/record"
)

const (
	// prekeyTarget is how many one-time prekeys are published (XEP-0384 0.3.0
	// section 4.3: 100).
	prekeyTarget = 100
	// maxPrekeyID is the largest prekey id that is used. libsignal takes 0 for
	// "none" and never removes 0xFFFFFF.
	maxPrekeyID = 0xFFFFFE
	// signedPrekeyAge is how long a signed prekey is published. (Later versions
	// of OMEMO, XEP-0384 0.8 section 4.1: between a week and a month.)
	signedPrekeyAge = 14 * 24 * time.Hour
	// signedPrekeyKept is how long one is kept after the next has taken its
	// place. A contact's client may have begun a session from an old bundle for
	// chat messages that never reach us, and show us the first message of that
	// session only when it sends a file. After that a session is healed.
	signedPrekeyKept = 90 * 24 * time.Hour
)

// identityKeys is our identity key pair.
type identityKeys struct {
	private []byte // 32 bytes, clamped
	public  []byte // 33 bytes
	pair    *identity.KeyPair
}

// newIdentity makes an identity key pair.
func newIdentity() (*identityKeys, error) {
	pair, err := ecc.GenerateKeyPair()
	if err != nil {
		return nil, err
	}
	return identityOf(pair), nil
}

// loadIdentity rebuilds the pair from the private key and compares the public
// one that was stored beside it.
func loadIdentity(private, public []byte) (*identityKeys, error) {
	id := identityOf(ecc.CreateKeyPair(private))
	if !bytes.Equal(id.public, public) {
		return nil, errors.New("stored identity keys do not belong together")
	}
	return id, nil
}

func identityOf(pair *ecc.ECKeyPair) *identityKeys {
	private := pair.PrivateKey().Serialize()
	return &identityKeys{
		private: private[:],
		public:  pair.PublicKey().Serialize(),
		pair:    identity.NewKeyPair(identity.NewKey(pair.PublicKey()), pair.PrivateKey()),
	}
}

// signedPrekey is one of our signed prekeys.
type signedPrekey struct {
	id        uint32
	pair      *ecc.ECKeyPair
	signature [signatureSize]byte
}

// record is the key as libsignal wants it. It is never serialised: its
// serialisation cuts the public key.
func (k *signedPrekey) record() *record.SignedPreKey {
	return record.NewSignedPreKey(k.id, 0, k.pair, k.signature, serializer.SignedPreKeyRecord)
}

// rotate makes a new signed prekey when the published one is old, and forgets
// those that have been out of use for long.
func (a *Account) rotate(ctx context.Context, tx *sql.Tx) error {
	var created int64
	const newest = `SELECT created FROM signed_prekeys ORDER BY id DESC LIMIT 1`
	if err := tx.QueryRowContext(ctx, newest).Scan(&created); err != nil {
		return err
	}
	if a.within(created, signedPrekeyAge) {
		return nil
	}
	if err := a.newSignedPrekey(ctx, tx); err != nil {
		return err
	}
	const forget = `DELETE FROM signed_prekeys WHERE EXISTS
		(SELECT 1 FROM signed_prekeys n WHERE n.id > signed_prekeys.id AND n.created < ?)`
	if _, err := tx.ExecContext(ctx, forget, a.now()-signedPrekeyKept.Milliseconds()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE publication SET generation = generation + 1`)
	return err
}

// newSignedPrekey makes a signed prekey, which is the published one from then
// on. Older ones are kept: messages that were made with them may still arrive.
func (a *Account) newSignedPrekey(ctx context.Context, tx *sql.Tx) error {
	pair, err := ecc.GenerateKeyPair()
	if err != nil {
		return err
	}
	private := pair.PrivateKey().Serialize()
	var signature [signatureSize]byte
	err = guard(func() error {
		signature = ecc.CalculateSignature(a.id.pair.PrivateKey(), pair.PublicKey().Serialize())
		return nil
	})
	if err != nil {
		return err
	}
	const store = `INSERT INTO signed_prekeys (id, private_key, signature, created)
		SELECT COALESCE(MAX(id), 0) + 1, ?, ?, ? FROM signed_prekeys`
	_, err = tx.ExecContext(ctx, store, private[:], signature[:], a.now())
	return err
}

// loadSigned reads one signed prekey, or with id 0 the newest. Nil: none.
func loadSigned(ctx context.Context, q queryer, id uint32) (*signedPrekey, error) {
	query, args := `SELECT id, private_key, signature FROM signed_prekeys ORDER BY id DESC LIMIT 1`, []any(nil)
	if id != 0 {
		query, args = `SELECT id, private_key, signature FROM signed_prekeys WHERE id = ?`, []any{id}
	}
	k := new(signedPrekey)
	var private, signature []byte
	err := q.QueryRowContext(ctx, query, args...).Scan(&k.id, &private, &signature)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k.pair = ecc.CreateKeyPair(private)
	copy(k.signature[:], signature)
	return k, nil
}

// loadPrekey reads one one-time prekey. Nil: none, it was used.
func loadPrekey(ctx context.Context, q queryer, id uint32) (*record.PreKey, error) {
	var private []byte
	err := q.QueryRowContext(ctx, `SELECT private_key FROM prekeys WHERE id = ?`, id).Scan(&private)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return record.NewPreKey(id, ecc.CreateKeyPair(private), serializer.PreKeyRecord), nil
}

// refill makes one-time prekeys until there are prekeyTarget of them. Ids go up
// and start again after the last, so that one is not soon used for another key.
func (a *Account) refill(ctx context.Context, tx *sql.Tx) error {
	var have int
	var next uint32
	const count = `SELECT (SELECT count(*) FROM prekeys), next_prekey FROM publication`
	if err := tx.QueryRowContext(ctx, count).Scan(&have, &next); err != nil {
		return err
	}
	for have < prekeyTarget {
		pair, err := ecc.GenerateKeyPair()
		if err != nil {
			return err
		}
		private := pair.PrivateKey().Serialize()
		const store = `INSERT OR IGNORE INTO prekeys (id, private_key, public_key) VALUES (?, ?, ?)`
		r, err := tx.ExecContext(ctx, store, next, private[:], pair.PublicKey().Serialize())
		if err != nil {
			return err
		}
		n, err := r.RowsAffected() // 0: that id is still in use
		if err != nil {
			return err
		}
		have += int(n)
		next = next%maxPrekeyID + 1
	}
	_, err := tx.ExecContext(ctx, `UPDATE publication SET next_prekey = ?`, next)
	return err
}

// usePrekey removes a one-time prekey that a message used, makes another and
// notes that the bundle has to be published again.
func (a *Account) usePrekey(ctx context.Context, tx *sql.Tx, id uint32) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM prekeys WHERE id = ?`, id); err != nil {
		return err
	}
	if err := a.refill(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE publication SET generation = generation + 1`)
	return err
}

// ownBundle reads what we publish, and its generation.
func (a *Account) ownBundle(ctx context.Context, q queryer) (b *bundle, generation int64, err error) {
	signed, err := loadSigned(ctx, q, 0)
	if err != nil {
		return nil, 0, err
	}
	if signed == nil {
		return nil, 0, errors.New("no signed prekey")
	}
	b = &bundle{
		identityKey: a.id.public, signedID: signed.id,
		signedKey: signed.pair.PublicKey().Serialize(), signature: signed.signature[:],
	}
	if err := q.QueryRowContext(ctx, `SELECT generation FROM publication`).Scan(&generation); err != nil {
		return nil, 0, err
	}
	rows, err := q.QueryContext(ctx, `SELECT id, private_key, public_key FROM prekeys ORDER BY id`)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id uint32
		var private, public []byte
		if err := rows.Scan(&id, &private, &public); err != nil {
			return nil, 0, err
		}
		if public == nil {
			public = ecc.CreateKeyPair(private).PublicKey().Serialize()
		}
		b.prekeys = append(b.prekeys, prekeyPublic{id, public})
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read prekeys: %w", err)
	}
	return b, generation, nil
}
