package transfer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

// NS is our profile: the disco feature, and the name space of what goes
// beyond XEP-0391 (docs/protocol.md).
const NS = "jetsend:1"

// secretSize is the length of the serialised transport secret that precedes
// the sealed offer in the envelope's payload: 256-bit key and 96-bit IV.
const secretSize = 44

// maxSealedOffer bounds what is parsed out of an envelope: a file element and
// a few attributes, with room for a long description.
const maxSealedOffer = 16 << 10

// errOffer: the sealed offer and the stanza that carried it disagree.
var errOffer = errors.New("the offer was changed on its way")

// offer is the <offer xmlns='jetsend:1'/> that travels inside the OMEMO
// payload behind the transport secret. It names everything that the stanza
// around it says, so that no server can change, strip or swap any of it.
type offer struct {
	Transfer  string // UUID
	SID       string
	Content   string
	Senders   string
	Cipher    string // URN, as in <security/>
	Initiator jid.JID
	Responder jid.JID
	Device    uint32 // the wrapping device
	Digest    string // of the content as sent, see contentDigest
	File      *jingle.File
	Batch     *Batch
	// Restart says that the bytes which the receiver has are not those of the
	// file: it begins at 0.
	Restart bool
	// Directory says that the file is an archive to be unpacked; nil for a file.
	Directory *directory
	// Mode are the permission bits of the file; 0 when they are not told.
	Mode fs.FileMode
	// Prefix is the SHA-256 of what the receiver has, in hex, when it asks for
	// the rest.
	Prefix string
	// Gone are the ids of transfers that the sender has given up: of its own, which
	// the receiver may still have a part of.
	Gone []string
}

// maxGone bounds the transfers given up of which one offer tells: those of a month
// that a person gave up by hand are few, and a sealed offer has to stay small.
const maxGone = 8

// Batch says which of several files an offer is.
type Batch struct {
	ID           string // UUID
	Index, Count int    // Index counts from 1
	Bytes        int64  // of all files together
}

// contentDigest is the SHA-256 of the canonical <content/> without its
// <security/>: description, range and transport candidates.
func contentDigest(c jingle.Content) string {
	x := xmltree.New(jingle.NS, "content", c.Description, c.Transport).
		Set("creator", c.Creator).Set("name", c.Name).Set("senders", c.Senders)
	sum := sha256.Sum256(x.Canonical())
	return hex.EncodeToString(sum[:])
}

// payload is the plaintext for the envelope. The caller wipes it.
func (o *offer) payload(ts *crypto.Secret) []byte {
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
	for _, id := range o.Gone {
		x.Add(xmltree.New(NS, "gone").Set("transfer", id))
	}
	if o.Batch != nil {
		x.Add(xmltree.New(NS, "batch").Set("id", o.Batch.ID).
			Set("index", strconv.Itoa(o.Batch.Index)).Set("count", strconv.Itoa(o.Batch.Count)).
			Set("bytes", strconv.FormatInt(o.Batch.Bytes, 10)))
	}
	raw := ts.Serialize()
	defer clear(raw)
	return slices.Concat(raw, x.Bytes())
}

// parsePayload takes the transport secret and the sealed offer apart.
func parsePayload(s crypto.Suite, payload []byte) (*crypto.Secret, *offer, error) {
	if len(payload) <= secretSize || len(payload) > secretSize+maxSealedOffer {
		return nil, nil, fmt.Errorf("sealed offer of %d bytes", len(payload))
	}
	ts, err := crypto.ParseSecret(s, payload[:secretSize])
	if err != nil {
		return nil, nil, err
	}
	o, err := parseOffer(payload[secretSize:])
	if err != nil {
		ts.Wipe()
		return nil, nil, err
	}
	return ts, o, nil
}

func parseOffer(b []byte) (*offer, error) {
	x, err := xmltree.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	if !x.Is(NS, "offer") {
		return nil, fmt.Errorf("sealed offer: unexpected element %q", x.Name.Local)
	}
	o := &offer{
		SID: x.Attr("sid"), Content: x.Attr("content"), Senders: x.Attr("senders"),
		Cipher: x.Attr("cipher"), Digest: x.Attr("digest"), Restart: x.Attr("restart") == "true", Prefix: x.Attr("prefix"),
	}
	if o.Transfer, err = parseUUID(x.Attr("transfer")); err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	if o.Initiator, err = jid.Parse(x.Attr("initiator")); err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	if o.Responder, err = jid.Parse(x.Attr("responder")); err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	device, err := strconv.ParseUint(x.Attr("device"), 10, 31)
	if err != nil {
		return nil, fmt.Errorf("sealed offer: device: %w", err)
	}
	o.Device = uint32(device)
	description := xmltree.New(jingle.NSFile, "description", x.Child(jingle.NSFile, "file"))
	if o.File, err = jingle.ParseDescription(description); err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	if o.Mode, err = parseMode(x.Attr("mode")); err != nil {
		return nil, fmt.Errorf("sealed offer: %w", err)
	}
	if d := x.Child(NS, "directory"); d != nil {
		if o.Directory, err = parseDirectory(d); err != nil {
			return nil, fmt.Errorf("sealed offer: %w", err)
		}
	}
	for _, g := range x.All(NS, "gone") {
		id, err := parseUUID(g.Attr("transfer"))
		if err != nil || len(o.Gone) == maxGone {
			return nil, fmt.Errorf("sealed offer: gone: %w", cmp.Or(err, errors.New("too many")))
		}
		o.Gone = append(o.Gone, id)
	}
	if b := x.Child(NS, "batch"); b != nil {
		if o.Batch, err = parseBatch(b); err != nil {
			return nil, fmt.Errorf("sealed offer: %w", err)
		}
	}
	return o, nil
}

// maxBatch bounds the files of one `send` that are asked for as one.
const maxBatch = 1 << 20

func parseBatch(x *xmltree.Element) (*Batch, error) {
	var index, count, bytes int64
	id, err := parseUUID(x.Attr("id"))
	err = errors.Join(err, countAttr(x, "index", &index), countAttr(x, "count", &count), countAttr(x, "bytes", &bytes))
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	if index < 1 || count < index || count > maxBatch {
		return nil, fmt.Errorf("batch: file %d of %d with %d bytes", index, count, bytes)
	}
	return &Batch{ID: id, Index: int(index), Count: int(count), Bytes: bytes}, nil
}

// parseUUID accepts the one canonical form: the id becomes part of a file name.
func parseUUID(s string) (string, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return "", fmt.Errorf("transfer id %q: %w", s, err)
	}
	if u.String() != s {
		return "", fmt.Errorf("transfer id %q is not in its canonical form", s)
	}
	return s, nil
}

// check compares the sealed offer with the stanza that carried it.
func (o *offer) check(s *jingle.Session, sec *jingle.Security, device uint32, public *jingle.File) error {
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
		{"content", o.Digest == contentDigest(c)},
		{"size", o.File.Size == public.Size},
	} {
		if !x.same {
			return fmt.Errorf("%w: %s", errOffer, x.what)
		}
	}
	return nil
}

// context is what every sealed element of the session is bound to.
func (o *offer) context() crypto.Context {
	return crypto.Context{
		SID: o.SID, Content: o.Content, Senders: o.Senders, Cipher: o.Cipher,
		Initiator: o.Initiator.String(), Responder: o.Responder.String(), Device: o.Device,
	}
}
