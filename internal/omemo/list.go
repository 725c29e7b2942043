package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// parseList reads a device list (XEP-0384 0.3.0 section 4.2), in order and
// without doubles. Entries that are no device id in our range are passed over:
// nobody could be reached there.
func parseList(list *xmltree.Element) ([]uint32, error) {
	if !list.Is(NS, "list") {
		return nil, fmt.Errorf("%w: no list element", ErrDeviceList)
	}
	var ids []uint32
	seen := make(map[uint32]bool)
	for _, d := range list.All(NS, "device") {
		id, err := parseID(d.Attr("id"), 1)
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}

// mergeList returns list with our id in it: everything else stays as it was.
func mergeList(list *xmltree.Element, id uint32) *xmltree.Element {
	if list == nil {
		list = xmltree.New(NS, "list")
	}
	return list.Clone().Add(xmltree.New(NS, "device").Set("id", formatID(id)))
}

// withoutDevice returns list without our id.
func withoutDevice(list *xmltree.Element, id uint32) *xmltree.Element {
	list = list.Clone()
	list.Children = slices.DeleteFunc(list.Children, func(d *xmltree.Element) bool {
		n, err := parseID(d.Attr("id"), 1)
		return d.Is(NS, "device") && err == nil && n == id
	})
	return list
}

// payloadOf returns the payload of that name among fetched items: the one in
// the item "current", or else the first, whatever its id. Nil: none.
func payloadOf(items []*xmltree.Element, name string) *xmltree.Element {
	var first *xmltree.Element
	for _, item := range items {
		p := item.Child(NS, name)
		if p != nil && item.Attr("id") == itemCurrent {
			return p
		}
		if first == nil {
			first = p
		}
	}
	return first
}

// notFound reports whether err says that a node does not exist.
func notFound(err error) bool {
	var e *stanza.Error
	return errors.As(err, &e) && e.Condition == stanza.ItemNotFound
}

// fetchList fetches a device list. Nil: there is none, that is, the node does
// not exist or is empty. A node with anything but a list is an error.
func fetchList(ctx context.Context, p PEP, of jid.JID) (*xmltree.Element, error) {
	items, err := p.Items(ctx, of, NodeDevices)
	if notFound(err) || err == nil && len(items) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := payloadOf(items, "list")
	if list == nil {
		return nil, fmt.Errorf("%w: no list element", ErrDeviceList)
	}
	return list, nil
}

// fetchBundle fetches and verifies the bundle of a device.
func fetchBundle(ctx context.Context, p PEP, addr address) (*bundle, error) {
	items, err := p.Items(ctx, addr.jid, nodeBundles+formatID(addr.device))
	var answer *stanza.Error
	if err != nil && !errors.As(err, &answer) {
		return nil, &notAsked{err}
	}
	if err != nil {
		return nil, err
	}
	return parseBundle(payloadOf(items, "bundle"))
}

// notAsked is why there was no answer about a bundle, such as a stream that was lost.
// It says nothing of the device.
type notAsked struct{ err error }

func (e *notAsked) Error() string { return e.err.Error() }
func (e *notAsked) Unwrap() error { return e.err }

// DeviceListChanged takes in a device list that the server pushed (XEP-0163):
// the item, or its list. Lists of accounts that we never had to do with are
// ignored; theirs will be fetched when they are needed, and so will that of a contact
// for whom too much was done lately (ErrTooMany).
func (a *Account) DeviceListChanged(ctx context.Context, from jid.JID, item *xmltree.Element) error {
	from = from.Bare()
	if from.IsZero() {
		from = a.self
	}
	list := item
	if !item.Is(NS, "list") {
		list = item.Child(NS, "list")
	}
	if list == nil {
		return fmt.Errorf("pushed by %s: %w: no list element", from, ErrDeviceList)
	}
	if from != a.self {
		var known bool
		const query = `SELECT EXISTS (SELECT 1 FROM lists WHERE jid = ?)`
		if err := a.db.QueryRowContext(ctx, query, from.String()).Scan(&known); err != nil {
			return fmt.Errorf("read device list of %s: %w", from, err)
		}
		if !known {
			return a.tellStranger(from, list)
		}
		if err := a.refusing(from)(ctx, commitWork); err != nil {
			a.unseen(from) // then it is fetched when it is needed
			return err
		}
	}
	return a.takeList(ctx, from, list)
}

// tellStranger tells of the devices of an account of which nothing is stored.
func (a *Account) tellStranger(of jid.JID, list *xmltree.Element) error {
	ids, err := parseList(list)
	if err != nil {
		return fmt.Errorf("device list of %s: %w", of, err)
	}
	var devices []Device
	for _, id := range ids[:min(len(ids), maxContactDevices)] {
		devices = append(devices, Device{JID: of, ID: id, Trust: a.judge(Undecided, false), New: true, Active: true})
	}
	a.tell(of, devices)
	return nil
}

// tell reports devices that have come into the list of an account.
func (a *Account) tell(of jid.JID, devices []Device) {
	if a.cfg.NewDevices != nil && len(devices) > 0 {
		a.cfg.NewDevices(of, devices)
	}
}

// takeList stores a list that was fetched or pushed; nil is an empty one.
func (a *Account) takeList(ctx context.Context, of jid.JID, list *xmltree.Element) error {
	var ids []uint32
	if list != nil {
		var err error
		if ids, err = parseList(list); err != nil {
			return fmt.Errorf("device list of %s: %w", of, err)
		}
	}
	added, err := a.storeList(ctx, of, ids)
	if err != nil {
		return fmt.Errorf("store device list of %s: %w", of, err)
	}
	a.seen(of)
	a.tell(of, added)
	return nil
}

// storeList makes ids, as far as they are not too many, the active devices of
// an account, and returns those that were not active before. Our own device is
// not among the devices; whether it is listed is noted apart.
func (a *Account) storeList(ctx context.Context, of jid.JID, ids []uint32) (added []Device, err error) {
	err = a.step(ctx, func(tx *sql.Tx) error {
		if of == a.self {
			listed := slices.Contains(ids, a.deviceID)
			ids = slices.DeleteFunc(slices.Clone(ids), func(id uint32) bool { return id == a.deviceID })
			if _, err := tx.ExecContext(ctx, `UPDATE publication SET listed = ?`, listed); err != nil {
				return err
			}
		}
		before, err := a.activeDevices(ctx, tx, of)
		if err != nil {
			return err
		}
		if err := a.replaceActive(ctx, tx, of.String(), ids[:min(len(ids), maxContactDevices)]); err != nil {
			return err
		}
		added, err = a.activeDevices(ctx, tx, of)
		added = slices.DeleteFunc(added, func(d Device) bool {
			return slices.ContainsFunc(before, func(b Device) bool { return b.ID == d.ID })
		})
		return err
	})
	return added, err
}

// replaceActive writes what storeList stores.
func (a *Account) replaceActive(ctx context.Context, tx *sql.Tx, name string, ids []uint32) error {
	const list = `INSERT INTO lists (jid, updated) VALUES (?, ?) ON CONFLICT (jid) DO UPDATE SET updated = excluded.updated`
	if _, err := tx.ExecContext(ctx, list, name, a.now()); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE devices SET active = 0 WHERE jid = ?`, name); err != nil {
		return err
	}
	var unknown []uint32
	for _, id := range ids {
		res, err := tx.ExecContext(ctx, `UPDATE devices SET active = 1 WHERE jid = ? AND device = ?`, name, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			unknown = append(unknown, id)
		}
	}
	// Devices that left before their key was ever had are of no use.
	if _, err := tx.ExecContext(ctx, `DELETE FROM devices WHERE jid = ? AND active = 0 AND identity_key IS NULL`, name); err != nil {
		return err
	}
	if err := a.addDevices(ctx, tx, name, unknown); err != nil {
		return err
	}
	return dropSessions(ctx, tx, name)
}

// addDevices adds devices that are not known to those of an account, as far as there
// is room. Room is made by forgetting those that left the list, the oldest first, but
// none that was ever used or that the user decided about.
func (a *Account) addDevices(ctx context.Context, tx *sql.Tx, name string, ids []uint32) error {
	const forget = `DELETE FROM devices WHERE jid = ?1 AND device IN (
		SELECT d.device FROM devices d WHERE d.jid = ?1 AND NOT d.active AND d.last_used = 0
			AND NOT EXISTS (SELECT 1 FROM trust t WHERE t.jid = d.jid AND t.identity_key = d.identity_key)
			ORDER BY d.first_seen, d.device
			LIMIT max(0, (SELECT count(*) FROM devices WHERE jid = ?1) - ?2))`
	if _, err := tx.ExecContext(ctx, forget, name, maxKnownDevices-len(ids)); err != nil {
		return err
	}
	for i, id := range ids {
		const add = `INSERT INTO devices (jid, device, active, is_new, first_seen, last_used)
			SELECT ?1, ?2, 1, 1, ?3, 0 WHERE (SELECT count(*) FROM devices WHERE jid = ?1) < ?4`
		res, err := tx.ExecContext(ctx, add, name, id, a.now(), maxKnownDevices)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			a.log.WarnContext(ctx, "too many devices were used before, new ones are not", "jid", name, "left out", len(ids)-i)
			return nil
		}
	}
	return nil
}

// dropSessions drops the sessions with the devices that left an account's list long
// ago, when they are many: a contact may show another one with each message.
func dropSessions(ctx context.Context, tx *sql.Tx, name string) error {
	for _, table := range []string{"sessions", "upkeep", "primed"} {
		drop := `DELETE FROM ` + table + ` WHERE jid = ?1 AND device NOT IN (SELECT device FROM devices WHERE jid = ?1 AND active)
			AND device NOT IN (SELECT device FROM devices WHERE jid = ?1 AND NOT active
				ORDER BY max(last_used, first_seen) DESC, device LIMIT ?2)`
		if _, err := tx.ExecContext(ctx, drop, name, maxLeftDevices); err != nil {
			return err
		}
	}
	return nil
}

// seen notes that the list of an account is up to date.
func (a *Account) seen(of jid.JID) {
	a.seenMu.Lock()
	defer a.seenMu.Unlock()
	now := a.cfg.Now()
	for j, at := range a.lists { // keeps the table small
		if now.Sub(at) >= listFresh {
			delete(a.lists, j)
		}
	}
	a.lists[of] = now
	for addr := range a.bad { // the account has published something: its bundles may be good now
		if addr.jid == of {
			delete(a.bad, addr)
		}
	}
}

// unseen notes that the list of an account is not up to date.
func (a *Account) unseen(of jid.JID) {
	a.seenMu.Lock()
	defer a.seenMu.Unlock()
	delete(a.lists, of)
}

// fresh reports whether the list of an account is known to be up to date.
func (a *Account) fresh(of jid.JID) bool {
	a.seenMu.Lock()
	defer a.seenMu.Unlock()
	at, ok := a.lists[of]
	return ok && a.cfg.Now().Sub(at) < listFresh
}
