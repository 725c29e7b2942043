package dialect

import (
	"context"
	"io"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// ChecksumTime is how long a receiver that has the whole file, its tag
// verified, waits for a checksum that the offer announced. The document does
// not oblige the sender to tell it.
const ChecksumTime = 5 * time.Second

// encryptedFile is the ProtoXEP of 2015: the envelope is in a description of its own,
// and size and checksum are those of what encrypts the file.
type encryptedFile struct {
	foreign
	sum *wireSum
}

// Write implements Dialect.
func (e *encryptedFile) Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	env, err := e.wrapKey(ctx, w, p, t)
	if err != nil {
		return nil, err
	}
	f := e.describe(t)
	f.Size = wireSize(f.Size)
	content.Description, content.SendersOmitted = (&jingle.EncryptedFile{Envelope: env.Element, File: f}).Element(), true
	return env, nil
}

// Out implements Dialect.
func (e *encryptedFile) Out(ctx context.Context, conn stream.Conn, src io.Reader, size int64, o stream.Outgoing) error {
	return e.foreign.Out(ctx, e.sum.tap(conn), src, size, o)
}

// In implements Dialect.
func (e *encryptedFile) In(ctx context.Context, conn stream.Conn, dst io.Writer, s profile.Span, o stream.Incoming) error {
	return e.foreign.In(ctx, e.sum.tap(conn), dst, s, o)
}

// Trailer implements Dialect.
func (e *encryptedFile) Trailer() *xmltree.Element {
	return (&jingle.EncryptedChecksum{Hashes: e.sum.hashes()}).Element()
}

// Verify compares the checksum of the encrypted file with what came, when there is one.
// A wrong one is a [*WrongChecksumError].
func (e *encryptedFile) Verify(ctx context.Context, await Await, _ profile.Span, sum []byte) (Proof, error) {
	if _, err := e.sum.compare(e.sum.told); err != nil {
		return Proof{}, err
	}
	patience := time.Duration(0)
	if e.sum.announced {
		patience = ChecksumTime
	}
	err := awaitSum(ctx, await, patience, func(info *xmltree.Element) (bool, error) {
		if !info.Is(jingle.NSEncryptedFile, "checksum") {
			return false, nil
		}
		c, err := jingle.ParseEncryptedChecksum(info)
		if err != nil {
			return false, &WrongChecksumError{"unreadable"}
		}
		return e.sum.compare(c.Hashes)
	})
	return Proof{SHA256: sum}, err
}

// conversations is where Conversations before 2.5.8 puts the envelope: in the <file/> of
// a description of XEP-0234.
type conversations struct{ foreign }

// Write implements Dialect.
func (c *conversations) Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	env, err := c.wrapKey(ctx, w, p, t)
	if err != nil {
		return nil, err
	}
	f := c.describe(t)
	f.Size, f.HashUsed, f.Extra = wireSize(f.Size), nil, []*xmltree.Element{env.Element}
	content.Description = jingle.Description(f)
	return env, nil
}

// wireSize is the size of an encrypted file of n bytes.
func wireSize(n int64) int64 { return n + crypto.TagSize }
