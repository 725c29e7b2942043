package omemo

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// minSecret, longSecret and maxSecret are the lengths of what a <key/> may hold:
// 16 bytes, or from 32 up (wire forms: 16 of key; 16 of key and 16 of tag).
const (
	minSecret  = 16
	longSecret = 32
	maxSecret  = 64
)

// Opened is what an envelope held, and which device made it.
type Opened struct {
	Device     Device // the device that wrapped it; usable
	Key        []byte // what our <key/> held: 16 bytes, or 32 to 64
	IV         []byte // 12 or 16 bytes
	Payload    []byte // verified, when HasPayload
	HasPayload bool
}

// Unwrap opens an envelope that came in an iq of from (its full JID) and makes
// sure that it belongs to that sender: the ratchet session is that of the bare
// JID of from and the header's device id; the device's identity key is the
// pinned one, or else, when the device is not known yet, the id is in the
// sender's published device list and the bundle there has the same key. The
// envelope is not touched when the key is not usable under the trust mode.
//
// The ratchet step is committed when Unwrap returns, whether or not the payload
// then verified. Errors: ErrNotForUs, ErrEnvelope (ErrUnknownDevice among it),
// *TrustError, and those of p. After a prekey message
// [Account.NeedsAnnounce] says that the bundle has to be published again.
func (a *Account) Unwrap(ctx context.Context, p PEP, from jid.JID, encrypted *xmltree.Element) (*Opened, error) {
	o, err := a.unwrap(ctx, p, from, encrypted)
	if err != nil {
		return nil, fmt.Errorf("open envelope of %s: %w", from, err)
	}
	return o, nil
}

func (a *Account) unwrap(ctx context.Context, p PEP, from jid.JID, encrypted *xmltree.Element) (*Opened, error) {
	h, err := parseEnvelope(encrypted, a.deviceID)
	if err != nil {
		return nil, err
	}
	device, key, err := a.openKeys(ctx, p, from, h)
	if err != nil {
		return nil, err
	}
	if n := len(key); n != minSecret && (n < longSecret || n > maxSecret) {
		return nil, fmt.Errorf("%w: %d bytes of key", ErrEnvelope, n)
	}
	o := &Opened{Device: device, Key: key, IV: h.iv, HasPayload: h.hasPayload}
	if h.hasPayload {
		if o.Payload, err = openPayload(key, h.iv, h.payload); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// openKeys opens the first of an envelope's keys that can be opened.
func (a *Account) openKeys(ctx context.Context, p PEP, from jid.JID, h *header) (Device, []byte, error) {
	addr, err := a.sender(from, h)
	if err != nil {
		return Device{}, nil, err
	}
	u := &unwrapping{account: a, pep: p, addr: addr, resource: from.Resource()}
	return u.firstThatOpens(ctx, h.keys)
}

// sender returns the address of the session that an envelope belongs to.
func (a *Account) sender(from jid.JID, h *header) (address, error) {
	addr := address{from.Bare(), h.device}
	if from.IsZero() || addr.jid == a.self && h.device == a.deviceID {
		return addr, fmt.Errorf("%w: it claims to be our own", ErrEnvelope)
	}
	return addr, nil
}

// unwrapping is the opening of one envelope.
type unwrapping struct {
	account  *Account
	pep      PEP
	addr     address
	resource string // where it came from
	vouched  error  // what the published list and bundle said, once asked
	asked    bool
	bundle   *bundle
}

// firstThatOpens tries the keys in turn. Of several errors the one about trust
// is returned, or else the first.
func (u *unwrapping) firstThatOpens(ctx context.Context, keys []wrappedKey) (Device, []byte, error) {
	var failure error
	for _, k := range keys {
		d, plain, err := u.open(ctx, k)
		if err == nil {
			return d, plain, nil
		}
		var trust *TrustError
		if failure == nil || errors.As(err, &trust) && !errors.As(failure, &trust) {
			failure = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Device{}, nil, failure
}

// open checks that one ratchet message belongs to the sender, then opens it in
// a transaction that checks again: another process may have been faster.
func (u *unwrapping) open(ctx context.Context, k wrappedKey) (d Device, plain []byte, err error) {
	a := u.account
	m, err := parseMessage(k.data, k.prekey)
	if err != nil {
		return d, nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	d, _, err = a.device(ctx, a.db, u.addr.jid, u.addr.device)
	if err != nil {
		return d, nil, err
	}
	if d.IdentityKey == nil {
		if d, err = u.introduce(ctx, m); err != nil {
			return d, nil, err
		}
	}
	err = a.step(ctx, func(tx *sql.Tx) error {
		d, _, err = a.device(ctx, tx, u.addr.jid, u.addr.device)
		if err != nil {
			return err
		}
		if err := admit(d, m); err != nil {
			return err
		}
		r := a.newRatchet(tx, u.addr, d.IdentityKey)
		if plain, err = r.decrypt(ctx, m); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %w", ErrEnvelope, err)
		}
		if err := r.store(ctx); err != nil {
			return err
		}
		return a.heard(ctx, tx, u.addr, u.resource, r.began)
	})
	if err != nil {
		return d, nil, err
	}
	if u.resource != "" {
		d.At, err = d.JID.WithResource(u.resource)
	}
	return d, plain, err
}

// admit decides whether a message of a device may be given to its session.
func admit(d Device, m *message) error {
	if d.IdentityKey == nil {
		return fmt.Errorf("%w: %w", ErrEnvelope, ErrUnknownDevice)
	}
	if key := m.identityKey(); key != nil {
		if err := changed(d, key); err != nil {
			return err
		}
	}
	return refusal(d)
}

// introduce gets to know a device whose key is not pinned: its account's
// published list must have its id, and the bundle published for that id the
// key that the message names. Then that key is pinned, whether or not it may be
// used: the user has to see it to decide.
func (u *unwrapping) introduce(ctx context.Context, m *message) (Device, error) {
	a, stranger := u.account, Device{JID: u.addr.jid, ID: u.addr.device}
	key := m.identityKey()
	if key == nil { // and so no session: nothing to ask anybody about
		return stranger, fmt.Errorf("%w: %w", ErrEnvelope, ErrUnknownDevice)
	}
	if !u.asked {
		u.asked = true
		u.bundle, u.vouched = a.lookUp(ctx, u.pep, u.addr)
	}
	if u.vouched != nil {
		return stranger, fmt.Errorf("%w: %w: %w", ErrEnvelope, ErrUnknownDevice, u.vouched)
	}
	if subtle.ConstantTimeCompare(key, u.bundle.identityKey) != 1 {
		return stranger, &TrustError{
			JID: stranger.JID, Device: stranger.ID, Kind: Changed,
			Fingerprint: fingerprint(key), Known: fingerprint(u.bundle.identityKey),
		}
	}
	d := stranger
	err := a.step(ctx, func(tx *sql.Tx) (err error) {
		d, err = a.pin(ctx, tx, u.addr, u.bundle)
		return err
	})
	if errors.Is(err, ErrUnknownDevice) || errors.Is(err, ErrBundle) {
		err = fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	return d, err
}

// lookUp fetches the published list and bundle of a device.
func (a *Account) lookUp(ctx context.Context, p PEP, addr address) (*bundle, error) {
	list, err := fetchList(ctx, p, addr.jid)
	if err != nil {
		return nil, fmt.Errorf("fetch device list: %w", err)
	}
	if list == nil {
		return nil, fmt.Errorf("%w: none published", ErrDeviceList)
	}
	ids, err := parseList(list)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(ids[:min(len(ids), maxContactDevices)], addr.device) {
		return nil, fmt.Errorf("device %d is not in the list", addr.device)
	}
	b, err := fetchBundle(ctx, p, addr)
	if err != nil {
		return nil, fmt.Errorf("fetch bundle: %w", err)
	}
	return b, a.takeList(ctx, addr.jid, list)
}
