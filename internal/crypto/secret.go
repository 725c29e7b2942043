package crypto

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"unicode/utf8"
)

const (
	// shortIV is the IV length that GCM is made for (SP 800-38D, section 8.2),
	// and the only one of the serialised form.
	shortIV = 12
	// longIV is the length that some clients send; it is hashed into J0.
	longIV = 16
)

// Secret is the transport secret (TS) of XEP-0391: the transport key TK and the
// IV that encrypt one stream. One secret encrypts one stream and no more, which
// [NewEncrypter] enforces.
//
// A Secret may be used by several goroutines and must not be copied. Printed
// with fmt it shows its suite and nothing else.
type Secret struct {
	suite Suite

	mu       sync.Mutex // protects what follows
	key      []byte     // nil after Wipe
	iv       []byte
	spent    bool // an Encrypter was made of it
	recorded bool // records were made of it
	// wrote are the directions of records that were made of it, by what their keys come from.
	wrote map[[sha256.Size]byte]bool
}

// NewSecret makes a fresh secret: a random key, and a random 12-byte IV of its
// own. With an unknown suite it gives a secret that every use refuses.
func NewSecret(s Suite) *Secret {
	b := make([]byte, s.KeySize()+shortIV)
	for ok := false; !ok; ok = s.KeySize() == 0 || !isText(b) {
		rand.Read(b) // never fails: it ends the program rather
	}
	return &Secret{suite: s, key: b[:s.KeySize():s.KeySize()], iv: b[s.KeySize():]}
}

// SecretFrom makes a secret of a key and an IV of 12 or 16 bytes, both of which
// it copies. Other lengths are an error that wraps [ErrSecretFormat].
func SecretFrom(s Suite, key, iv []byte) (*Secret, error) {
	if s.KeySize() == 0 {
		return nil, ErrUnknownSuite
	}
	if len(key) != s.KeySize() {
		return nil, fmt.Errorf("%w: %s has a key of %d bytes, not %d", ErrSecretFormat, s.Name(), s.KeySize(), len(key))
	}
	if len(iv) != shortIV && len(iv) != longIV {
		return nil, fmt.Errorf("%w: an IV of %d bytes is neither %d nor %d long", ErrSecretFormat, len(iv), shortIV, longIV)
	}
	return &Secret{suite: s, key: bytes.Clone(key), iv: bytes.Clone(iv)}, nil
}

// ParseSecret reads what [Secret.Serialize] writes: the key and a 12-byte IV
// without anything between or after them, 28 bytes for AES-128 and 44 for
// AES-256 (`128BitKey::96BitIV` and `256BitKey::96BitIV` of the XEP-0391
// draft). Another length is an error that wraps [ErrSecretFormat], and so is what
// somebody can have written: in the draft a secret looks like any other encrypted
// message, so that of a chat message of that length, whose words may be known to
// others, could be made the secret of a file. 28 random bytes are text less than once
// in a thousand million times, and NewSecret makes none that are.
func ParseSecret(s Suite, b []byte) (*Secret, error) {
	n := s.KeySize()
	if n == 0 {
		return nil, ErrUnknownSuite
	}
	if len(b) != n+shortIV {
		return nil, fmt.Errorf("%w: %s serialises to %d bytes, not %d", ErrSecretFormat, s.Name(), n+shortIV, len(b))
	}
	if isText(b) {
		return nil, fmt.Errorf("%w: it is text", ErrSecretFormat)
	}
	return SecretFrom(s, b[:n], b[n:])
}

// isText reports whether b is UTF-8 without control characters but those of layout.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' })
}

// Serialize gives the key and then the IV. It is nil when the secret was wiped
// or has an IV of 16 bytes, for which there is no serialised form. The caller
// wipes what it gets.
func (s *Secret) Serialize() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.check() != nil || len(s.iv) != shortIV {
		return nil
	}
	return append(append(make([]byte, 0, len(s.key)+len(s.iv)), s.key...), s.iv...)
}

// Suite is the suite that the secret is for.
func (s *Secret) Suite() Suite { return s.suite }

// Key is a copy of the transport key, nil after Wipe. The caller wipes it.
func (s *Secret) Key() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.key)
}

// IV is a copy of the IV, nil after Wipe.
func (s *Secret) IV() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.iv)
}

// Wipe zeroes the secret. Every later use of it is [ErrWiped]; streams that
// were made of it before go on. Wipe may be called again.
func (s *Secret) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.key)
	clear(s.iv)
	s.key, s.iv = nil, nil
}

// Format prints the suite, whatever the verb, so that no log or error text can
// come to hold a key. It implements [fmt.Formatter].
func (s *Secret) Format(f fmt.State, _ rune) {
	if s == nil {
		fmt.Fprint(f, "<nil>")
		return
	}
	fmt.Fprintf(f, "crypto.Secret(%s)", s.suite.Name())
}

// check says whether the secret can be used. s.mu is held.
func (s *Secret) check() error {
	if s.suite.KeySize() == 0 {
		return ErrUnknownSuite
	}
	if s.key == nil {
		return ErrWiped
	}
	return nil
}

// stream starts the cipher of this secret; encrypt spends the secret.
func (s *Secret) stream(encrypt bool) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return nil, err
	}
	if encrypt && (s.spent || s.recorded) {
		return nil, ErrReused
	}
	c, err := newStream(s.key, s.iv)
	if err != nil {
		return nil, err
	}
	s.spent = s.spent || encrypt
	return c, nil
}
