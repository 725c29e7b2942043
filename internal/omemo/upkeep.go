package omemo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"time"

	"jetsend/internal/xmltree"
)

// Name spaces of what goes beside a message that no person is to see.
const (
	nsCarbons = "urn:xmpp:carbons:2" // XEP-0280
	nsHints   = "urn:xmpp:hints"     // XEP-0334
)

// junkPayload is a payload that nobody can decrypt: Dino before 0.4.5 leaves the
// ratchet alone when a message has none, or an empty one, and shows nothing
// when its tag is wrong.
var junkPayload = []byte{0}

// within reports whether less than d has passed since a stored time. A time that
// lies ahead was written while the clock was wrong.
func (a *Account) within(at int64, d time.Duration) bool {
	passed := a.now() - at
	return passed >= 0 && passed < d.Milliseconds()
}

// heard notes that a message of a device was opened, which resource it came
// from, and whether it began its session: then the device waits for a message
// of ours, and its messages are prekey messages until it gets one.
func (a *Account) heard(ctx context.Context, tx *sql.Tx, addr address, resource string, began bool) error {
	const note = `INSERT INTO upkeep (jid, device, resource, alive, reply) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (jid, device) DO UPDATE SET alive = ?4, reply = reply OR ?5, heals = 0,
			resource = CASE ?3 WHEN '' THEN resource ELSE ?3 END`
	_, err := tx.ExecContext(ctx, note, addr.jid.String(), addr.device, resource, a.now(), began)
	return err
}

// begin starts a session with a device whose key was pinned. One that exists is
// archived.
func (a *Account) begin(ctx context.Context, tx *sql.Tx, d Device, b *bundle) error {
	r := a.newRatchet(tx, address{d.JID, d.ID}, d.IdentityKey)
	if err := r.build(ctx, b); err != nil {
		return err
	}
	if err := r.store(ctx, tx); err != nil {
		return err
	}
	// The device will find out that there is a new session by itself.
	const note = `INSERT INTO upkeep (jid, device, alive) VALUES (?1, ?2, ?3)
		ON CONFLICT (jid, device) DO UPDATE SET alive = ?3, reply = 0`
	_, err := tx.ExecContext(ctx, note, d.JID.String(), d.ID, a.now())
	return err
}

// keyTransport is a message that holds nothing but a ratchet step.
type keyTransport struct {
	key, iv []byte
	keys    []wrappedKey
}

// newKeyTransport draws the key that nobody will use.
func newKeyTransport() (*keyTransport, error) {
	random := make([]byte, payloadKeySize+ivSize)
	if _, err := io.ReadFull(rand.Reader, random); err != nil {
		return nil, err
	}
	return &keyTransport{key: random[:payloadKeySize], iv: random[payloadKeySize:]}, nil
}

// add makes the step with one device, whose session there must be. The device
// must be usable.
func (k *keyTransport) add(ctx context.Context, a *Account, tx *sql.Tx, d Device) error {
	w, err := a.wrapFor(ctx, tx, d, k.key)
	if err == nil {
		k.keys = append(k.keys, w)
	}
	return err
}

// children returns what goes into the message: the envelope, and the hints that
// keep it from everybody but the client that it is addressed to. With junk, the
// envelope has a payload that does not decrypt. Nil when there was no step.
func (k *keyTransport) children(from uint32, junk bool) []*xmltree.Element {
	if len(k.keys) == 0 {
		return nil
	}
	var payload []byte
	if junk {
		payload = junkPayload
	}
	return []*xmltree.Element{
		envelopeElement(from, k.keys, k.iv, payload),
		xmltree.New(nsCarbons, "private"),
		xmltree.New(nsHints, "no-copy"),
		xmltree.New(nsHints, "no-store"),
	}
}

// markPrimed notes that the current session of a device was made known there,
// in a message to a resource, which is taken for the device's own as long as
// nothing better is known. Sessions that are gone are forgotten.
func (a *Account) markPrimed(ctx context.Context, tx *sql.Tx, addr address, resource string) error {
	name := addr.jid.String()
	const forget = `DELETE FROM primed WHERE jid = ?1 AND device = ?2
		AND base <> (SELECT base FROM sessions WHERE jid = ?1 AND device = ?2)`
	if _, err := tx.ExecContext(ctx, forget, name, addr.device); err != nil {
		return err
	}
	const mark = `INSERT OR REPLACE INTO primed (jid, device, resource, base)
		SELECT jid, device, ?, base FROM sessions WHERE jid = ? AND device = ?`
	if _, err := tx.ExecContext(ctx, mark, resource, name, addr.device); err != nil {
		return err
	}
	const at = `UPDATE upkeep SET resource = ? WHERE jid = ? AND device = ? AND resource = ''`
	_, err := tx.ExecContext(ctx, at, resource, name, addr.device)
	return err
}
