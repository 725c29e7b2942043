package omemo

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// maxPrimed is to how many resources one session of a device is made known.
// Which resource a device is at nobody says, so each one of a contact has its
// turn; a client that draws a new resource on every login must not make us talk
// without end.
const maxPrimed = 8

// Prime makes the session with a contact's device known to it, so that the
// contact's client can encrypt to us from then on: Dino starts no session for a
// file. It returns the children of a message to send to a resource of the
// contact; they hold nothing to be shown, and ask that no other client gets
// them. Nothing, without an error, is returned when it is not needed: the device
// has sent something in the session, or the message for that resource was made
// before, by whichever process.
//
// to is the full JID that the message will go to; each resource gets its turn
// once per session, because nobody says which device it is. A bare to stands
// for one resource more. With device 0 the message is for every device of the
// contact that needs it. With junk it has a payload that does not decrypt, for
// Dino before 0.4.5 (caps node https://dino.im), which overlooks messages
// without one; others might complain of it.
//
// Missing sessions are begun: the list of a contact that was never dealt with,
// and bundles, are fetched. Whom to prime the caller decides. Devices whose key
// is not usable are left out; ErrNoDevice, with the reasons, says that all that
// needed it were.
func (a *Account) Prime(ctx context.Context, p PEP, to jid.JID, device uint32, junk bool) ([]*xmltree.Element, error) {
	children, err := a.prime(ctx, p, to, device, junk)
	if err != nil {
		return nil, fmt.Errorf("prime %s: %w", to, err)
	}
	return children, nil
}

func (a *Account) prime(ctx context.Context, p PEP, to jid.JID, device uint32, junk bool) ([]*xmltree.Element, error) {
	of := to.Bare()
	if err := a.knownList(ctx, p, of, device); err != nil {
		return nil, err
	}
	todo, err := a.unprimed(ctx, a.db, to, device)
	if err != nil || len(todo) == 0 {
		return nil, err
	}
	trouble, err := a.complete(ctx, p, of, todo)
	if err != nil {
		return nil, err
	}
	k, err := newKeyTransport()
	if err != nil {
		return nil, err
	}
	err = a.step(ctx, func(tx *sql.Tx) error {
		todo, err := a.unprimed(ctx, tx, to, device) // another process may have been faster
		if err != nil {
			return err
		}
		for _, d := range todo {
			if err := a.primeDevice(ctx, tx, k, to, d, trouble); err != nil {
				return err
			}
		}
		return ctx.Err() // and not the errors that it made of the devices
	})
	if err != nil {
		return nil, err
	}
	if len(k.keys) == 0 && len(trouble) > 0 {
		return nil, noDevice(trouble)
	}
	return k.children(a.deviceID, junk), nil
}

// primeDevice adds the key for a device, and notes that the envelope makes it known there.
// The error that is in the way of that one is noted in trouble, and does not stop the others.
func (a *Account) primeDevice(ctx context.Context, tx *sql.Tx, k *keyTransport, to jid.JID, d Device, trouble map[uint32]error) error {
	addr := address{to.Bare(), d.ID}
	has, err := a.hasSession(ctx, tx, addr)
	if err != nil || !has { // its bundle is of no use
		return err
	}
	if err := k.add(ctx, a, tx, d); err != nil {
		trouble[d.ID] = err
		a.log.WarnContext(ctx, "device not primed", "jid", addr.jid, "device", d.ID, "error", clean.Error(err))
		return nil
	}
	return a.markPrimed(ctx, tx, addr, to.Resource())
}

// knownList fetches a contact's device list when it was never had, or does not
// have the device (0: any). A list that is stored is kept up to date by those
// that are pushed, and a wrong guess costs no more than a message in vain.
func (a *Account) knownList(ctx context.Context, p PEP, of jid.JID, device uint32) error {
	var known bool
	const query = `SELECT EXISTS (SELECT 1 FROM lists WHERE jid = ?1)
		AND (?2 = 0 OR EXISTS (SELECT 1 FROM devices WHERE jid = ?1 AND device = ?2 AND active))`
	if err := a.db.QueryRowContext(ctx, query, of.String(), device).Scan(&known); err != nil || known {
		return err
	}
	return a.currentList(ctx, p, of)
}

// Unprimed returns the devices in a contact's list that do not know our session
// with them, or with which there is none, and whose key may be used, as far as
// is known without asking: those for which [Account.Prime] would make a message
// to of, a full JID, or a bare one with the meaning that Prime gives it.
func (a *Account) Unprimed(ctx context.Context, of jid.JID) ([]Device, error) {
	d, err := a.unprimed(ctx, a.db, of, 0)
	if err != nil {
		return nil, fmt.Errorf("read devices of %s: %w", of, err)
	}
	return d, nil
}

// unprimed is Unprimed for one device, or with 0 for all.
func (a *Account) unprimed(ctx context.Context, q queryer, to jid.JID, device uint32) ([]Device, error) {
	const where = ` WHERE d.jid = ?2 AND d.active AND (?3 = 0 OR d.device = ?3) AND (s.base IS NULL OR s.pending
		AND NOT EXISTS (SELECT 1 FROM primed p WHERE p.jid = d.jid AND p.device = d.device AND p.base = s.base AND p.resource = ?4)
		AND (SELECT count(*) FROM primed p WHERE p.jid = d.jid AND p.device = d.device AND p.base = s.base) < ?5)
		ORDER BY d.device`
	d, err := a.devices(ctx, q, where, to.Bare().String(), device, to.Resource(), maxPrimed)
	return slices.DeleteFunc(d, func(d Device) bool { return !a.Usable(d) }), err
}
