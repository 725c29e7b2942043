package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

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

// Heal is for an error of [Account.Unwrap] or [Account.HandleMessage]: when it says
// that the envelope did not open with the session of its device (ErrEnvelope), or
// held no key for us (ErrNotForUs), one of the two sides has lost the session. When
// that device is known, in its account's list, and usable, Heal begins a new session
// with it from its bundle, and returns the children of a message to where the
// envelope came from, by which the device gets to know it: the next envelope will
// open. For junk, which is asked when there is such a message, see [Account.Prime].
//
// Nothing, without an error, is returned when there is nothing to heal (such as an
// envelope that was opened before), and when the device had its turn: one a
// minute, and ever fewer when nothing helps. This holds for all processes and
// over restarts. Errors: ErrUnknownDevice for strangers, *TrustError for keys that
// may not be used (nothing is rebuilt for these), ErrTooMany when too much was done
// for the contact lately, and those of p.
func (a *Account) Heal(ctx context.Context, p PEP, cause error, junk func() bool) ([]*xmltree.Element, error) {
	var b *broken
	if !errors.As(cause, &b) {
		return nil, nil
	}
	children, err := a.heal(ctx, p, b, junk)
	if err != nil {
		return nil, fmt.Errorf("heal session with %s: %w", b.from, err)
	}
	return children, nil
}

// broken is the verdict on an envelope that nothing of it opened with the session of
// its device. [Account.Heal] goes by it: to find it out anew would be the same work.
type broken struct {
	from jid.JID // full, where it came from
	addr address
	err  error
}

func (b *broken) Error() string { return b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// broken makes err the verdict.
func (u *unwrapping) broken(err error) error { return &broken{u.from, u.addr, err} }

func (a *Account) heal(ctx context.Context, p PEP, b *broken, junk func() bool) ([]*xmltree.Element, error) {
	if due, err := a.healingDue(ctx, b.addr); err != nil || !due {
		return nil, err
	}
	if err := a.refusing(b.addr.jid)(ctx, beginWork); err != nil {
		return nil, err
	}
	if err := a.currentList(ctx, p, b.addr.jid); err != nil {
		return nil, err
	}
	if mine, err := a.takeTurn(ctx, b.addr); err != nil || !mine {
		return nil, err
	}
	k, err := newKeyTransport()
	if err != nil {
		return nil, err
	}
	err = a.rebuild(ctx, p, b.addr, func(tx *sql.Tx, d Device) error {
		if err := k.add(ctx, a, tx, d); err != nil {
			return err
		}
		return a.markPrimed(ctx, tx, b.addr, b.from.Resource())
	})
	if err != nil {
		return nil, err
	}
	return k.children(a.deviceID, junk()), nil
}

// healingDue reports whether the session with a device may be healed now, as far as
// can be said without asking anybody, and without writing: it is called for
// whatever somebody sends that does not open.
func (a *Account) healingDue(ctx context.Context, addr address) (bool, error) {
	d, _, err := a.device(ctx, a.db, addr.jid, addr.device)
	if err != nil {
		return false, err
	}
	if d.IdentityKey == nil {
		return false, ErrUnknownDevice
	}
	if err := refusal(d); err != nil {
		return false, err
	}
	return a.healTurn(ctx, a.db, addr)
}

// healTurn reports whether it is a device's turn to be healed.
func (a *Account) healTurn(ctx context.Context, q queryer, addr address) (bool, error) {
	var healed int64
	var heals int
	const last = `SELECT healed, heals FROM upkeep WHERE jid = ? AND device = ?`
	err := q.QueryRowContext(ctx, last, addr.jid.String(), addr.device).Scan(&healed, &heals)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	pause := healPause << min(max(heals-1, 0), maxHealDoublings)
	return err == nil && !a.within(healed, min(pause, maxHealPause)), err
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
		if mine, err = a.healTurn(ctx, tx, addr); err != nil || !mine {
			return err
		}
		const ensure = `INSERT OR IGNORE INTO upkeep (jid, device) VALUES (?, ?)`
		if _, err := tx.ExecContext(ctx, ensure, addr.jid.String(), addr.device); err != nil {
			return err
		}
		const take = `UPDATE upkeep SET healed = ?, heals = heals + 1 WHERE jid = ? AND device = ?`
		_, err = tx.ExecContext(ctx, take, a.now(), addr.jid.String(), addr.device)
		return err
	})
	return mine, err
}
