package invite

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// Redeem is what who holds a link says to its issuer.
type Redeem struct {
	ID      [IDSize]byte
	From    jid.JID // full
	Nonce   [NonceSize]byte
	Devices Names
	MAC     [MACSize]byte
}

// Letter is what both ends of an invitation know: whose it is, and which devices of the issuer
// it names.
type Letter struct {
	ID     [IDSize]byte
	Issuer jid.JID // bare
	Names  Names
}

// Redeem says that somebody at that full address, with these devices, holds the letter.
func (l *Letter) Redeem(k Keys, from jid.JID, nonce [NonceSize]byte, devices Names) *Redeem {
	r := &Redeem{ID: l.ID, From: from, Nonce: nonce, Devices: devices}
	r.MAC = l.proof(k, r)
	return r
}

func (l *Letter) proof(k Keys, r *Redeem) [MACSize]byte {
	var t transcript
	t.text(version)
	t.add(r.ID[:])
	t.address(l.Issuer.Bare())
	t.address(r.From.Bare())
	t.address(r.From)
	t.names(r.Devices)
	t.names(l.Names)
	t.add(r.Nonce[:])
	return t.mac(k.Redeem)
}

// Check is [ErrProof] unless r was said by somebody who holds this letter, unchanged.
func (l *Letter) Check(k Keys, r *Redeem) error {
	if !equal(l.proof(k, r), r.MAC) {
		return ErrProof
	}
	return nil
}

// Verdict is what has become of a redemption.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Used     Verdict = "used"    // as often as it may be
	Expired  Verdict = "expired" // its time is over
	Revoked  Verdict = "revoked" // by the issuer
	Other    Verdict = "other"   // it is for another address
	Known    Verdict = "known"   // it is for new contacts, and keys of the redeemer are verified already
)

func (v Verdict) known() bool {
	switch v {
	case Accepted, Used, Expired, Revoked, Other, Known:
		return true
	}
	return false
}

// Confirm is the issuer's answer.
type Confirm struct {
	ID      [IDSize]byte
	Nonce   [NonceSize]byte
	Verdict Verdict
	MAC     [MACSize]byte
}

// Confirm answers a redemption.
func (r *Redeem) Confirm(k Keys, nonce [NonceSize]byte, v Verdict) *Confirm {
	c := &Confirm{ID: r.ID, Nonce: nonce, Verdict: v}
	c.MAC = r.proof(k, c)
	return c
}

func (r *Redeem) proof(k Keys, c *Confirm) [MACSize]byte {
	var t transcript
	t.text(version)
	t.add(r.MAC[:])
	t.add(c.Nonce[:])
	t.text(string(c.Verdict))
	return t.mac(k.Confirm)
}

// Check is [ErrProof] unless c answers this very redemption, by somebody who has issued
// the letter or holds it.
func (r *Redeem) Check(k Keys, c *Confirm) error {
	if c.ID != r.ID || !equal(r.proof(k, c), c.MAC) {
		return ErrProof
	}
	return nil
}

// Element is r on the wire.
func (r *Redeem) Element() *xmltree.Element {
	e := xmltree.New(NS, "redeem").Set("id", encode(r.ID[:])).Set("from", r.From.String()).Set("nonce", encode(r.Nonce[:])).Set("mac", encode(r.MAC[:]))
	for _, d := range r.Devices {
		e.Add(xmltree.New(NS, "device").Set("id", strconv.FormatUint(uint64(d.ID), 10)).Set("key", hex.EncodeToString(d.Key[:])))
	}
	return e
}

// ParseRedeem reads what was said by somebody at an address, which is bare where the carrier
// shows no more.
func ParseRedeem(e *xmltree.Element, from jid.JID) (*Redeem, error) {
	if !e.Is(NS, "redeem") || len(e.Children) > MaxDevices {
		return nil, errMalformed
	}
	r := &Redeem{}
	var err error
	if r.From, err = jid.Parse(e.Attr("from")); err != nil || r.From.IsBare() || r.From.Bare() != from.Bare() || !from.IsBare() && from != r.From {
		return nil, errMalformed
	}
	if !decode(r.ID[:], e.Attr("id")) || !decode(r.Nonce[:], e.Attr("nonce")) || !decode(r.MAC[:], e.Attr("mac")) {
		return nil, errMalformed
	}
	for _, c := range e.All(NS, "device") {
		d, err := parseDevice(c.Attr("id"), c.Attr("key"))
		if err != nil {
			return nil, err
		}
		r.Devices = append(r.Devices, d)
	}
	return r, r.Devices.check()
}

// Element is c on the wire.
func (c *Confirm) Element() *xmltree.Element {
	return xmltree.New(NS, "confirm").Set("id", encode(c.ID[:])).Set("nonce", encode(c.Nonce[:])).Set("verdict", string(c.Verdict)).Set("mac", encode(c.MAC[:]))
}

// ParseConfirm reads an answer.
func ParseConfirm(e *xmltree.Element) (*Confirm, error) {
	c := &Confirm{Verdict: Verdict(e.Attr("verdict"))}
	if !e.Is(NS, "confirm") || !c.Verdict.known() || !decode(c.ID[:], e.Attr("id")) || !decode(c.Nonce[:], e.Attr("nonce")) || !decode(c.MAC[:], e.Attr("mac")) {
		return nil, errMalformed
	}
	return c, nil
}

// base64url without padding (RFC 4648, section 5); another spelling of the same bytes is none.
var encoding = base64.RawURLEncoding.Strict()

func encode(b []byte) string { return encoding.EncodeToString(b) }

// decode fills b with what s says, exactly.
func decode(b []byte, s string) bool {
	if len(s) != encoding.EncodedLen(len(b)) {
		return false
	}
	n, err := encoding.Decode(b, []byte(s))
	return err == nil && n == len(b)
}

// parseDevice reads an id in decimal digits and a key in hex.
func parseDevice(id, key string) (d Device, err error) {
	n, err := strconv.ParseUint(id, 10, 31)
	b, herr := hex.DecodeString(key)
	if err != nil || herr != nil || len(b) != KeySize || strconv.FormatUint(n, 10) != id {
		return d, errMalformed
	}
	d.ID = uint32(n)
	copy(d.Key[:], b)
	return d, nil
}
