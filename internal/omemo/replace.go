package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

// ChangedKeys fetches the bundles of a contact's active devices whose key is
// known, and returns a [TrustError] of kind [Changed] for each that publishes
// another key now, ordered by device id. Nothing is stored; the user has to
// compare the new key before [Account.Replace]. Bundles that cannot be had are
// logged and overlooked.
func (a *Account) ChangedKeys(ctx context.Context, p PEP, of jid.JID) ([]*TrustError, error) {
	of = of.Bare()
	active, err := a.activeDevices(ctx, a.db, of)
	if err != nil {
		return nil, fmt.Errorf("look for changed keys of %s: %w", of, err)
	}
	found := make([]*TrustError, len(active))
	var group errgroup.Group
	group.SetLimit(maxFetches)
	for i, d := range active {
		if d.IdentityKey == nil {
			continue
		}
		group.Go(func() error {
			b, err := fetchBundle(ctx, p, address{of, d.ID})
			if err == nil {
				err = changed(d, b.identityKey)
			}
			if err != nil && !errors.As(err, &found[i]) {
				a.log.InfoContext(ctx, "bundle not compared", "jid", of, "device", d.ID, "error", clean.Error(err))
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("look for changed keys of %s: %w", of, err)
	}
	var out []*TrustError
	for _, t := range found {
		if t != nil {
			out = append(out, t)
		}
	}
	return out, nil
}

// Replace makes the key with that fingerprint (64 hex digits) the key of a
// device that has shown another one so far, and verified: the user has compared
// it. The sessions with the old key are forgotten, and that it was verified, if no
// other device of the contact has it; that it was distrusted is not. It returns
// [ErrUnknownDevice] when the device is not known.
func (a *Account) Replace(ctx context.Context, of jid.JID, device uint32, print string) error {
	of = of.Bare()
	key, err := parseFingerprint(print)
	if err == nil {
		err = a.step(ctx, func(tx *sql.Tx) error { return a.replace(ctx, tx, address{of, device}, key) })
	}
	if err != nil {
		return fmt.Errorf("replace key of device %d of %s: %w", device, of, err)
	}
	a.seenMu.Lock()
	delete(a.bad, address{of, device})
	a.seenMu.Unlock()
	return nil
}

func (a *Account) replace(ctx context.Context, tx *sql.Tx, addr address, key []byte) error {
	of := addr.jid.String()
	const pin = `UPDATE devices SET identity_key = ?, is_new = 1 WHERE jid = ? AND device = ?`
	res, err := tx.ExecContext(ctx, pin, key, of, addr.device)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrUnknownDevice)
	}
	// A decision about the old key must not hold for the device that shows it next.
	const forget = `DELETE FROM trust WHERE jid = ? AND decision = ?
		AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.jid = trust.jid AND d.identity_key = trust.identity_key)`
	if _, err := tx.ExecContext(ctx, forget, of, Verified); err != nil {
		return err
	}
	for _, table := range []string{"sessions", "upkeep", "primed"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE jid = ? AND device = ?`, of, addr.device); err != nil {
			return err
		}
	}
	return a.record(ctx, tx, addr.jid, key, Verified)
}
