package profile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/set"
	"jetsend/internal/xmltree"
)

// Accept is the sealed accept: which transfer, which part of it, and that the
// public part of the session-accept is the responder's own.
type Accept struct {
	Transfer string
	Offset   int64
	Length   int64  // of what the session carries
	Size     int64  // of the whole file
	Prefix   string // SHA-256 of the bytes before Offset that the receiver has, in hex; when it answers
	Digest   string // of the accepted content
	Device   uint32 // of the responder
	// Random is what the responder has drawn for the keys of a set; zero in the session
	// of a file.
	Random [crypto.RandomSize]byte
	// Punch is where the responder can be met; nil for nowhere.
	Punch *Punch
}

// Element writes the accept.
func (a Accept) Element() *xmltree.Element {
	x := xmltree.New(NS, KindAccept).Set("transfer", a.Transfer).
		Set("offset", strconv.FormatInt(a.Offset, 10)).Set("length", strconv.FormatInt(a.Length, 10)).
		Set("size", strconv.FormatInt(a.Size, 10)).
		Set("digest", a.Digest).Set("device", strconv.FormatUint(uint64(a.Device), 10))
	if a.Prefix != "" {
		x.Set("prefix", a.Prefix)
	}
	if a.Random != ([crypto.RandomSize]byte{}) {
		x.Set("random", hex.EncodeToString(a.Random[:]))
	}
	if a.Punch != nil {
		x.Add(a.Punch.element())
	}
	return x
}

// ParseAccept reads an accept. Errors are ErrSealed.
func ParseAccept(x *xmltree.Element) (a Accept, err error) {
	a.Transfer, a.Digest, a.Prefix = x.Attr("transfer"), x.Attr("digest"), x.Attr("prefix")
	device, err1 := strconv.ParseUint(x.Attr("device"), 10, 31)
	a.Device = uint32(device)
	var err2 error
	a.Punch, err2 = parsePunch(x)
	err = errors.Join(err1, err2, countAttr(x, "offset", &a.Offset), countAttr(x, "length", &a.Length), countAttr(x, "size", &a.Size), a.parseRandom(x))
	if err != nil {
		return a, fmt.Errorf("%w: accept: %w", ErrSealed, err)
	}
	return a, nil
}

func (a *Accept) parseRandom(x *xmltree.Element) error {
	text, there := x.LookupAttr("random")
	if !there {
		return nil
	}
	n, err := hex.Decode(a.Random[:], []byte(text[:min(len(text), 2*len(a.Random))]))
	if err != nil || n != len(a.Random) || len(text) != 2*n || a.Random == ([crypto.RandomSize]byte{}) {
		return fmt.Errorf("random of %d characters", len(text))
	}
	return nil
}

// Check holds the accept against the stanza that carried it and the offer that it
// answers, for a file of size bytes, of which a session
// carries at most limit; a set is always carried whole. Errors are ErrSealed.
func (a Accept) Check(c jingle.Content, o *Offer, size, limit int64) (Span, error) {
	s := Span{a.Offset, a.Length, size}
	if o.Set != nil {
		limit = size
	}
	if (o.Set != nil) != (a.Random != [crypto.RandomSize]byte{}) || o.Set != nil && (!s.Whole() || a.Prefix != "") {
		return s, fmt.Errorf("%w: the accept of a set for a file, or of a part of a set", ErrSealed)
	}
	public, err := jingle.ParseDescription(c.Description)
	if err != nil || c.Inferred || a.Transfer != o.Transfer || a.Size != size || a.Digest != ContentDigest(c) ||
		c.Name != o.Content || c.Creator != jingle.SenderInitiator || c.Senders != o.Senders {
		return s, errors.Join(fmt.Errorf("%w: the accept was changed on its way", ErrSealed), err)
	}
	if r, want := public.Range, s.Range(); !s.Valid(limit) || r == nil || r.Offset != want.Offset || r.Length != want.Length {
		return s, fmt.Errorf("%w: the accept is for no part of the file", ErrSealed)
	}
	return s, nil
}

// Checksum is the sealed checksum of a file that is put together from several
// sessions.
type Checksum struct {
	Transfer string
	Size     int64
	SHA256   string // lower-case hex, of the whole file
}

// Element writes the checksum.
func (c Checksum) Element() *xmltree.Element {
	return xmltree.New(NS, KindChecksum).Set("transfer", c.Transfer).
		Set("size", strconv.FormatInt(c.Size, 10)).Set("sha-256", c.SHA256)
}

// ParseChecksum reads a checksum. Errors are ErrSealed.
func ParseChecksum(x *xmltree.Element) (c Checksum, err error) {
	c.Transfer, c.SHA256 = x.Attr("transfer"), x.Attr("sha-256")
	if err := countAttr(x, "size", &c.Size); err != nil {
		return c, fmt.Errorf("%w: checksum: %w", ErrSealed, err)
	}
	return c, nil
}

// Receipt is the sealed receipt: the file is verified, durable and released; or,
// when more sessions are to come, its bytes so far are durable.
type Receipt struct {
	Transfer string
	Size     int64  // of the whole file
	Stored   int64  // durable bytes; Size when the file is released
	SHA256   string // lower-case hex, when it was computed
	// Failed is how many entries of a set were not.
	Failed int64
	// Differs is what was released otherwise than it was sent; nil when that is not
	// known, as from an older receiver, or after a crash of this one.
	Differs *Differences
}

// The states that a receipt reports.
const (
	stateReleased = "released"
	stateStored   = "stored"
)

// Element writes the receipt.
func (r Receipt) Element() *xmltree.Element {
	x := xmltree.New(NS, KindReceipt).Set("transfer", r.Transfer).Set("size", strconv.FormatInt(r.Size, 10))
	if r.Stored < r.Size {
		return x.Set("state", stateStored).Set("stored", strconv.FormatInt(r.Stored, 10))
	}
	x.Set("state", stateReleased)
	if r.SHA256 != "" {
		x.Set("sha-256", r.SHA256)
	}
	if r.Failed > 0 {
		x.Set("failed", strconv.FormatInt(r.Failed, 10))
	}
	if r.Differs != nil {
		x.Set("renamed", strconv.Itoa(r.Differs.Renamed)).Set("left-out", strconv.Itoa(r.Differs.LeftOut))
	}
	return x
}

// ParseReceipt reads a receipt. Errors are ErrSealed.
func ParseReceipt(x *xmltree.Element) (r Receipt, err error) {
	r.Transfer, r.SHA256 = x.Attr("transfer"), x.Attr("sha-256")
	if err := countAttr(x, "size", &r.Size); err != nil {
		return r, fmt.Errorf("%w: receipt: %w", ErrSealed, err)
	}
	switch s := x.Attr("state"); s {
	case stateReleased:
		r.Stored = r.Size
		if r.Differs, err = parseDifferences(x); err == nil {
			err = r.parseFailed(x)
		}
		if err != nil {
			return r, fmt.Errorf("%w: receipt: %w", ErrSealed, err)
		}
	case stateStored:
		if err := countAttr(x, "stored", &r.Stored); err != nil || r.Stored >= r.Size {
			return r, fmt.Errorf("%w: receipt for %q bytes", ErrSealed, x.Attr("stored"))
		}
	default:
		return r, fmt.Errorf("%w: receipt with state %q", ErrSealed, s)
	}
	return r, nil
}

func (r *Receipt) parseFailed(x *xmltree.Element) error {
	if _, told := x.LookupAttr("failed"); !told {
		return nil
	}
	if err := countAttr(x, "failed", &r.Failed); err != nil || r.Failed > set.MaxEntries {
		return fmt.Errorf("failed is %.20q", x.Attr("failed"))
	}
	return nil
}

// Differences are what was released otherwise than it was sent.
type Differences struct {
	Renamed int // names
	LeftOut int // links that could not be made
}

// parseDifferences reads what a receipt says of them, nil for nothing.
func parseDifferences(x *xmltree.Element) (*Differences, error) {
	if x.Attr("renamed") == "" && x.Attr("left-out") == "" {
		return nil, nil
	}
	of := new(Differences)
	for name, n := range map[string]*int{"renamed": &of.Renamed, "left-out": &of.LeftOut} {
		var err error
		if *n, err = strconv.Atoi(x.Attr(name)); err != nil || *n < 0 || *n > set.MaxEntries {
			return nil, fmt.Errorf("%s is %q", name, x.Attr(name))
		}
	}
	return of, nil
}

// Reason is the sealed word in the <reason-detail/> of a session-terminate, for a detail
// that ends the transfer at the other end, too: who says it, about which transfer.
type Reason struct {
	Transfer string
	By       string // jingle.SenderInitiator or jingle.SenderResponder
	Detail   string // the name of the element beside it
}

// Element writes the reason.
func (r Reason) Element() *xmltree.Element {
	return xmltree.New(NS, KindReason).Set("transfer", r.Transfer).Set("by", r.By).Set("detail", r.Detail)
}

// Is reports whether x, which was sealed, is that reason.
func (r Reason) Is(x *xmltree.Element) bool {
	return x.Attr("transfer") == r.Transfer && x.Attr("by") == r.By && x.Attr("detail") == r.Detail
}

// Received is the session-info that carries a receipt: XEP-0234
// <received/>, which other clients know, with the sealed element inside.
func Received(content string, sealed *xmltree.Element) *xmltree.Element {
	return xmltree.New(jingle.NSFile, "received", sealed).Set("creator", jingle.SenderInitiator).Set("name", content)
}

// ChecksumInfo is the session-info that carries a sealed checksum. Nothing of
// the file stands in the clear.
func ChecksumInfo(content string, sealed *xmltree.Element) *xmltree.Element {
	return xmltree.New(jingle.NSFile, "checksum", sealed).Set("creator", jingle.SenderInitiator).Set("name", content)
}
