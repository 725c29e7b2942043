package profile

import "jetsend/internal/jingle"

// Span is the part of a file that one session carries, under a secret of its own.
type Span struct {
	Offset, Length int64 // bytes
	Size           int64 // of the whole file
}

// Whole is the span of all of a file.
func Whole(size int64) Span { return Span{Length: size, Size: size} }

// Rest is the span from offset on, of at most limit bytes, and of at most allowed when
// that is not negative.
func Rest(offset, size, limit, allowed int64) Span {
	length := min(size-offset, limit)
	if allowed >= 0 {
		length = min(length, allowed)
	}
	return Span{offset, length, size}
}

// End is the offset of the first byte behind the span.
func (s Span) End() int64 { return s.Offset + s.Length }

// Last reports whether the file is complete behind the span.
func (s Span) Last() bool { return s.End() == s.Size }

// Whole reports whether the span is the file, so that its tag authenticates all.
func (s Span) Whole() bool { return s.Offset == 0 && s.Last() }

// Valid reports whether the span lies in the file and is no more than limit bytes. A span
// of no bytes is one behind the last byte alone.
func (s Span) Valid(limit int64) bool {
	return s.Offset >= 0 && s.Offset <= s.Size && s.Length >= 0 && s.Length <= s.Size-s.Offset && s.Length <= limit &&
		(s.Length > 0 || s.Offset == s.Size)
}

// Range is the span as the <range/> of XEP-0234. A file that is carried to its end has no
// length there.
func (s Span) Range() *jingle.Range {
	r := &jingle.Range{Offset: s.Offset, Length: -1}
	if !s.Last() {
		r.Length = s.Length
	}
	return r
}

// Allowed is how many bytes the range of an offer allows in one session, or -1.
func Allowed(c jingle.Content) int64 {
	f, err := jingle.ParseDescription(c.Description)
	if err != nil || f.Range == nil {
		return -1
	}
	return f.Range.Length
}
