package transfer

import (
	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
	"jetsend/internal/xmltree"
)

// What package profile has now, under the names that it had here.

// NS is our profile: the disco feature, and the name space of what goes
// beyond XEP-0391 (docs/protocol.md).
const NS = profile.NS

// Batch says which of several files an offer is.
type Batch = profile.Batch

type (
	accept    = profile.Accept
	checksum  = profile.Checksum
	receipt   = profile.Receipt
	offer     = profile.Offer
	directory = profile.Directory
)

const (
	kindAccept   = profile.KindAccept
	kindChecksum = profile.KindChecksum
	kindReceipt  = profile.KindReceipt
	kindReason   = profile.KindReason
	secretSize   = profile.SecretSize
	maxGone      = profile.MaxGone
)

var (
	errSealed = profile.ErrSealed
	errOffer  = profile.ErrOffer
)

func seal(ts *crypto.Secret, kind string, c crypto.Context, x *xmltree.Element) (*xmltree.Element, error) {
	return profile.Seal(ts, kind, c, x)
}

func unseal(ts *crypto.Secret, kind string, c crypto.Context, elements ...*xmltree.Element) (*xmltree.Element, error) {
	return profile.Unseal(ts, kind, c, elements...)
}

func parseAccept(x *xmltree.Element) (accept, error)     { return profile.ParseAccept(x) }
func parseChecksum(x *xmltree.Element) (checksum, error) { return profile.ParseChecksum(x) }
func parseReceipt(x *xmltree.Element) (receipt, error)   { return profile.ParseReceipt(x) }

func receivedElement(content string, sealed *xmltree.Element) *xmltree.Element {
	return profile.Received(content, sealed)
}

func checksumElement(content string, sealed *xmltree.Element) *xmltree.Element {
	return profile.ChecksumInfo(content, sealed)
}

func contentDigest(c jingle.Content) string { return profile.ContentDigest(c) }

func offered(c jingle.Content) int64 { return profile.Allowed(c) }

// span is a profile.Span with the names of its fields and methods here.
type span struct{ offset, length, size int64 }

func (s span) moved() profile.Span {
	return profile.Span{Offset: s.offset, Length: s.length, Size: s.size}
}
func (s span) end() int64             { return s.moved().End() }
func (s span) last() bool             { return s.moved().Last() }
func (s span) whole() bool            { return s.moved().Whole() }
func (s span) valid(limit int64) bool { return s.moved().Valid(limit) }
func (s span) wire() *jingle.Range    { return s.moved().Range() }

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
	s := profile.Rest(offset, size, e.sessionLimit(), allowed)
	return span{s.Offset, s.Length, s.Size}
}

// sealedAccept holds a sealed accept against the stanza that carried it and the
// offer that it answers.
func sealedAccept(c jingle.Content, a accept, o *offer, s span, limit int64) error {
	_, err := a.Check(c, o, s.size, limit)
	return err
}
