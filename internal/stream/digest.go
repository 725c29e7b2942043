package stream

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
)

// Digest is the SHA-256 of a file from its first byte to as far as somebody has
// come, whoever moved the bytes: it is fed by a stream or reads by itself. The zero
// value is at the first byte.
type Digest struct {
	h   hash.Hash
	pos int64
	// Pay is called before so many chunks are read; nil: nobody is charged.
	Pay func(ctx context.Context, chunks int) error
}

// Write hashes the bytes that follow; it does not fail.
func (d *Digest) Write(b []byte) (int, error) {
	if d.h == nil {
		d.h = sha256.New()
	}
	n, err := d.h.Write(b)
	d.pos += int64(n)
	return n, err
}

// Clone returns a digest that goes on by itself.
func (d *Digest) Clone() Digest {
	c := Digest{pos: d.pos}
	if h, ok := d.h.(hash.Cloner); ok {
		if h, err := h.Clone(); err == nil {
			c.h = h
			return c
		}
	}
	return Digest{}
}

// Reset forgets everything.
func (d *Digest) Reset() { d.h, d.pos = nil, 0 }

// Advance brings the digest to the position to, reading what is missing from r.
// A digest that is further already begins anew.
func (d *Digest) Advance(ctx context.Context, r io.ReaderAt, to int64) error {
	if d.pos > to {
		d.Reset()
	}
	buf := make([]byte, min(Chunk, to-d.pos))
	for d.pos < to {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if d.Pay != nil {
			if err := d.Pay(ctx, 1); err != nil {
				return err
			}
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), to-d.pos)], d.pos)
		_, _ = d.Write(buf[:n]) // a hash does not fail
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Sum is the SHA-256 of what was hashed so far.
func (d *Digest) Sum() []byte {
	if d.h == nil {
		d.h = sha256.New()
	}
	return d.h.Sum(nil)
}

// Len returns how many bytes were hashed.
func (d *Digest) Len() int64 { return d.pos }

// Of returns the SHA-256 of a file of that size, or nil when not all of it, or
// nothing, was hashed.
func (d *Digest) Of(size int64) []byte {
	if d.h == nil || d.pos != size {
		return nil
	}
	return d.h.Sum(nil)
}
