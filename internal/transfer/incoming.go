package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
)

// incoming is a session that a contact opened, for a file of theirs or for the
// rest of one of ours.
type incoming struct {
	r       *receiver
	e       *Endpoint
	terms   *terms // under which it was admitted
	lot     string // what --once takes as one; see lotKey
	unclaim func() // takes back that it was claimed for --once; nil before
	talk    *talk
	sess    *jingle.Session // that of talk
	head    Head
	file    *jingle.File // as offered: the sealed one, or else the public one
	form    form         // of the offer, as far as it shows in the clear
	held    content      // of the envelope
	dev     omemo.Device
	down    *download // of an offer that could be read
	stop    context.CancelCauseFunc
	begun   time.Time
}

// run takes an offer to the end of its session.
func (in *incoming) run(ctx context.Context) {
	defer in.wipe()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	in.stop = stop
	done, err := in.decide(ctx)
	in.r.looked()
	switch {
	case done:
		return
	case err != nil:
		err = in.withdrawn(err)
		in.terminate(ctx, notBegun(err))
		in.r.unbegun(in, err, func() exitcode.Code { return in.fail(ctx, err) })
		return
	}
	err = in.accept(ctx)
	d := in.down
	end := sessionEnd{terms: in.terms, head: in.head, done: err == nil && d.final != "", err: err}
	switch {
	case err != nil:
		in.terminate(ctx, err)
		if gerr := d.giveUp(ctx, err); gerr != nil {
			in.e.log.Error("interrupted download", "transfer", in.head.Transfer, "error", gerr)
		}
	case !end.done:
		end.err = errNextPart
	}
	row := d.row.Row()
	end.moved, end.resumable = row.Durable, row.State == journal.Interrupted
	in.r.left(end)
}

func (in *incoming) wipe() {
	if in.held.ts != nil {
		in.held.ts.Wipe()
	}
}

// terminate tells the peer why.
func (in *incoming) terminate(ctx context.Context, err error) {
	var no *refusal
	if errors.As(err, &no) {
		_ = in.sess.Terminate(ctx, no.Reason)
		return
	}
	in.talk.terminate(ctx, err)
}

// fail reports that an offer came to nothing.
func (in *incoming) fail(ctx context.Context, err error) exitcode.Code {
	f := failureOf(err, false)
	if in.head.Transfer == "" {
		in.e.cfg.Report(FailedEarly{Direction: Receive, Peer: in.sess.Peer().String(), Code: int(f.Code), Reason: clean.Error(f), Hints: f.Hints})
		return f.Code
	}
	row, lerr := in.e.journal.Load(context.WithoutCancel(ctx), journal.Key{ID: in.head.Transfer, Direction: journal.Receive})
	resumable := lerr == nil && row.State == journal.Interrupted && row.HasKey(in.dev.IdentityKey)
	in.e.cfg.Report(Failed{Head: in.head, Code: int(f.Code), Reason: clean.Error(f), Resumable: resumable, Declined: saysNo(err), Hints: f.Hints})
	return f.Code
}

// decide makes the checks in the order of docs/protocol.md, the cheapest and
// most telling first, and takes the transfer. done tells that there was nothing
// left to take: the file had been released before.
func (in *incoming) decide(ctx context.Context) (done bool, err error) {
	ctx, cancel := in.e.during(ctx, in.sess)
	defer cancel(nil)
	defer context.AfterFunc(in.r.deciding, func() { cancel(context.Cause(in.r.deciding)) })()
	defer func() { err = causeOf(ctx, err) }()
	public, sec, err := in.public(jingle.SenderInitiator)
	if err != nil {
		return false, err
	}
	if err := in.open(ctx, public, sec); err != nil {
		return false, err
	}
	in.identify(public)
	known, err := in.known(ctx)
	if err != nil {
		return false, err
	}
	in.join(known)
	if known.Released {
		in.r.missed(in, exitcode.OK) // it is here
		return true, nil
	}
	resumed := (known.State == journal.Interrupted || known.State.Live()) && known.Size == in.file.Size && known.Name == in.file.Name &&
		known.Paused != journal.PausedHere // whoever stopped it by hand is asked
	in.e.cfg.Report(Offer{
		Head: in.head, Size: in.file.Size, ResumedFrom: known.Durable,
		Description: clean.Text(in.file.Description), Directory: in.held.offer.Manifest() != nil,
	})
	no := in.barred()
	if in.terms.Accept == AcceptAsk && !resumed { // a yes is for the file under that name, however often it is cut
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
	return in.begin(ctx)
}

// join says which batch the offer is of: that of its transfer, when a sender goes on with
// it alone.
func (in *incoming) join(known journal.Row) {
	batch := known.Batch
	if b := in.batch(); b != nil {
		batch = b.ID
	}
	in.lot = lotKey(in.sess.Peer(), batch, in.head.Transfer)
}

// known is what the journal has about the transfer, if it is that contact's and
// that key's. The receipt of a file that was released is sent again. What was released
// so long ago that only that is known, and a secret under which a file was received
// before, is refused.
func (in *incoming) known(ctx context.Context) (row journal.Row, err error) {
	if in.form == formInsecurePlaintext {
		return row, nil
	}
	row, err = in.e.journal.Load(ctx, journal.Key{ID: in.head.Transfer, Direction: journal.Receive})
	switch {
	case errors.Is(err, journal.ErrUnknown):
		spent, err := in.e.journal.Spent(ctx, in.head.Transfer, in.sess.Peer())
		if err == nil && spent {
			err = in.over()
		}
		return journal.Row{}, err
	case err != nil:
		return row, err
	case row.Peer != in.sess.Peer().Bare() || !row.HasKey(in.dev.IdentityKey):
		return journal.Row{}, nil
	case in.held.offer == nil && row.Released:
		return journal.Row{}, in.over()
	case in.held.offer == nil:
		return journal.Row{}, nil
	case !row.Released:
		return row, nil
	}
	row, err = in.e.journal.Finished(ctx, in.head.Transfer, in.dev.JID, in.dev.IdentityKey)
	if errors.Is(err, journal.ErrUnknown) { // too long ago for a receipt
		return journal.Row{}, in.over()
	}
	if err != nil {
		return row, err
	}
	in.again(ctx, row)
	if in.r.take(in.head) { // another process has brought it to its end
		in.e.reportReleased(in.head, row)
		in.r.complete(in.head)
	}
	return row, nil
}

// over is the error for an offer of what was received before, and has no receipt. A
// jetsend that never heard of that may ask; another client makes each offer but once.
func (in *incoming) over() error {
	if in.held.offer == nil {
		return errReplayed
	}
	return fmt.Errorf("%w: %w", errDeclined, journal.ErrOver)
}

// again answers an offer of a file that was released before: no byte is sent, no
// second file made.
func (in *incoming) again(ctx context.Context, row journal.Row) {
	rec := receipt{Transfer: row.ID, Size: row.Size, Stored: row.Size, SHA256: hex.EncodeToString(row.SHA256)}
	sealed, err := in.talk.seal(kindReceipt, rec.Element())
	if err == nil {
		err = in.talk.tell(ctx, receivedElement(in.sess.Content().Name, sealed))
	}
	reason := jingle.Reason{Condition: jingle.Success}
	if err != nil { // without the receipt nobody believes it
		reason.Condition = jingle.ConnectivityError
	}
	_ = in.sess.Terminate(ctx, reason)
	in.e.log.Info("receipt sent again", "transfer", row.ID, "peer", in.sess.Peer(), "error", err)
}

// begin takes the row and the partial file of the transfer.
func (in *incoming) begin(ctx context.Context) (done bool, err error) {
	if !in.claim() { // what is claimed is what --once waits for
		return false, refuse(errTaken, jingle.Reason{Condition: jingle.Busy})
	}
	defer func() {
		if err != nil {
			in.unclaim()
		}
	}()
	in.down.stop = in.stop
	dir, err := in.r.folder(in.terms, in.sess.Peer())
	if err == nil {
		err = in.e.take(ctx, in.down, in.row(), dir, true)
		in.r.settleFolder(in.down, dir, err)
	} else {
		err = &sinkError{Err: err}
	}
	switch {
	case errors.Is(err, inbox.ErrNoSpace):
		return false, refuse(err, declined(detailNoSpace))
	case errors.Is(err, journal.ErrOver): // while we waited for the session before this one
		row, kerr := in.known(ctx)
		if kerr == nil { // it was another process that ended it: this run still has no file
			in.unclaim()
			in.r.missed(in, exitcode.OK)
		}
		return row.Released, kerr
	case errors.Is(err, journal.ErrForeign), errors.Is(err, journal.ErrDiffers):
		return false, refuse(fmt.Errorf("%w: %w", errDeclined, err), jingle.Reason{Condition: jingle.SecurityError})
	case err != nil:
		return false, err
	}
	if in.down.final != "" { // a crash had hidden it
		in.again(ctx, in.down.row.Row())
		in.down.report()
		if in.down.past {
			in.unclaim()
		} else {
			in.r.complete(in.head)
		}
		return true, in.down.close(ctx)
	}
	if in.held.offer != nil && in.held.offer.Restart && in.down.offset() > 0 {
		err = in.down.restart(ctx)
	}
	if err != nil {
		return false, errors.Join(err, in.down.giveUp(ctx, err))
	}
	in.r.begin(in.head)
	return false, nil
}

// row is the transfer as it is entered in the journal.
func (in *incoming) row() journal.Row {
	row := journal.Row{
		Key:  journal.Key{ID: in.head.Transfer, Direction: journal.Receive},
		Peer: in.sess.Peer().Bare(), Resource: in.sess.Peer().Resource(), Profile: in.held.offer != nil,
		Name: in.file.Name, Description: clean.Text(in.file.Description), Size: in.file.Size, MTime: in.file.Date, Keys: [][]byte{in.dev.IdentityKey},
		Source: sourceOf(in.held.offer.Manifest()), Manifest: in.held.offer.Manifest(),
	}
	if in.held.offer != nil {
		row.Mode = in.held.offer.Mode
	}
	if b := in.batch(); b != nil {
		row.Batch = b.ID
	}
	return row
}

// ask asks the user, unless our rules refuse the file anyway. Whether it would fit is
// looked at after the yes: what there is on this machine, and how much room, is nobody's
// business who only offers, and how soon a no comes would tell it as well.
func (in *incoming) ask(ctx context.Context, no *refusal) error {
	put := in.question
	if no != nil || in.terms.Ask == nil {
		put = nil
	}
	err := in.r.ask(ctx, put, Question{
		Peer: in.sess.Peer(), Name: in.head.Name, Size: in.file.Size,
		Description: clean.Text(in.file.Description), Device: deviceInfo(in.dev), Batch: in.batch(),
		Insecure: in.form == formInsecurePlaintext, Directory: in.held.offer.Manifest() != nil,
	})
	if no != nil && errors.Is(err, errDeclined) {
		return no.Err
	}
	return err
}

// unasked is what comes of an offer without a yes: that it was declined, unless the
// question came to nothing.
func unasked(ctx context.Context, err error) error {
	no := refuse(err, jingle.Reason{Condition: jingle.Decline})
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, errTaken):
		no.Reason.Condition = jingle.Busy
	}
	return no
}

// question puts a question, unless --once has taken something else while it had to wait.
// With a yes it takes this.
func (in *incoming) question(ctx context.Context, q Question) (yes bool, err error) {
	if !in.r.open(in) {
		return false, errTaken
	}
	if yes, err = in.terms.Ask(ctx, q); yes {
		in.claim()
	}
	return yes, err
}

// claim is that of --once, for the offer.
func (in *incoming) claim() (ours bool) {
	if in.unclaim == nil {
		ours, in.unclaim = in.r.claim(in)
		return ours
	}
	return true
}

// barred is the refusal of what our rules do not take, whatever there is here; nil for
// everything else.
func (in *incoming) barred() *refusal {
	if b := in.batch(); b != nil && in.terms.Out != nil {
		return refuse(errOneFile, declined(detailPolicy))
	}
	if err := in.tooBig(); err != nil {
		return refuse(err, declined(detailTooBig))
	}
	return nil
}

// impossible is the refusal of what is known not to fit here before any of it has come;
// nil for everything else.
func (in *incoming) impossible(known journal.Row) *refusal {
	if in.full(known) {
		return refuse(fmt.Errorf("%d bytes: %w", in.file.Size, inbox.ErrNoSpace), declined(detailNoSpace))
	}
	if err := in.taken(); err != nil {
		return refuse(err, declined(detailExists))
	}
	return nil
}

// tooBig is the refusal of what does not fit our rules or one session.
func (in *incoming) tooBig() error {
	if in.held.offer == nil && in.file.Size > crypto.MaxPlaintext {
		return fmt.Errorf("%w: %d bytes are more than one session carries", errDeclined, in.file.Size)
	}
	if m := in.terms.MaxSize; m > 0 && in.file.Size > m {
		return fmt.Errorf("%w: %d bytes are more than --max-size", errDeclined, in.file.Size)
	}
	return nil
}

// full tells whether there is no room for a file that is new here. Whoever takes it looks again; so it is for one that is partly
// here, and for the folder of a contact, which may be on another file system.
func (in *incoming) full(known journal.Row) bool {
	if known.State != "" || in.terms.PerSender {
		return false
	}
	row := in.row()
	return errors.Is(in.r.dir.Fits(row.Size, in.down.spare(&row)), inbox.ErrNoSpace)
}

// accept answers the offer, takes the bytes and releases the file.
func (in *incoming) accept(ctx context.Context) (err error) {
	d := in.down
	if err := in.r.places.enter(ctx, in.sess.Peer().Bare(), in.sess); err != nil {
		return in.talk.reasoned(err)
	}
	defer in.r.places.leave(in.sess.Peer().Bare())
	finding, cancel := in.e.during(ctx, in.sess)
	defer cancel(nil)
	prefix, err := in.prefix(finding)
	if err != nil {
		return in.talk.reasoned(err)
	}
	s := in.e.spanFrom(d.offset(), in.file.Size, offered(in.sess.Content()))
	if in.held.offer == nil {
		s = span{0, in.file.Size, in.file.Size}
	}
	if !s.valid(s.size) { // a part of no bytes would go on for ever
		return refuse(fmt.Errorf("%w: an offer of no bytes", errOffer), jingle.Reason{Condition: jingle.IncompatibleParameters})
	}
	path, hangUp, err := in.establish(finding, s, prefix)
	cancel(nil)
	if err != nil {
		return in.talk.reasoned(err)
	}
	defer hangUp()
	if err := d.take(ctx, in.talk, path, s); err != nil {
		in.terminate(ctx, err) // before the socket says it worse
		return err
	}
	d.finish(ctx, in.talk, s, in.devices()...)
	if !s.last() {
		err = d.row.Interrupt(context.WithoutCancel(ctx), errNextPart)
	}
	if cerr := d.close(ctx); cerr != nil {
		in.e.log.Error("journal", "transfer", in.head.Transfer, "error", cerr)
	}
	return err
}

// prefix is the SHA-256 of what is here of the file, for the accept. Reading that takes
// its turn among the contact's sessions; where nothing is here, nobody is waited for.
func (in *incoming) prefix(ctx context.Context) (prefix string, err error) {
	d := in.down
	switch {
	case in.held.offer == nil:
		return "", nil
	case d.offset() == 0:
		return d.prefix(ctx)
	}
	err = in.r.readings.turn(ctx, in.sess.Peer().Bare(), func(pay payment) error {
		d.sum.Pay = pay
		defer func() { d.sum.Pay = nil }()
		prefix, err = d.prefix(ctx)
		return err
	})
	return prefix, err
}

// establish accepts the offer and finds the path for the span. hangUp ends both.
func (in *incoming) establish(ctx context.Context, s span, prefix string) (path *bytestream, hangUp func(), err error) {
	route, err := in.answer(ctx, s, prefix)
	if err != nil {
		return nil, nil, err
	}
	if path, err = in.talk.connect(ctx, route, in.sess.Content().Transport); err != nil {
		route.Close()
		return nil, nil, err
	}
	in.talk.reportPath(in.head, path, in.held.encryption, in.devices()...)
	return path, func() {
		_ = path.Close()
		route.Close()
	}, nil
}

// answer accepts the offer, with a sealed accept where that is understood.
func (in *incoming) answer(ctx context.Context, s span, prefix string) (*route.Route, error) {
	c := in.sess.Content()
	r, err := in.e.answerRoute(ctx, in.sess.Peer(), in.terms.Route, c.Transport, in.held.libervia)
	if errors.Is(err, errNoTransport) {
		return nil, refuse(err, jingle.Reason{Condition: jingle.UnsupportedTransports})
	}
	if err != nil {
		return nil, err
	}
	accepted := jingle.Content{Creator: c.Creator, Name: c.Name, Senders: c.Senders, Description: c.Description, Transport: r.Element()}
	if in.held.offer != nil {
		if err := in.talk.sealAccept(&accepted, s, prefix); err != nil {
			r.Close()
			return nil, err
		}
	}
	in.talk.reportAccepted(in.head, s.offset)
	if in.down != nil {
		in.down.taken = true // the sender may know it even if we never learn that
	}
	if err := in.sess.Accept(ctx, accepted); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// withdrawn prefers the peer's end of the session over what it did to our
// looking at the offer.
func (in *incoming) withdrawn(err error) error {
	select {
	case <-in.sess.Done():
		if r, byPeer := in.sess.Ended(); byPeer {
			return in.talk.endedWith(r)
		}
	default:
	}
	return err
}
