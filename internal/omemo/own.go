package omemo

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	// relistWindow and maxRelists bound how often we put our device back into
	// the account's list by ourselves: a client that always takes it out would
	// otherwise have us fill the contacts' streams with lists.
	relistWindow = time.Hour
	maxRelists   = 3
)

// OwnDevices fetches the account's device list and returns its devices, this one
// first, the others by device id, with their keys as far as these can be had.
// This one is Active when it is in the list.
func (a *Account) OwnDevices(ctx context.Context, p PEP) ([]Device, error) {
	devices, err := a.ownDevices(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("own devices: %w", err)
	}
	return devices, nil
}

func (a *Account) ownDevices(ctx context.Context, p PEP) ([]Device, error) {
	if err := a.refreshList(ctx, p, a.self); err != nil {
		return nil, err
	}
	if _, err := a.completeDevices(ctx, p, a.self); err != nil {
		return nil, err
	}
	this := Device{JID: a.self, ID: a.deviceID, IdentityKey: a.IdentityKey(), Fingerprint: a.Fingerprint(), Trust: Verified}
	var created int64
	const query = `SELECT created, listed FROM identity, publication`
	if err := a.db.QueryRowContext(ctx, query).Scan(&created, &this.Active); err != nil {
		return nil, err
	}
	this.FirstSeen = time.UnixMilli(created)
	others, err := a.activeDevices(ctx, a.db, a.self)
	return append([]Device{this}, others...), err
}

// RemoveOwnDevice takes another device of our account off its list and deletes
// that device's bundle: nobody encrypts to it from then on. A client that is
// still running there may put itself back; whether its key may be used is
// decided by [Account.Distrust]. ErrThisDevice: it is ours, see
// [Account.Withdraw]. ErrNoSuchDevice: the account has no such device.
func (a *Account) RemoveOwnDevice(ctx context.Context, p PEP, id uint32) error {
	if id == a.deviceID {
		return fmt.Errorf("remove own device %d: %w", id, ErrThisDevice)
	}
	err := a.leased(ctx, func(renew func(context.Context) error) error {
		listed, err := a.unlist(ctx, p, renew, id)
		if err != nil {
			return err
		}
		err = a.call(ctx, renew, func(ctx context.Context) error { return p.DeleteNode(ctx, nodeBundles+formatID(id)) })
		switch {
		case err == nil || notFound(err) && listed:
			return nil
		case notFound(err):
			return ErrNoSuchDevice
		}
		return fmt.Errorf("delete bundle: %w", err)
	})
	if err != nil {
		return fmt.Errorf("remove own device %d: %w", id, err)
	}
	return nil
}

// unlist takes a device of our account off its list, and reports whether it was there.
func (a *Account) unlist(ctx context.Context, p PEP, renew func(context.Context) error, id uint32) (listed bool, err error) {
	list, err := a.ownList(ctx, p, renew)
	if err != nil {
		return false, err
	}
	rest := withoutDevice(list, id)
	if list == nil || len(rest.Children) == len(list.Children) {
		return false, nil
	}
	if err := a.publishList(ctx, p, renew, rest); err != nil {
		return true, err
	}
	return true, a.takeList(ctx, a.self, rest)
}

// KeepAnnounced is Announce for a device that was announced before: it publishes
// what has changed (prekeys that were used, a signed prekey that is old), and
// puts our id back into the account's list when somebody has taken it out, but
// no more than three times an hour, over all processes. When it did not because
// of that, it returns how long to wait before it is called again, else 0. A
// device that was withdrawn stays so.
func (a *Account) KeepAnnounced(ctx context.Context, p PEP) (wait time.Duration, err error) {
	s, err := a.publication(ctx, a.db)
	switch {
	case err != nil:
		return 0, err
	case !s.announced, s.listed && !s.bundle:
		return 0, nil
	case !s.bundle: // nothing to ask the server about while we have to wait
		if wait := a.relistWait(s); wait > 0 {
			return wait, nil
		}
	}
	return a.announce(ctx, p, true)
}

// relistWait returns how long our id may not be put back into the list.
func (a *Account) relistWait(s publication) time.Duration {
	if s.relists < maxRelists || !a.within(s.relisted, relistWindow) {
		return 0
	}
	return relistWindow - a.cfg.Now().Sub(time.UnixMilli(s.relisted))
}

// takeRelist takes leave to put our id back into the list, or returns how long
// there is none.
func (a *Account) takeRelist(ctx context.Context) (wait time.Duration, err error) {
	err = a.step(ctx, func(tx *sql.Tx) error {
		s, err := a.publication(ctx, tx)
		if err != nil {
			return err
		}
		if wait = a.relistWait(s); wait > 0 {
			return nil
		}
		if !a.within(s.relisted, relistWindow) {
			s.relisted, s.relists = a.now(), 0
		}
		_, err = tx.ExecContext(ctx, `UPDATE publication SET relisted = ?, relists = ?`, s.relisted, s.relists+1)
		return err
	})
	return wait, err
}
