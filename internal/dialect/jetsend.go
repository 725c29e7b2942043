package dialect

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// sealedChecksumTime is how long a receiver waits for the checksum of a file that was put
// together, which the sender tells right behind the bytes.
const sealedChecksumTime = 5 * time.Minute

// jetsend is our profile, jetsend:1: JET with everything that matters sealed.
type jetsend struct{ foreign }

// File implements Dialect.
func (j *jetsend) File() *jingle.File { return j.offer.File }

// Transfer implements Dialect.
func (j *jetsend) Transfer(jid.JID) string { return j.offer.Transfer }

// Write implements Dialect. The servers get to see the size and the range.
func (j *jetsend) Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	if t.Offer.Set != nil { // the other end would take it for a file
		return nil, fmt.Errorf("offer: %w", errSet)
	}
	content.Description = describeSpan(profile.Rest(t.Offset, t.Offer.File.Size, t.Limit, -1))
	payload := j.fill(t, content, j.ts.Suite().URN())
	defer clear(payload)
	return j.wrap(ctx, w, p, payload, content)
}

// fill completes the offer for content, which has its description and transport, and
// returns what its envelope is to hold. The caller wipes that.
func (j *jetsend) fill(t Terms, content *jingle.Content, cipher string) (payload []byte) {
	j.offer = t.Offer
	j.offer.Content, j.offer.Senders, j.offer.Cipher = content.Name, content.Senders, cipher
	j.offer.Digest = profile.ContentDigest(*content)
	return j.offer.Payload(j.ts)
}

// wrap puts the payload into an envelope, and that into content.
func (j *jetsend) wrap(ctx context.Context, w Wrapper, p omemo.PEP, payload []byte, content *jingle.Content) (*omemo.Envelope, error) {
	env, err := w.WrapPayload(ctx, p, j.offer.Responder.Bare(), payload, omemo.Kept)
	if err != nil {
		return nil, err
	}
	secure(content, j.offer.Cipher, env)
	return env, nil
}

// describeSpan is the description of a span for all to see.
func describeSpan(s profile.Span) *xmltree.Element {
	return jingle.Description(&jingle.File{Size: s.Size, Range: s.Range(), HashUsed: []string{hashAlgo}})
}

// ReadAccept opens the sealed accept. Errors are profile.ErrSealed.
func (j *jetsend) ReadAccept(accepted jingle.Content, size, limit int64) (Accepted, error) {
	x, err := j.unseal(profile.KindAccept, accepted.Extra)
	if err != nil {
		return Accepted{}, err
	}
	a, err := profile.ParseAccept(x)
	if err != nil {
		return Accepted{}, err
	}
	s, err := a.Check(accepted, &j.offer, size, limit)
	return Accepted{s, Answer{a.Prefix, a.Device, a.Punch}}, err
}

// Span implements Dialect.
func (j *jetsend) Span(content jingle.Content, from, size, limit int64) profile.Span {
	return profile.Rest(from, size, limit, profile.Allowed(content))
}

// Accept makes content an accept of the span: a range in the clear, and the sealed
// element that proves it.
func (j *jetsend) Accept(content *jingle.Content, s profile.Span, a Answer) error {
	_, err := j.accept(content, profile.Accept{Offset: s.Offset, Length: s.Length, Size: s.Size, Prefix: a.Prefix, Device: a.Device, Punch: a.Punch})
	return err
}

// accept makes content the accept a, of which it fills in Transfer and Digest, and returns
// what was sealed.
func (j *jetsend) accept(content *jingle.Content, a profile.Accept) (text []byte, err error) {
	content.Description = describeSpan(profile.Span{Offset: a.Offset, Length: a.Length, Size: a.Size})
	a.Transfer, a.Digest = j.offer.Transfer, profile.ContentDigest(*content)
	x := a.Element()
	sealed, err := j.seal(profile.KindAccept, x)
	if err != nil {
		return nil, err
	}
	content.Extra = []*xmltree.Element{sealed}
	return x.Bytes(), nil
}

// In implements Dialect.
func (j *jetsend) In(ctx context.Context, conn stream.Conn, dst io.Writer, s profile.Span, o stream.Incoming) error {
	return j.in(ctx, conn, dst, s, o)
}

// Checksum implements Dialect: the tag proves a file that comes in one session.
func (j *jetsend) Checksum(s profile.Span, sum string) (*xmltree.Element, error) {
	if !s.Last() || s.Whole() {
		return nil, nil
	}
	if sum == "" {
		return nil, fmt.Errorf("checksum of %d bytes that were not hashed", s.Size)
	}
	c := profile.Checksum{Transfer: j.offer.Transfer, Size: s.Size, SHA256: sum}
	sealed, err := j.seal(profile.KindChecksum, c.Element())
	if err != nil {
		return nil, err
	}
	return profile.ChecksumInfo(j.offer.Content, sealed), nil
}

// Verify waits for the sealed SHA-256 of a file that was put together, and compares it.
// Without the right one nothing of the file is kept.
func (j *jetsend) Verify(_ context.Context, await Await, s profile.Span, sum []byte) (Proof, error) {
	if s.Whole() {
		return Proof{SHA256: sum}, nil
	}
	want := ""
	err := await(sealedChecksumTime, stream.ErrIdle, func(info *xmltree.Element) (bool, error) {
		if !info.Is(jingle.NSFile, "checksum") {
			return false, nil
		}
		x, err := j.unseal(profile.KindChecksum, info.Children)
		if err != nil {
			return false, err
		}
		c, err := profile.ParseChecksum(x)
		if err != nil {
			return false, err
		}
		if c.Transfer != j.offer.Transfer || c.Size != s.Size || info.Attr("name") != j.offer.Content {
			return false, fmt.Errorf("%w: the checksum is for something else", profile.ErrSealed)
		}
		want = c.SHA256
		return true, nil
	})
	switch {
	case err != nil:
		return Proof{}, err
	case sum == nil || want != hex.EncodeToString(sum):
		return Proof{}, fault.ErrChecksum
	}
	return Proof{SHA256: sum}, nil
}

// Receipt implements Dialect.
func (j *jetsend) Receipt(content jingle.Content, r profile.Receipt) (*xmltree.Element, error) {
	sealed, err := j.seal(profile.KindReceipt, r.Element())
	if err != nil {
		return nil, err
	}
	return profile.Received(content.Name, sealed), nil
}

// ReadReceipt implements Dialect. A <received/> that does not open is a lie about one and
// ends the transfer.
func (j *jetsend) ReadReceipt(info *xmltree.Element, want profile.Receipt) (*profile.Receipt, error) {
	if !info.Is(jingle.NSFile, "received") {
		return nil, nil
	}
	if info.Attr("creator") != jingle.SenderInitiator || info.Attr("name") != j.offer.Content {
		return nil, fmt.Errorf("%w: the receipt was changed on its way", profile.ErrSealed)
	}
	x, err := j.unseal(profile.KindReceipt, info.Children)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrUnconfirmed, err)
	}
	r, err := profile.ParseReceipt(x)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrUnconfirmed, err)
	}
	other := r.Stored == r.Size && want.SHA256 != "" && r.SHA256 != want.SHA256
	other = other || r.Failed > 0 && j.offer.Set == nil
	if r.Transfer != j.offer.Transfer || r.Size != want.Size || r.Stored != want.Stored || other {
		return nil, fmt.Errorf("%w: the receipt is for something else", profile.ErrSealed)
	}
	return &r, nil
}

// Reason implements Dialect.
func (j *jetsend) Reason(detail, by string) (*xmltree.Element, error) {
	return j.seal(profile.KindReason, profile.Reason{Transfer: j.offer.Transfer, By: by, Detail: detail}.Element())
}

// Proves implements Dialect.
func (j *jetsend) Proves(detail, by string, said []*xmltree.Element) bool {
	x, err := j.unseal(profile.KindReason, said)
	return err == nil && profile.Reason{Transfer: j.offer.Transfer, By: by, Detail: detail}.Is(x)
}

func (j *jetsend) seal(kind string, x *xmltree.Element) (*xmltree.Element, error) {
	return profile.Seal(j.ts, kind, j.offer.Context(), x)
}

func (j *jetsend) unseal(kind string, elements []*xmltree.Element) (*xmltree.Element, error) {
	return profile.Unseal(j.ts, kind, j.offer.Context(), elements...)
}
