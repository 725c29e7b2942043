package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/actors"
	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/sink"
	"jetsend/internal/stream"
)

// visits are the sessions of one transfer in a run of Receive: the contact opens them, or
// we do, when the keeper wants the rest. Between them the row is let go of, so that
// another process can take the transfer up; its end in this run is reported when they
// have come to a good one, or when none has come for too long.
type visits struct {
	r     *receiver
	box   *mailbox
	next  []input    // told while a session was under way
	visit visit      // of the moment
	end   leaver     // of the moment
	keys  [][]byte   // that the transfer of the moment belongs to
	begun bool       // it has begun in this run, and its end has not been reported
	head  event.Head // as it has begun
	terms *terms
	until time.Time // when it is given up, while no session is at it
	err   error     // how the last one ended
}

// visit is what brings a session.
type visit interface {
	input
	// over is told how the session ended.
	over(err error)
}

// leaver is an end whose row is let go of after each session.
type leaver interface {
	end
	leave(err error) left
}

// input is what an actor of a run of Receive is told.
type input interface{ isInput() }

// mailbox is what one of them has been told.
type mailbox = actors.Mailbox[journal.Key, input]

// visit returns the life of an actor.
func (r *receiver) visit(b *mailbox) func() {
	return func() { run(r.ctx, &visits{r: r, box: b}) }
}

// begin notes that the transfer has begun in this run: its end will be reported.
func (v *visits) begin(head event.Head, t *terms) {
	v.begun, v.head, v.terms = true, head, t
}

// Open implements opener: it waits for a session of the contact or the word to ask for
// one, and deals with what else it is told.
func (v *visits) Open() (c *conversation.Conversation, x end, err error) {
	for {
		in, ok := v.await()
		if !ok {
			v.visit, v.end = nil, nil
			return nil, nil, nil
		}
		switch in := in.(type) {
		case *incoming:
			v.visit, v.end = in, nil
			return v.welcome(in)
		case *request:
			v.visit, v.end = in, nil
			return v.ask(in)
		case *notice:
			v.hear(in)
		}
		if !v.begun && len(v.next) == 0 {
			v.visit, v.end = nil, nil
			return nil, nil, nil
		}
	}
}

// await returns what the actor is told; not ok, when the transfer has been given up.
func (v *visits) await() (in input, ok bool) {
	for {
		if len(v.next) > 0 {
			in, v.next = v.next[0], v.next[1:]
			return in, true
		}
		if in, ok := v.box.Hear(); ok {
			return in, true
		}
		if !v.begun {
			return nil, false
		}
		late := time.NewTimer(time.Until(v.until))
		select {
		case <-v.box.Wake():
		case <-late.C:
			if v.giveUp() {
				return nil, false
			}
		case <-v.r.last:
			v.giveUpLast()
			return nil, false
		}
		late.Stop()
	}
}

// woken looks at what the actor is told while a session is under way: a newer one of the
// contact's takes its place, and nothing is asked for meanwhile.
func (v *visits) woken() (err error) {
	for in, ok := v.box.Hear(); ok; in, ok = v.box.Hear() {
		switch in := in.(type) {
		case *request:
			in.over(journal.ErrRunning)
		case *notice: // it is about a transfer that nobody is at
			in.ignored(v.begun)
		case *incoming:
			if row := (journal.Row{Keys: v.keys}); in.up == nil && len(v.keys) > 0 && !row.HasKey(in.dev.IdentityKey) {
				err := fault.Refuse(fmt.Errorf("%w: %w", fault.ErrDeclined, journal.ErrForeign), jingle.Reason{Condition: jingle.SecurityError})
				in.missed(err, v.begun, true)
				in.turnAway(err)
				break
			}
			for _, older := range v.next { // which has waited for the same
				if older, is := older.(*incoming); is {
					older.turnAway(fault.ErrSuperseded)
				}
			}
			v.next, err = []input{in}, fault.ErrSuperseded
		}
	}
	return err
}

// welcome takes a session that the contact has opened, for a file of theirs or for the
// rest of one of ours.
func (v *visits) welcome(in *incoming) (c *conversation.Conversation, x end, err error) {
	in.talk.Wake, in.talk.Woken = v.box.Wake(), v.woken
	if in.up != nil {
		in.up.told = func() { in.agreed = true; v.begin(in.up.head, in.terms) }
		v.end = in.up
	} else {
		v.keys = [][]byte{in.dev.IdentityKey}
		done, err := v.receive(in)
		in.looked()
		switch {
		case done && err != nil:
			in.e.log.Error("let go of a file that was released", "transfer", v.box.Key.ID, "error", err)
		case err != nil && in.refuse(in.withdrawn(err), v.begun):
			v.begun = false
		}
		if done || err != nil {
			return in.talk, nil, nil
		}
		v.end = in.down
	}
	if err = in.enter(); err != nil {
		in.talk.Terminate(err)
	}
	return in.talk, v.end, err
}

// receive takes the row and the partial file of an offer. done says that there was
// nothing left to take: the file had been released before.
func (v *visits) receive(in *incoming) (done bool, err error) {
	if !in.claim() { // what is claimed is what --once waits for
		return false, fault.Refuse(errTaken, jingle.Reason{Condition: jingle.Busy})
	}
	defer func() {
		if err != nil {
			in.unclaim()
		}
	}()
	d := in.down
	err = in.deciding(func(ctx context.Context) error {
		dir, err := d.how.Open(in.r.dir, in.sess.Peer())
		if err != nil {
			return &stream.SinkError{Err: err}
		}
		if err := d.take(ctx, in.row(), dir); err != nil || !d.isSet() || d.released() {
			return err
		}
		if err := d.listed.Inscribe(ctx, d.sink.Handle()); err != nil {
			return errors.Join(err, d.leave(err).lost)
		}
		return nil
	})
	switch {
	case errors.Is(err, inbox.ErrNoSpace):
		return false, fault.Refuse(err, fault.Reason(jingle.Decline, fault.DetailNoSpace))
	case errors.Is(err, journal.ErrOver): // while it waited for another process
		row, kerr := in.known(in.talk.Context)
		if kerr == nil { // which has ended it: this run still has no file
			in.unclaim()
			in.r.once.Missed(in.fileOf(), exitcode.OK)
			if v.begun {
				v.giveUp()
			}
		}
		return row.Released, kerr
	case errors.Is(err, journal.ErrForeign), errors.Is(err, journal.ErrDiffers):
		return false, fault.Refuse(fmt.Errorf("%w: %w", fault.ErrDeclined, err), jingle.Reason{Condition: jingle.SecurityError})
	case err != nil:
		return false, err
	}
	if d.released() { // a crash had hidden it
		in.resendReceipt(d.sink.Row())
		d.report()
		if v.begun = false; d.sink.Past() {
			in.unclaim()
		} else {
			v.complete(in.head, exitcode.OK)
		}
		return true, d.sink.Close()
	}
	if in.d.Sealed().Restart && d.sink.Have() > 0 {
		if err = d.sink.Restart(); err != nil {
			return false, errors.Join(err, d.leave(err).lost)
		}
	}
	v.begin(in.head, in.terms)
	return false, nil
}

// request is the keeper's word to ask the contact for the rest of a file.
type request struct {
	terms *terms
	row   journal.Row // as it was found
	to    []*contact.Peer
	done  chan error // how that ended; room for it
}

func (*request) isInput() {}

// over implements visit.
func (q *request) over(err error) { q.done <- err }

// ask opens a session for the rest of the file.
func (v *visits) ask(q *request) (c *conversation.Conversation, x end, err error) {
	d := newDownload(v.r.e, q.row, q.to[0].JID, v.r.keeping(q.terms))
	d.life, d.how.Known = v.r.ctx, true
	d.judge = func(of omemo.Device) error { return q.terms.rules().Judge(of, true) }
	d.told = func() { v.begin(d.head, q.terms) }
	v.keys = q.row.Keys
	if err := d.resume(v.r.ctx, q.row); err != nil {
		return nil, nil, err
	}
	v.end = d
	if d.released() { // a crash had hidden it
		d.report()
		return nil, nil, nil
	}
	ask := &question{down: d, paths: q.terms.Route, need: conversation.Needs{Run: v.r.deciding}, wake: v.box.Wake(), woken: v.woken}
	c, err = ask.ask(q.to)
	return c, d, err
}

// After implements opener.
func (v *visits) After(err error) bool {
	if v.visit != nil {
		v.settle(err)
	}
	return v.begun || len(v.next) > 0 || !v.box.Leave()
}

// settle writes down how the session of the moment ended, and reports it.
func (v *visits) settle(err error) {
	visit, end := v.visit, v.end
	v.visit, v.end, v.keys = nil, nil, nil
	if end == nil { // the session has not come to anything
		visit.over(err)
		return
	}
	d, asked := end.(*download)
	_, ours := visit.(*request)
	asked = asked && ours
	if asked && !d.agreed {
		l := d.leave(fault.NotBegun(err))
		switch {
		case l.done && d.sink.Past():
			v.begun = false
		case l.done: // a crash had hidden it
			v.complete(d.head, exitcode.OK)
		case fault.Of(err).Over:
			v.over(d.head, err)
		}
		visit.over(err)
		return
	}
	l := end.leave(err)
	if in, theirs := visit.(*incoming); theirs && in.up != nil && !in.agreed {
		in.e.log.Info("request came to nothing", "transfer", v.box.Key.ID, "peer", in.sess.Peer(), "error", err)
	} else {
		v.left(l)
	}
	visit.over(err)
}

// left reports how a session ended. A transfer that was interrupted waits for the next
// session, of the contact or of ours; everything else is reported as the end.
func (v *visits) left(l left) {
	switch {
	case l.done:
		v.complete(v.head, l.code)
		return
	case !v.begun: // its end has been reported
		return
	}
	k, patience := fault.Of(l.err), v.terms.Retry.For
	if v.r.work.Closed() || v.terms.Retry.Retries == 0 {
		patience = 0
	}
	if k.Quiet { // what comes next needs time to begin
		patience = max(patience, 2*v.r.e.timing.takeTime)
	}
	if patience == 0 || !k.Waits(l.resumable) {
		v.failed(v.head, fault.New(l.err, true), l.resumable)
		return
	}
	v.err, v.until = l.err, time.Now().Add(patience)
	v.r.look()
	if !k.Quiet {
		v.r.e.cfg.Report(event.Interrupted{Head: v.head, Bytes: l.moved, Reason: clean.Error(l.err)})
	}
}

// complete notes that the transfer has come to its end, good but for entries of a set, and
// that it has been reported.
func (v *visits) complete(head event.Head, code exitcode.Code) {
	v.begun = false
	if head.Direction == event.Receive {
		v.r.once.End(head.Transfer, code)
	}
}

// failed reports the end of a transfer that has begun.
func (v *visits) failed(head event.Head, f *fault.Failure, resumable bool) {
	v.begun = false
	v.r.e.cfg.Report(failedWith(head, f, resumable))
	if head.Direction == event.Receive {
		v.r.once.End(head.Transfer, f.Code)
	}
}

// over reports a transfer that no session can bring any more, as the sender has said
// when it was asked for the rest.
func (v *visits) over(head event.Head, err error) {
	if v.begun {
		v.failed(head, fault.New(err, true), false)
		return
	}
	v.r.over(head, err)
}

// over reports such a transfer that has not begun in this run.
func (r *receiver) over(head event.Head, err error) {
	r.e.cfg.Report(failedWith(head, fault.New(err, true), false))
}

// giveUp reports the end of a transfer that has waited too long, unless another process
// is at it.
func (v *visits) giveUp() (over bool) {
	row, err := v.r.e.rows().Now(v.r.ctx, journal.Row{Key: v.box.Key})
	if err != nil {
		v.r.e.log.Warn("journal", "transfer", v.box.Key.ID, "error", err)
	}
	if err != nil || row.State.Live() {
		v.until = time.Now().Add(v.r.e.timing.lookAtLeast)
		return false
	}
	v.part(row)
	return true
}

// giveUpLast reports the end of a transfer that waits, at the end of the run. That a user
// stopped it by hand is a pause for those that wait, as it is for those that run.
func (v *visits) giveUpLast() {
	if errors.Is(v.r.why, fault.ErrInterrupted) {
		v.r.e.rows().Pause(v.box.Key)
	}
	row, err := v.r.e.rows().Now(context.Background(), journal.Row{Key: v.box.Key})
	if err != nil {
		v.r.e.log.Warn("journal", "transfer", v.box.Key.ID, "error", err)
	}
	v.part(row)
}

// part reports the end of a transfer that no session is at, as its row has it:
// another process may have brought it to its good end, or forgotten it.
func (v *visits) part(row journal.Row) {
	switch {
	case !row.Released:
		v.failed(v.head, fault.New(v.err, true), row.State == journal.Interrupted || row.State.Live())
	case v.head.Direction == event.Receive:
		v.r.e.cfg.Report(sink.Received(v.head, &row))
		v.complete(v.head, v.r.e.rows().Code(row.Key))
	default:
		v.r.e.cfg.Report(event.Sent{Head: v.head, Size: row.Size, VerifiedByPeer: row.Profile})
		v.complete(v.head, exitcode.OK)
	}
}

// notice tells an actor that something has become of its transfer without a session of it,
// if none is under way: what, unless it says more, stands in the row.
type notice struct {
	// err is why the transfer is over, and head how it is to be called.
	err  error
	head event.Head
	// missed, of an offer that was refused, is called with whether the transfer has begun, and
	// whether a session is at it; it reports whether that was the end.
	missed func(begun, busy bool) (over bool)
	// heard is closed when it has been dealt with.
	heard chan struct{}
}

func (*notice) isInput() {}

// ignored ends a notice about a transfer that a session is at.
func (n *notice) ignored(begun bool) {
	if n.missed != nil {
		n.missed(begun, true)
	}
	close(n.heard)
}

// hear deals with a notice.
func (v *visits) hear(n *notice) {
	defer close(n.heard)
	switch {
	case n.missed != nil:
		if n.missed(v.begun, false) {
			v.begun = false
		}
	case n.err != nil:
		v.over(n.head, n.err)
	case v.begun: // and somebody else has come to its end
		v.giveUp()
	}
}
