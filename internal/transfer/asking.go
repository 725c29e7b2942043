package transfer

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/rows"
	"jetsend/internal/sink"
	"jetsend/internal/xmltree"
)

const (
	// requestTime is how long a contact's jetsend may take to answer a request, beside
	// the time for reading what we have already: it may have a directory to look through.
	requestTime = 5 * time.Minute
	// longWait is the least wait that hints suggest.
	longWait = 5 * time.Minute
)

// question asks the contact for the rest of a file that it had offered: XEP-0391,
// encrypted ranged transfers.
type question struct {
	down  *download
	paths route.Options
	need  conversation.Needs // of the run that asks
	wake  <-chan struct{}
	woken func() error
}

// ask asks one client of the contact after the other, as long as they have not
// what is asked for, or cannot read the question: which of them offered it is not
// known, and one that has just joined the account may not be known yet. An error is the
// one that says most.
func (q *question) ask(to []*contact.Peer) (c *conversation.Conversation, err error) {
	said := q.down.head.Peer // who said what err says
	for _, p := range to {
		next, nextErr := q.askOne(p)
		if !unread(err) {
			c, err, said = next, nextErr, q.down.head.Peer
		}
		if !refused(nextErr) && !unread(nextErr) && !fault.Of(nextErr).Unanswered {
			return next, nextErr
		}
	}
	q.down.head.Peer = said
	return c, err
}

// refused reports whether the contact's client does not hand out what was asked for,
// and has not proven to know why.
func refused(err error) bool { return endedFor(err, jingle.Decline) }

// unread reports whether the contact's client could not open the envelope.
func unread(err error) bool { return endedFor(err, jingle.SecurityError) }

func endedFor(err error, condition string) bool {
	k := fault.Of(err)
	return k.Said(condition) && !k.Proven()
}

// askOne asks one client, and once more in new OMEMO sessions when it could not open the
// envelope.
func (q *question) askOne(p *contact.Peer) (c *conversation.Conversation, err error) {
	q.down.head.Peer = p.JID.String()
	c, err = q.put(p)
	if fault.Of(err).Unopened && q.down.e.rebuilt(q.down.life, p.JID) {
		c, err = q.put(p)
	}
	return c, err
}

// put opens a session for the question and waits for the accept, in c.Agreed.
func (q *question) put(to *contact.Peer) (c *conversation.Conversation, err error) {
	d := q.down
	c = d.e.converse(d.life, d.head)
	c.Wake, c.Woken = q.wake, q.woken
	defer func() {
		if err != nil {
			if c.Session != nil {
				c.Terminate(fault.NotBegun(err))
			}
			c.Close()
			c = nil
		}
	}()
	patience := requestTime + checkTime(d.file.Size)
	err = c.Step(q.need, func(ctx context.Context) error {
		prefix, err := d.sink.Prefix(ctx, nil)
		if err != nil {
			return err
		}
		sid := jingle.NewSID()
		content, err := q.prepare(ctx, c, to, sid, prefix)
		if err != nil {
			return err
		}
		if err := d.sink.Offer(ctx, to.JID.Resource()); err != nil {
			return err
		}
		c.Lost = d.e.sess.Lost()
		return d.e.reach(ctx, c, to, sid, content, patience)
	})
	if err != nil {
		return c, err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	n := q.need
	n.Server, n.Alive = true, true
	nothing := func(*xmltree.Element) (bool, error) { return false, nil }
	return c, fault.InUse(c.AwaitAccept(n, late.C, fault.ErrSilent, nothing))
}

// prepare makes the route, the envelope and the content.
func (q *question) prepare(ctx context.Context, c *conversation.Conversation, to *contact.Peer, sid, prefix string) (content jingle.Content, err error) {
	e, row := q.down.e, q.down.sink.Row()
	c.Dialect = dialect.New(dialect.FormJetsend, "", to.Software)
	if row.Source == journal.SourceSet {
		c.Dialect = dialect.NewSet(to.Software)
	}
	if c.Route, err = e.offerRoute(ctx, to, q.paths); err != nil {
		return content, err
	}
	content = jingle.Content{Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderResponder, Transport: c.Route.Element()}
	asked := profile.Offer{
		Transfer: row.ID, SID: sid, Initiator: e.sess.JID(), Responder: to.JID, Device: e.omemo.DeviceID(),
		File: &jingle.File{Size: row.Size}, Prefix: prefix, Punch: (*profile.Punch)(c.Route.Punch()),
	}
	if row.Source == journal.SourceSet {
		asked.Set = &profile.Set{Items: row.Items, Bytes: row.Size}
	}
	env, err := c.Dialect.Write(ctx, e.omemo, e.sess, dialect.Terms{Offer: asked, Offset: q.down.sink.Have(), Limit: e.sessionLimit()}, &content)
	if err != nil {
		return content, contact.NoKeys(to.JID, err)
	}
	c.Devices = env.Devices
	return content, nil
}

// notServed is a refusal as whoever asked for the rest can use it: to ask once more
// brings the same.
func notServed(who jid.JID) *fault.Failure {
	return &fault.Failure{
		Code: exitcode.Declined, Reason: clean.Text(who.String()) + " refuses to send the rest of the file",
		Hints: []string{"ask " + clean.Text(who.String()) + " to run `jetsend resume`, or to send it again"},
	}
}

// servants are the clients of the contact that could hand out the rest of a file,
// at least one.
func (e *core) servants(ctx context.Context, who jid.JID, wait time.Duration) ([]*contact.Peer, error) {
	online, cancel := context.WithTimeout(ctx, max(wait, e.timing.retries.Last))
	err := e.sess.WaitOnline(online)
	cancel()
	if err != nil {
		return nil, errors.Join(fault.ErrStreamLost, context.Cause(ctx), err)
	}
	peers, err := e.await(ctx, SendOptions{To: who, Wait: wait}, dialect.FormJetsend)
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, fault.ErrStreamLost):
		return nil, err
	case err != nil:
		who := clean.Text(who.String())
		return nil, &fault.Failure{
			Code: exitcode.Offline, Reason: "no `jetsend receive` of " + who + " is online to send the rest", Err: err,
			Hints: []string{"ask " + who + " to run `jetsend resume`, or `jetsend receive`", fault.Longer("wait", longWait, wait)},
		}
	}
	return peers, nil
}

// asking opens the sessions of one received transfer that the user resumes: it asks the
// contact for the rest, until it is there.
type asking struct {
	e     *core
	life  context.Context
	row   journal.Row // as it is between the sessions
	opt   ResumeOptions
	retry backoff.Attempts
	wait  time.Duration // for the contact's client to appear
	head  event.Head
	asked bool      // before
	from  int64     // where in the file the session of the moment began
	down  *download // of the moment
	code  exitcode.Code
}

// Open implements opener.
func (q *asking) Open() (*conversation.Conversation, end, error) {
	q.down, q.from = nil, q.row.Durable
	to, err := q.e.servants(q.life, q.row.Peer, q.wait)
	if q.asked {
		err = fault.Away(err)
	}
	if err != nil {
		return nil, nil, err
	}
	d := newDownload(q.e, q.row, to[0].JID, keeping{Options: sink.Options{Known: true, Conflict: q.opt.OnConflict}})
	d.life, q.head = q.life, d.head
	d.judge, d.told = func(omemo.Device) error { return nil }, func() {}
	if err := d.resume(q.life, q.row); err != nil {
		return nil, nil, err // the contact's own session may have come before
	}
	q.down = d
	if d.released() { // a crash had hidden it
		d.report()
		return nil, nil, nil
	}
	c, err := (&question{down: d, paths: q.opt.Route}).ask(to)
	q.head = d.head
	return c, d, err
}

// After implements opener.
func (q *asking) After(err error) bool {
	asked := q.asked
	q.asked = true
	if d := q.down; d != nil {
		if l := d.leave(leaving(d, err)); l.done {
			q.code = l.code
			return false
		}
		if d.agreed {
			q.from = d.from
		} else if refused(err) {
			err = notServed(q.row.Peer)
		}
	}
	if errors.Is(err, journal.ErrRunning) && !q.opt.Named && !asked {
		return false
	}
	if now, lerr := q.e.rows().Now(q.life, q.row); lerr == nil {
		q.row = now
	}
	if q.row.Released { // the contact's own session brought the rest, maybe to another process
		q.code = q.e.rows().Code(q.row.Key)
		q.e.cfg.Report(sink.Received(q.head, &q.row))
		return false
	}
	if over := rows.OverSince(q.row); over != nil && (q.row.State == journal.Forgotten || errors.Is(err, journal.ErrOver)) {
		err = over
	}
	if came := q.retry.Advance(q.from, q.row.Durable); !came && err == nil {
		err = fault.ErrNoProgress
	}
	if err == nil {
		return true
	}
	pause, more := q.retry.Next(time.Now(), !fault.Of(err).Uncounted)
	if err = fault.Cause(q.life, err); !more || !fault.Of(err).Retryable(fault.Standing{Receiving: true, Started: true, Accepted: asked}) {
		return q.fail(err)
	}
	q.e.cfg.Report(event.Interrupted{Head: q.head, Bytes: q.row.Durable, Reason: clean.Error(err), RetryIn: pause.Seconds()})
	if err := conversation.Sleep(q.life, q.e.sess, pause); err != nil {
		q.code = q.e.notResumed(q.row, err)
		return false
	}
	q.wait = min(max(q.retry.Left(time.Now()), time.Second), q.e.timing.retries.Last)
	return true
}

// leaving is the error of a request as its row is told it.
func leaving(d *download, err error) error {
	if d.agreed {
		return err
	}
	return fault.NotBegun(err)
}

// fail reports that the rest is not there.
func (q *asking) fail(err error) (more bool) {
	if errors.Is(err, fault.ErrInterrupted) {
		q.e.rows().Pause(q.row.Key)
	}
	f := fault.New(err, q.row.Durable > 0)
	q.code = f.Code
	q.e.cfg.Report(failedWith(q.head, f, q.row.State == journal.Interrupted))
	return false
}
