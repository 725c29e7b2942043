package omemo

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/util/optional"

	"jetsend/internal/xmltree"
)

// bundle is what a device publishes for others to start sessions with it
// (XEP-0384 0.3.0 section 4.3). Public keys are 33 bytes each.
type bundle struct {
	identityKey []byte
	signedID    uint32
	signedKey   []byte
	signature   []byte // 64 bytes, of signedKey by identityKey
	prekeys     []prekeyPublic
}

// prekeyPublic is the public half of a one-time prekey.
type prekeyPublic struct {
	id  uint32
	key []byte
}

// element returns the bundle as XML, its children in the order of the schema:
// Libervia checks that.
func (b *bundle) element() *xmltree.Element {
	prekeys := xmltree.New(NS, "prekeys")
	for _, k := range b.prekeys {
		prekeys.Add(keyElement("preKeyPublic", k.key).Set("preKeyId", formatID(k.id)))
	}
	return xmltree.New(NS, "bundle",
		keyElement("signedPreKeyPublic", b.signedKey).Set("signedPreKeyId", formatID(b.signedID)),
		keyElement("signedPreKeySignature", b.signature),
		keyElement("identityKey", b.identityKey),
		prekeys)
}

// equal reports whether two bundles publish the same keys.
func (b *bundle) equal(o *bundle) bool {
	if !bytes.Equal(b.identityKey, o.identityKey) || b.signedID != o.signedID ||
		!bytes.Equal(b.signedKey, o.signedKey) || !bytes.Equal(b.signature, o.signature) || len(b.prekeys) != len(o.prekeys) {
		return false
	}
	keys := make(map[uint32][]byte, len(b.prekeys))
	for _, k := range b.prekeys {
		keys[k.id] = k.key
	}
	for _, k := range o.prekeys {
		if !bytes.Equal(keys[k.id], k.key) {
			return false
		}
	}
	return true
}

// parseBundle reads a bundle and verifies its signature. Everything must be
// there and well formed; prekeys with the id 0, which libsignal cannot use, are
// left out, and so are those beyond maxBundlePrekeys. Errors are ErrBundle.
func parseBundle(e *xmltree.Element) (*bundle, error) {
	b, err := readBundle(e)
	if err == nil {
		err = b.verify()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return b, nil
}

func readBundle(e *xmltree.Element) (*bundle, error) {
	if !e.Is(NS, "bundle") {
		return nil, errors.New("no bundle element")
	}
	signed, signature, identityKey := e.Child(NS, "signedPreKeyPublic"), e.Child(NS, "signedPreKeySignature"), e.Child(NS, "identityKey")
	if signed == nil || signature == nil || identityKey == nil {
		return nil, errors.New("incomplete bundle")
	}
	b := new(bundle)
	var err error
	if b.signedID, err = parseID(signed.Attr("signedPreKeyId"), 0); err != nil {
		return nil, fmt.Errorf("signed prekey: %w", err)
	}
	if b.signedKey, err = parsePublic(signed.Text); err != nil {
		return nil, fmt.Errorf("signed prekey: %w", err)
	}
	if b.identityKey, err = parsePublic(identityKey.Text); err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	if b.signature, err = decodeBase64(signature.Text, signatureSize); err != nil || len(b.signature) != signatureSize {
		return nil, fmt.Errorf("signature of %d bytes", len(b.signature))
	}
	b.prekeys, err = readPrekeys(e.Child(NS, "prekeys"))
	return b, err
}

// readPrekeys reads the first prekeys of a bundle, without one whose id is 0.
func readPrekeys(e *xmltree.Element) (prekeys []prekeyPublic, err error) {
	for _, k := range e.All(NS, "preKeyPublic") {
		if len(prekeys) == maxBundlePrekeys {
			break
		}
		id, err := parseID(k.Attr("preKeyId"), 0)
		if err != nil {
			return nil, fmt.Errorf("prekey: %w", err)
		}
		key, err := parsePublic(k.Text)
		if err != nil {
			return nil, fmt.Errorf("prekey %d: %w", id, err)
		}
		if id != 0 {
			prekeys = append(prekeys, prekeyPublic{id, key})
		}
	}
	return prekeys, nil
}

// verify checks the points and the signature.
func (b *bundle) verify() error {
	if lowOrder(b.identityKey) || lowOrder(b.signedKey) {
		return errors.New("key is a point of low order")
	}
	ok := false
	err := guard(func() error {
		ok = ecc.VerifySignature(point(b.identityKey), b.signedKey, [signatureSize]byte(b.signature))
		return nil
	})
	if err == nil && !ok {
		err = errors.New("wrong signature")
	}
	return err
}

// drawn is a number below n at random.
func drawn(n int) (int, error) {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0, err
	}
	return int(i.Int64()), nil
}

// startable returns an error when no session may be started from the bundle. One
// without one-time prekeys still says which key the device has. But nobody signs
// their list, so a server can take them out; and a message that begins a session
// without one opens again whenever the receiver has lost the session.
func (b *bundle) startable() error {
	if len(b.prekeys) == 0 {
		return ErrNoPrekeys
	}
	return nil
}

// signal returns the bundle as libsignal wants it, with a one-time prekey that is
// drawn, at random so that two senders seldom take the same.
func (b *bundle) signal(device uint32, draw func(n int) (int, error)) (*prekey.Bundle, error) {
	if err := b.startable(); err != nil {
		return nil, err
	}
	i, err := draw(len(b.prekeys))
	if err != nil {
		return nil, err
	}
	k := b.prekeys[i]
	if lowOrder(k.key) {
		return nil, fmt.Errorf("%w: prekey %d is a point of low order", ErrBundle, k.id)
	}
	// OMEMO has no registration ids: the device id stands in for it.
	return prekey.NewBundle(device, device, optional.NewOptionalUint32(k.id), b.signedID, point(k.key), point(b.signedKey),
		[signatureSize]byte(b.signature), identity.NewKey(point(b.identityKey))), nil
}

// keyElement returns an element with base64 text.
func keyElement(name string, key []byte) *xmltree.Element {
	return xmltree.New(NS, name).SetText(base64.StdEncoding.EncodeToString(key))
}

// formatID writes a device or prekey id.
func formatID(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// parseID reads a device or prekey id: decimal digits, from least up to 2^31-1.
func parseID(s string, least uint32) (uint32, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || uint32(n) < least {
		return 0, errors.New("bad id")
	}
	return uint32(n), nil
}

// parsePublic reads a public key as base64.
func parsePublic(s string) ([]byte, error) {
	b, err := decodeBase64(s, publicKeySize)
	if err != nil {
		return nil, err
	}
	return b, checkPublic(b)
}

// decodeBase64 reads base64 that may be broken into lines, of at most limit
// bytes decoded.
func decodeBase64(s string, limit int) ([]byte, error) {
	s = strings.Join(strings.Fields(s), "")
	if len(s) > base64.StdEncoding.EncodedLen(limit) {
		return nil, errors.New("base64 too long")
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("bad base64")
	}
	if len(b) > limit {
		return nil, errors.New("base64 too long")
	}
	return b, nil
}
