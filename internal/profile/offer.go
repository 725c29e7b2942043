package profile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

// SecretSize is the length of the serialised transport secret that precedes
// the sealed offer in the envelope's payload: 256-bit key and 96-bit IV.
const SecretSize = 44

// maxSealedOffer bounds what is parsed out of an envelope: a file element and
// a few attributes, with room for a long description and the list of a set.
const maxSealedOffer = 24 << 10

// ErrOffer means: the sealed offer and the stanza that carried it disagree.
var ErrOffer = errors.New("the offer was changed on its way")

// Offer is the <offer xmlns='jetsend:1'/> that travels inside the OMEMO
// payload behind the transport secret. It names everything that the stanza
// around it says, so that no server can change, strip or swap any of it.
type Offer struct {
	Transfer  string // UUID
	SID       string
	Content   string
	Senders   string
	Cipher    string // URN, as in <security/>; [NSSet] of a set
	Initiator jid.JID
	Responder jid.JID
	Device    uint32 // the wrapping device
	Digest    string // of the content as sent, see ContentDigest
	File      *jingle.File
	Batch     *Batch
	// Restart says that the bytes which the receiver has are not those of the
	// file: it begins at 0.
	Restart bool
	// Directory says that the file is an archive to be unpacked; nil for a file.
	Directory *Directory
	// Set says that the session carries a set; nil for a file. The File has a label as its
	// name then, and the bytes of all files as its size.
	Set *Set
	// Mode are the permission bits of the file; 0 when they are not told.
	Mode fs.FileMode
	// Prefix is the SHA-256 of what the receiver has, in hex, when it asks for
	// the rest.
	Prefix string
	// Punch is where the initiator can be met; nil for nowhere.
	Punch *Punch
	// Gone are the ids of transfers that the sender has given up: of its own, which
	// the receiver may still have a part of.
	Gone []string
}

// MaxGone bounds the transfers given up of which one offer tells: those of a month
// that a person gave up by hand are few, and a sealed offer has to stay small.
const MaxGone = 8

// ContentDigest is the SHA-256 of the canonical <content/> without its
// <security/>: description, range and transport candidates.
func ContentDigest(c jingle.Content) string {
	x := xmltree.New(jingle.NS, "content", c.Description, c.Transport).
		Set("creator", c.Creator).Set("name", c.Name).Set("senders", c.Senders)
	sum := sha256.Sum256(x.Canonical())
	return hex.EncodeToString(sum[:])
}

// Payload is the plaintext for the envelope: the transport secret, which it reads, and the
// offer. The caller wipes it.
func (o *Offer) Payload(ts *crypto.Secret) []byte {
	x := xmltree.New(NS, "offer", o.File.Element()).
		Set("transfer", o.Transfer).Set("sid", o.SID).Set("content", o.Content).
		Set("senders", o.Senders).Set("cipher", o.Cipher).
		Set("initiator", o.Initiator.String()).Set("responder", o.Responder.String()).
		Set("device", strconv.FormatUint(uint64(o.Device), 10)).Set("digest", o.Digest)
	if o.Restart {
		x.Set("restart", "true")
	}
	if o.Prefix != "" {
		x.Set("prefix", o.Prefix)
	}
	if o.Mode != 0 {
		x.Set("mode", formatMode(o.Mode))
	}
	if o.Directory != nil {
		x.Add(o.Directory.element())
	}
	if o.Set != nil {
		x.Add(o.Set.element())
	}
	if o.Punch != nil {
		x.Add(o.Punch.element())
	}
	for _, id := range o.Gone {
		x.Add(xmltree.New(NS, "gone").Set("transfer", id))
	}
	if o.Batch != nil {
		x.Add(o.Batch.element())
	}
	raw := ts.Serialize()
	defer clear(raw)
	return slices.Concat(raw, x.Bytes())
}

// HoldsOffer reports whether the payload of an envelope looks like that of an offer of
// this profile, rather than of another form that wraps a serialised secret.
func HoldsOffer(payload []byte) bool {
	return len(payload) > SecretSize && bytes.HasPrefix(payload[SecretSize:], []byte("<offer"))
}

// ParsePayload takes the transport secret and the sealed offer apart. The caller wipes the
// secret.
func ParsePayload(s crypto.Suite, payload []byte) (*crypto.Secret, *Offer, error) {
	if len(payload) <= SecretSize || len(payload) > SecretSize+maxSealedOffer {
		return nil, nil, fmt.Errorf("sealed offer of %d bytes", len(payload))
	}
	ts, err := crypto.ParseSecret(s, payload[:SecretSize])
	if err != nil {
		return nil, nil, err
	}
	o, err := ParseOffer(payload[SecretSize:])
	if err != nil {
		ts.Wipe()
		return nil, nil, err
	}
	return ts, o, nil
}

// ParseOffer reads a sealed offer. It is not held against a stanza yet: see Check.
func ParseOffer(b []byte) (*Offer, error) {
	x, err := xmltree.Parse(b)
	if err == nil && !x.Is(NS, "offer") {
		err = fmt.Errorf("unexpected element %q", x.Name.Local)
	}
	o := new(Offer)
	if err == nil {
		err = o.parseSession(x)
	}
	if err == nil {
		err = o.parseFile(x)
	}
	if err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	return o, nil
}

// parseSession reads what binds the offer to its session and to the devices at its ends.
func (o *Offer) parseSession(x *xmltree.Element) (err error) {
	o.SID, o.Content, o.Senders = x.Attr("sid"), x.Attr("content"), x.Attr("senders")
	o.Cipher, o.Digest = x.Attr("cipher"), x.Attr("digest")
	if o.Transfer, err = parseUUID(x.Attr("transfer")); err != nil {
		return err
	}
	if o.Initiator, err = jid.Parse(x.Attr("initiator")); err != nil {
		return err
	}
	if o.Responder, err = jid.Parse(x.Attr("responder")); err != nil {
		return err
	}
	device, err := strconv.ParseUint(x.Attr("device"), 10, 31)
	if err != nil {
		return fmt.Errorf("device: %w", err)
	}
	o.Device = uint32(device)
	return nil
}

// parseFile reads what is offered, beside what, and what is not offered any more.
func (o *Offer) parseFile(x *xmltree.Element) (err error) {
	o.Restart, o.Prefix = x.Attr("restart") == "true", x.Attr("prefix")
	description := xmltree.New(jingle.NSFile, "description", x.Child(jingle.NSFile, "file"))
	if o.File, err = jingle.ParseDescription(description); err != nil {
		return err
	}
	if o.Mode, err = parseMode(x.Attr("mode")); err != nil {
		return err
	}
	if err := o.parseMany(x); err != nil {
		return err
	}
	for _, g := range x.All(NS, "gone") {
		id, err := parseUUID(g.Attr("transfer"))
		if err != nil || len(o.Gone) == MaxGone {
			return fmt.Errorf("gone: %w", cmp.Or(err, errors.New("too many")))
		}
		o.Gone = append(o.Gone, id)
	}
	return nil
}

// parseMany reads what is said where there is more than a file.
func (o *Offer) parseMany(x *xmltree.Element) (err error) {
	if d := x.Child(NS, "directory"); d != nil {
		if o.Directory, err = parseDirectory(d); err != nil {
			return err
		}
	}
	if b := x.Child(NS, "batch"); b != nil {
		if o.Batch, err = parseBatch(b); err != nil {
			return err
		}
	}
	if s := x.Child(NS, "set"); s != nil {
		if o.Set, err = parseSet(s); err != nil {
			return err
		}
	}
	if o.Punch, err = parsePunch(x); err != nil {
		return err
	}
	return o.checkSet()
}

// Session is what an offer says of the Jingle session that it opens: a *jingle.Session.
type Session interface {
	ID() string
	Content() jingle.Content // as it came
	InitiatorJID() jid.JID
	ResponderJID() jid.JID
}

// Check compares the sealed offer with the stanza that carried it: the session, its
// <security/>, the device whose envelope held the offer, and the file for all to see.
// Errors are ErrOffer.
func (o *Offer) Check(s Session, sec *jingle.Security, device uint32, public *jingle.File) error {
	c := s.Content()
	for _, x := range []struct {
		what string
		same bool
	}{
		{"session id", o.SID == s.ID()},
		{"content name", o.Content == c.Name && sec.Name == c.Name},
		{"senders", o.Senders == c.Senders},
		{"cipher", o.Cipher == sec.Cipher},
		{"initiator", o.Initiator == s.InitiatorJID()},
		{"responder", o.Responder == s.ResponderJID()},
		{"device", o.Device == device},
		{"missing attributes", !c.Inferred},
		{"content", o.Digest == ContentDigest(c)},
		{"size", o.File.Size == public.Size},
	} {
		if !x.same {
			return fmt.Errorf("%w: %s", ErrOffer, x.what)
		}
	}
	return nil
}

// Manifest is the digest of what the archive of an offered directory is made of; nil for a
// file, and for no offer.
func (o *Offer) Manifest() []byte {
	if o == nil || o.Directory == nil {
		return nil
	}
	return o.Directory.Manifest
}

// Context is what every sealed element of the session is bound to.
func (o *Offer) Context() crypto.Context {
	return crypto.Context{
		SID: o.SID, Content: o.Content, Senders: o.Senders, Cipher: o.Cipher,
		Initiator: o.Initiator.String(), Responder: o.Responder.String(), Device: o.Device,
	}
}
