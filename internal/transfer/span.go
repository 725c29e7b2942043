package transfer

import (
	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
)

// span is the part of a file that one session carries, under a secret of its own.
type span struct {
	offset, length int64 // bytes
	size           int64 // of the whole file
}

func (s span) end() int64 { return s.offset + s.length }

// last tells whether the file is complete behind the span.
func (s span) last() bool { return s.end() == s.size }

// whole tells whether the span is the file, so that its tag authenticates all.
func (s span) whole() bool { return s.offset == 0 && s.last() }

// valid tells whether the span lies in the file and is no more than limit.
func (s span) valid(limit int64) bool {
	return s.offset >= 0 && s.offset <= s.size && s.length >= 0 && s.length <= s.size-s.offset && s.length <= limit &&
		(s.length > 0 || s.offset == s.size)
}

// wire is the span as a <range/>. A file that is carried whole has none to speak of.
func (s span) wire() *jingle.Range {
	r := &jingle.Range{Offset: s.offset, Length: -1}
	if !s.last() {
		r.Length = s.length
	}
	return r
}

// sessionLimit is how many bytes of a file one session carries at most: what one
// secret may encrypt.
func (e *Endpoint) sessionLimit() int64 {
	if e.cfg.SessionLimit > 0 {
		return min(e.cfg.SessionLimit, crypto.MaxPlaintext)
	}
	return crypto.MaxPlaintext
}

// spanFrom is the span from offset on, within what the other end allows.
func (e *Endpoint) spanFrom(offset, size, allowed int64) span {
	length := min(size-offset, e.sessionLimit())
	if allowed >= 0 {
		length = min(length, allowed)
	}
	return span{offset, length, size}
}

// offered is how many bytes the range of an offer allows in one session, or -1.
func offered(c jingle.Content) int64 {
	f, err := jingle.ParseDescription(c.Description)
	if err != nil || f.Range == nil {
		return -1
	}
	return f.Range.Length
}
