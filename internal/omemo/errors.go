package omemo

import (
	"errors"
	"fmt"

	"jetsend/internal/jid"
)

// Sentinels of this package; use errors.Is.
var (
	// ErrNoDevice: the contact publishes no device that we could encrypt to.
	// When some were left out because of their keys, a *TrustError is found in
	// the same error with errors.As.
	ErrNoDevice = errors.New("contact has no usable omemo device")
	// ErrNotForUs: the envelope holds no key for this device.
	ErrNotForUs = errors.New("envelope holds no key for this device")
	// ErrEnvelope: the envelope is malformed, or does not open with the session
	// of the device that it claims to come from.
	ErrEnvelope = errors.New("envelope cannot be opened")
	// ErrUnknownDevice: the device that the envelope claims to come from is not
	// known, and its account's device list or its bundle cannot be had or do
	// not vouch for it.
	ErrUnknownDevice = errors.New("sending device is not published by the sender")
	// ErrTooManyDevices: the account has so many devices already that a new one
	// is not added by itself.
	ErrTooManyDevices = errors.New("account already has too many omemo devices")
	// ErrBundle: a bundle is malformed or its signature is wrong.
	ErrBundle = errors.New("bad omemo bundle")
	// ErrNoPrekeys: a bundle, which is an ErrBundle then, has no one-time prekey, so that
	// no session may be started from it.
	ErrNoPrekeys = fmt.Errorf("%w: no one-time prekey is left in it", ErrBundle)
	// ErrDeviceList: a device list is malformed.
	ErrDeviceList = errors.New("bad omemo device list")
	// ErrUnknownKey: no device of the contact is known to have that key.
	ErrUnknownKey = errors.New("no known device has this key")
	// ErrThisDevice: the device is this one, of which [Account.Withdraw] disposes.
	ErrThisDevice = errors.New("this is the device in use")
	// ErrNoSuchDevice: our account has no such device.
	ErrNoSuchDevice = errors.New("account has no such omemo device")
	// ErrTooOften: the session with a device was begun anew as often as it may be in a
	// day.
	ErrTooOften = errors.New("too many new sessions with the device today")
	// ErrTooMany: more messages came than are opened in the time.
	ErrTooMany = errors.New("too many omemo messages")
	// ErrOtherAccount: the state belongs to another account.
	ErrOtherAccount = errors.New("omemo state belongs to another account")
)

// TrustKind says why a key is not used.
type TrustKind int

// The reasons of a [TrustError].
const (
	// Changed: the device is known with another identity key.
	Changed TrustKind = iota + 1
	// Revoked: the user distrusts the key.
	Revoked
	// Unverified: the key was never verified, and the trust mode or an earlier
	// verification of that contact demands it.
	Unverified
)

// String returns the reason as words.
func (k TrustKind) String() string {
	switch k {
	case Changed:
		return "changed"
	case Revoked:
		return "distrusted"
	case Unverified:
		return "not verified"
	}
	return "unknown"
}

// TrustError says that a device's identity key must not be used. Use errors.As.
type TrustError struct {
	JID         jid.JID // bare JID of the contact
	Device      uint32
	Fingerprint string // of the key that was met
	Known       string // fingerprint of the stored key, when it is another one
	Kind        TrustKind
}

// Error implements error. The fingerprints are fields: people compare them in
// groups, which is the business of whoever shows them.
func (e *TrustError) Error() string {
	if e.Kind == Changed {
		return fmt.Sprintf("the key of device %d of %s has changed", e.Device, e.JID)
	}
	return fmt.Sprintf("the key of device %d of %s is %s", e.Device, e.JID, e.Kind)
}
