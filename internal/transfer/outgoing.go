package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
)

const (
	// receiptTime bounds what the receiver does between the last byte and its
	// receipt: bringing the file to a slow disk.
	receiptTime = 5 * time.Minute
	// maxRestarts bounds how often one run begins again at 0 because the receiver
	// has other bytes than the file.
	maxRestarts = 2
)

// contentName is the name of our one content.
const contentName = "file"

// envelopeType is the type attribute of our <security/>.
const envelopeType = omemo.NS

// outgoing is the journey of one file to the contact, by offers of ours.
type outgoing struct {
	upload
	opt   SendOptions
	batch *Batch
	// unnamed: nobody asked for this transfer by its id, so that somebody else may
	// be at it.
	unnamed bool
	resumed bool // by `resume`, which has not all flags of `send`
	late    bool // the run was stopped before the transfer existed
	form    form // of the first offer: never silently less

	turn     *turn // among the files of the command, nil for a session alone
	restarts int
	restart  bool // the next offer says so

	// Of the session of the moment.
	to    *peer
	talk  *talk
	env   *omemo.Envelope
	route *route.Route
	path  *bytestream
	lost  <-chan struct{} // the stream that the offer went out on
	found func()          // ends the turn: the path stands
	from  int64           // where in the file it began
	// accepted: the receiver has said yes, and knows the transfer.
	accepted bool
	agreed   bool // to the session of the moment
	// released: a receipt says that the file is complete at the other end.
	released bool
}

// run sends the file and reports how it ended. The row of the transfer is held.
func (o *outgoing) run(ctx context.Context, peers []*peer) exitcode.Code {
	err := o.deliver(ctx, peers)
	if err == nil {
		o.sent(context.WithoutCancel(ctx))
		return exitcode.OK
	}
	return o.fail(ctx, causeOf(ctx, err))
}

// deliver takes one session after the other until the file is there.
func (o *outgoing) deliver(ctx context.Context, peers []*peer) error {
	retry := retry{pauses: o.e.timing.retries, opt: o.opt.Retry, farthest: o.row.Row().Durable}
	var err error
	for {
		if err == nil {
			o.from = o.row.Row().Durable
			err = o.round(ctx, peers)
			if came := retry.advance(o.from, o.row.Row().Durable); !came && err == nil && !o.released {
				err = errNoProgress
			}
		}
		switch {
		case err == nil && o.released:
			return nil
		case err == nil:
			if err = o.row.Interrupt(ctx, errNextPart); err != nil {
				return err
			}
			continue
		case errors.Is(err, errPrefix) && o.restarts < maxRestarts:
			o.restart, err = true, nil
			o.restarts++
			continue
		}
		pause, more := retry.next(time.Now(), err)
		if err = causeOf(ctx, err); !more || !o.again(err) {
			return err
		}
		if jerr := o.row.Interrupt(ctx, err); jerr != nil {
			return jerr
		}
		if !o.profile() { // nothing of what went out counts
			o.moved = 0
			o.e.cfg.Report(Warning{Text: startsOver(o.head.Peer)})
		}
		o.e.cfg.Report(Interrupted{Head: o.head, Bytes: o.moved, Reason: clean.Error(err), RetryIn: pause.Seconds()})
		if err = o.e.sleep(ctx, pause); o.e.gone() {
			return errStreamLost
		}
		if err == nil {
			peers, err = o.findAgain(ctx, retry.left(time.Now()))
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
	}
}

// again tells whether an attempt that failed is worth another one in this run.
func (o *outgoing) again(err error) bool {
	var ended *endedByPeer
	switch {
	case errors.As(err, &ended) && ended.Reason.Condition == jingle.Busy:
		return o.known()
	case errors.Is(err, s5b.ErrNoCandidate) && !o.marked && !o.row.Row().Phase.Known():
		return false // there is no path, rather than one that broke
	}
	switch failureOf(err, o.marked).Code {
	case exitcode.Interrupted:
		return true
	case exitcode.Offline:
		return o.known()
	}
	return false
}

// known tells whether the receiver knows the transfer: it said yes, or may have
// done so to an attempt before.
func (o *outgoing) known() bool { return o.accepted || o.row.Row().Phase.Known() }

// findAgain looks for the contact after an interruption, for as long as the run
// goes on trying. Clients that take only another form of offer do not count.
func (o *outgoing) findAgain(ctx context.Context, left time.Duration) ([]*peer, error) {
	end := time.Now().Add(max(left, time.Second))
	online, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	if err := o.e.sess.WaitOnline(online); err != nil {
		return nil, fmt.Errorf("%w: %w", errStreamLost, err)
	}
	opt := o.opt
	for {
		opt.Wait = min(max(time.Until(end), time.Second), o.e.timing.retries.Last)
		peers, err := o.e.chooseForm(ctx, opt, o.form)
		peers = slices.DeleteFunc(peers, func(p *peer) bool { return p.Form != o.form })
		if err == nil && len(peers) == 0 {
			err = o.e.noResource(ctx, opt, 1, 0)
		}
		if err = away(err); !errors.Is(err, errPeerGone) || !time.Now().Before(end) {
			return peers, err
		}
		if err := o.e.sleep(ctx, o.e.timing.retries.First); err != nil {
			return nil, err
		}
	}
}

// round offers the file to the resources, until one answers.
func (o *outgoing) round(ctx context.Context, peers []*peer) (err error) {
	for _, p := range prefer(peers, o.row.Row().Resource) {
		if p.Form != o.form {
			break
		}
		o.to, o.head.Peer = p, p.JID.String()
		if err = checkPeer(p, o.opt, []*source{o.src}); err != nil {
			break
		}
		if err = context.Cause(ctx); err == nil {
			err = o.attempt(ctx)
		}
		if o.form != formInsecurePlaintext && !o.agreed && unopened(err) && o.e.rebuilt(ctx, p.JID) { // once
			err = o.attempt(ctx)
		}
		if !unanswered(err) {
			break
		}
	}
	return err
}

// sent writes down and reports that the file is there.
func (o *outgoing) sent(ctx context.Context) {
	if err := o.row.Complete(ctx); err != nil {
		o.e.log.Error("journal", "transfer", o.head.Transfer, "error", err)
	}
	if err := o.e.omemo.MarkUsed(ctx, o.env.Devices); err != nil {
		o.e.log.Warn("remember devices", "error", err)
	}
	seconds := time.Since(o.begun).Seconds()
	o.reportSent(Sent{Head: o.head, Size: o.src.Size, VerifiedByPeer: o.profile(), SHA256: o.shown(), Seconds: seconds})
}

// shown is the SHA-256 for the event.
func (o *outgoing) shown() string {
	if !o.check {
		return ""
	}
	return o.digest()
}

// fail writes down and reports that the file is not there.
func (o *outgoing) fail(ctx context.Context, err error) exitcode.Code {
	f := failureOf(err, o.marked)
	ctx = context.WithoutCancel(ctx)
	f.Resumable = o.resumable(f.Code, err)
	jerr := error(nil)
	switch declined := saysNo(err); {
	case f.Resumable:
		jerr = park(ctx, o.row, err)
	case declined:
		jerr = o.row.Decline(ctx, err)
	default:
		jerr = o.row.Fail(ctx, err)
	}
	if jerr != nil {
		o.e.log.Error("journal", "transfer", o.head.Transfer, "error", jerr)
	}
	o.e.cfg.Report(Failed{Head: o.head, Code: int(f.Code), Reason: clean.Error(f), Resumable: f.Resumable, Declined: saysNo(err), Hints: slices.Concat(f.Hints, o.hints(err))})
	return f.Code
}

// resumable reports whether the transfer may be taken up again: always after a loss, and
// once the receiver had accepted it after anything but a change of the file, or what
// ends it at the receiver for good.
func (o *outgoing) resumable(code exitcode.Code, err error) bool {
	if o.form == formInsecurePlaintext || errors.Is(err, errSourceChanged) || overThere(err) {
		return false
	}
	switch code {
	case exitcode.Interrupted, exitcode.Cancelled, exitcode.Terminated, exitcode.Integrity, exitcode.Unexpected:
		return true
	}
	return o.known()
}

// rebuilt begins new OMEMO sessions with the devices of a contact and reports whether
// there is one: the two sides may have different ones.
func (e *Endpoint) rebuilt(ctx context.Context, with jid.JID) bool {
	err := e.omemo.Rebuild(ctx, e.sess, with.Bare())
	if err != nil {
		e.log.Warn("rebuild sessions", "with", with.Bare(), "error", err)
	}
	return err == nil
}

// attempt is one session with one resource.
func (o *outgoing) attempt(ctx context.Context) (err error) {
	o.agreed = false
	if o.found, err = o.turn.take(ctx); err != nil {
		return err
	}
	defer o.found()
	o.talk = &talk{e: o.e, ts: crypto.NewSecret(o.form.Suite(o.opt.Cipher)), writesBack: writesBack(o.form, o.to.Software)}
	if o.form == formEncryptedFile {
		o.talk.wire = newWireSum(&jingle.File{})
	}
	defer o.talk.ts.Wipe()
	sid := jingle.NewSID()
	content, err := o.prepare(ctx, sid)
	if err != nil {
		return err
	}
	defer o.route.Close()
	if err := o.src.Unchanged(ctx); err != nil {
		return err
	}
	if err := o.row.Offer(ctx, o.to.JID.Resource(), keysOf(o.env.Devices)...); err != nil {
		return err
	}
	o.lost = o.e.sess.Lost()
	o.e.cfg.Report(Offer{Head: o.head, Size: o.src.Size, ResumedFrom: o.row.Row().Durable, Directory: o.src.Tree != nil})
	patience := o.patience()
	var late <-chan time.Time // never
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	if o.talk.sess, err = o.e.reach(ctx, o.to, sid, content, patience); err != nil {
		return err
	}
	err = o.converse(ctx, late)
	if err != nil {
		// The word on the wire goes before the end of the bytestream, so that
		// the receiver knows why the data stop.
		o.talk.terminate(ctx, err)
	}
	if o.path != nil {
		_ = o.path.Close()
		o.path = nil
	}
	return err
}

// profile tells whether the offer is made in our profile, not in a form of other
// clients.
func (o *outgoing) profile() bool { return o.form == formJetsend }

// converse takes an offer that was delivered to the end of its session.
func (o *outgoing) converse(ctx context.Context, late <-chan time.Time) error {
	accepted, err := o.awaitAccept(ctx, late)
	if err != nil || o.released {
		return err
	}
	o.agreed = true
	s, prefix, err := o.checkAccept(accepted)
	if err != nil {
		return err
	}
	o.accepted, o.from = true, s.offset
	o.talk.reportAccepted(o.head, s.offset)
	o.restart = false
	finding, cancel := o.e.during(ctx, o.talk.sess)
	o.path, err = o.talk.connect(finding, o.route, accepted.Transport)
	if err == nil {
		err = o.checkPrefix(finding, s.offset, prefix)
	}
	cancel(nil)
	o.found()
	if err != nil {
		return o.talk.reasoned(err)
	}
	o.talk.reportPath(o.head, o.path, o.form.Word(), o.env.Devices...)
	if err := o.transmit(ctx, o.talk, o.path, s); err != nil {
		return err
	}
	err = o.confirm(context.WithoutCancel(ctx), s.end())
	if o.released = s.last(); o.released && err != nil { // the receipt counts
		o.e.log.Error("journal", "transfer", o.head.Transfer, "error", err)
		err = nil
	}
	return err
}

// keysOf are the identity keys of devices.
func keysOf(devices []omemo.Device) [][]byte {
	var keys [][]byte
	for _, d := range devices {
		keys = append(keys, d.IdentityKey)
	}
	return keys
}

// rowOf is the row of a transfer from here.
func (o *outgoing) rowOf() journal.Row {
	r := journal.Row{
		Key:  journal.Key{ID: o.head.Transfer, Direction: journal.Send},
		Peer: o.opt.To.Bare(), Profile: o.profile(), Name: o.src.Name, Description: o.opt.Description, Path: o.src.Path, Size: o.src.Size, MTime: o.src.MTime,
		Mode: o.src.Mode, Source: o.src.Kind(), Manifest: o.src.Manifest(), Origin: o.src.Origin,
	}
	if o.batch != nil {
		r.Batch = o.batch.ID
	}
	if o.form == formInsecurePlaintext {
		r.Keys = [][]byte{journal.NoKey()}
	}
	return r
}
