package transfer

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/xmltree"
)

// hashAlgo is the hash that our offers announce.
const hashAlgo = "sha-256"

// errNoChecksum: a checksum that was announced did not come.
var errNoChecksum = errors.New("no checksum in time")

// wrongChecksum: what came is not what the sender says that it sent.
type wrongChecksum struct{ algo string }

func (e *wrongChecksum) Error() string {
	return "the checksum (" + clean.Text(e.algo) + ") is not that of what came"
}
func (e *wrongChecksum) Unwrap() error { return errChecksum }

// wireSum hashes the encrypted bytes of one session: the checksum of the
// encrypted file element is about them, and says nothing of the file.
type wireSum struct {
	sums      map[string]hash.Hash
	told      []jingle.Hash // in the offer
	announced bool          // a checksum is to follow
	matched   []string      // algorithms of the hashes that were right
}

// newWireSum is for the sender's own algorithm, and for those that the offer of
// a contact announced. Others cannot be checked.
func newWireSum(f *jingle.File) *wireSum {
	w := &wireSum{sums: map[string]hash.Hash{hashAlgo: sha256.New()}, told: f.Hashes}
	for _, h := range f.Hashes {
		w.add(h.Algo)
	}
	for _, algo := range f.HashUsed {
		w.announced = w.add(algo) || w.announced
	}
	return w
}

// add hashes with one more algorithm, if it is one of the document's time.
func (w *wireSum) add(algo string) bool {
	switch {
	case w.sums[algo] != nil:
	case algo == "sha-1":
		w.sums[algo] = sha1.New()
	case algo == "sha-512":
		w.sums[algo] = sha512.New()
	default:
		return false
	}
	return true
}

// Write implements io.Writer; a hash does not fail.
func (w *wireSum) Write(p []byte) (int, error) {
	for _, h := range w.sums {
		_, _ = h.Write(p)
	}
	return len(p), nil
}

// compare holds hashes of the contact's against ours. checked reports whether one
// of them could be compared; a value that cannot be read is a wrong one.
func (w *wireSum) compare(told []jingle.Hash) (checked bool, err error) {
	for _, h := range told {
		sum := w.sums[h.Algo]
		if sum == nil {
			continue
		}
		if subtle.ConstantTimeCompare(sum.Sum(nil), h.Value) != 1 {
			return true, &wrongChecksum{h.Algo}
		}
		w.matched = append(w.matched, h.Algo)
		checked = true
	}
	return checked, nil
}

// tapped is the path that the bytes of the file shall take. One direction carries them;
// what a receiver writes back is not hashed.
func (t *talk) tapped(b *bytestream) *bytestream {
	if t.wire == nil {
		return b
	}
	return b.Tap(t.wire)
}

// tellWireSum tells the receiver the checksum of what was sent. A receiver that
// has left by then does without.
func (t *talk) tellWireSum(ctx context.Context) {
	switch {
	case t.wire == nil:
		return
	case t.insecure != nil:
		t.tellPlainSum(ctx)
		return
	}
	var c jingle.EncryptedChecksum
	for _, algo := range slices.Sorted(maps.Keys(t.wire.sums)) {
		c.Hashes = append(c.Hashes, jingle.Hash{Algo: algo, Value: t.wire.sums[algo].Sum(nil)})
	}
	if err := t.tell(ctx, c.Element()); err != nil {
		t.e.log.Debug("checksum of the encrypted file", "peer", t.sess.Peer(), "error", err)
	}
}

// awaitWireSum compares the checksum of the encrypted file with what came, when
// there is one. A wrong one is a *wrongChecksum, and nothing may be released.
func (t *talk) awaitWireSum(ctx context.Context) error {
	switch {
	case t.wire == nil:
		return nil
	case t.insecure != nil:
		return t.awaitPlainSum(ctx)
	}
	if _, err := t.wire.compare(t.wire.told); err != nil {
		return err
	}
	look := func(info *xmltree.Element) (bool, error) {
		if !info.Is(jingle.NSEncryptedFile, "checksum") {
			return false, nil
		}
		c, err := jingle.ParseEncryptedChecksum(info)
		if err != nil {
			return false, &wrongChecksum{"unreadable"}
		}
		return t.wire.compare(c.Hashes)
	}
	patience := time.Duration(0)
	if t.wire.announced {
		patience = t.e.timing.checksumTime
	}
	return t.awaitSum(ctx, patience, look)
}

// awaitSum gives look what comes within patience, or what has come. That nothing
// does is no error.
func (t *talk) awaitSum(ctx context.Context, patience time.Duration, look func(*xmltree.Element) (bool, error)) (err error) {
	if patience > 0 {
		err = t.await(min(patience, t.e.timing.checksumTime), errNoChecksum, look)
	} else {
		_, err = t.lookNow(look)
	}
	var wrong *wrongChecksum
	switch {
	case errors.As(err, &wrong):
		return err
	case err != nil && context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil: // a tag has been verified all the same
		t.e.log.Debug("no checksum", "peer", t.sess.Peer(), "error", err)
	}
	return nil
}

// errUntagged: all of the file came and nothing that proves it. In-band,
// Conversations 2.x drops the tag of files of some sizes.
var errUntagged = errors.New("unauthenticated: the stream ended before its tag")

// untagged names that case; n is how much of the span came.
func untagged(err error, n int64, s span) error {
	if n == s.end() && errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errUntagged, err)
	}
	return err
}

// tellForm is what the opened envelope of an offer in that form holds.
func tellForm(f form, o *omemo.Opened, cipherURN string) (content, error) {
	if f == formEncryptedFile || f == formConversations {
		return tellFile(o)
	}
	return tell(o, cipherURN)
}

// tellFile takes the transport secret of an encrypted file element: a key
// transport for AES-128 and nothing else.
func tellFile(o *omemo.Opened) (content, error) {
	c := content{encryption: encryptionFile}
	if o.HasPayload {
		return c, fmt.Errorf("%w: a key transport with a payload", errOffer)
	}
	ts, err := keyTransport(crypto.AES128GCM, o)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errOffer, err)
	}
	c.ts = ts
	return c, nil
}

// encryptedFile is the description and the envelope of an offer in the form of
// the ProtoXEP.
func (o *offering) encryptedFile(env *omemo.Envelope) *xmltree.Element {
	f := o.publicFile()
	f.Size, f.HashUsed = wireSize(o.src.Size), []string{hashAlgo}
	return (&jingle.EncryptedFile{Envelope: env.Element, File: f}).Element()
}

// conversationsFile is the description as Conversations before 2.5.8 has it.
func (o *offering) conversationsFile(env *omemo.Envelope) *xmltree.Element {
	f := o.publicFile()
	f.Size, f.HashUsed, f.Extra = wireSize(o.src.Size), nil, []*xmltree.Element{env.Element}
	return jingle.Description(f)
}

// wireSize is the size of an encrypted file of n bytes.
func wireSize(n int64) int64 { return n + crypto.TagSize }
