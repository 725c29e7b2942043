package transfer

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
)

// digest is the SHA-256 of a file from its first byte to as far as somebody has
// come, whoever moved the bytes: it is fed by a stream or reads by itself.
type digest struct {
	h   hash.Hash
	pos int64
	pay payment // is called before a chunk is read; nil: nobody is charged
}

// Write hashes the bytes that follow.
func (d *digest) Write(b []byte) (int, error) {
	if d.h == nil {
		d.h = sha256.New()
	}
	n, err := d.h.Write(b)
	d.pos += int64(n)
	return n, err
}

// clone returns a digest that goes on by itself.
func (d *digest) clone() digest {
	c := digest{pos: d.pos}
	if h, ok := d.h.(hash.Cloner); ok {
		if h, err := h.Clone(); err == nil {
			c.h = h
			return c
		}
	}
	return digest{}
}

// reset forgets everything.
func (d *digest) reset() { d.h, d.pos = nil, 0 }

// advance brings the digest to the position to, reading what is missing from r.
// A digest that is further already begins anew.
func (d *digest) advance(ctx context.Context, r io.ReaderAt, to int64) error {
	if d.pos > to {
		d.reset()
	}
	buf := make([]byte, min(chunk, to-d.pos))
	for d.pos < to {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if d.pay != nil {
			if err := d.pay(ctx, 1); err != nil {
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

// sum is the SHA-256 of what was hashed so far.
func (d *digest) sum() []byte {
	if d.h == nil {
		d.h = sha256.New()
	}
	return d.h.Sum(nil)
}
