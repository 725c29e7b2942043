package omemo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
)

// Refresh fetches a contact's device list, and the bundles of those devices
// whose key is not known or with which a session is missing. Devices whose
// bundle cannot be had or used are logged and left as they are. It returns
// ErrNoDevice when the contact publishes no device at all.
func (a *Account) Refresh(ctx context.Context, p PEP, of jid.JID) error {
	of = of.Bare()
	if err := a.refreshList(ctx, p, of); err != nil {
		return fmt.Errorf("refresh devices of %s: %w", of, err)
	}
	if _, err := a.completeDevices(ctx, p, of); err != nil {
		return fmt.Errorf("refresh devices of %s: %w", of, err)
	}
	active, err := a.activeDevices(ctx, a.db, of)
	if err == nil && len(active) == 0 {
		err = ErrNoDevice
	}
	if err != nil {
		return fmt.Errorf("refresh devices of %s: %w", of, err)
	}
	return nil
}

// refreshList fetches a device list and stores it.
func (a *Account) refreshList(ctx context.Context, p PEP, of jid.JID) error {
	list, err := fetchList(ctx, p, of)
	if err != nil {
		return fmt.Errorf("fetch device list: %w", err)
	}
	return a.takeList(ctx, of, list)
}

// currentList makes sure that there is a list to work with: one seen lately, or
// fetched, or, when the other side answers with an error, the stored one.
func (a *Account) currentList(ctx context.Context, p PEP, of jid.JID) error {
	if a.fresh(of) {
		return nil
	}
	err := a.refreshList(ctx, p, of)
	var answer *stanza.Error
	if err == nil || ctx.Err() != nil || !errors.As(err, &answer) && !errors.Is(err, ErrDeviceList) {
		return err
	}
	stored, e := a.activeDevices(ctx, a.db, of)
	if e != nil || len(stored) == 0 {
		return errors.Join(err, e)
	}
	a.log.WarnContext(ctx, "device list cannot be fetched, using the stored one", "jid", of, "error", clean.Error(err))
	return nil
}

// activeDevices returns the devices in a contact's list.
func (a *Account) activeDevices(ctx context.Context, q queryer, of jid.JID) ([]Device, error) {
	return a.devices(ctx, q, ` WHERE d.jid = ? AND d.active ORDER BY d.device`, of.String())
}

// completeDevices fetches what is missing to encrypt to a contact's active
// devices. The errors that kept single devices out are logged and returned by device id.
func (a *Account) completeDevices(ctx context.Context, p PEP, of jid.JID) (trouble map[uint32]error, err error) {
	active, err := a.activeDevices(ctx, a.db, of)
	if err != nil {
		return nil, err
	}
	return a.complete(ctx, p, of, active)
}

// complete is completeDevices for some of the devices.
func (a *Account) complete(ctx context.Context, p PEP, of jid.JID, devices []Device) (trouble map[uint32]error, err error) {
	trouble = make(map[uint32]error)
	var mu sync.Mutex // guards trouble
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxFetches)
	for _, d := range devices {
		need, err := a.needsBundle(ctx, d)
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		if !need {
			continue
		}
		group.Go(func() error {
			if err := a.completeDevice(groupCtx, p, address{of, d.ID}); err != nil {
				a.log.WarnContext(ctx, "device left out", "jid", of, "device", d.ID, "error", clean.Error(err))
				mu.Lock()
				defer mu.Unlock()
				trouble[d.ID] = err
			}
			return ctx.Err() // a device that fails does not stop the others
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return trouble, nil
}

// needsBundle reports whether a device's bundle is worth fetching: its key is not
// known, or it may be used and there is no session.
func (a *Account) needsBundle(ctx context.Context, d Device) (bool, error) {
	a.seenMu.Lock()
	at, bad := a.bad[address{d.JID, d.ID}]
	a.seenMu.Unlock()
	switch {
	case bad && a.cfg.Now().Sub(at) < badFresh:
		return false, nil
	case d.IdentityKey == nil:
		return true, nil
	case !a.Usable(d):
		return false, nil
	}
	has, err := a.hasSession(ctx, a.db, address{d.JID, d.ID})
	return !has, err
}

// completeDevice fetches a device's bundle, pins its key if none is pinned, and
// starts a session if there is none and the key may be used. The key stays pinned
// when no session can be started from the bundle: the user has to see it to decide.
func (a *Account) completeDevice(ctx context.Context, p PEP, addr address) error {
	var unusable error
	b, err := fetchBundle(ctx, p, addr)
	if err == nil {
		err = a.step(ctx, func(tx *sql.Tx) error {
			d, err := a.pin(ctx, tx, addr, b)
			if err != nil || refusal(d) != nil {
				return err
			}
			if has, err := a.hasSession(ctx, tx, addr); err != nil || has {
				return err
			}
			if unusable = b.startable(); unusable != nil {
				return nil
			}
			return a.begin(ctx, tx, d, b)
		})
	}
	return a.judged(addr, errors.Join(err, unusable))
}

// judged notes that the bundle of a device is of no use, if that is what err says, and
// returns err.
func (a *Account) judged(addr address, err error) error {
	var answer *stanza.Error
	if errors.As(err, &answer) || errors.Is(err, ErrBundle) {
		a.seenMu.Lock()
		a.bad[addr] = a.cfg.Now()
		a.seenMu.Unlock()
	}
	return err
}

// pin makes the key of a device's published and verified bundle its identity
// key, unless it has one, which then must be the same. Only here and by
// [Account.Vouch] a key is pinned.
func (a *Account) pin(ctx context.Context, tx *sql.Tx, addr address, b *bundle) (Device, error) {
	d, known, err := a.device(ctx, tx, addr.jid, addr.device)
	switch {
	case err != nil:
		return d, err
	case !known:
		return d, ErrUnknownDevice // left the list meanwhile
	case bytes.Equal(b.identityKey, a.id.public):
		return d, fmt.Errorf("%w: it has our own identity key", ErrBundle)
	case d.IdentityKey != nil:
		return d, changed(d, b.identityKey)
	}
	const pin = `UPDATE devices SET identity_key = ? WHERE jid = ? AND device = ?`
	if _, err := tx.ExecContext(ctx, pin, b.identityKey, addr.jid.String(), addr.device); err != nil {
		return d, err
	}
	d, _, err = a.device(ctx, tx, addr.jid, addr.device) // with what was decided about the key
	return d, err
}
