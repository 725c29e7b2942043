package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/xmltree"
)

// When a device gets a message whose only purpose is the ratchet. The library
// refuses a message that is more than 2000 ahead of the last one of its chain,
// and keeps the keys of those that it skipped (about 1 kB each, in a record
// that every step rewrites). Chat copies count, though they do not reach a
// resource with a negative priority: what arrives here is all that we see.
const (
	// stepAfter is how many messages of one chain call for an answer: it makes
	// the other side begin a new chain, with new keys and at number 0. Later
	// versions of OMEMO (XEP-0384 0.8 section 4.4) use this number.
	stepAfter = 53
	// stepPause is the least time between two steps of one device.
	stepPause = 7 * 24 * time.Hour
	// replyPause is the same for the answer to a session that the device has
	// begun: one that begins sessions all the time gets no answer each time.
	replyPause = time.Minute
	// silentAfter is how long a session may be silent before a new one is
	// begun. A step does not help there: the other side begins a new chain only
	// for a key that it has not seen, and we have a new one only after we got
	// its last. In this time a contact would have to write more than 140
	// messages a day for its next file to be more than 2000 ahead.
	silentAfter = 14 * 24 * time.Hour
	// maxDue bounds the answer of DueSteps; those heard last come first.
	maxDue = 500
)

// duty is why a device is due for a step.
type duty int

const (
	notDue  duty = iota
	reply        // it has begun a session and waits for a message in it
	turn         // its chain has become long
	renewal      // nothing was heard in its session for long
)

// dutySQL is an expression for the duty of a device from its session s and upkeep u. ?2 is
// now. Times that lie ahead were written while the clock was wrong.
func dutySQL() string {
	return fmt.Sprintf(`CASE
	WHEN u.reply AND NOT (?2 - u.stepped BETWEEN 0 AND %d) THEN %d
	WHEN ?2 - u.stepped BETWEEN 0 AND %d THEN %d
	WHEN NOT s.pending AND s.sent = 0 AND s.received >= %d THEN %d
	WHEN NOT (?2 - u.alive BETWEEN 0 AND %d) THEN %d
	ELSE %d END`,
		replyPause.Milliseconds()-1, reply,
		stepPause.Milliseconds()-1, notDue,
		stepAfter, turn,
		silentAfter.Milliseconds()-1, renewal,
		notDue)
}

// DueSteps returns the devices that should get a message for the sake of the
// ratchet; see [Account.Step]. Only devices count that are usable, in their
// account's list, and of which it is known where they are (Device.At). They are
// due when
//
//   - they have begun a session and got no message from us in it: until they
//     do, all that they send are prekey messages;
//   - they have sent 53 messages without an answer, as far as we saw;
//   - nothing was heard from them for two weeks: their chain may have gone on
//     without us, and is not followed over more than 2000 messages.
//
// The last two are so at most weekly. The caller picks those that are online
// at Device.At, the others stay due.
func (a *Account) DueSteps(ctx context.Context) ([]Device, error) {
	d, err := a.devices(ctx, a.db, ` WHERE d.active AND u.resource <> '' AND s.base IS NOT NULL AND `+dutySQL()+` <> 0
		ORDER BY u.alive DESC LIMIT ?3`, a.now(), maxDue)
	if err != nil {
		return nil, fmt.Errorf("read due ratchet steps: %w", err)
	}
	return slices.DeleteFunc(d, func(d Device) bool { return !a.Usable(d) }), nil
}

// Step returns the children of a message to d.At that makes the ratchet of a
// device turn: an OMEMO key transport, that is, without a payload, or with junk,
// which is asked when there is such a message, one that does not decrypt; for that, and for what goes beside it, see
// [Account.Prime]. A session that was silent for too long is begun anew, from
// the device's bundle. The device counts as served from then on, whether or not
// the message arrives. Nothing, without an error, is returned when it is not
// due (any more); *TrustError when its key may not be used.
func (a *Account) Step(ctx context.Context, p PEP, d Device, junk func() bool) ([]*xmltree.Element, error) {
	k, err := newKeyTransport()
	if err == nil {
		err = a.takeStep(ctx, p, address{d.JID.Bare(), d.ID}, k)
	}
	if err != nil {
		return nil, fmt.Errorf("ratchet step with device %d of %s: %w", d.ID, d.JID, err)
	}
	return k.children(a.deviceID, len(k.keys) > 0 && junk()), nil
}

func (a *Account) takeStep(ctx context.Context, p PEP, addr address, k *keyTransport) error {
	var due duty
	err := a.step(ctx, func(tx *sql.Tx) error {
		d, err := a.dueDevice(ctx, tx, addr, &due)
		if err != nil || due == notDue {
			return err
		}
		if err := refusal(d); err != nil {
			return err
		}
		const take = `UPDATE upkeep SET stepped = ?, reply = 0 WHERE jid = ? AND device = ?`
		if _, err := tx.ExecContext(ctx, take, a.now(), addr.jid.String(), addr.device); err != nil {
			return err
		}
		if due == renewal { // its bundle is needed, and that comes over the network
			return nil
		}
		return k.add(ctx, a, tx, d)
	})
	if err != nil || due != renewal {
		return err
	}
	return a.rebuild(ctx, p, addr, func(tx *sql.Tx, d Device) error {
		if err := k.add(ctx, a, tx, d); err != nil {
			return err
		}
		return a.markPrimed(ctx, tx, addr, d.At.Resource())
	})
}

// dueDevice reads a device and what it is due for.
func (a *Account) dueDevice(ctx context.Context, tx *sql.Tx, addr address, due *duty) (d Device, err error) {
	const query = ` FROM upkeep u JOIN sessions s ON s.jid = u.jid AND s.device = u.device
		JOIN devices d ON d.jid = u.jid AND d.device = u.device AND d.active
		WHERE u.jid = ?1 AND u.device = ?3 AND u.resource <> ''`
	err = tx.QueryRowContext(ctx, `SELECT `+dutySQL()+query, addr.jid.String(), a.now(), addr.device).Scan(due)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil // no session, or nowhere to send to
	}
	if err != nil {
		return d, err
	}
	d, _, err = a.device(ctx, tx, addr.jid, addr.device)
	return d, err
}
