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
	kindAccept   = "accept"
	kindChecksum = "checksum"
	kindReceipt  = "receipt"
	kindReason   = "reason"
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

// accept is the sealed accept: which transfer, which part of it, and that the
// public part of the session-accept is the responder's own.
type accept struct {
	Transfer string
	Offset   int64
	Length   int64  // of what the session carries
	Size     int64  // of the whole file
	Prefix   string // SHA-256 of the bytes before Offset that the receiver has, in hex; when it answers
	Digest   string // of the accepted content
	Device   uint32 // of the responder
}

func (a accept) element() *xmltree.Element {
	x := xmltree.New(NS, kindAccept).Set("transfer", a.Transfer).
		Set("offset", strconv.FormatInt(a.Offset, 10)).Set("length", strconv.FormatInt(a.Length, 10)).
		Set("size", strconv.FormatInt(a.Size, 10)).
		Set("digest", a.Digest).Set("device", strconv.FormatUint(uint64(a.Device), 10))
	if a.Prefix != "" {
		x.Set("prefix", a.Prefix)
	}
	return x
}

func parseAccept(x *xmltree.Element) (a accept, err error) {
	a.Transfer, a.Digest, a.Prefix = x.Attr("transfer"), x.Attr("digest"), x.Attr("prefix")
	device, err1 := strconv.ParseUint(x.Attr("device"), 10, 31)
	a.Device = uint32(device)
	err = errors.Join(err1, countAttr(x, "offset", &a.Offset), countAttr(x, "length", &a.Length), countAttr(x, "size", &a.Size))
	if err != nil {
		return a, fmt.Errorf("%w: accept: %w", errSealed, err)
	}
	return a, nil
}

// countAttr reads a number of bytes or files: decimal digits, and at least one.
// A sign, white space, nothing at all and what an int64 does not hold are errors.
func countAttr(x *xmltree.Element, name string, to *int64) error {
	n, err := strconv.ParseUint(x.Attr(name), 10, 63)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*to = int64(n)
	return nil
}

// checksum is the sealed checksum of a file that is put together from several
// sessions.
type checksum struct {
	Transfer string
	Size     int64
	SHA256   string // lower-case hex, of the whole file
}

func (c checksum) element() *xmltree.Element {
	return xmltree.New(NS, kindChecksum).Set("transfer", c.Transfer).
		Set("size", strconv.FormatInt(c.Size, 10)).Set("sha-256", c.SHA256)
}

func parseChecksum(x *xmltree.Element) (c checksum, err error) {
	c.Transfer, c.SHA256 = x.Attr("transfer"), x.Attr("sha-256")
	if err := countAttr(x, "size", &c.Size); err != nil {
		return c, fmt.Errorf("%w: checksum: %w", errSealed, err)
	}
	return c, nil
}

// receipt is the sealed receipt: the file is verified, durable and released; or,
// when more sessions are to come, its bytes so far are durable.
type receipt struct {
	Transfer string
	Size     int64  // of the whole file
	Stored   int64  // durable bytes; Size when the file is released
	SHA256   string // lower-case hex, when it was computed
	// Differs is what was released otherwise than it was sent; nil when that is not
	// known, as from an older receiver, or after a crash of this one.
	Differs *Differences
}

// The states that a receipt reports.
const (
	stateReleased = "released"
	stateStored   = "stored"
)

func (r receipt) element() *xmltree.Element {
	x := xmltree.New(NS, kindReceipt).Set("transfer", r.Transfer).Set("size", strconv.FormatInt(r.Size, 10))
	if r.Stored < r.Size {
		return x.Set("state", stateStored).Set("stored", strconv.FormatInt(r.Stored, 10))
	}
	x.Set("state", stateReleased)
	if r.SHA256 != "" {
		x.Set("sha-256", r.SHA256)
	}
	if r.Differs != nil {
		x.Set("renamed", strconv.Itoa(r.Differs.Renamed)).Set("left-out", strconv.Itoa(r.Differs.LeftOut))
	}
	return x
}

func parseReceipt(x *xmltree.Element) (r receipt, err error) {
	r.Transfer, r.SHA256 = x.Attr("transfer"), x.Attr("sha-256")
	if err := countAttr(x, "size", &r.Size); err != nil {
		return r, fmt.Errorf("%w: receipt: %w", errSealed, err)
	}
	switch s := x.Attr("state"); s {
	case stateReleased:
		r.Stored = r.Size
		if r.Differs, err = parseDifferences(x); err != nil {
			return r, fmt.Errorf("%w: receipt: %w", errSealed, err)
		}
	case stateStored:
		if err := countAttr(x, "stored", &r.Stored); err != nil || r.Stored >= r.Size {
			return r, fmt.Errorf("%w: receipt for %q bytes", errSealed, x.Attr("stored"))
		}
	default:
		return r, fmt.Errorf("%w: receipt with state %q", errSealed, s)
	}
	return r, nil
}

// receivedElement is the session-info that carries a receipt: XEP-0234
// <received/>, which other clients know, with the sealed element inside.
func receivedElement(content string, sealed *xmltree.Element) *xmltree.Element {
	return xmltree.New(jingle.NSFile, "received", sealed).Set("creator", jingle.SenderInitiator).Set("name", content)
}

// checksumElement is the session-info that carries a sealed checksum. Nothing of
// the file stands in the clear.
func checksumElement(content string, sealed *xmltree.Element) *xmltree.Element {
	return xmltree.New(jingle.NSFile, "checksum", sealed).Set("creator", jingle.SenderInitiator).Set("name", content)
}
