package omemo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/xmltree"
)

const (
	// leaseTime is how long one Account may publish before it has to renew its
	// lease: a process that died in the middle keeps the others waiting no
	// longer than that.
	leaseTime = 20 * time.Second
	// leasePoll is the pause between two attempts to get the lease.
	leasePoll = 100 * time.Millisecond
	// publishAttempts bounds how often the bundle is published again because
	// its prekeys were used meanwhile; what then is left NeedsAnnounce tells.
	publishAttempts = 3
)

// errLeaseLost says that publishing took so long that another process began.
var errLeaseLost = errors.New("another process has taken over publishing")

// publication is what is known of what the server has of us.
type publication struct {
	bundle    bool // ours has changed since, or its signed prekey is old
	listed    bool // our id is in the account's list
	announced bool // it was put there, and not withdrawn since
	relisted  int64
	relists   int // how often it was put back since relisted
}

// publication reads it.
func (a *Account) publication(ctx context.Context, q queryer) (s publication, err error) {
	var generation, published, signed int64
	const query = `SELECT generation, published, listed, announced, relisted, relists,
		(SELECT created FROM signed_prekeys ORDER BY id DESC LIMIT 1) FROM publication`
	err = q.QueryRowContext(ctx, query).Scan(&generation, &published, &s.listed, &s.announced, &s.relisted, &s.relists, &signed)
	if err != nil {
		return s, fmt.Errorf("read publication state: %w", err)
	}
	s.bundle = generation != published || !a.within(signed, signedPrekeyAge)
	return s, nil
}

// NeedsAnnounce reports whether [Account.Announce] has something to publish: the
// device was never announced, its prekeys have changed since, its signed prekey
// is old, or somebody has taken it off the device list.
func (a *Account) NeedsAnnounce(ctx context.Context) (bool, error) {
	s, err := a.publication(ctx, a.db)
	return s.bundle || !s.listed, err
}

// Announce publishes our bundle, unless the server has it as it is, and then
// our id in the account's device list, which is otherwise left as it was. Both
// are open to everybody. A device that was never announced is not added to an
// account that has ten others (ErrTooManyDevices), unless the configuration
// says so. Of several processes one publishes at a time, always the newest
// state.
func (a *Account) Announce(ctx context.Context, p PEP) error {
	_, err := a.announce(ctx, p, false)
	return err
}

// announce is Announce, or with keep KeepAnnounced.
func (a *Account) announce(ctx context.Context, p PEP, keep bool) (wait time.Duration, err error) {
	err = a.leased(ctx, func(renew func(context.Context) error) error {
		if keep { // another process may have withdrawn the device before we had the lease
			if s, err := a.publication(ctx, a.db); err != nil || !s.announced {
				return err
			}
		}
		wait, err = a.join(ctx, p, renew, keep)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("announce device %d: %w", a.deviceID, err)
	}
	return wait, nil
}

// join publishes our bundle, and then our device in the list, if it is not there.
func (a *Account) join(ctx context.Context, p PEP, renew func(context.Context) error, keep bool) (wait time.Duration, err error) {
	list, listed, err := a.joined(ctx, p, renew)
	if err != nil {
		return 0, err
	}
	if err := a.publishBundle(ctx, p, renew); err != nil {
		return 0, fmt.Errorf("publish bundle: %w", err)
	}
	if !listed { // that took a while, in which another device may have joined
		if list, listed, err = a.joined(ctx, p, renew); err != nil {
			return 0, err
		}
	}
	if !listed && keep {
		if wait, err = a.takeRelist(ctx); err != nil {
			return 0, err
		}
	}
	if !listed && wait == 0 {
		list = mergeList(list, a.deviceID)
		if err := a.publishList(ctx, p, renew, list); err != nil {
			return 0, err
		}
	}
	if err := a.takeList(ctx, a.self, list); err != nil {
		return 0, err
	}
	return wait, a.update(ctx, `UPDATE publication SET announced = 1`)
}

// joined fetches the device list of our account, and reports whether our device is in it;
// the error says that it must not be.
func (a *Account) joined(ctx context.Context, p PEP, renew func(context.Context) error) (list *xmltree.Element, listed bool, err error) {
	if list, err = a.ownList(ctx, p, renew); err == nil {
		listed, err = a.mayJoin(ctx, list)
	}
	return list, listed, err
}

// publishList publishes the device list of our account.
func (a *Account) publishList(ctx context.Context, p PEP, renew func(context.Context) error, list *xmltree.Element) error {
	err := a.call(ctx, renew, func(ctx context.Context) error {
		return p.Publish(ctx, NodeDevices, itemCurrent, list, true)
	})
	if err != nil {
		return fmt.Errorf("publish device list: %w", err)
	}
	return nil
}

// Withdraw takes our id off the account's device list and deletes our bundle:
// the end of this device, as far as others can see.
func (a *Account) Withdraw(ctx context.Context, p PEP) error {
	err := a.leased(ctx, func(renew func(context.Context) error) error {
		list, err := a.ownList(ctx, p, renew)
		if err != nil {
			return err
		}
		if rest := withoutDevice(list, a.deviceID); list != nil && len(rest.Children) < len(list.Children) {
			err := a.call(ctx, renew, func(ctx context.Context) error {
				return p.Publish(ctx, NodeDevices, itemCurrent, rest, true)
			})
			if err != nil {
				return fmt.Errorf("publish device list: %w", err)
			}
		}
		err = a.call(ctx, renew, func(ctx context.Context) error { return p.DeleteNode(ctx, a.bundleNode()) })
		if err != nil && !notFound(err) {
			return fmt.Errorf("delete bundle: %w", err)
		}
		return a.update(ctx, `UPDATE publication SET published = 0, announced = 0, listed = 0`)
	})
	if err != nil {
		return fmt.Errorf("withdraw device %d: %w", a.deviceID, err)
	}
	return nil
}

// bundleNode is the node of our own bundle.
func (a *Account) bundleNode() string { return nodeBundles + formatID(a.deviceID) }

// ownList fetches the account's device list; nil when there is none. An item that is
// on the node but cannot be read as a list is an error: it will not be overwritten.
func (a *Account) ownList(ctx context.Context, p PEP, renew func(context.Context) error) (list *xmltree.Element, err error) {
	err = a.call(ctx, renew, func(ctx context.Context) (err error) {
		list, err = fetchList(ctx, p, a.self)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch own device list: %w", err)
	}
	return list, nil
}

// mayJoin reports whether our id is in the list already, and returns
// ErrTooManyDevices when a new device must not be added to it.
func (a *Account) mayJoin(ctx context.Context, list *xmltree.Element) (listed bool, err error) {
	if list == nil {
		return false, nil
	}
	ids, err := parseList(list)
	if err != nil || slices.Contains(ids, a.deviceID) {
		return err == nil, err
	}
	var announced bool
	if err := a.db.QueryRowContext(ctx, `SELECT announced FROM publication`).Scan(&announced); err != nil {
		return false, err
	}
	if !announced && !a.cfg.ManyDevices && len(ids) >= maxOwnDevices {
		return false, fmt.Errorf("%w: %d", ErrTooManyDevices, len(ids))
	}
	return false, nil
}

// publishBundle publishes our bundle from the newest state until the server has
// it. It never replaces the bundle of another device that has our id.
func (a *Account) publishBundle(ctx context.Context, p PEP, renew func(context.Context) error) error {
	there, err := a.publishedBundle(ctx, p, renew)
	if err != nil {
		return err
	}
	for range publishAttempts {
		ours, generation, err := a.checkedBundle(ctx)
		if err != nil {
			return err
		}
		if there == nil || !there.equal(ours) {
			err := a.call(ctx, renew, func(ctx context.Context) error {
				return p.Publish(ctx, a.bundleNode(), itemCurrent, ours.element(), true)
			})
			if err != nil {
				return err
			}
			there = ours
		}
		if err := a.update(ctx, `UPDATE publication SET published = ?`, generation); err != nil {
			return err
		}
		var done bool
		if err := a.db.QueryRowContext(ctx, `SELECT generation = published FROM publication`).Scan(&done); err != nil || done {
			return err
		}
	}
	return nil
}

// publishedBundle fetches our own bundle, nil when there is none that is of use. The error
// may be that another device has our id.
func (a *Account) publishedBundle(ctx context.Context, p PEP, renew func(context.Context) error) (there *bundle, err error) {
	err = a.call(ctx, renew, func(ctx context.Context) (err error) {
		there, err = fetchBundle(ctx, p, address{a.self, a.deviceID})
		if notFound(err) || errors.Is(err, ErrBundle) {
			err = nil
		}
		return err
	})
	if err == nil && there != nil && !bytes.Equal(there.identityKey, a.id.public) {
		err = fmt.Errorf("device id %d belongs to a device with another identity key", a.deviceID)
	}
	return there, err
}

// checkedBundle reads our bundle, tops its prekeys up and renews an old signed
// prekey, and checks it as a
// stranger would who gets it from the server: a bundle whose keys were damaged
// on the way here would lock everybody out without any error of ours.
func (a *Account) checkedBundle(ctx context.Context) (b *bundle, generation int64, err error) {
	err = a.step(ctx, func(tx *sql.Tx) error {
		if err := a.refill(ctx, tx); err != nil {
			return err
		}
		return a.rotate(ctx, tx)
	})
	if err == nil { // a hundred keys are derived: the others need not wait for that
		err = a.look(ctx, func(tx *sql.Tx) error {
			b, generation, err = a.ownBundle(ctx, tx)
			return err
		})
	}
	if err != nil {
		return nil, 0, err
	}
	return b, generation, a.selfCheck(b)
}

// selfCheck checks our bundle after a round trip through XML.
func (a *Account) selfCheck(b *bundle) error {
	e, err := xmltree.Parse(b.element().Bytes())
	if err != nil {
		return fmt.Errorf("self check: %w", err)
	}
	again, err := parseBundle(e)
	switch {
	case err != nil:
		return fmt.Errorf("self check: %w", err)
	case !again.equal(b), !bytes.Equal(again.identityKey, a.id.public):
		return fmt.Errorf("self check: %w: it is not ours", ErrBundle)
	case len(again.prekeys) < prekeyTarget:
		return fmt.Errorf("self check: %w: %d prekeys", ErrBundle, len(again.prekeys))
	}
	return nil
}

// update runs one statement as a step.
func (a *Account) update(ctx context.Context, query string, args ...any) error {
	return a.step(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}
