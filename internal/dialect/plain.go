package dialect

import (
	"context"
	"encoding/hex"
	"io"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// plain is a file without encryption: an offer of XEP-0234 without any envelope, as
// clients make and take it that have no encryption. Both ends do it only when their user
// says --insecure-plaintext. Nothing leads here from an encrypted form:
//
//   - one is written when the form is FormPlaintext, which ChoosePlaintext alone allows;
//   - one is read by OpenPlaintext, of an offer that Read has refused as having no
//     envelope;
//   - bytes go out or come in as they are in the methods of this type alone. Its secret is
//     of no suite, so whatever would encrypt or seal with it is refused.
type plain struct {
	foreign
	sum *plainSum
}

// OpenPlaintext is the dialect of an offer, in content, that Read refused with
// [ErrNotEncrypted], for a user who takes what nothing protects.
func (in Clear) OpenPlaintext(content jingle.Content) Dialect {
	sum := newPlainSum(content.Description.Child("", "file"))
	sum.add("sha-1") // Conversations announces no hash, and tells this one
	return &plain{foreign{form: FormPlaintext, ts: crypto.NewSecret(FormPlaintext.Suite("")), file: in.File}, sum}
}

// Transfer implements Dialect.
func (p *plain) Transfer(jid.JID) string { return uuid.NewString() }

// Write implements Dialect. The envelope is empty: it is for no device.
func (p *plain) Write(_ context.Context, _ Wrapper, _ omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	content.Description = jingle.Description(p.describe(t))
	return &omemo.Envelope{}, nil
}

// Out implements Dialect.
func (p *plain) Out(ctx context.Context, conn stream.Conn, src io.Reader, size int64, o stream.Outgoing) error {
	return stream.InsecureOut(ctx, p.sum.tap(conn), src, size, o)
}

// In implements Dialect.
func (p *plain) In(ctx context.Context, conn stream.Conn, dst io.Writer, s profile.Span, o stream.Incoming) error {
	return stream.InsecureIn(ctx, p.sum.tap(conn), dst, s.Length, o)
}

// Trailer is the SHA-256 of what was sent (XEP-0234 section 8.1).
func (p *plain) Trailer() *xmltree.Element {
	value := p.sum.sha256()
	if p.sum.libervia {
		value = []byte(hex.EncodeToString(value))
	}
	c := jingle.Checksum{Name: ContentName, File: jingle.File{Size: -1, Hashes: []jingle.Hash{{Algo: hashAlgo, Value: value}}}}
	return c.Element()
}

// Verify compares what came with the hash that the offer told, and with the
// checksum that follows it, when there is one: of whatever content it says it is,
// Conversations has a name of its own. A wrong one is a [*WrongChecksumError].
func (p *plain) Verify(ctx context.Context, await Await, _ profile.Span, _ []byte) (Proof, error) {
	patience := p.sum.patience
	known, err := p.sum.compare(p.sum.told)
	switch {
	case err != nil:
		return Proof{}, err
	case known:
		patience = 0
	}
	err = awaitSum(ctx, await, patience, func(info *xmltree.Element) (bool, error) {
		if !info.Is(jingle.NSFile, "checksum") {
			return false, nil
		}
		return p.sum.compare(jingle.HashesIn(info.Child("", "file")))
	})
	return Proof{p.sum.sha256(), p.sum.verified()}, err
}

// plainSumTime is how long a receiver that has all of a plain file waits for a
// checksum that nobody announced: Conversations sends one right behind the last
// byte, Dino none.
const plainSumTime = 2 * time.Second
