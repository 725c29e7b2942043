package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
)

// Resume goes on with interrupted transfers, one after the other, and returns nil
// when every one is complete, else a *Failure. Every transfer gets exactly one
// terminal event.
func (e *Endpoint) Resume(ctx context.Context, opt ResumeOptions) error {
	e.limitRate(opt.LimitRate)
	e.cfg.Report(Online{JID: e.sess.JID().String()})
	if !opt.Named { // whoever names one wants it, however old it is
		e.expire(ctx, e.cfg.KeepFor)
	}
	var codes []exitcode.Code
	for _, key := range opt.Transfers {
		code, err := e.resumeOne(ctx, key, opt)
		if err != nil {
			return failureOf(causeOf(ctx, err), false)
		}
		codes = append(codes, code)
	}
	if code := exitcode.Combine(codes...); code != exitcode.OK {
		return &Failure{Code: code, Reason: "not every transfer is complete", Reported: true}
	}
	return nil
}

// resumeOne goes on with one transfer.
func (e *Endpoint) resumeOne(ctx context.Context, key journal.Key, opt ResumeOptions) (exitcode.Code, error) {
	row, err := e.rowNow(ctx, journal.Row{Key: key})
	if err != nil {
		return 0, err
	}
	over := overSince(row)
	switch {
	case row.Released, !opt.Named && (over != nil || row.State.Live()):
		return exitcode.OK, nil
	case over != nil:
		return e.notResumed(row, over), nil
	case row.State.Live():
		return e.notResumed(row, errRunning), nil
	case row.Insecure():
		row.State = journal.Failed // for everybody
		return e.notResumed(row, fmt.Errorf("%w: it went without encryption", errRefused)), nil
	}
	if key.Direction == journal.Send {
		return e.resumeSend(ctx, row, opt), nil
	}
	return e.resumeReceive(ctx, row, opt), nil
}

// rowNow is the row of a transfer as it is now. One that is gone has expired, and
// is as good as forgotten.
func (e *Endpoint) rowNow(ctx context.Context, row journal.Row) (journal.Row, error) {
	now, err := e.journal.Load(ctx, row.Key)
	if errors.Is(err, journal.ErrUnknown) {
		row.State = journal.Forgotten
		return row, nil
	}
	return now, err
}

// overSince says that somebody else has put an end to a transfer since it was
// chosen, and not a good one; or nothing.
func overSince(row journal.Row) error {
	switch {
	case row.Released:
	case row.State == journal.Forgotten:
		return &Failure{Code: exitcode.Usage, Reason: "the transfer was forgotten"}
	case row.State == journal.Failed:
		return &Failure{Code: exitcode.Usage, Reason: "the transfer has failed: " + clean.Text(row.LastError)}
	}
	return nil
}

// notResumed reports a transfer that could not even be taken up.
func (e *Endpoint) notResumed(row journal.Row, err error) exitcode.Code {
	if errors.Is(err, ErrInterrupted) {
		e.pause(row.Key)
	}
	f := failureOf(err, false)
	e.cfg.Report(Failed{
		Head: Head{Transfer: row.ID, Direction: Direction(row.Direction), Peer: row.Peer.String(), Name: clean.Text(row.Name)},
		Code: int(f.Code), Reason: clean.Error(f), Resumable: row.State == journal.Interrupted, Hints: f.Hints,
	})
	return f.Code
}

// resumeSend offers the file again.
func (e *Endpoint) resumeSend(ctx context.Context, row journal.Row, opt ResumeOptions) exitcode.Code {
	src, err := e.reopen(ctx, &row)
	if err == nil {
		defer closeSources([]*source{src})
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return e.notResumed(row, cause)
	}
	if err != nil {
		if errors.Is(err, errSourceChanged) {
			e.failRow(ctx, row, err)
			row.State = journal.Failed
		}
		f := &Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err}
		if opt.Anew != nil {
			f.Hints = []string{opt.Anew(&row)}
		}
		return e.notResumed(row, f)
	}
	send := SendOptions{
		To: row.Peer, Wait: opt.Wait, AnswerTimeout: opt.AnswerTimeout, Route: opt.Route, Retry: opt.Retry,
		Description: row.Description,
	}
	if !row.Profile {
		send.Encryption = encryptionOther
	}
	least := formJET
	if row.Profile {
		least = formJetsend
	}
	peers, err := e.await(ctx, send, least)
	if err == nil {
		err = e.guardForm(ctx, peers[0], send)
	}
	if err != nil {
		return e.notResumed(row, causeOf(ctx, err))
	}
	if !row.Profile {
		e.cfg.Report(Warning{Text: startsOver(row.Peer.String())})
	}
	o := e.outgoing(send, src)
	o.unnamed, o.resumed = !opt.Named, true
	return o.start(ctx, peers, row.ID)
}

// pause notes that the user has stopped a transfer by hand while no session was at it.
func (e *Endpoint) pause(key journal.Key) {
	err := e.journal.Pause(context.Background(), key, journal.PausedHere)
	if err != nil && !errors.Is(err, journal.ErrRunning) && !errors.Is(err, journal.ErrUnknown) {
		e.log.Error("journal", "transfer", key.ID, "error", err)
	}
}

// failRow ends a transfer that nobody is at for good, and removes what there is of it.
func (e *Endpoint) failRow(ctx context.Context, row journal.Row, cause error) (failed bool) {
	h, err := e.journal.Begin(ctx, row)
	if err == nil {
		err = h.Fail(ctx, cause)
		failed = err == nil
		if failed {
			err = Discard(row)
		}
		err = errors.Join(err, h.Release(ctx))
	}
	if err != nil {
		e.log.Error("journal", "transfer", row.ID, "error", err)
	}
	return failed
}

// resumeReceive asks the contact for the rest, until it is there.
func (e *Endpoint) resumeReceive(ctx context.Context, row journal.Row, opt ResumeOptions) exitcode.Code {
	if !row.Profile {
		return e.notResumed(row, fmt.Errorf("%w: the sender's client cannot resume a file", errRefused))
	}
	retry := retry{pauses: e.timing.retries, opt: opt.Retry, farthest: row.Durable}
	if row.Phase.Verified() && e.settleHere(ctx, row) {
		return exitcode.OK
	}
	head := Head{Transfer: row.ID, Direction: Receive, Peer: row.Peer.String(), Name: clean.Text(row.Name)}
	wait := opt.Wait
	for asked := false; ; asked = true {
		to, err := e.servants(ctx, row.Peer, wait)
		if asked {
			err = away(err)
		}
		var q *request
		from := row.Durable
		if err == nil {
			q, err = e.askEach(ctx, to, func(p *peer) *request { return e.newRequest(row, p, keeping{}, opt.Route) })
			head, from = q.down.head, q.from
			if q.refused(err) {
				err = notServed(row.Peer)
			}
		}
		if err == nil && q.down.final != "" || errors.Is(err, journal.ErrRunning) && !opt.Named && !asked {
			return exitcode.OK
		}
		if now, lerr := e.rowNow(ctx, row); lerr == nil {
			row = now
		}
		if row.Released { // the contact's own session brought the rest, maybe to another process
			e.reportReleased(head, row)
			return exitcode.OK
		}
		if over := overSince(row); over != nil && (row.State == journal.Forgotten || errors.Is(err, journal.ErrOver)) {
			err = over
		}
		if came := retry.advance(from, row.Durable); !came && err == nil {
			err = errNoProgress
		}
		if err == nil {
			continue
		}
		pause, more := retry.next(time.Now(), err)
		if err = causeOf(ctx, err); !more || !askAgain(err, asked) {
			if errors.Is(err, ErrInterrupted) {
				e.pause(row.Key)
			}
			f := failureOf(err, row.Durable > 0)
			e.cfg.Report(Failed{
				Head: head, Code: int(f.Code), Reason: clean.Error(f), Resumable: row.State == journal.Interrupted, Hints: f.Hints,
			})
			return f.Code
		}
		e.cfg.Report(Interrupted{Head: head, Bytes: row.Durable, Reason: clean.Error(err), RetryIn: pause.Seconds()})
		if err := e.sleep(ctx, pause); err != nil {
			return e.notResumed(row, err)
		}
		wait = min(max(retry.left(time.Now()), time.Second), e.timing.retries.Last)
	}
}

// settleHere is settle in the directory of the row. What goes wrong shows again
// when the rest is asked for.
func (e *Endpoint) settleHere(ctx context.Context, row journal.Row) bool {
	dir, err := openDir(&row)
	if err != nil {
		return false
	}
	released, err := e.settle(ctx, row, keeping{}, dir)
	if err = errors.Join(err, dir.Close()); err != nil {
		e.log.Warn("release that was cut", "transfer", row.ID, "error", err)
	}
	return released
}

// reportReleased says of a transfer that others brought to its end that its file
// is there.
func (e *Endpoint) reportReleased(head Head, row journal.Row) {
	verified := []string{"gcm-tag"}
	if row.SHA256 != nil {
		verified = append(verified, "sha-256")
	}
	path := row.Path
	if row.Phase == journal.PhasePoured {
		path = StandardOutput
	}
	e.cfg.Report(Received{
		Head: head, Path: path, Size: row.Size, Verified: verified, SHA256: hex.EncodeToString(row.SHA256),
		Description: row.Description, Directory: row.Source == journal.SourceTree,
	})
}

// askAgain tells whether a request that failed is worth another one in this run.
// asked: it is not the first, so that whoever is at the transfer now came to it
// since.
func askAgain(err error, asked bool) bool {
	if errors.Is(err, journal.ErrRunning) {
		return asked
	}
	code := failureOf(err, true).Code
	return code == exitcode.Interrupted || code == exitcode.Offline && asked
}

// askEach asks one client of the contact after the other, as long as they have not
// what is asked for, or cannot read the question: which of them offered it is not
// known, and one that has just joined the account may not be known yet. It returns
// the request that says most.
func (e *Endpoint) askEach(ctx context.Context, peers []*peer, request func(*peer) *request) (q *request, err error) {
	for _, p := range peers {
		next := request(p)
		nextErr := next.run(ctx)
		if q == nil || !q.unread(err) {
			q, err = next, nextErr
		}
		if next.answered || !next.refused(nextErr) && !next.unread(nextErr) && !unanswered(nextErr) {
			return next, nextErr
		}
	}
	return q, err
}

// refused reports whether the contact's client does not hand out what was asked for,
// and has not proven to know why.
func (q *request) refused(err error) bool { return q.endedWith(err, jingle.Decline) }

// unread tells whether the contact's client could not open the envelope.
func (q *request) unread(err error) bool { return q.endedWith(err, jingle.SecurityError) }

func (q *request) endedWith(err error, condition string) bool {
	var ended *endedByPeer
	return !q.answered && errors.As(err, &ended) && ended.Reason.Condition == condition && !ended.Proven
}

// notServed is a refusal as whoever asked for the rest can use it: to ask once more
// brings the same.
func notServed(who jid.JID) *Failure {
	return &Failure{
		Code: exitcode.Declined, Reason: clean.Text(who.String()) + " refuses to send the rest of the file",
		Hints: []string{"ask " + clean.Text(who.String()) + " to run `jetsend resume`, or to send it again"},
	}
}

// servants are the clients of the contact that could hand out the rest of a file,
// at least one.
func (e *Endpoint) servants(ctx context.Context, who jid.JID, wait time.Duration) ([]*peer, error) {
	online, cancel := context.WithTimeout(ctx, max(wait, e.timing.retries.Last))
	err := e.sess.WaitOnline(online)
	cancel()
	if err != nil {
		return nil, errors.Join(errStreamLost, context.Cause(ctx), err)
	}
	peers, err := e.await(ctx, SendOptions{To: who, Wait: wait}, formJetsend)
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, errStreamLost):
		return nil, err
	case err != nil:
		who := clean.Text(who.String())
		return nil, &Failure{
			Code: exitcode.Offline, Reason: "no `jetsend receive` of " + who + " is online to send the rest", Err: err,
			Hints: []string{"ask " + who + " to run `jetsend resume`, or `jetsend receive`", longer("wait", longWait, wait)},
		}
	}
	return peers, nil
}
