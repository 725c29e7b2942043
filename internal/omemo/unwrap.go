package omemo

import (
	"bytes"
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.mau.fi/libsignal/signalerror"

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
// The work to be done for a contact is bounded, by how much it is: Unwrap waits
// until it is the envelope's turn. The ratchet step is committed when it returns,
// whether or not the payload then verified. An envelope that did not open, or held
// no key for us, may be a case for [Account.Heal]. Errors: ErrNotForUs, ErrEnvelope
// (ErrUnknownDevice among it), *TrustError, and those of p. After a prekey message
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
	if err != nil && !errors.Is(err, ErrNotForUs) {
		return nil, err
	}
	u, serr := a.unwrapping(p, from, h)
	if serr != nil {
		return nil, serr
	}
	if err != nil {
		return nil, u.broken(err)
	}
	u.charge = a.waiting(u.addr.jid)
	device, key, err := u.firstThatOpens(ctx, h.keys)
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

// unwrapping is the opening of one envelope.
type unwrapping struct {
	account *Account
	pep     PEP
	from    jid.JID // full, where it came from
	addr    address // of the session that it belongs to
	charge  charge
	vouched error // what the published list and bundle said, once asked
	asked   bool
	bundle  *bundle
}

// unwrapping begins to open an envelope.
func (a *Account) unwrapping(p PEP, from jid.JID, h *header) (*unwrapping, error) {
	addr := address{from.Bare(), h.device}
	if from.IsZero() || addr.jid == a.self && h.device == a.deviceID {
		return nil, fmt.Errorf("%w: it claims to be our own", ErrEnvelope)
	}
	return &unwrapping{account: a, pep: p, from: from, addr: addr}, nil
}

// firstThatOpens tries the keys in turn. Of several errors the one about trust
// is returned, or else the first; it is a *broken when the session is to blame for
// all of them.
func (u *unwrapping) firstThatOpens(ctx context.Context, keys []wrappedKey) (Device, []byte, error) {
	var failure error
	closed := true // the session has opened none of them, now or before
	for _, k := range keys {
		d, plain, err := u.open(ctx, k)
		if err == nil {
			return d, plain, nil
		}
		var trust *TrustError
		if failure == nil || errors.As(err, &trust) && !errors.As(failure, &trust) {
			failure = err
		}
		var no *unopened
		closed = closed && errors.As(err, &no) && !errors.Is(err, signalerror.ErrOldCounter)
		if ctx.Err() != nil || errors.Is(err, ErrTooMany) {
			return Device{}, nil, err
		}
	}
	if closed {
		failure = u.broken(failure)
	}
	return Device{}, nil, failure
}

// unopened is why the session with a known and usable device did not open a message.
type unopened struct{ err error }

func (e *unopened) Error() string { return e.err.Error() }
func (e *unopened) Unwrap() error { return e.err }

// open checks that one ratchet message belongs to the sender, and opens it.
func (u *unwrapping) open(ctx context.Context, k wrappedKey) (d Device, plain []byte, err error) {
	price := agreementWork
	if k.prekey {
		price = 3 * agreementWork // it has three keys to check
	}
	if err := u.charge(ctx, price); err != nil {
		return d, nil, err
	}
	m, err := parseMessage(k.data, k.prekey)
	if err != nil {
		return d, nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	for {
		d, plain, err = u.try(ctx, m)
		if !errors.Is(err, errMoved) || ctx.Err() != nil {
			break // else somebody else made a step, who has come further by that
		}
	}
	if err == nil && u.from.Resource() != "" {
		d.At = u.from
	}
	return d, plain, err
}

// try opens a message with the session as it is now: outside of any transaction,
// since most of what others make up opens nothing and must hold up nobody. Only what
// has opened is taken into one, which checks that all still is as it was.
func (u *unwrapping) try(ctx context.Context, m *message) (d Device, plain []byte, err error) {
	a := u.account
	d, _, err = a.device(ctx, a.db, u.addr.jid, u.addr.device)
	if err != nil {
		return d, nil, err
	}
	if d.IdentityKey == nil {
		if d, err = u.introduce(ctx, m); err != nil {
			return d, nil, err
		}
	}
	if err := admit(d, m); err != nil {
		return d, nil, err
	}
	r := a.newRatchet(a.db, u.addr, d.IdentityKey)
	r.charge = u.charge
	if plain, err = r.decrypt(ctx, m); err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrTooMany) {
			return d, nil, err
		}
		return d, nil, &unopened{fmt.Errorf("%w: %w", ErrEnvelope, err)}
	}
	err = a.step(ctx, func(tx *sql.Tx) (err error) {
		d, err = u.keep(ctx, tx, m, r)
		return err
	})
	return d, plain, err
}

// keep makes the step of the ratchet that has opened a message, if all still is as it was
// then. It returns the device as it is now.
func (u *unwrapping) keep(ctx context.Context, tx *sql.Tx, m *message, r *ratchet) (Device, error) {
	a := u.account
	now, _, err := a.device(ctx, tx, u.addr.jid, u.addr.device)
	if err != nil {
		return now, err
	}
	if err := admit(now, m); err != nil {
		return now, err
	}
	if !bytes.Equal(now.IdentityKey, r.key) {
		return now, errMoved
	}
	if err := errors.Join(r.still(ctx, tx), ctx.Err()); err != nil {
		return now, err
	}
	if err := r.store(ctx, tx); err != nil {
		return now, err
	}
	return now, a.heard(ctx, tx, u.addr, u.from.Resource(), r.began)
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
		if err := u.charge(ctx, introductionWork); err != nil {
			return stranger, err
		}
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

// lookUp fetches the published list and bundle of a device, both at once.
func (a *Account) lookUp(ctx context.Context, p PEP, addr address) (b *bundle, err error) {
	fetching, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var unusable error
	beside.Go(func() { b, unusable = fetchBundle(fetching, p, addr) })
	list, err := listOf(ctx, p, addr)
	if err != nil { // then the bundle does not matter
		cancel()
	}
	beside.Wait()
	cancel()
	switch {
	case err != nil:
		return nil, err
	case unusable != nil:
		return nil, fmt.Errorf("fetch bundle: %w", unusable)
	}
	return b, a.takeList(ctx, addr.jid, list)
}

// listOf fetches the published list that has a device.
func listOf(ctx context.Context, p PEP, addr address) (*xmltree.Element, error) {
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
	return list, nil
}
