package crypto

import "encoding/binary"

// blockSize is the size of an AES block and of a GHASH block, in bytes.
const blockSize = 16

// element is an element of GF(2^128) as GCM writes it (SP 800-38D, section
// 6.3): the first bit of the block, the highest of hi, is the coefficient of
// x^0, and the field polynomial is 1 + x + x^2 + x^7 + x^128.
//
// All arithmetic here is constant time: no branch and no index depends on the
// value of an element.
type element struct{ hi, lo uint64 }

// reduction is x^128 in the field, as the upper half of an element.
const reduction = 0xe1 << 56

// one is the neutral element of multiplication.
func one() element { return element{hi: 1 << 63} }

// load reads an element from the first 16 bytes of b.
func load(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:blockSize])}
}

// store writes x to the first 16 bytes of b.
func (x element) store(b []byte) {
	binary.BigEndian.PutUint64(b, x.hi)
	binary.BigEndian.PutUint64(b[8:blockSize], x.lo)
}

// add is the sum, which is also the difference, of x and y.
func (x element) add(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

// timesX is x multiplied by the polynomial "x".
func (x element) timesX() element {
	carry := -(x.lo & 1)
	return element{x.hi>>1 ^ carry&reduction, x.lo>>1 | x.hi<<63}
}

// mul is the product of x and y: SP 800-38D, algorithm 1, without branches.
func (x element) mul(y element) element {
	var z element
	for range 64 {
		m := -(x.hi >> 63)
		z.hi ^= y.hi & m
		z.lo ^= y.lo & m
		x.hi <<= 1 //nolint:staticcheck // read in the next round
		y = y.timesX()
	}
	for range 64 {
		m := -(x.lo >> 63)
		z.hi ^= y.hi & m
		z.lo ^= y.lo & m
		x.lo <<= 1 //nolint:staticcheck // read in the next round
		y = y.timesX()
	}
	return z
}

// pow is x to the power of n. Its time depends on n, which is a length and no
// secret.
func (x element) pow(n uint64) element {
	r := one()
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r = r.mul(x)
		}
		x = x.mul(x)
	}
	return r
}

// multiplier multiplies by one fixed element y about twice as fast as
// [element.mul]: it holds y·x^i at i, so that no product waits for the one
// before it. All of it is read whatever the other factor is.
type multiplier [8 * blockSize]element

// set makes m multiply by y.
func (m *multiplier) set(y element) {
	for i := range m {
		m[i] = y
		y = y.timesX()
	}
}

// mul is the product of x and the element that m was set to.
func (m *multiplier) mul(x element) element {
	var z element
	for i := range 64 {
		a, b := -(x.hi >> 63), -(x.lo >> 63)
		u, v := &m[i], &m[i+64]
		z.hi ^= u.hi&a ^ v.hi&b
		z.lo ^= u.lo&a ^ v.lo&b
		x.hi <<= 1
		x.lo <<= 1
	}
	return z
}
