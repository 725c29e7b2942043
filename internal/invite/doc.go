// Package invite is the letter of an invitation, jetsend:invite:1: the link that one person
// gives to another, and the two messages by which their machines prove to each other that
// both hold it. docs/protocol.md, "Invitations", is the contract.
//
// The link names keys and carries a secret that no server sees. Who redeems it says, under
// a MAC of that secret, which address and which keys are theirs and which they were shown;
// the issuer confirms under another one. A server in between can hold messages back, and
// nothing else.
//
// The package keeps no state and speaks to nobody; package acquaint does.
package invite

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"jetsend/internal/jid"
)

// NS is the name space of both messages.
const NS = "jetsend:invite:1"

// Sizes, in bytes.
const (
	IDSize     = 16
	SecretSize = 32
	NonceSize  = 16
	MACSize    = sha256.Size
	KeySize    = 32 // of a device's public identity key, without its type byte
)

// MaxDevices bounds the devices that one end names.
const MaxDevices = 16

// version is in the link and in what is authenticated.
const version = "1"

// What the keys of both directions are for (RFC 5869, info).
const (
	infoRedeem  = "jetsend redeem 1"
	infoConfirm = "jetsend confirm 1"
)

// ErrProof means that a message does not prove what it says: another secret, or another
// letter.
var ErrProof = errors.New("the proof does not fit")

// errMalformed means that a message is not one of this protocol.
var errMalformed = errors.New("malformed")

// Device is a device of an account and its identity key.
type Device struct {
	ID  uint32
	Key [KeySize]byte
}

// Names are devices by ascending ids, each id once, and at most [MaxDevices].
type Names []Device

// Named sorts devices into names. Those beyond [MaxDevices] are left out; first are those
// that stay whatever their ids are.
func Named(first Device, others ...Device) Names {
	all := append(Names{first}, others...)
	all = all[:min(len(all), MaxDevices)]
	slices.SortFunc(all, func(a, b Device) int { return int(int64(a.ID) - int64(b.ID)) })
	return slices.CompactFunc(all, func(a, b Device) bool { return a.ID == b.ID })
}

// check refuses what [Named] does not make.
func (n Names) check() error {
	if len(n) == 0 || len(n) > MaxDevices {
		return errMalformed
	}
	last := uint32(0)
	for _, d := range n {
		if d.ID <= last || d.ID > maxDeviceID {
			return errMalformed
		}
		last = d.ID
	}
	return nil
}

// maxDeviceID is the largest id of an OMEMO device (XEP-0384, section 4.1 of version 0.3).
const maxDeviceID = 1<<31 - 1

// Digest tells lists of devices from each other.
func (n Names) Digest() [sha256.Size]byte {
	var t transcript
	t.names(n)
	return sha256.Sum256(t)
}

// Keys are what a secret is good for: proving either way.
type Keys struct{ Redeem, Confirm [MACSize]byte }

// KeysOf derives the keys of an invitation.
func KeysOf(id [IDSize]byte, secret [SecretSize]byte) Keys {
	return Keys{derived(id, secret, infoRedeem), derived(id, secret, infoConfirm)}
}

func derived(id [IDSize]byte, secret [SecretSize]byte, info string) (key [MACSize]byte) {
	b, err := hkdf.Key(sha256.New, secret[:], id[:], info, len(key))
	if err != nil { // of a key longer than there can be
		panic(err)
	}
	copy(key[:], b)
	return key
}

// NewNonce draws a nonce.
func NewNonce() (n [NonceSize]byte) {
	_, _ = rand.Read(n[:]) // never fails, see crypto/rand.Read
	return n
}

// transcript is what is authenticated: each member with its length before it, four bytes,
// the most significant first.
type transcript []byte

func (t *transcript) add(b []byte) {
	*t = append(binary.BigEndian.AppendUint32(*t, uint32(len(b))), b...)
}

func (t *transcript) text(s string) { t.add([]byte(s)) }

func (t *transcript) address(j jid.JID) { t.text(j.String()) }

func (t *transcript) number(n uint32) { t.add(binary.BigEndian.AppendUint32(nil, n)) }

// names adds how many there are, and of each its id and its key.
func (t *transcript) names(n Names) {
	t.number(uint32(len(n)))
	for _, d := range n {
		t.number(d.ID)
		t.add(d.Key[:])
	}
}

func (t transcript) mac(key [MACSize]byte) (sum [MACSize]byte) {
	h := hmac.New(sha256.New, key[:])
	_, _ = h.Write(t) // never fails
	h.Sum(sum[:0])
	return sum
}

// equal compares without telling how far it got.
func equal(a, b [MACSize]byte) bool { return hmac.Equal(a[:], b[:]) }
