package dialect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// errSet is a mistake in the program: what is a set is not one file.
var errSet = errors.New("a set is no file")

// set is a session of our profile that carries a set: both ends write records, under keys
// that come from all that was said before. What jetsend seals stays as it is.
type set struct {
	jetsend
	role crypto.Role // ours

	// Of the plaintexts of the sealed offer and of the sealed accept, as their writers
	// wrote them; and what the responder has drawn.
	offered, accepted [sha256.Size]byte
	random            [crypto.RandomSize]byte
	agreed            bool // there is an accept
}

// NewSet makes the dialect of a session of our profile that we open to carry a set, or to
// ask for the rest of one, and a fresh secret.
func NewSet(to Software) Dialect {
	ts := crypto.NewSecret(crypto.AES256GCM)
	return &set{jetsend: jetsend{foreign{form: FormJetsend, ts: ts, software: to, file: &jingle.File{}}}, role: crypto.Initiator}
}

// openSet is the dialect of a session for that offer, which is behind the secret in payload.
func openSet(b foreign, payload []byte) *set {
	return &set{jetsend: jetsend{b}, role: crypto.Responder, offered: sha256.Sum256(payload[profile.SecretSize:])}
}

// notTaken refuses a set where none is taken.
func notTaken() error {
	return fault.Refuse(&fault.Failure{
		Code: exitcode.Incapable, Reason: "the contact offers files together as a set, and none is taken here",
		Hints: []string{"ask the contact to send them again: its client may not know yet what this one takes"},
	}, jingle.Reason{Condition: jingle.UnsupportedApplications})
}

// Write implements Dialect. The servers get to see the size of all files together.
func (s *set) Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	if t.Offer.Set == nil || t.Offset != 0 {
		return nil, fmt.Errorf("offer: %w", errSet)
	}
	content.Description = describeSpan(profile.Whole(t.Offer.File.Size))
	payload := s.fill(t, content, profile.NSSet)
	defer clear(payload)
	// What the other end would refuse is not sent: it would be taken for an attack.
	if _, err := profile.ParseOffer(payload[profile.SecretSize:]); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	s.offered = sha256.Sum256(payload[profile.SecretSize:])
	return s.wrap(ctx, w, p, payload, content)
}

// ReadAccept opens the sealed accept, which is for all of the set. Errors are
// profile.ErrSealed.
func (s *set) ReadAccept(accepted jingle.Content, size, limit int64) (Accepted, error) {
	x, text, err := profile.UnsealText(s.ts, profile.KindAccept, s.offer.Context(), accepted.Extra...)
	if err != nil {
		return Accepted{}, err
	}
	a, err := profile.ParseAccept(x)
	if err != nil {
		return Accepted{}, err
	}
	span, err := a.Check(accepted, &s.offer, size, limit)
	if err != nil {
		return Accepted{}, err
	}
	s.accepted, s.random, s.agreed = sha256.Sum256(text), a.Random, true
	return Accepted{span, Answer{Device: a.Device, Punch: a.Punch}}, nil
}

// Span implements Dialect: what is here of a set is told entry by entry.
func (s *set) Span(_ jingle.Content, _, size, _ int64) profile.Span { return profile.Whole(size) }

// Accept makes content an accept of the whole set. What it draws is new each time, so that
// an offer that comes again brings no key again.
func (s *set) Accept(content *jingle.Content, span profile.Span, a Answer) error {
	if !span.Whole() || a.Prefix != "" {
		return fmt.Errorf("accept: %w", errSet)
	}
	random := crypto.NewRandom()
	text, err := s.accept(content, profile.Accept{Length: span.Length, Size: span.Size, Device: a.Device, Random: random, Punch: a.Punch})
	if err != nil {
		return err
	}
	s.accepted, s.random, s.agreed = sha256.Sum256(text), random, true
	return nil
}

// Records implements Dialect.
func (s *set) Records(rw io.ReadWriter, bytestream string) (*crypto.RecordWriter, *crypto.RecordReader, error) {
	if !s.agreed || bytestream == "" {
		return nil, nil, errors.New("records: a set that is not agreed on, or a path without an id")
	}
	b := crypto.Binding{
		Random: s.random, Transfer: s.offer.Transfer, SID: s.offer.SID,
		Initiator: s.offer.Initiator.String(), Responder: s.offer.Responder.String(),
		Offer: s.offered, Accept: s.accepted, Bytestream: bytestream,
	}
	theirs := crypto.Responder
	if s.role == crypto.Responder {
		theirs = crypto.Initiator
	}
	w, err := crypto.NewRecordWriter(rw, s.ts, s.role, b)
	if err != nil {
		return nil, nil, err
	}
	r, err := crypto.NewRecordReader(rw, s.ts, theirs, b)
	return w, r, err
}

// Out, In, Checksum and Verify are of a session that carries one file.

func (s *set) Out(context.Context, stream.Conn, io.Reader, int64, stream.Outgoing) error {
	return fmt.Errorf("send: %w", errSet)
}

func (s *set) In(context.Context, stream.Conn, io.Writer, profile.Span, stream.Incoming) error {
	return fmt.Errorf("receive: %w", errSet)
}

func (s *set) Checksum(profile.Span, string) (*xmltree.Element, error) {
	return nil, fmt.Errorf("checksum: %w", errSet)
}

func (s *set) Verify(context.Context, Await, profile.Span, []byte) (Proof, error) {
	return Proof{}, fmt.Errorf("verify: %w", errSet)
}
