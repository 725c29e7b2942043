package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
)

// The profile's name, first in the associated data of every sealed element.
const sealedProfile = "jetsend:1"

// sealedKeySize is the length of the derived key, in bytes: AES-256 whatever
// the suite of the secret.
const sealedKeySize = 32

// Context is what a sealed element belongs to. All of it is authenticated with
// the element, so that an element of another session, content, direction or
// device does not open. An empty field binds nothing: fill in all of them.
type Context struct {
	SID     string // of the Jingle session
	Content string // name of the content
	Senders string // of the content, such as "initiator"
	Cipher  string // URN of the <security/> element as the stanza has it
	// Initiator and Responder are the session's full JIDs, normalised.
	Initiator string
	Responder string
	// Device is the OMEMO device that wrapped the secret.
	Device uint32
}

// Seal encrypts an element of the jetsend:1 profile under a key of its own that
// is derived from the secret. The result is a random 12-byte nonce, the
// ciphertext and the 16-byte tag of AES-256-GCM. kind is the element's kind,
// such as "accept"; what was sealed as one kind does not open as another.
func Seal(s *Secret, kind string, c Context, plaintext []byte) ([]byte, error) {
	aead, err := s.sealer(kind)
	if err != nil {
		return nil, fmt.Errorf("seal %q: %w", kind, err)
	}
	return aead.Seal(nil, nil, plaintext, c.additionalData(kind)), nil
}

// Open gives the plaintext of what [Seal] made with the same secret, kind and
// context. Anything else is [ErrAuthentication].
func Open(s *Secret, kind string, c Context, sealed []byte) ([]byte, error) {
	aead, err := s.sealer(kind)
	if err != nil {
		return nil, fmt.Errorf("open sealed %q: %w", kind, err)
	}
	plaintext, err := aead.Open(nil, nil, sealed, c.additionalData(kind))
	if err != nil { // too short or a wrong tag; the library's text says nothing more
		return nil, fmt.Errorf("open sealed %q: %w", kind, ErrAuthentication)
	}
	return plaintext, nil
}

// sealer is AES-256-GCM under the key for sealed elements of one kind. It puts
// a random nonce before what it seals (96 random bits: SP 800-38D, section
// 8.2.2), which is safe for far more elements than a session has.
func (s *Secret) sealer(kind string) (cipher.AEAD, error) {
	key, err := s.sealedKey(kind)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("prepare AES: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealedKey derives the key for one kind of sealed element: the transport key is
// the input keying material, the IV the salt.
func (s *Secret) sealedKey(kind string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return nil, err
	}
	return derive(s.key, s.iv, "jetsend "+kind+" 1", sealedKeySize)
}

// derive is HKDF-SHA-256, extract and expand (RFC 5869, section 2).
func derive(secret, salt []byte, info string, size int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, info, size)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

// additionalData is the profile, the kind and all fields of the context, each
// preceded by its length as 4 bytes, big endian, so that no two contexts have
// the same.
func (c Context) additionalData(kind string) []byte {
	return prefixed(sealedProfile, kind, c.SID, c.Content, c.Senders, c.Cipher, c.Initiator, c.Responder,
		strconv.FormatUint(uint64(c.Device), 10))
}

// prefixed is all fields, each preceded by its length as 4 bytes, big endian.
func prefixed(fields ...string) (b []byte) {
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}
