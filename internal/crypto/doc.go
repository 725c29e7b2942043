// Package crypto is the cryptography of one file transfer: the transport
// secret that Jingle Encrypted Transports (XEP-0391) hands over, the streaming
// AES-GCM that the file travels in, and the small sealed elements of the
// jetsend:1 profile. It knows nothing of XMPP, and everything in it stands on
// Go's standard library alone.
//
// # The stream
//
// One transfer is one AES-GCM message with empty associated data (NIST SP
// 800-38D): the ciphertext, as long as the plaintext, and then the 16-byte
// tag. [Encrypter] writes it and [Decrypter] reads it, in constant memory and
// without allocating per call. Because the tag comes last, everything that a
// Decrypter returns before [io.EOF] is unverified: see its documentation.
//
// # How one-shot GCM becomes a stream
//
// crypto/cipher offers GCM only in one shot, so it is put together here from
// two of its parts, both of which use the processor's instructions:
//
//   - the keystream is [cipher.NewCTR] from inc32(J0), started anew when the
//     32-bit counter wraps, because CTR would carry into the upper 96 bits
//     (file stream.go);
//   - GHASH of a run of ciphertext is the tag of an empty message with that
//     run as associated data, and the runs are joined in GF(2^128) (files
//     ghash.go and field.go).
//
// # What this package cannot do
//
// Wiping is best effort. [Secret.Wipe] zeroes our copy of the key; the key
// schedules inside crypto/aes and copies that the garbage collector or the
// kernel made are out of reach.
package crypto
