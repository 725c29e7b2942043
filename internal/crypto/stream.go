package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

const (
	// TagSize is the length of the authentication tag at the end of a stream,
	// in bytes (XEP-0391 and SP 800-38D, section 5.2.1.2).
	TagSize = 16
	// MaxPlaintext is the most that one secret may encrypt, in bytes: 2^32-2
	// blocks, 64 GiB - 32 B (SP 800-38D, section 5.2.1.1). The counter would
	// come back to a value that it has had.
	MaxPlaintext = (1<<32 - 2) * blockSize
)

// stream is the cipher under [Encrypter] and [Decrypter]: GCM of one message
// with empty associated data, taken in pieces of any size.
type stream struct {
	block     cipher.Block
	j0        [blockSize]byte // pre-counter block: masks the tag
	counter   [blockSize]byte // where keystream began
	keystream cipher.Stream
	untilWrap uint64 // bytes of keystream left until the 32-bit counter wraps
	left      uint64 // bytes that may still be processed, from MaxPlaintext
	hash      ghash
}

// newStream starts a stream. The lengths of key and iv have been checked.
func newStream(key, iv []byte) (*stream, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("prepare AES: %w", err)
	}
	s := &stream{block: block, left: MaxPlaintext}
	if err := s.hash.init(block); err != nil {
		return nil, err
	}
	// SP 800-38D, section 7.1, step 2: J0.
	if len(iv) == shortIV {
		copy(s.j0[:], iv)
		s.j0[blockSize-1] = 1
	} else {
		s.hash.longJ0(iv).store(s.j0[:])
	}
	s.counter = s.j0
	s.startAt(binary.BigEndian.Uint32(s.j0[shortIV:]) + 1) // inc32 wraps by itself
	return s, nil
}

// startAt begins the keystream at the counter block whose upper 96 bits are
// those of J0 and whose lower 32 are low. GCM counts in these 32 bits only
// (inc32: SP 800-38D, section 6.2) while CTR counts in all 128, so the one
// stands in for the other just until low wraps.
func (s *stream) startAt(low uint32) {
	binary.BigEndian.PutUint32(s.counter[shortIV:], low)
	s.keystream = cipher.NewCTR(s.block, s.counter[:])
	s.untilWrap = (1<<32 - uint64(low)) * blockSize
}

// fits says whether n more bytes are within the limit.
func (s *stream) fits(n int) bool { return uint64(n) <= s.left }

// encrypt writes the ciphertext of src to dst. They have the same length, which
// fits, and do not overlap.
func (s *stream) encrypt(dst, src []byte) {
	for len(src) > 0 {
		n := min(runSize, len(src))
		s.xor(dst[:n], src[:n])
		s.hash.update(dst[:n])
		dst, src = dst[n:], src[n:]
	}
}

// decrypt turns the ciphertext in p into plaintext. Its length fits.
func (s *stream) decrypt(p []byte) {
	for len(p) > 0 {
		n := min(runSize, len(p))
		s.hash.update(p[:n])
		s.xor(p[:n], p[:n])
		p = p[n:]
	}
}

// xor applies the next keystream bytes to src.
func (s *stream) xor(dst, src []byte) {
	s.left -= uint64(len(src))
	for len(src) > 0 {
		n := min(uint64(len(src)), s.untilWrap)
		s.keystream.XORKeyStream(dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
		if s.untilWrap -= n; s.untilWrap == 0 {
			s.startAt(0) // once per stream at most: the limit is below 2^32 blocks
		}
	}
}

// sum ends the stream and gives its tag.
func (s *stream) sum() [TagSize]byte {
	var tag [TagSize]byte
	s.block.Encrypt(tag[:], s.j0[:])
	s.hash.sum().add(load(tag[:])).store(tag[:])
	return tag
}

// wipe zeroes everything of s that it can reach. The key schedules belong to
// crypto/aes; it drops them.
func (s *stream) wipe() {
	s.hash.wipe()
	*s = stream{}
}
