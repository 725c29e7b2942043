package transfer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

// The kinds of sealed elements (docs/protocol.md).
const (
	kindAccept  = "accept"
	kindReceipt = "receipt"
)

// maxSealed bounds the base64 of a sealed element: a few attributes.
const maxSealed = 4 << 10

// errSealed: a sealed element is missing, does not open, or does not fit.
var errSealed = errors.New("sealed element")

// seal wraps x for the other end: <sealed xmlns='jetsend:1' kind='…'>base64</sealed>.
func seal(ts *crypto.Secret, kind string, c crypto.Context, x *xmltree.Element) (*xmltree.Element, error) {
	b, err := crypto.Seal(ts, kind, c, x.Bytes())
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", kind, err)
	}
	return xmltree.New(NS, "sealed").Set("kind", kind).SetText(base64.StdEncoding.EncodeToString(b)), nil
}

// unseal opens the sealed element of that kind among the children of parent.
func unseal(ts *crypto.Secret, kind string, c crypto.Context, elements ...*xmltree.Element) (*xmltree.Element, error) {
	for _, e := range elements {
		if !e.Is(NS, "sealed") || e.Attr("kind") != kind {
			continue
		}
		if len(e.Text) > maxSealed {
			return nil, fmt.Errorf("%w: %s of %d characters", errSealed, kind, len(e.Text))
		}
		b, err := base64.StdEncoding.DecodeString(e.Text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errSealed, kind, err)
		}
		plain, err := crypto.Open(ts, kind, c, b)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errSealed, kind, err)
		}
		x, err := xmltree.Parse(plain)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errSealed, kind, err)
		}
		if !x.Is(NS, kind) {
			return nil, fmt.Errorf("%w: %s holds %q", errSealed, kind, x.Name.Local)
		}
		return x, nil
	}
	return nil, fmt.Errorf("%w: no %s", errSealed, kind)
}

// accept is the sealed accept: which transfer, from where on, and that the
// public part of the session-accept is the receiver's own.
type accept struct {
	Transfer string
	Offset   int64
	Size     int64
	Digest   string // of the accepted content
	Device   uint32 // the receiving device
}

func (a accept) element() *xmltree.Element {
	return xmltree.New(NS, kindAccept).Set("transfer", a.Transfer).
		Set("offset", strconv.FormatInt(a.Offset, 10)).Set("size", strconv.FormatInt(a.Size, 10)).
		Set("digest", a.Digest).Set("device", strconv.FormatUint(uint64(a.Device), 10))
}

func parseAccept(x *xmltree.Element) (a accept, err error) {
	a.Transfer, a.Digest = x.Attr("transfer"), x.Attr("digest")
	var err1, err2 error
	a.Offset, err1 = strconv.ParseInt(x.Attr("offset"), 10, 64)
	a.Size, err2 = strconv.ParseInt(x.Attr("size"), 10, 64)
	device, err3 := strconv.ParseUint(x.Attr("device"), 10, 31)
	a.Device = uint32(device)
	if err := errors.Join(err1, err2, err3); err != nil {
		return a, fmt.Errorf("%w: accept: %w", errSealed, err)
	}
	return a, nil
}

// receipt is the sealed receipt: the file is verified, durable and released.
type receipt struct {
	Transfer string
	Size     int64
	SHA256   string // lower-case hex, when it was computed
}

// stateReleased is the one state that a receipt can report.
const stateReleased = "released"

func (r receipt) element() *xmltree.Element {
	x := xmltree.New(NS, kindReceipt).Set("transfer", r.Transfer).
		Set("size", strconv.FormatInt(r.Size, 10)).Set("state", stateReleased)
	if r.SHA256 != "" {
		x.Set("sha-256", r.SHA256)
	}
	return x
}

func parseReceipt(x *xmltree.Element) (r receipt, err error) {
	r.Transfer, r.SHA256 = x.Attr("transfer"), x.Attr("sha-256")
	if r.Size, err = strconv.ParseInt(x.Attr("size"), 10, 64); err != nil {
		return r, fmt.Errorf("%w: receipt: %w", errSealed, err)
	}
	if s := x.Attr("state"); s != stateReleased {
		return r, fmt.Errorf("%w: receipt with state %q", errSealed, s)
	}
	return r, nil
}

// receivedElement is the session-info that carries a receipt: XEP-0234
// <received/>, which other clients know, with the sealed element inside.
func receivedElement(content string, sealed *xmltree.Element) *xmltree.Element {
	return xmltree.New(jingle.NSFile, "received", sealed).Set("creator", "initiator").Set("name", content)
}
