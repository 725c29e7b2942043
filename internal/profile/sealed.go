package profile

import (
	"encoding/base64"
	"errors"
	"fmt"

	"jetsend/internal/crypto"
	"jetsend/internal/xmltree"
)

// The kinds of sealed elements (docs/protocol.md).
const (
	KindAccept   = "accept"
	KindChecksum = "checksum"
	KindReceipt  = "receipt"
	KindReason   = "reason"
)

// maxSealed bounds the base64 of a sealed element: a few attributes.
const maxSealed = 4 << 10

// ErrSealed means: a sealed element is missing, does not open, or does not fit.
var ErrSealed = errors.New("sealed element")

// Seal wraps x, an element of that kind, for the other end: <sealed xmlns='jetsend:1' kind='…'>base64</sealed>.
func Seal(ts *crypto.Secret, kind string, c crypto.Context, x *xmltree.Element) (*xmltree.Element, error) {
	b, err := crypto.Seal(ts, kind, c, x.Bytes())
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", kind, err)
	}
	return xmltree.New(NS, "sealed").Set("kind", kind).SetText(base64.StdEncoding.EncodeToString(b)), nil
}

// Unseal opens the sealed element of that kind among elements. Errors are ErrSealed.
func Unseal(ts *crypto.Secret, kind string, c crypto.Context, elements ...*xmltree.Element) (*xmltree.Element, error) {
	x, _, err := UnsealText(ts, kind, c, elements...)
	return x, err
}

// UnsealText is [Unseal], and returns the element also as the bytes that were sealed: what
// is derived of it needs those of the one who has written it.
func UnsealText(ts *crypto.Secret, kind string, c crypto.Context, elements ...*xmltree.Element) (*xmltree.Element, []byte, error) {
	for _, e := range elements {
		if !e.Is(NS, "sealed") || e.Attr("kind") != kind {
			continue
		}
		if len(e.Text) > maxSealed {
			return nil, nil, fmt.Errorf("%w: %s of %d characters", ErrSealed, kind, len(e.Text))
		}
		b, err := base64.StdEncoding.DecodeString(e.Text)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrSealed, kind, err)
		}
		plain, err := crypto.Open(ts, kind, c, b)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrSealed, kind, err)
		}
		x, err := xmltree.Parse(plain)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrSealed, kind, err)
		}
		if !x.Is(NS, kind) {
			return nil, nil, fmt.Errorf("%w: %s holds %q", ErrSealed, kind, x.Name.Local)
		}
		return x, plain, nil
	}
	return nil, nil, fmt.Errorf("%w: no %s", ErrSealed, kind)
}
