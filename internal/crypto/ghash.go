package crypto

import (
	"crypto/cipher"
	"fmt"
)

// runSize is how many bytes go through GHASH at a time, a whole number of
// blocks. A run costs one multiplication in pure Go, a fraction of a microsecond,
// which must vanish beside the work on its bytes; and what was just encrypted
// should still be in a second-level cache (256 KiB and more) when it is hashed.
const runSize = 64 << 10

// ghash computes GHASH (SP 800-38D, algorithm 2) of a stream of any length with
// empty associated data.
//
// Let S be the GHASH state after some whole blocks, H the hash key. For a run R
// of n blocks (the last one padded with zeros) the one-shot GCM of the standard
// library gives, as tag of the empty message with R as associated data and a
// nonce of zeros,
//
//	T = E ⊕ (P ⊕ L)·H
//
// where P is the state after R when it starts from zero, L the block of both
// lengths, and E the encryption of the nonce's J0. The state after R when it
// starts from S is S·H^n ⊕ P. Keeping Q = S·H instead of S spares the division
// by H:
//
//	Q' = Q·H^n ⊕ P·H = Q·H^n ⊕ T ⊕ E ⊕ L·H
//
// E ⊕ L·H is the same for all runs of one length. The result over a stream is
// (S ⊕ L)·H = Q ⊕ L·H, with the L of the whole stream.
//
// The tags of the runs never leave this type: with a fixed nonce they would
// give H away.
type ghash struct {
	aead    cipher.AEAD
	nonce   [shortIV]byte // zeros
	tag     []byte        // room for one tag, so that Seal allocates none
	pending []byte        // less than a run, not hashed yet; capacity runSize

	h      element
	mask   element    // E
	whole  element    // E ⊕ L·H of a run of runSize bytes
	power  multiplier // by H^n for a run of runSize bytes
	q      element    // Q
	length uint64     // bytes hashed or pending
}

// init prepares g for a stream under the key of block.
func (g *ghash) init(block cipher.Block) error {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return fmt.Errorf("prepare GCM: %w", err)
	}
	g.aead = aead
	g.tag = make([]byte, 0, aead.Overhead())
	g.pending = make([]byte, 0, runSize)

	var b [blockSize]byte
	block.Encrypt(b[:], b[:])
	g.h = load(b[:])
	clear(b[:])
	b[blockSize-1] = 1 // J0 of a 12-byte nonce of zeros
	block.Encrypt(b[:], b[:])
	g.mask = load(b[:])
	clear(b[:])

	g.whole = g.mask.add(lengths(runSize, 0).mul(g.h))
	g.power.set(g.h.pow(runSize / blockSize))
	return nil
}

// lengths is GHASH's last block: both lengths, given in bytes, in bits.
func lengths(additional, ciphertext uint64) element {
	return element{additional * 8, ciphertext * 8}
}

// longJ0 is the first counter block for an IV of 16 bytes: GHASH of the IV and,
// where associated data and ciphertext have their lengths, of the IV's length
// (SP 800-38D, section 7.1, step 2). It does not touch the stream's state.
func (g *ghash) longJ0(iv []byte) element {
	return load(iv).mul(g.h).add(lengths(0, longIV)).mul(g.h)
}

// update adds ciphertext to the stream. It keeps no reference to p.
func (g *ghash) update(p []byte) {
	g.length += uint64(len(p))
	if len(g.pending) > 0 {
		n := min(runSize-len(g.pending), len(p))
		g.pending = append(g.pending, p[:n]...)
		p = p[n:]
		if len(g.pending) < runSize {
			return
		}
		g.run(g.pending)
		g.pending = g.pending[:0]
	}
	for len(p) >= runSize {
		g.run(p[:runSize])
		p = p[runSize:]
	}
	g.pending = append(g.pending, p...)
}

// run hashes a run of runSize bytes.
func (g *ghash) run(p []byte) {
	g.q = g.power.mul(g.q).add(g.oneShot(p)).add(g.whole)
}

// oneShot is T of the type's comment.
func (g *ghash) oneShot(run []byte) element {
	return load(g.aead.Seal(g.tag, g.nonce[:], nil, run))
}

// sum ends the stream and gives GHASH of all of it.
func (g *ghash) sum() element {
	if n := uint64(len(g.pending)); n > 0 {
		blocks := (n + blockSize - 1) / blockSize
		fixed := g.mask.add(lengths(n, 0).mul(g.h))
		g.q = g.q.mul(g.h.pow(blocks)).add(g.oneShot(g.pending)).add(fixed)
		g.pending = g.pending[:0]
	}
	return g.q.add(lengths(0, g.length).mul(g.h))
}

// wipe zeroes everything of g that it can reach.
func (g *ghash) wipe() {
	clear(g.tag[:cap(g.tag)])
	clear(g.pending[:cap(g.pending)])
	*g = ghash{}
}
