package fields

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

func line() []byte {
	b := AppendText(binary.AppendUvarint(nil, 7), "a\x00\xff")
	b = AppendTime(binary.AppendVarint(b, -3), time.Unix(-5, 999_999_999))
	return AppendText(binary.AppendUvarint(b, math.MaxUint64), []byte(nil))
}

func TestFields(t *testing.T) {
	r := NewReader(line())
	if n, s, i, at, size, empty := r.Number(), r.Text(), r.Signed(), r.Time(), r.Size(), r.Text(); n != 7 || s != "a\x00\xff" || i != -3 ||
		!at.Equal(time.Unix(-5, 999_999_999)) || size != math.MaxInt64 || empty != "" || !r.Whole() {
		t.Error(n, s, i, at, size, empty, r.Whole())
	}
	if r.Number() != 0 || r.Text() != "" || r.Whole() {
		t.Error("there is something behind the end")
	}
}

// TestCutLine: a line that is cut off anywhere is none, and one that goes on is none.
func TestCutLine(t *testing.T) {
	read := func(b []byte) *Reader {
		r := NewReader(b)
		r.Number()
		r.Text()
		r.Signed()
		r.Time()
		r.Size()
		r.Text()
		return r
	}
	whole := line()
	for n := range whole {
		if read(whole[:n]).Whole() {
			t.Errorf("%d bytes are a line", n)
		}
	}
	if more := read(append(line(), 1)); more.Whole() || more.Left() != 1 {
		t.Error("one more is nothing")
	}
	if r := NewReader(AppendText(nil, "abc")[:3]); r.Text() != "" || r.Whole() {
		t.Error("a text of which there is less")
	}
}
