package transfer

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/tally"
)

// seals reports whether the offer is made in our profile.
func (in *incoming) seals() bool { return in.d.Form().Seals() }

// identify fills in what the transfer is called. Other clients have no ids: what
// tells one of their offers from another is the secret.
func (in *incoming) identify() {
	in.file = in.d.File()
	in.head.Transfer = in.d.Transfer(in.sess.Peer())
	if in.set() != nil {
		in.head.Set = in.head.Transfer
	}
	var name string
	in.head.Name, name = called(in.file.Name)
	in.talk.Head = in.head
	in.down = &download{
		e: in.e, head: in.head, file: in.file, name: name, begun: in.begun, how: in.r.keeping(in.terms), life: in.r.ctx, reader: in.reader, paths: in.terms.Route,
	}
}

// set is what is offered as a set, nil for a file.
func (in *incoming) set() *profile.Set { return in.d.Sealed().Set }

// batch is what an offer of several files belongs to, or nil, as for one that could not
// be read.
func (in *incoming) batch() *profile.Batch {
	if in.d == nil {
		return nil
	}
	return in.d.Sealed().Batch
}

// public reads what the stanza says in the clear.
func (in *incoming) public(senders string) (err error) {
	in.clear, err = dialect.Read(in.sess.Content(), senders)
	if errors.Is(err, dialect.ErrNotEncrypted) && in.terms.takesPlaintext(senders) {
		in.clear.Form, err = dialect.FormPlaintext, nil
	}
	in.clear.Sets = !in.e.cfg.NoSets
	return err
}

// takesPlaintext reports whether an offer or request without an envelope, from whom
// the policy admits, may be looked at further. Where keys must be verified it may
// not, for it has none.
func (t *terms) takesPlaintext(senders string) bool {
	return t.InsecurePlaintext && t.Accept != policy.Verified && senders == jingle.SenderInitiator
}

// open opens the envelope, judges the device that wrapped it, and holds the
// sealed offer against the stanza.
func (in *incoming) open(ctx context.Context) error {
	if err := in.r.paces.Wait(ctx, in.sess.Peer().Bare()); err != nil {
		return err
	}
	if in.clear.Form == dialect.FormPlaintext { // there is no device to judge, and nothing that binds the offer to anybody
		in.d = in.clear.OpenPlaintext(in.sess.Content())
		in.dev = omemo.Device{IdentityKey: journal.NoKey()}
		return nil
	}
	opened, err := in.e.omemo.Unwrap(ctx, in.e.sess, in.sess.Peer(), in.clear.Security.Envelope)
	if errors.Is(err, omemo.ErrEnvelope) || errors.Is(err, omemo.ErrNotForUs) {
		in.e.upkeep.Unopened(in.sess.Peer(), err)
	}
	if err != nil {
		return fmt.Errorf("envelope from %s: %w", in.sess.Peer(), err)
	}
	defer clear(opened.Key) // what is needed of them is in the secret
	defer clear(opened.Payload)
	in.dev = opened.Device
	if err := in.terms.rules().Judge(in.dev, in.sess.Content().Senders == jingle.SenderInitiator); err != nil {
		return err
	}
	in.e.upkeep.Opened()
	d, err := in.clear.Open(in.sess, opened)
	if err != nil {
		return err
	}
	in.d, in.devices = d, []omemo.Device{in.dev}
	if !in.seals() {
		return nil
	}
	in.e.contacts().RememberJetsend(ctx, in.dev)
	in.dropAbandoned(ctx)
	return nil
}

// dropAbandoned ends the transfers that the sender of an offer has given up, as far as
// they are of its own key, and removes what there is of them. A transfer that somebody
// is at is settled by its own session.
func (in *incoming) dropAbandoned(ctx context.Context) {
	for _, id := range in.d.Sealed().Gone {
		row, err := in.e.journal.Peek(ctx, journal.Key{ID: id, Direction: journal.Receive})
		if err != nil || row.State != journal.Interrupted || row.Phase.Verified() || row.Peer != in.dev.JID.Bare() || !row.HasKey(in.dev.IdentityKey) {
			continue
		}
		if !in.e.rows().Fail(row, fault.ErrAbandoned) {
			continue
		}
		head := tally.HeadOfRow(row, in.sess.Peer())
		if !in.r.notify(row.Key, &notice{head: head, err: fault.ErrAbandoned}) {
			in.r.over(head, fault.ErrAbandoned)
		}
		in.e.log.Info("given up by the sender", "transfer", id, "peer", row.Peer)
	}
}
