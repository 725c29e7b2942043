package dialect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// envelopeType is the type attribute of our <security/>.
const envelopeType = omemo.NS

// foreign is what the dialects of other clients have in common: everybody sees the file,
// nothing is sealed but the secret, and one session carries all of it.
type foreign struct {
	form     Form
	ts       *crypto.Secret
	software Software
	file     *jingle.File
	offer    profile.Offer // sealed, of our profile alone
}

func (f *foreign) Form() Form             { return f.form }
func (f *foreign) Secret() *crypto.Secret { return f.ts }
func (f *foreign) Sealed() *profile.Offer { return &f.offer }
func (f *foreign) File() *jingle.File     { return f.file }
func (f *foreign) Libervia() bool         { return f.software == Libervia }

// Transfer is made of the secret, which is fresh for every offer. Not of its IV: of a key
// transport it is not authenticated.
func (f *foreign) Transfer(from jid.JID) string {
	name := append([]byte("jetsend transfer\x00"+from.Bare().String()+"\x00"), f.ts.Key()...)
	defer clear(name)
	return uuid.NewHash(sha256.New(), uuid.Nil, name, 8).String()
}

// describe is the file of t for all to see.
func (f *foreign) describe(t Terms) *jingle.File {
	f.file = t.Offer.File
	return &jingle.File{
		Name: f.file.Name, Size: f.file.Size, Date: f.file.Date, Description: f.file.Description, HashUsed: []string{hashAlgo},
	}
}

// wrapKey puts the secret into an envelope that holds it as its key.
func (f *foreign) wrapKey(ctx context.Context, w Wrapper, p omemo.PEP, t Terms) (*omemo.Envelope, error) {
	return w.WrapKey(ctx, p, t.Offer.Responder, f.ts, omemo.Renewed)
}

// secure is the <security/> of content with an envelope.
func secure(content *jingle.Content, cipher string, env *omemo.Envelope) {
	s := jingle.Security{Name: content.Name, Cipher: cipher, Type: envelopeType, Envelope: env.Element}
	content.Security = s.Element()
}

// ReadAccept takes every answer for that to all of the file: a range that is echoed means
// nothing.
func (f *foreign) ReadAccept(_ jingle.Content, size, _ int64) (Accepted, error) {
	return Accepted{Span: profile.Whole(size)}, nil
}

func (f *foreign) Span(_ jingle.Content, _, size, _ int64) profile.Span { return profile.Whole(size) }

func (f *foreign) Accept(*jingle.Content, profile.Span, Answer) error { return nil }

func (f *foreign) Out(ctx context.Context, conn stream.Conn, src io.Reader, size int64, o stream.Outgoing) error {
	return stream.Out(ctx, conn, src, size, f.ts, o)
}

// In counts the bytes: other clients do not all end the stream after the tag.
func (f *foreign) In(ctx context.Context, conn stream.Conn, dst io.Writer, s profile.Span, o stream.Incoming) error {
	o.Ends = false
	return f.in(ctx, conn, dst, s, o)
}

func (f *foreign) in(ctx context.Context, conn stream.Conn, dst io.Writer, s profile.Span, o stream.Incoming) error {
	counted := &counter{Writer: dst}
	err := stream.In(ctx, conn, counted, s.Length, f.ts, o)
	if err != nil && counted.n == s.Length && errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrUntagged, err)
	}
	return err
}

// ErrUntagged means that all of the file came and nothing that proves it. In-band,
// Conversations 2.x drops the tag of files of some sizes.
var ErrUntagged = errors.New("unauthenticated: the stream ended before its tag")

// counter counts what is written.
type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

func (f *foreign) Records(io.ReadWriter, string) (*crypto.RecordWriter, *crypto.RecordReader, error) {
	return nil, nil, errors.New("records: the session carries no set")
}

func (f *foreign) Trailer() *xmltree.Element { return nil }

func (f *foreign) Checksum(profile.Span, string) (*xmltree.Element, error) { return nil, nil }

func (f *foreign) Verify(_ context.Context, _ Await, _ profile.Span, sum []byte) (Proof, error) {
	return Proof{SHA256: sum}, nil
}

// Receipt is a <received/> of the name space of the offer, without anything that proves it.
func (f *foreign) Receipt(content jingle.Content, _ profile.Receipt) (*xmltree.Element, error) {
	word := profile.Received(content.Name, nil)
	word.Name.Space = content.Description.Name.Space
	return word, nil
}

func (f *foreign) ReadReceipt(*xmltree.Element, profile.Receipt) (*profile.Receipt, error) {
	return nil, nil
}

func (f *foreign) Reason(string, string) (*xmltree.Element, error) { return nil, nil }
func (f *foreign) Proves(string, string, []*xmltree.Element) bool  { return false }
