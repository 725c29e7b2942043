package set

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"slices"
)

// Sum is the SHA-256 of a file of a set, as far as it goes: of its bytes, and of one that is
// sparse, of each extent, with its offset and its whole length before it, as 8 bytes, big
// endian, each.
type Sum struct {
	hash.Hash
	sparse bool
}

// NewSum is that of no bytes.
func NewSum(sparse bool) *Sum { return &Sum{sha256.New(), sparse} }

// Extent begins an extent. Of a file that is not sparse, it adds nothing.
func (s *Sum) Extent(e Extent) {
	if s.sparse {
		_, _ = s.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(e.Offset)), uint64(e.Length)))
	}
}

// Read adds what r has of the extents before the byte end.
func (s *Sum) Read(r io.ReaderAt, extents []Extent, end int64) error {
	for _, e := range extents {
		if e.Offset >= end {
			break
		}
		s.Extent(e)
		length := min(e.Length, end-e.Offset)
		n, err := io.Copy(s, io.NewSectionReader(r, e.Offset, length))
		if err == nil && n != length {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ExtentsOf are the extents of a file: one, of all of it, when it is not sparse.
func ExtentsOf(e *Entry, x []Extent) []Extent {
	switch {
	case e.Extents >= 0:
		return x
	case e.Size == 0:
		return nil
	}
	return []Extent{{0, e.Size}}
}

// outgoing is a file on its way out.
type outgoing struct {
	asked
	Content
	left  []Extent // what has not been sent; the first may have begun
	begun bool     // it has
	sum   *Sum     // of all before left; nil where nobody wants it
	buf   []byte
}

// newOutgoing begins behind what the other end has, if that is how the file begins; else at
// its beginning.
func newOutgoing(c Content, a asked, buf []byte) (*outgoing, error) {
	e := &a.item.Entry
	f := &outgoing{asked: a, Content: c, left: slices.Clone(ExtentsOf(e, a.item.Extents)), buf: buf}
	if a.have == 0 {
		return f, nil
	}
	sum := NewSum(e.Extents >= 0)
	if err := sum.Read(c, f.left, a.have); err != nil {
		return f, err
	}
	if !bytes.Equal(sum.Sum(nil), a.sum) {
		return f, nil
	}
	f.sum = sum
	for len(f.left) > 0 && f.left[0].Offset+f.left[0].Length <= a.have {
		f.left = f.left[1:]
	}
	if len(f.left) > 0 && f.left[0].Offset < a.have {
		first := f.left[0]
		f.left[0], f.begun = Extent{a.have, first.Length - (a.have - first.Offset)}, true
	}
	return f, nil
}

// next reads the next message about the file: a [Data], which is valid until the next
// one, or the [End].
func (f *outgoing) next() (Message, error) {
	if len(f.left) == 0 {
		if err := f.Unchanged(); err != nil {
			return nil, err
		}
		end := End{Number: f.number}
		if f.sum != nil {
			end.SHA256 = f.sum.Hash.Sum(nil)
		}
		return end, nil
	}
	first := f.left[0]
	b := f.buf[:min(int64(len(f.buf)), first.Length)]
	if n, err := f.ReadAt(b, first.Offset); n < len(b) {
		if err == nil || err == io.EOF { //nolint:errorlint // as io.ReaderAt has it
			err = io.ErrUnexpectedEOF
		}
		return nil, f.reason(err)
	}
	if f.sum != nil {
		if !f.begun {
			f.sum.Extent(first)
		}
		_, _ = f.sum.Write(b)
	}
	f.begun = true
	if n := int64(len(b)); n < first.Length {
		f.left[0] = Extent{first.Offset + n, first.Length - n}
	} else {
		f.left, f.begun = f.left[1:], false
	}
	return Data{f.number, first.Offset, b}, nil
}

// reason prefers, as why a file cannot be read, that it is not what was listed.
func (f *outgoing) reason(err error) error {
	if changed := f.Unchanged(); changed != nil {
		return changed
	}
	return err
}
