package crypto

import "errors"

// Errors of this package; use errors.Is, they come wrapped.
var (
	// ErrAuthentication says that bytes were changed or made with another
	// secret: a tag does not match. Nothing of what was read may be used.
	ErrAuthentication = errors.New("message authentication failed")
	// ErrTrailingData says that a stream went on after its tag.
	ErrTrailingData = errors.New("data after the authentication tag")
	// ErrTooLong says that a stream would be longer than [MaxPlaintext].
	ErrTooLong = errors.New("more than 2^32-2 blocks under one secret")
	// ErrClosed says that an Encrypter or Decrypter was used after Close.
	ErrClosed = errors.New("cipher stream is closed")
	// ErrWiped says that a Secret was used after Wipe.
	ErrWiped = errors.New("transport secret was wiped")
	// ErrReused says that a Secret was given to a second Encrypter, which would
	// encrypt two streams with one key and IV.
	ErrReused = errors.New("transport secret has encrypted a stream already")
	// ErrUnknownSuite says that a cipher suite is none of ours.
	ErrUnknownSuite = errors.New("unknown cipher suite")
	// ErrSecretFormat says that a key, an IV or a serialised secret has not the
	// length that its suite asks for.
	ErrSecretFormat = errors.New("malformed transport secret")
)
