package omemo

import (
	"context"
	"database/sql"
	"fmt"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

// Rebuild starts new sessions with every usable device in a contact's list,
// each from its bundle, which is fetched anew. The sessions that exist are
// archived: late messages still open. It is for a peer that did not open an
// envelope, which may mean that it has lost its sessions, and is meant to be tried
// once before the next envelope; for each device it does so maxRenewals times a day
// (ErrTooOften). Devices for which it
// fails keep the session that they have, and are logged; ErrNoDevice, with the
// reasons (a *TrustError among them), says that there was none for which it
// worked; when a bundle could not even be asked for, that is the error.
func (a *Account) Rebuild(ctx context.Context, p PEP, of jid.JID) error {
	of = of.Bare()
	if err := a.rebuildAll(ctx, p, of); err != nil {
		return fmt.Errorf("rebuild sessions with %s: %w", of, err)
	}
	return nil
}

func (a *Account) rebuildAll(ctx context.Context, p PEP, of jid.JID) error {
	// An envelope that did not open may have been for other devices than the contact
	// has: a server need not have told of a change.
	a.unseen(of)
	if err := a.currentList(ctx, p, of); err != nil {
		return err
	}
	active, err := a.activeDevices(ctx, a.db, of)
	if err != nil {
		return err
	}
	errs := make([]error, len(active))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxFetches)
	for i, d := range active {
		if errs[i] = refusal(d); errs[i] != nil {
			continue
		}
		group.Go(func() error {
			errs[i] = a.rebuildOne(groupCtx, p, address{of, d.ID})
			return ctx.Err() // a device that fails does not stop the others
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	trouble := make(map[uint32]error)
	for i, d := range active {
		if errs[i] != nil {
			trouble[d.ID] = errs[i]
			a.log.WarnContext(ctx, "session not rebuilt", "jid", of, "device", d.ID, "error", clean.Error(errs[i]))
		}
	}
	if len(trouble) == len(active) { // also when there are none
		return noDevice(trouble)
	}
	return nil
}

// rebuildOne is rebuild for a device that has not had its share of the day yet.
func (a *Account) rebuildOne(ctx context.Context, p PEP, addr address) error {
	due, err := a.takeRenewal(ctx, addr, false)
	if err == nil && !due {
		err = ErrTooOften
	}
	if err != nil {
		return err
	}
	return a.renewOne(ctx, p, addr)
}

// rebuild starts a new session with a device from its bundle, whose key must be
// the pinned one, if there is one, and usable. With then, the same
// transaction goes on with the device and its new session.
func (a *Account) rebuild(ctx context.Context, p PEP, addr address, then func(*sql.Tx, Device) error) error {
	b, err := fetchBundle(ctx, p, addr)
	if err != nil {
		return a.judged(addr, fmt.Errorf("fetch bundle: %w", err))
	}
	err = a.step(ctx, func(tx *sql.Tx) error {
		d, err := a.pin(ctx, tx, addr, b)
		if err != nil {
			return err
		}
		if err := refusal(d); err != nil {
			return err
		}
		if err := a.begin(ctx, tx, d, b); err != nil || then == nil {
			return err
		}
		return then(tx, d)
	})
	return a.judged(addr, err)
}
