package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/filename"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
)

// identify fills in what the transfer is called. Other clients have no ids: what
// tells one of their offers from another is the secret.
func (in *incoming) identify(public *jingle.File) {
	in.file = public
	switch {
	case in.form == formInsecurePlaintext:
		in.head.Transfer = uuid.NewString()
	case in.held.offer == nil:
		in.head.Transfer = idOf(in.held.ts, in.sess.Peer())
	default:
		in.file, in.head.Transfer = in.held.offer.File, in.held.offer.Transfer
	}
	name := filename.Safe(in.file.Name)
	in.head.Name = clean.Text(in.file.Name)
	if in.file.Name == "" {
		in.head.Name = name
	}
	in.talk.head = in.head
	in.down = &download{
		e: in.e, head: in.head, file: in.file, name: name, begun: in.begun, how: in.r.keeping(in.terms), life: in.r.ctx, reader: in.reader,
	}
}

// idOf is the id of a transfer that a contact offered under a secret and without an id.
// The secret is fresh for every offer, so that an offer which comes again has the same
// id. Not its IV: of a key transport it is not authenticated.
func idOf(ts *crypto.Secret, from jid.JID) string {
	name := append([]byte("jetsend transfer\x00"+from.Bare().String()+"\x00"), ts.Key()...)
	defer clear(name)
	return uuid.NewHash(sha256.New(), uuid.Nil, name, 8).String()
}

// batch is what an offer of several files belongs to, or nil.
func (in *incoming) batch() *Batch {
	if in.held.offer == nil {
		return nil
	}
	return in.held.offer.Batch
}

// public reads what the stanza says in the clear.
func (in *incoming) public(senders string) (*jingle.File, *jingle.Security, error) {
	c, err := readClear(in.sess.Content(), senders)
	if errors.Is(err, errNotEncrypted) && in.terms.takesPlaintext(senders) {
		c.form, err = formInsecurePlaintext, nil
	}
	in.form = c.form
	return c.file, c.sec, err
}

// open opens the envelope, judges the device that wrapped it, and holds the
// sealed offer against the stanza.
func (in *incoming) open(ctx context.Context, public *jingle.File, sec *jingle.Security) error {
	if err := in.r.paces.Wait(ctx, in.sess.Peer().Bare()); err != nil {
		return err
	}
	if in.form == formInsecurePlaintext {
		in.openPlaintext()
		in.talk.encryption = in.held.encryption
		return nil
	}
	opened, err := in.e.omemo.Unwrap(ctx, in.e.sess, in.sess.Peer(), sec.Envelope)
	if errors.Is(err, omemo.ErrEnvelope) || errors.Is(err, omemo.ErrNotForUs) {
		in.e.upkeep.Unopened(in.sess.Peer(), err)
	}
	if err != nil {
		return fmt.Errorf("envelope from %s: %w", in.sess.Peer(), err)
	}
	defer clear(opened.Key) // what is needed of them is in the secret
	defer clear(opened.Payload)
	in.dev = opened.Device
	if err := in.terms.judge(in.dev, in.sess.Content().Senders == jingle.SenderInitiator); err != nil {
		return err
	}
	in.e.upkeep.Opened()
	if in.held, err = tellForm(in.form, opened, sec.Cipher); err != nil {
		return err
	}
	if in.form == formEncryptedFile {
		in.talk.wire = newWireSum(public)
	}
	in.talk.ts, in.talk.offer, in.talk.libervia = in.held.ts, in.held.offer, in.held.libervia
	in.talk.encryption, in.talk.devices = in.held.encryption, []omemo.Device{in.dev}
	if in.held.offer == nil {
		return nil
	}
	if err := in.held.offer.Check(in.sess, sec, in.dev.ID, public); err != nil {
		return err
	}
	in.e.rememberJetsend(ctx, in.dev)
	in.dropAbandoned(ctx)
	return nil
}
