package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/libsignal/signalerror"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// healPause is how long a device waits for its session to be healed again, when
// nothing of it opened since; the pause doubles each time, up to maxHealPause. A
// device whose messages never open must not use up its own prekeys and our time.
const (
	healPause    = time.Minute
	maxHealPause = time.Hour
	// maxHealDoublings keeps the shift in range; the pause has reached its
	// maximum by then.
	maxHealDoublings = 6
)

// Heal is for an envelope, or a message, of from (a full JID) that
// [Account.Unwrap] or [Account.HandleMessage] could not open (ErrEnvelope) or
// that held no key for us (ErrNotForUs): one of the two sides has lost the
// session. When it is of a device that is known, in its account's list, and
// usable, Heal begins a new session with that device from its bundle, and
// returns the children of a message to from by which the device gets to know
// it: the next envelope will open. For junk see [Account.Prime].
//
// Nothing, without an error, is returned when there is nothing to heal (the
// envelope opens, or was opened before), and when the device had its turn: one a
// minute, and ever fewer when nothing helps. This holds for all processes and
// over restarts. Errors: ErrEnvelope for what is no envelope at all,
// ErrUnknownDevice for strangers, *TrustError for keys that have changed or may
// not be used (nothing is rebuilt for these), and those of p.
func (a *Account) Heal(ctx context.Context, p PEP, from jid.JID, encrypted *xmltree.Element, junk bool) ([]*xmltree.Element, error) {
	children, err := a.heal(ctx, p, from, encrypted, junk)
	if err != nil {
		return nil, fmt.Errorf("heal session with %s: %w", from, err)
	}
	return children, nil
}

func (a *Account) heal(ctx context.Context, p PEP, from jid.JID, encrypted *xmltree.Element, junk bool) ([]*xmltree.Element, error) {
	h, err := parseEnvelope(encrypted, a.deviceID)
	if err != nil && !errors.Is(err, ErrNotForUs) {
		return nil, err
	}
	addr, err := a.sender(from, h)
	if err != nil {
		return nil, err
	}
	if broken, err := a.broken(ctx, addr, h.keys); err != nil || !broken {
		return nil, err
	}
	if err := a.currentList(ctx, p, addr.jid); err != nil {
		return nil, err
	}
	if mine, err := a.takeTurn(ctx, addr); err != nil || !mine {
		return nil, err
	}
	k, err := newKeyTransport()
	if err != nil {
		return nil, err
	}
	err = a.rebuild(ctx, p, addr, func(tx *sql.Tx, d Device) error {
		if err := k.add(ctx, a, tx, d); err != nil {
			return err
		}
		return a.markPrimed(ctx, tx, addr, from.Resource())
	})
	if err != nil {
		return nil, err
	}
	return k.children(a.deviceID, junk), nil
}

// broken tells whether the session with a known and usable device does not open
// what it sent. Nothing is changed by trying.
func (a *Account) broken(ctx context.Context, addr address, keys []wrappedKey) (broken bool, err error) {
	messages := make([]*message, len(keys))
	for i, k := range keys {
		if messages[i], err = parseMessage(k.data, k.prekey); err != nil {
			return false, fmt.Errorf("%w: %w", ErrEnvelope, err)
		}
	}
	err = a.step(ctx, func(tx *sql.Tx) error {
		d, _, err := a.device(ctx, tx, addr.jid, addr.device)
		if err != nil {
			return err
		}
		if d.IdentityKey == nil {
			return ErrUnknownDevice
		}
		if err := refusal(d); err != nil {
			return err
		}
		for _, m := range messages {
			if err := admit(d, m); err != nil {
				return err
			}
			_, err := a.newRatchet(tx, addr, d.IdentityKey).decrypt(ctx, m)
			if err == nil || errors.Is(err, signalerror.ErrOldCounter) {
				return nil
			}
		}
		broken = ctx.Err() == nil
		return ctx.Err()
	})
	return broken, err
}

// takeTurn takes the device's turn to be healed, if it has one. It is taken
// ahead of the fetch of the bundle, so that a bundle that cannot be had is not
// asked for at each envelope.
func (a *Account) takeTurn(ctx context.Context, addr address) (mine bool, err error) {
	err = a.step(ctx, func(tx *sql.Tx) error {
		d, _, err := a.device(ctx, tx, addr.jid, addr.device)
		if err != nil {
			return err
		}
		if !d.Active {
			return fmt.Errorf("%w: it has left the list", ErrUnknownDevice)
		}
		const ensure = `INSERT OR IGNORE INTO upkeep (jid, device) VALUES (?, ?)`
		if _, err := tx.ExecContext(ctx, ensure, addr.jid.String(), addr.device); err != nil {
			return err
		}
		var healed int64
		var heals int
		const last = `SELECT healed, heals FROM upkeep WHERE jid = ? AND device = ?`
		if err := tx.QueryRowContext(ctx, last, addr.jid.String(), addr.device).Scan(&healed, &heals); err != nil {
			return err
		}
		pause := healPause << min(max(heals-1, 0), maxHealDoublings)
		if a.within(healed, min(pause, maxHealPause)) {
			return nil
		}
		mine = true
		const take = `UPDATE upkeep SET healed = ?, heals = heals + 1 WHERE jid = ? AND device = ?`
		_, err = tx.ExecContext(ctx, take, a.now(), addr.jid.String(), addr.device)
		return err
	})
	return mine, err
}
