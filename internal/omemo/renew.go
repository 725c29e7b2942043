package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

const (
	// renewalWindow and maxRenewals bound how often a session with one device is begun
	// anew for the sake of our own offers. Each uses up one of the device's one-time
	// prekeys, of which clients publish 100, and neither a server that refuses our
	// offers in its name nor a script with many files may leave it with few.
	renewalWindow = 24 * time.Hour
	maxRenewals   = 30
	// provenFor is how long a message of the device in the session of the moment is
	// taken for proof that it has that session.
	provenFor = 6 * time.Hour
	// renewedFor is how long a session that this process has begun anew is good for
	// further offers: those of one batch.
	renewedFor = time.Minute
)

// Sessions says in which sessions something is wrapped.
type Sessions int

// The sessions to choose from.
const (
	// Kept: in those that there are.
	Kept Sessions = iota
	// Renewed: in new ones, begun from the bundles, with the devices at the address
	// that it goes to. It is for clients that take an envelope which they cannot open
	// for none: to one that has lost its sessions, or was put back to an older state,
	// only a message that begins a session is sure to be readable. A device that has
	// lately said something in its session has it.
	Renewed
)

// renew begins sessions with the devices of a contact that an offer to the full JID to
// may be for. The error of a device whose key must not be used any more is returned by
// its id; those that cannot be had anew keep the session that they have.
func (a *Account) renew(ctx context.Context, p PEP, to jid.JID) (trouble map[uint32]error, err error) {
	active, err := a.activeDevices(ctx, a.db, to.Bare())
	if err != nil {
		return nil, err
	}
	trouble = make(map[uint32]error)
	var mu sync.Mutex // guards trouble
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxFetches)
	for _, d := range located(active, to) {
		if refusal(d) != nil {
			continue
		}
		addr := address{d.JID, d.ID}
		due, err := a.takeRenewal(ctx, addr, true)
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		if !due {
			continue
		}
		group.Go(func() error {
			err := a.renewOne(groupCtx, p, addr)
			if err == nil {
				return nil
			}
			a.log.WarnContext(ctx, "no new session begun", "jid", addr.jid, "device", addr.device, "error", clean.Error(err))
			var changed *TrustError
			if errors.As(err, &changed) {
				mu.Lock()
				defer mu.Unlock()
				trouble[addr.device] = err
			}
			return ctx.Err() // a device that fails does not stop the others
		})
	}
	return trouble, group.Wait()
}

// located are the devices at a full JID, if one is known to be there, else all.
func located(devices []Device, at jid.JID) (there []Device) {
	for _, d := range devices {
		if d.At == at && !at.IsBare() {
			there = append(there, d)
		}
	}
	if there == nil {
		return devices
	}
	return there
}

// takeRenewal reports whether the session with a device is to be begun anew, and
// counts it. With needed only when it is not known to be good: there is one, this
// process has not just begun it, and the device has not proven that it has it.
func (a *Account) takeRenewal(ctx context.Context, addr address, needed bool) (due bool, err error) {
	err = a.step(ctx, func(tx *sql.Tx) error {
		if needed {
			var base string
			var pending bool
			var alive int64
			const session = `SELECT s.base, s.pending, COALESCE(u.alive, 0) FROM sessions s
				LEFT JOIN upkeep u ON u.jid = s.jid AND u.device = s.device WHERE s.jid = ? AND s.device = ?`
			err := tx.QueryRowContext(ctx, session, addr.jid.String(), addr.device).Scan(&base, &pending, &alive)
			switch {
			case errors.Is(err, sql.ErrNoRows): // it is begun from the bundle anyway
				return nil
			case err != nil:
				return err
			case !pending && a.within(alive, provenFor), pending && a.renewedLately(addr, base):
				return nil
			}
		}
		due, err = a.countRenewal(ctx, tx, addr)
		return err
	})
	return due, err
}

// countRenewal takes one of the renewals that a device has in a day.
func (a *Account) countRenewal(ctx context.Context, tx *sql.Tx, addr address) (ok bool, err error) {
	const ensure = `INSERT OR IGNORE INTO upkeep (jid, device) VALUES (?, ?)`
	if _, err := tx.ExecContext(ctx, ensure, addr.jid.String(), addr.device); err != nil {
		return false, err
	}
	var since int64
	var n int
	const read = `SELECT renewed, renewals FROM upkeep WHERE jid = ? AND device = ?`
	if err := tx.QueryRowContext(ctx, read, addr.jid.String(), addr.device).Scan(&since, &n); err != nil {
		return false, err
	}
	if !a.within(since, renewalWindow) {
		since, n = a.now(), 0
	}
	if n >= maxRenewals {
		return false, nil
	}
	const take = `UPDATE upkeep SET renewed = ?, renewals = ? WHERE jid = ? AND device = ?`
	_, err = tx.ExecContext(ctx, take, since, n+1, addr.jid.String(), addr.device)
	return true, err
}

// begunSession is a session that was begun anew.
type begunSession struct {
	base string // names it
	at   time.Time
}

// renewOne begins a session anew and remembers that.
func (a *Account) renewOne(ctx context.Context, p PEP, addr address) error {
	var base string
	err := a.rebuild(ctx, p, addr, func(tx *sql.Tx, _ Device) error {
		const current = `SELECT base FROM sessions WHERE jid = ? AND device = ?`
		return tx.QueryRowContext(ctx, current, addr.jid.String(), addr.device).Scan(&base)
	})
	if err != nil {
		return err
	}
	a.seenMu.Lock()
	defer a.seenMu.Unlock()
	now := a.cfg.Now()
	for old, r := range a.renewed { // keeps the table small
		if now.Sub(r.at) >= renewedFor {
			delete(a.renewed, old)
		}
	}
	a.renewed[addr] = begunSession{base, now}
	return nil
}

// renewedLately reports whether this process has just begun the session of that base.
func (a *Account) renewedLately(addr address, base string) bool {
	a.seenMu.Lock()
	defer a.seenMu.Unlock()
	r, ok := a.renewed[addr]
	passed := a.cfg.Now().Sub(r.at)
	return ok && r.base == base && passed >= 0 && passed < renewedFor
}

// Reset forgets the sessions with a contact's devices, or with the one of that id when
// it is not 0, and when they were begun, healed or made known: the next envelope for
// them begins new ones. Keys, and what was decided about them, stay. It returns the ids
// of the devices, in order; ErrUnknownDevice when there are none.
func (a *Account) Reset(ctx context.Context, of jid.JID, device uint32) (ids []uint32, err error) {
	of = of.Bare()
	err = a.step(ctx, func(tx *sql.Tx) error {
		known, err := a.devices(ctx, tx, ` WHERE d.jid = ?2 AND (?3 = 0 OR d.device = ?3) ORDER BY d.device`, of.String(), device)
		if err != nil {
			return err
		}
		if len(known) == 0 {
			return ErrUnknownDevice
		}
		for _, table := range []string{"sessions", "upkeep", "primed"} {
			const where = ` WHERE jid = ?1 AND (?2 = 0 OR device = ?2)`
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+where, of.String(), device); err != nil {
				return err
			}
		}
		for _, d := range known {
			ids = append(ids, d.ID)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reset sessions with %s: %w", of, err)
	}
	a.seenMu.Lock()
	defer a.seenMu.Unlock()
	for _, id := range ids {
		delete(a.bad, address{of, id})
		delete(a.renewed, address{of, id})
	}
	return ids, nil
}
