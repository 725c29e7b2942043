package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"jetsend/internal/batch"
	"jetsend/internal/carry"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/tally"
)

// incoming is a session that a contact opened, for a file of theirs or for the
// rest of one of ours, until it is admitted to the actor of its transfer.
type incoming struct {
	r       *receiver
	e       *core
	terms   *terms    // under which it was admitted
	lot     batch.Key // what --once takes as one; see join
	unclaim func()    // takes back that it was claimed for --once; nil before
	looked  func()    // it is decided
	talk    *conversation.Conversation
	sess    *jingle.Session // that of talk
	head    event.Head
	file    *jingle.File    // as offered: the sealed one, or else the public one
	clear   dialect.Clear   // what it says for all to see
	d       dialect.Dialect // once it is read
	dev     omemo.Device
	devices []omemo.Device // dev, when there is one
	agreed  bool           // on what the session carries, of a request
	no      error          // why its actor turned it away, unless that is nil
	down    *download      // of an offer that could be read
	up      *upload        // of a request that is granted
	begun   time.Time
	ended   chan struct{} // closed when the session is over
}

func (*incoming) isInput() {}

// over implements visit.
func (in *incoming) over(error) { close(in.ended) }

// arrive takes a session, which was admitted under t, to its end.
func (r *receiver) arrive(s *jingle.Session, t *terms) {
	head := event.Head{Direction: event.Receive, Peer: s.Peer().String()}
	talk := r.e.converse(r.ctx, head)
	talk.Session, talk.Lost = s, r.e.sess.Lost()
	r.e.routes.Prepare(t.Route)
	in := &incoming{
		r: r, e: r.e, terms: t, sess: s, talk: talk, head: head, looked: sync.OnceFunc(r.work.Decided), begun: time.Now(), ended: make(chan struct{}),
	}
	decide, fail := in.decide, in.unbegun
	if s.Content().Senders == jingle.SenderResponder {
		decide, fail = in.grant, in.ungranted
	}
	var done bool
	err := in.deciding(func(ctx context.Context) (err error) {
		done, err = decide(ctx)
		return err
	})
	talk.Dialect, talk.Devices = in.d, in.devices
	if err == nil && !done {
		if r.actors.Tell(in.key(), in, r.visit) {
			<-in.ended
			if in.no != nil {
				talk.Terminate(fault.NotBegun(in.no))
				talk.Close()
			}
			return
		}
		err = context.Cause(r.deciding)
	}
	in.looked()
	if err != nil {
		err = in.withdrawn(err)
		talk.Terminate(fault.NotBegun(err))
		if in.up != nil {
			in.up.leave(fault.NotBegun(err))
		}
		fail(err)
	}
	talk.Close()
}

// key is the transfer of what was admitted.
func (in *incoming) key() journal.Key {
	if in.up != nil {
		return tally.KeyOf(in.up.head)
	}
	return tally.KeyOf(in.head)
}

// deciding runs a step of what is not decided yet.
func (in *incoming) deciding(f func(context.Context) error) error {
	return in.talk.Step(conversation.Needs{Server: true, Run: in.r.deciding}, f)
}

// enter waits for a place among the running transfers.
func (in *incoming) enter() error {
	bare := in.sess.Peer().Bare()
	err := in.talk.Step(conversation.Needs{}, func(ctx context.Context) error { return in.r.places.Enter(ctx, bare) })
	if err != nil && in.up != nil {
		return fault.NotBegun(err)
	}
	if err == nil {
		in.talk.Leave = func() { in.r.places.Leave(bare) }
		in.talk.Lost = in.e.sess.Lost() // both ends know the session, whatever happened while it waited
	}
	return err
}

// unbegun reports an offer that came to nothing. If its transfer has begun in this run,
// and may still go on, nothing is its end but our own refusal.
func (in *incoming) unbegun(err error) {
	n := &notice{heard: make(chan struct{}), missed: func(begun, busy bool) bool { return in.missed(err, begun, busy) }}
	if in.head.Transfer != "" && in.r.actors.Tell(in.key(), n, nil) {
		<-n.heard
		return
	}
	in.missed(err, false, false)
}

// refuse ends a session that its actor does not take, and reports whether that was the
// end of a transfer that has begun.
func (in *incoming) refuse(err error, begun bool) (over bool) {
	in.talk.Terminate(fault.NotBegun(err))
	return in.missed(err, begun, false)
}

// turnAway has arrive end a session that cannot be taken while another one is under way.
func (in *incoming) turnAway(err error) {
	in.looked()
	in.no = err
	close(in.ended)
}

// missed is unbegun, told whether the transfer has begun and whether a session is at it.
func (in *incoming) missed(err error, begun, busy bool) (over bool) {
	var ours *fault.Refusal
	switch {
	case !begun:
		in.r.once.Missed(in.fileOf(), in.fail(err))
	case !busy && errors.As(err, &ours):
		in.r.once.End(in.head.Transfer, in.fail(err))
		return true
	}
	return false
}

// fail reports that an offer came to nothing.
func (in *incoming) fail(err error) exitcode.Code {
	f := fault.New(err, false)
	if in.head.Transfer == "" {
		in.e.cfg.Report(event.FailedEarly{Direction: event.Receive, Peer: in.sess.Peer().String(), Code: int(f.Code), Reason: clean.Error(f), Hints: f.Hints})
		return f.Code
	}
	row, lerr := in.e.journal.Load(context.Background(), tally.KeyOf(in.head))
	resumable := lerr == nil && row.State == journal.Interrupted && row.HasKey(in.dev.IdentityKey)
	over := failedWith(in.head, f, resumable)
	over.Declined = fault.Of(err).Declined
	in.e.cfg.Report(over)
	return f.Code
}

// withdrawn prefers the peer's end of the session over what it did to our
// looking at the offer.
func (in *incoming) withdrawn(err error) error {
	if ended := in.talk.Withdrawn(); ended != nil {
		return ended
	}
	return err
}

// decide makes the checks in the order of docs/protocol.md, the cheapest and
// most telling first. done says that there is nothing left to take: the file had been
// released before.
func (in *incoming) decide(ctx context.Context) (done bool, err error) {
	if err := in.public(jingle.SenderInitiator); err != nil {
		return false, err
	}
	if err := in.open(ctx); err != nil {
		return false, err
	}
	in.identify()
	known, err := in.known(ctx)
	if err != nil {
		return false, err
	}
	in.join(known)
	if known.Released {
		in.r.notify(tally.KeyOf(in.head), &notice{}) // another process may have brought it to its end
		in.r.once.Missed(in.fileOf(), exitcode.OK)   // it is here
		return true, nil
	}
	resumed := in.goesOn(known)
	in.expect(known)
	in.e.cfg.Report(event.Offer{
		Head: in.head, Size: in.file.Size, ResumedFrom: known.Durable,
		Description: clean.Text(in.file.Description), Directory: in.d.Sealed().Manifest() != nil,
	})
	no := in.barred()
	if in.terms.Accept == policy.Ask && !resumed { // a yes is for the file under that name, however often it is cut
		if err := in.ask(ctx, no); err != nil {
			return false, unasked(ctx, err)
		}
	}
	if no == nil {
		no = in.impossible(known)
	}
	if no != nil {
		if in.unclaim != nil {
			in.unclaim()
		}
		return false, no
	}
	return false, nil
}

// goesOn reports whether the offer goes on with what was agreed to before. Of a set, files
// may come and go between two sessions; one that has become larger is another question.
func (in *incoming) goesOn(known journal.Row) bool {
	same := known.Size == in.file.Size
	if s := in.set(); s != nil {
		same = known.Items == s.Items && s.Entries <= known.Entries && in.file.Size <= known.Size && carry.Listed(s.Listed).As(in.e.rows().Arguments(known.Key))
	}
	return (known.State == journal.Interrupted || known.State.Live()) && same && known.Name == in.file.Name &&
		known.Paused != journal.PausedHere // the user who stopped it by hand is asked
}

// join says which batch the offer is of: that of its transfer, when a sender goes on with
// it alone.
func (in *incoming) join(known journal.Row) {
	id := known.Batch
	if b := in.batch(); b != nil {
		id = b.ID
	}
	in.lot = batch.KeyOf(in.sess.Peer(), id, in.head.Transfer)
}

// known is what the journal has about the transfer, if it is that contact's and
// that key's. The receipt of a file that was released is sent again. A transfer that
// was released so long ago that only that is known, and a secret under which a file
// was received before, are refused.
func (in *incoming) known(ctx context.Context) (row journal.Row, err error) {
	if in.clear.Form == dialect.FormPlaintext {
		return row, nil
	}
	row, err = in.e.journal.Load(ctx, tally.KeyOf(in.head))
	switch {
	case errors.Is(err, journal.ErrUnknown):
		spent, err := in.e.journal.Spent(ctx, in.head.Transfer, in.sess.Peer())
		if err == nil && spent {
			err = in.received()
		}
		return journal.Row{}, err
	case err != nil:
		return row, err
	case row.Peer != in.sess.Peer().Bare() || !row.HasKey(in.dev.IdentityKey):
		return journal.Row{}, nil
	case !in.seals() && row.Released:
		return journal.Row{}, in.received()
	case !in.seals():
		return journal.Row{}, nil
	case !row.Released:
		return row, nil
	}
	row, err = in.e.journal.Finished(ctx, in.head.Transfer, in.dev.JID, in.dev.IdentityKey)
	if errors.Is(err, journal.ErrUnknown) { // too long ago for a receipt
		return journal.Row{}, in.received()
	}
	if err != nil {
		return row, err
	}
	in.resendReceipt(row)
	return row, nil
}

// received is the error for an offer of what was received before, and has no receipt. A
// jetsend that never heard of that may ask; another client makes each offer but once.
func (in *incoming) received() error {
	if !in.seals() {
		return fault.ErrReplayed
	}
	return fmt.Errorf("%w: %w", fault.ErrDeclined, journal.ErrOver)
}

// resendReceipt answers an offer of a file that was released before: no byte is sent, no
// second file made.
func (in *incoming) resendReceipt(row journal.Row) {
	rec := profile.Receipt{Transfer: row.ID, Size: in.file.Size, Stored: in.file.Size, SHA256: hex.EncodeToString(row.SHA256)}
	for _, a := range in.e.rows().Arguments(row.Key) {
		rec.Failed += a.Failed
	}
	word, err := in.d.Receipt(in.sess.Content(), rec)
	if err == nil {
		err = in.talk.Tell(in.r.ctx, word)
	}
	reason := jingle.Reason{Condition: jingle.Success}
	if err != nil { // without the receipt nobody believes it
		reason.Condition = jingle.ConnectivityError
	}
	_ = in.sess.Terminate(context.Background(), reason)
	in.e.log.Info("receipt sent again", "transfer", row.ID, "peer", in.sess.Peer(), "error", err)
}

// notify tells the actor of a transfer, if there is one, what has become of it, and waits
// until that knows. It reports whether there is one.
func (r *receiver) notify(key journal.Key, n *notice) bool {
	n.heard = make(chan struct{})
	if !r.actors.Tell(key, n, nil) {
		return false
	}
	<-n.heard
	return true
}

// row is the transfer as it is entered in the journal.
func (in *incoming) row() journal.Row {
	row := journal.Row{
		Key:  tally.KeyOf(in.head),
		Peer: in.sess.Peer().Bare(), Resource: in.sess.Peer().Resource(), Profile: in.seals(),
		Name: in.file.Name, Description: clean.Text(in.file.Description), Size: in.file.Size, MTime: in.file.Date, Keys: [][]byte{in.dev.IdentityKey},
		Source: journal.SourceOf(in.d.Sealed().Manifest()), Manifest: in.d.Sealed().Manifest(),
	}
	if in.seals() {
		row.Mode = in.d.Sealed().Mode
	}
	if s := in.set(); s != nil {
		row.Source, row.Items, row.Entries = journal.SourceSet, s.Items, s.Entries
	}
	if b := in.batch(); b != nil {
		row.Batch = b.ID
	}
	return row
}

// barred is the refusal of what our rules do not take, whatever there is here; nil for
// everything else.
func (in *incoming) barred() *fault.Refusal {
	if in.terms.Out != nil && (in.batch() != nil || in.set() != nil) {
		return fault.Refuse(errOneFile, fault.Reason(jingle.Decline, fault.DetailPolicy))
	}
	if err := in.tooBig(); err != nil {
		return fault.Refuse(err, fault.Reason(jingle.Decline, fault.DetailTooBig))
	}
	return nil
}

// impossible is the refusal of what is known not to fit here before any of it has come;
// nil for everything else.
func (in *incoming) impossible(known journal.Row) *fault.Refusal {
	if in.full(known) {
		return fault.Refuse(fmt.Errorf("%d bytes: %w", in.file.Size, inbox.ErrNoSpace), fault.Reason(jingle.Decline, fault.DetailNoSpace))
	}
	if err := in.down.how.Taken(in.r.dir, in.sess.Peer(), in.down.name, in.d.Sealed().Manifest() != nil); err != nil {
		return fault.Refuse(err, fault.Reason(jingle.Decline, fault.DetailExists))
	}
	return nil
}

// tooBig is the refusal of what does not fit our rules or one session.
func (in *incoming) tooBig() error {
	if !in.seals() && in.file.Size > crypto.MaxPlaintext {
		return fmt.Errorf("%w: %d bytes are more than one session carries", fault.ErrDeclined, in.file.Size)
	}
	if m := in.terms.MaxSize; m > 0 && in.file.Size > m {
		return fmt.Errorf("%w: %d bytes are more than --max-size", fault.ErrDeclined, in.file.Size)
	}
	return nil
}

// full reports whether there is no room for a file that is new here. The download looks
// again when it takes the file; so it is for one that is partly here, and for the folder
// of a contact, which may be on another file system.
func (in *incoming) full(known journal.Row) bool {
	if known.State != "" || in.terms.PerSender || in.set() != nil && in.terms.OnConflict == inbox.Update {
		return false
	}
	row := in.row()
	return errors.Is(in.down.how.Fits(in.r.dir, &row), inbox.ErrNoSpace)
}
