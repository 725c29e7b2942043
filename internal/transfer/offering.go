package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/batch"
	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/goods"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
)

// archiveSuffix ends the name of a directory towards clients that get it as a plain
// archive.
const archiveSuffix = ".tar"

// offering opens the sessions of one file that we send: it offers the file to the
// clients of the contact, and goes on trying after an interruption.
type offering struct {
	upload
	life  context.Context
	opt   SendOptions
	batch *profile.Batch
	// unnamed: nobody asked for this transfer by its id, so that somebody else may
	// be at it.
	unnamed bool
	resumed bool        // by `resume`, which has not all flags of `send`
	late    bool        // the run was stopped before the transfer existed
	turn    *batch.Turn // among the files of the command, nil for a session alone

	peers    []*contact.Peer // clients of the contact, the best first
	to       *contact.Peer   // of the session of the moment
	talk     *conversation.Conversation
	retry    backoff.Attempts
	restarts int
	code     exitcode.Code // how it ended
}

// run sends the file. The row of the transfer is held.
func (o *offering) run(ctx context.Context, peers []*contact.Peer) {
	o.life, o.peers = ctx, peers
	o.retry = o.opt.Retry.attempts(o.e.timing.retries, o.row.Row().Durable)
	run(ctx, o)
}

// Open implements opener: it offers the file to one client after the other, until one
// answers.
func (o *offering) Open() (c *conversation.Conversation, _ end, err error) {
	o.from = o.row.Row().Durable
	for _, p := range contact.Prefer(o.peers, o.row.Row().Resource) {
		if !o.takes(p) {
			break
		}
		o.to, o.head.Peer = p, p.JID.String()
		if err = checkPeer(p, o.opt, []*source.Source{o.src}); err != nil {
			break
		}
		c, err = o.offer()
		if o.form != dialect.FormPlaintext && fault.Of(err).Unopened && o.e.rebuilt(o.life, p.JID) { // once
			c, err = o.offer()
		}
		if !fault.Of(err).Unanswered {
			break
		}
	}
	if err == nil && c == nil { // all of them take something else
		err = fault.ErrNotThere
	}
	if err != nil {
		return nil, nil, err
	}
	if o.released {
		return c, nil, o.arrivedBefore(c)
	}
	return c, &o.upload, nil
}

// arrivedBefore reports what had arrived before this session, by the receiver's receipt.
func (o *offering) arrivedBefore(c *conversation.Conversation) error {
	if err := o.arrivedOther(); err != nil {
		o.released = false
		return err
	}
	o.sent(c)
	return nil
}

// takes reports whether a client can be given what is offered, as it is offered.
func (o *offering) takes(p *contact.Peer) bool { return p.Form == o.form && (o.set == nil || p.Sets) }

// offer makes one offer and waits for the answer: an accept, in c.Agreed, or the receipt
// of a file that the receiver has released already.
func (o *offering) offer() (c *conversation.Conversation, err error) {
	if o.life.Err() != nil {
		return nil, context.Cause(o.life)
	}
	found, err := o.turn.Take(o.life)
	if err != nil {
		return nil, err
	}
	c = o.e.converse(o.life, o.head)
	c.Found, o.talk = found, c
	defer func() {
		if err != nil {
			if c.Session != nil {
				c.Terminate(err)
			}
			c.Close()
			c = nil
		}
	}()
	var late <-chan time.Time // never
	err = c.Step(conversation.Needs{}, func(ctx context.Context) error {
		content, sid, err := o.prepare(ctx, c)
		if err != nil {
			return err
		}
		if err := o.src.Unchanged(ctx); err != nil {
			return err
		}
		if err := o.row.Offer(ctx, o.to.JID.Resource(), omemo.IdentityKeys(c.Devices)...); err != nil {
			return err
		}
		c.Lost = o.e.sess.Lost()
		o.e.cfg.Report(event.Offer{Head: o.head, Size: o.src.Size, ResumedFrom: o.row.Row().Durable, Directory: o.src.Tree != nil})
		patience := o.patience()
		if patience > 0 {
			late = time.After(patience)
		}
		return o.e.reach(ctx, c, o.to, sid, content, patience)
	})
	if err == nil {
		err = o.awaitAccept(c, late)
	}
	return c, err
}

// asksNobody reports whether an offer is answered by the receiver's program alone: of
// a transfer that it took before, unless it is a client to which every offer is a new
// one. An attempt that ended before its answer is none that somebody has said yes to.
func (o *offering) asksNobody() bool {
	row := o.row.Row()
	return o.profile() && (o.accepted || row.Moved.After(row.Created))
}

// patience is how long the answer to an offer may take; 0 is for ever. A receiver that
// asks nobody has work to do first: it reads what it has of the file, or ends a release
// that a crash has cut.
func (o *offering) patience() time.Duration {
	p := o.opt.AnswerTimeout
	if p == 0 || !o.asksNobody() {
		return p
	}
	return max(p, o.receiptPatience()) + checkTime(o.src.Size)
}

// awaitAccept waits for the answer, until late.
func (o *offering) awaitAccept(c *conversation.Conversation, late <-chan time.Time) error {
	look := func(info *xmltree.Element) (_ bool, err error) {
		if c.Dialect.Form().Seals() { // other clients seal no receipt
			o.released, err = o.checkReceipt(c, info, o.src.Size)
		}
		return o.released, err
	}
	silent := fault.ErrNoAnswer
	if o.asksNobody() {
		silent = fault.ErrSilent
	}
	err := c.AwaitAccept(conversation.Needs{Server: true, Alive: true}, late, silent, look)
	switch {
	case err == nil && o.released:
		c.Goodbye()
	case c.Proves(err): // and does not
		return fault.ErrUnconfirmed
	}
	return err
}

// After implements opener: it decides whether the file is offered again, and waits for
// the time and the contact.
func (o *offering) After(err error) bool {
	if came := o.retry.Advance(o.from, o.row.Row().Durable); !came && err == nil && !o.released {
		err = fault.ErrNoProgress
	}
	if err == nil && o.set != nil {
		o.code = o.tally.Code()
	}
	if err == nil && !o.released {
		if err = o.row.Interrupt(fault.ErrNextPart); err == nil {
			return true
		}
		return o.fail(err)
	}
	for err != nil {
		if errors.Is(err, fault.ErrPrefix) && o.restarts < backoff.MaxRestarts {
			o.restart = true
			o.restarts++
			return true
		}
		k := fault.Of(err)
		pause, more := o.retry.Next(time.Now(), !k.Uncounted)
		if !more || !k.Retryable(o.standing()) {
			return o.fail(err)
		}
		if jerr := o.row.Interrupt(err); jerr != nil {
			return o.fail(jerr)
		}
		if !o.profile() { // nothing of what went out counts
			o.moved = 0
			o.e.cfg.Report(event.Warning{Text: contact.StartsOver(o.head.Peer)})
		}
		o.e.cfg.Report(event.Interrupted{Head: o.head, Bytes: o.moved, Reason: clean.Error(err), RetryIn: pause.Seconds()})
		if err = conversation.Sleep(o.life, o.e.sess, pause); conversation.Gone(o.e.sess) {
			return o.fail(fault.ErrStreamLost)
		}
		if err == nil {
			o.peers, err = o.findAgain(o.retry.Left(time.Now()))
		}
		switch {
		case o.life.Err() != nil:
			return o.fail(context.Cause(o.life))
		case err == nil:
			return true
		}
	}
	return false
}

// findAgain looks for the contact after an interruption, for as long as the run
// goes on trying. Clients that take only another form of offer do not count.
func (o *offering) findAgain(left time.Duration) ([]*contact.Peer, error) {
	end := time.Now().Add(max(left, time.Second))
	online, cancel := context.WithDeadline(o.life, end)
	defer cancel()
	if err := o.e.sess.WaitOnline(online); err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrStreamLost, err)
	}
	opt := o.opt
	for {
		opt.Wait = min(max(time.Until(end), time.Second), o.e.timing.retries.Last)
		peers, err := o.e.contacts().ChooseForm(o.life, contactOptions(opt), o.form)
		peers = slices.DeleteFunc(peers, func(p *contact.Peer) bool { return !o.takes(p) })
		if err == nil && len(peers) == 0 {
			err = o.e.contacts().NoResource(o.life, contactOptions(opt), 1, 0)
		}
		if err = fault.Away(err); !errors.Is(err, fault.ErrPeerGone) || !time.Now().Before(end) {
			return peers, err
		}
		if err := conversation.Sleep(o.life, o.e.sess, o.e.timing.retries.First); err != nil {
			return nil, err
		}
	}
}

// fail reports that the file is not there.
func (o *offering) fail(err error) (more bool) {
	err = fault.Cause(o.life, err)
	f := fault.New(err, o.marked)
	o.code = f.Code
	over := failedWith(o.head, f, o.writeDown(err))
	over.Declined, over.Hints = fault.Of(err).Declined, slices.Concat(f.Hints, o.e.contacts().Hints(o.attempt(), err))
	o.e.cfg.Report(over)
	return false
}

// attempt is what hints go by.
func (o *offering) attempt() contact.Attempt {
	return contact.Attempt{
		To: o.opt.To, Form: o.form, Started: o.marked, Resumed: o.resumed, AnswerTimeout: o.opt.AnswerTimeout, Fingerprint: o.e.omemo.Fingerprint(),
	}
}

// prepare makes the route, the envelope and the content.
func (o *offering) prepare(ctx context.Context, c *conversation.Conversation) (content jingle.Content, sid string, err error) {
	sid = jingle.NewSID()
	c.Dialect = dialect.New(o.form, o.opt.Cipher, o.to.Software)
	if o.set != nil {
		c.Dialect = dialect.NewSet(o.to.Software)
	}
	o.readsBack = o.form.WritesBack(o.to.Software)
	paths, err := o.paths()
	if err != nil {
		return content, sid, err
	}
	if c.Route, err = o.e.offerRoute(ctx, o.to, paths); err != nil {
		return content, sid, err
	}
	content = jingle.Content{Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderInitiator, Transport: c.Route.Element()}
	env, err := c.Dialect.Write(ctx, o.e.omemo, o.e.sess, dialect.Terms{Offer: o.sealedOffer(ctx, sid, c.Route.Punch()), Limit: o.e.sessionLimit()}, &content)
	if err == nil && !o.profile() && o.opt.Encryption == dialect.ChooseBest { // what was really wrapped decides
		err = o.e.contacts().GuardKeys(ctx, o.to.JID.Bare(), env.Devices, o.form)
	}
	if err != nil {
		return content, sid, contact.NoKeys(o.to.JID, err)
	}
	c.Devices = env.Devices
	return content, sid, nil
}

// sealedOffer is what is told of the file; only a jetsend gets all of it.
func (o *offering) sealedOffer(ctx context.Context, sid string, punch *route.Punch) profile.Offer {
	f := &jingle.File{Name: o.src.Name, Size: o.src.Size, Date: o.src.MTime, Description: o.opt.Description}
	if o.check {
		f.HashUsed = []string{"sha-256"} // asks for it in the receipt
	}
	told := profile.Offer{
		Transfer: o.head.Transfer, SID: sid, Initiator: o.e.sess.JID(), Responder: o.to.JID, Device: o.e.omemo.DeviceID(),
		File: f, Batch: o.batch, Restart: o.restart, Directory: goods.Directory(o.src), Mode: o.src.Mode,
	}
	if o.set != nil {
		told.Set = o.set.Sealed()
	}
	if o.profile() {
		told.Gone, told.Punch = o.e.rows().Abandoned(ctx, o.to.JID), (*profile.Punch)(punch)
	}
	return told
}

// paths are the ways that the bytes may take in the form of the offer and with the
// client.
func (o *offering) paths() (route.Options, error) {
	r := o.opt.Route
	inband, why := o.form.First(o.to.Software, o.src.Size)
	if why == "" {
		return r, nil
	}
	first := route.S5B
	if inband {
		first = route.IBB
	}
	order := slices.Clone(r.Order())
	i := slices.Index(order, first)
	if i < 0 {
		return r, fmt.Errorf("%w: %s", fault.ErrNoTransport, why)
	}
	r.Transports = slices.Insert(slices.Delete(order, i, i+1), 0, first)
	return r, nil
}

// rowOf is the row of a transfer from here.
func (o *offering) rowOf() journal.Row {
	r := journal.Row{
		Key:  journal.Key{ID: o.head.Transfer, Direction: journal.Send},
		Peer: o.opt.To.Bare(), Profile: o.profile(), Name: o.src.Name, Description: o.opt.Description, Path: o.src.Path, Size: o.src.Size, MTime: o.src.MTime,
		Mode: o.src.Mode, Source: o.src.Kind(), Manifest: o.src.Manifest(), Exclude: o.src.Exclude(), Origin: o.src.Origin,
		Items: o.src.Items,
	}
	if o.batch != nil {
		r.Batch = o.batch.ID
	}
	if o.form == dialect.FormPlaintext {
		r.Keys = [][]byte{journal.NoKey()}
	}
	return r
}

// nameArchive gives a directory the name that it has towards a client which
// gets a plain archive.
func (o *offering) nameArchive() {
	if !o.profile() && o.src.Tree != nil && !strings.HasSuffix(o.src.Name, archiveSuffix) {
		o.src.Name += archiveSuffix
		o.head.Name = o.src.Name
	}
}
