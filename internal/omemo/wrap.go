package omemo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// Envelope is a secret wrapped for the devices of a contact.
type Envelope struct {
	Element *xmltree.Element // <encrypted/>
	Devices []Device         // all that got the key
}

// WrapKey wraps a transport secret as XEP-0396 and the live clients do it: the
// 16-byte key in every <key/>, its IV in <iv/>, no payload. The suite must be
// AES-128-GCM. It is wrapped for every usable device in the contact's list;
// what is missing for that is fetched, and sessions say whether in those that there
// are or in new ones. When the contact is our own bare JID
// these are our other devices. ErrNoDevice: none is left.
func (a *Account) WrapKey(ctx context.Context, p PEP, to jid.JID, ts *crypto.Secret, in Sessions) (*Envelope, error) {
	key, iv := ts.Key(), ts.IV()
	if ts.Suite() != crypto.AES128GCM || len(key) != payloadKeySize || len(iv) != ivSize && len(iv) != longIVSize {
		return nil, fmt.Errorf("wrap key for %s: not a key for %s", to.Bare(), crypto.AES128GCM.Name())
	}
	return a.wrap(ctx, p, to, key, iv, nil, in)
}

// WrapPayload wraps a payload as OMEMO 0.3 wraps a message: encrypted with a
// fresh key, which every <key/> holds together with the tag. For whom, and the
// errors, are those of [Account.WrapKey].
func (a *Account) WrapPayload(ctx context.Context, p PEP, to jid.JID, payload []byte, in Sessions) (*Envelope, error) {
	if len(payload) > maxPayloadBytes {
		return nil, fmt.Errorf("wrap payload for %s: payload of %d bytes", to.Bare(), len(payload))
	}
	key, iv, sealed, err := sealPayload(payload)
	if err != nil {
		return nil, fmt.Errorf("wrap payload for %s: %w", to.Bare(), err)
	}
	return a.wrap(ctx, p, to, key, iv, sealed, in)
}

// wrap fetches what is missing, then makes one ratchet step with every usable
// device of the bare JID of at, all in one transaction.
func (a *Account) wrap(ctx context.Context, p PEP, at jid.JID, key, iv, payload []byte, in Sessions) (*Envelope, error) {
	keys, got, err := a.wrapKey(ctx, p, at, key, in)
	if err != nil {
		return nil, fmt.Errorf("wrap for %s: %w", at.Bare(), err)
	}
	return &Envelope{Element: envelopeElement(a.deviceID, keys, iv, payload), Devices: got}, nil
}

// wrapKey wraps a key for every usable device, and returns which those are.
func (a *Account) wrapKey(ctx context.Context, p PEP, at jid.JID, key []byte, in Sessions) (keys []wrappedKey, got []Device, err error) {
	to := at.Bare()
	if err := a.currentList(ctx, p, to); err != nil {
		return nil, nil, err
	}
	changed := make(map[uint32]error) // devices that are no more what they were
	if in == Renewed {
		if changed, err = a.renew(ctx, p, at); err != nil {
			return nil, nil, err
		}
	}
	trouble, err := a.completeDevices(ctx, p, to)
	if err != nil {
		return nil, nil, err
	}
	maps.Copy(trouble, changed)
	err = a.step(ctx, func(tx *sql.Tx) error {
		active, err := a.activeDevices(ctx, tx, to)
		if err != nil {
			return err
		}
		active = slices.DeleteFunc(active, func(d Device) bool { return changed[d.ID] != nil })
		if keys, got, err = a.wrapForAll(ctx, tx, active, key, trouble); err != nil || in != Renewed || at.IsBare() {
			return err
		}
		return a.markRenewed(ctx, tx, keys, got, at.Resource())
	})
	if err == nil && len(got) == 0 {
		err = noDevice(trouble)
	}
	return keys, got, err
}

// wrapForAll wraps a key for those of the devices for which that can be done, and notes in
// trouble what is in the way of the others.
func (a *Account) wrapForAll(ctx context.Context, tx *sql.Tx, devices []Device, key []byte, trouble map[uint32]error) (keys []wrappedKey, got []Device, err error) {
	for _, d := range devices {
		k, err := a.wrapFor(ctx, tx, d, key)
		switch {
		case err == nil:
			keys, got = append(keys, k), append(got, d)
		case trouble[d.ID] == nil:
			trouble[d.ID] = err
			a.log.WarnContext(ctx, "device left out", "jid", d.JID, "device", d.ID, "error", clean.Error(err))
		}
	}
	return keys, got, ctx.Err() // and not the errors that it made of the devices
}

// markRenewed notes that the envelope makes the new sessions known to the client of that
// resource.
func (a *Account) markRenewed(ctx context.Context, tx *sql.Tx, keys []wrappedKey, of []Device, resource string) error {
	for i, d := range of {
		if !keys[i].prekey {
			continue
		}
		if err := a.markPrimed(ctx, tx, address{d.JID, d.ID}, resource); err != nil {
			return err
		}
	}
	return nil
}

// noDevice is ErrNoDevice with the reasons why each device was left out, unless one
// of them says nothing of its device: then nobody knows whether there is none.
func noDevice(trouble map[uint32]error) error {
	err := ErrNoDevice
	for _, id := range slices.Sorted(maps.Keys(trouble)) {
		var lost *notAsked
		if errors.As(trouble[id], &lost) {
			return fmt.Errorf("device %d: %w", id, trouble[id])
		}
		err = fmt.Errorf("%w; device %d: %w", err, id, trouble[id])
	}
	return err
}

// wrapFor encrypts key to one device, if its identity key may be used.
func (a *Account) wrapFor(ctx context.Context, tx *sql.Tx, d Device, key []byte) (wrappedKey, error) {
	if d.IdentityKey == nil {
		return wrappedKey{}, ErrBundle
	}
	if err := refusal(d); err != nil {
		return wrappedKey{}, err
	}
	r := a.newRatchet(tx, address{d.JID, d.ID}, d.IdentityKey)
	data, prekey, err := r.encrypt(ctx, key)
	if err != nil {
		return wrappedKey{}, fmt.Errorf("encrypt: %w", err)
	}
	if err := r.store(ctx, tx); err != nil {
		return wrappedKey{}, err
	}
	return wrappedKey{d.ID, prekey, data}, nil
}
