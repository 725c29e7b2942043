package omemo

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"

	"jetsend/internal/xmltree"
)

const (
	// payloadKeySize and tagSize: a payload is encrypted with AES-128-GCM, and
	// its tag travels behind the key (XEP-0384 0.3.0 section 4.4).
	payloadKeySize = 16
	tagSize        = 16
	// ivSize is the length of the IV that we write; longIVSize is the other one
	// that is read: Conversations before 2.6.4 wrote it.
	ivSize     = 12
	longIVSize = 16
)

// header is what concerns us of an <encrypted/> element that was received.
type header struct {
	device     uint32 // the sender's
	keys       []wrappedKey
	iv         []byte // 12 or 16 bytes
	payload    []byte // without the tag
	hasPayload bool
}

// wrappedKey is one <key/>: a ratchet message.
type wrappedKey struct {
	rid    uint32
	prekey bool
	data   []byte
}

// parseEnvelope reads an <encrypted/> element. Of the keys only those for the
// device us are read, as many as are worth trying; those that are no base64
// are passed over. Errors are ErrEnvelope and ErrNotForUs.
func parseEnvelope(e *xmltree.Element, us uint32) (*header, error) {
	head := e.Child(NS, "header")
	if !e.Is(NS, "encrypted") || head == nil {
		return nil, fmt.Errorf("%w: no header", ErrEnvelope)
	}
	h := new(header)
	var err error
	if h.device, err = parseID(head.Attr("sid"), 1); err != nil {
		return nil, fmt.Errorf("%w: sid: %w", ErrEnvelope, err)
	}
	iv := head.Child(NS, "iv")
	if iv == nil {
		return nil, fmt.Errorf("%w: no iv", ErrEnvelope)
	}
	if h.iv, err = decodeBase64(iv.Text, longIVSize); err != nil {
		return nil, fmt.Errorf("%w: iv: %w", ErrEnvelope, err)
	}
	if len(h.iv) != ivSize && len(h.iv) != longIVSize {
		return nil, fmt.Errorf("%w: iv of %d bytes", ErrEnvelope, len(h.iv))
	}
	if payload := e.Child(NS, "payload"); payload != nil {
		h.hasPayload = true
		if h.payload, err = decodeBase64(payload.Text, maxPayloadBytes); err != nil {
			return nil, fmt.Errorf("%w: payload: %w", ErrEnvelope, err)
		}
	}
	h.keys, err = parseKeys(head, us)
	return h, err
}

// parseKeys reads the keys for the device us.
func parseKeys(head *xmltree.Element, us uint32) ([]wrappedKey, error) {
	all := head.All(NS, "key")
	if len(all) > maxHeaderKeys {
		return nil, fmt.Errorf("%w: %d keys", ErrEnvelope, len(all))
	}
	var keys []wrappedKey
	addressed := false
	for _, k := range all {
		rid, err := parseID(k.Attr("rid"), 1)
		if err != nil || rid != us {
			continue
		}
		addressed = true
		data, err := decodeBase64(k.Text, maxKeyBytes)
		if err != nil || len(keys) == maxOwnKeys {
			continue
		}
		// Written as 'true' by all, read as 'true' or '1' by all but Libervia.
		prekey := k.Attr("prekey")
		keys = append(keys, wrappedKey{rid, prekey == "true" || prekey == "1", data})
	}
	switch {
	case !addressed:
		return nil, ErrNotForUs
	case len(keys) == 0:
		return nil, fmt.Errorf("%w: bad key", ErrEnvelope)
	}
	return keys, nil
}

// envelopeElement writes an <encrypted/> element. A nil payload means none.
func envelopeElement(from uint32, keys []wrappedKey, iv, payload []byte) *xmltree.Element {
	head := xmltree.New(NS, "header").Set("sid", formatID(from))
	for _, k := range keys {
		e := keyElement("key", k.data).Set("rid", formatID(k.rid))
		if k.prekey { // Libervia takes any text for true
			e.Set("prekey", "true")
		}
		head.Add(e)
	}
	head.Add(keyElement("iv", iv))
	e := xmltree.New(NS, "encrypted", head)
	if payload != nil {
		e.Add(keyElement("payload", payload))
	}
	return e
}

// sealPayload encrypts a payload with a fresh key. wrapped is what goes into
// the keys: the key and the tag.
func sealPayload(plain []byte) (wrapped, iv, payload []byte, err error) {
	random := make([]byte, payloadKeySize+ivSize)
	if _, err := io.ReadFull(rand.Reader, random); err != nil {
		return nil, nil, nil, err
	}
	key, iv := random[:payloadKeySize], random[payloadKeySize:]
	aead, err := payloadCipher(key, len(iv))
	if err != nil {
		return nil, nil, nil, err
	}
	sealed := aead.Seal(nil, iv, plain, nil)
	cut := len(sealed) - tagSize
	wrapped = append(append(make([]byte, 0, payloadKeySize+tagSize), key...), sealed[cut:]...)
	return wrapped, iv, sealed[:cut:cut], nil
}

// openPayload verifies and decrypts a payload with what was in our key: 16
// bytes of key and 16 of tag, no more and no less.
func openPayload(wrapped, iv, payload []byte) ([]byte, error) {
	if len(wrapped) != payloadKeySize+tagSize {
		return nil, fmt.Errorf("%w: %d bytes of key for a payload", ErrEnvelope, len(wrapped))
	}
	aead, err := payloadCipher(wrapped[:payloadKeySize], len(iv))
	if err != nil {
		return nil, err
	}
	sealed := append(append(make([]byte, 0, len(payload)+tagSize), payload...), wrapped[payloadKeySize:]...)
	plain, err := aead.Open(sealed[:0], iv, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: payload does not verify", ErrEnvelope)
	}
	return plain, nil
}

func payloadCipher(key []byte, nonce int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithNonceSize(block, nonce)
}
