// Package fields writes and reads the members of a line of a file of ours, one behind the
// other: numbers as those of encoding/binary, texts behind their lengths.
package fields

import (
	"encoding/binary"
	"math"
	"time"
)

// AppendText appends a text.
func AppendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendTime appends a time: its seconds, signed, and its nanoseconds.
func AppendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

// Reader takes a line apart. Behind its end, and behind what is none of these, it gives
// zeros.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader reads b, which is not changed meanwhile.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Whole reports whether the line was what was asked of it, with nothing behind that.
func (r *Reader) Whole() bool { return !r.bad && len(r.b) == 0 }

// Left is how many bytes there still are.
func (r *Reader) Left() int { return len(r.b) }

// Fail says that what was read cannot be.
func (r *Reader) Fail() { r.b, r.bad = nil, true }

// Number reads a number.
func (r *Reader) Number() uint64 {
	v, n := binary.Uvarint(r.b)
	r.pass(n)
	return v
}

// Signed reads a number with a sign.
func (r *Reader) Signed() int64 {
	v, n := binary.Varint(r.b)
	r.pass(n)
	return v
}

// pass goes on behind n bytes; fewer than one say that there is no number, which is 0 then.
func (r *Reader) pass(n int) {
	if n <= 0 {
		r.Fail()
		return
	}
	r.b = r.b[n:]
}

// Text reads a text.
func (r *Reader) Text() string {
	n := r.Number()
	if n > uint64(len(r.b)) {
		r.Fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// Size reads a number of bytes.
func (r *Reader) Size() int64 { return int64(min(r.Number(), math.MaxInt64)) }

// Time reads a time, which is in UTC.
func (r *Reader) Time() time.Time {
	seconds := r.Signed()
	return time.Unix(seconds, int64(r.Number()%uint64(time.Second))).UTC()
}
