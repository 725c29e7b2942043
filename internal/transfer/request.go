package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
)

// request is a session that we open for the rest of a file that a contact had
// offered: XEP-0391, encrypted ranged transfers.
type request struct {
	e     *Endpoint
	row   journal.Row // as it was found
	to    *peer
	route RouteOptions
	// patience bounds the wait for the answer.
	patience time.Duration
	// accepted is called when the contact has said yes.
	accepted func()
	judge    func(omemo.Device) error // of the device that hands the file out
	answered bool                     // accepted has been called
	from     int64                    // where in the file the session began

	down   *download
	talk   *talk
	env    *omemo.Envelope
	sender omemo.Device // by its own word: each device that the envelope is for could say it
	path   *route.Route
	lost   <-chan struct{}
}

// requestTime is how long a contact's jetsend may take to answer a request, beside
// the time for reading what we have already: it may have a directory to look through.
const requestTime = 5 * time.Minute

// newRequest is a request for an interrupted transfer.
func (e *Endpoint) newRequest(row journal.Row, to *peer, how keeping, route RouteOptions) *request {
	down := newDownload(row, to.JID, how)
	down.taken = true // the sender knows it from before
	return &request{e: e, row: row, to: to, route: route, patience: requestTime + checkTime(row.Size), accepted: func() {}, judge: func(omemo.Device) error { return nil }, from: row.Durable, down: down}
}

// run takes one session to its end. When it returns nil a part of the file came,
// and the file is released if that was the last one. The row is let go of in any
// case.
func (q *request) run(ctx context.Context) (err error) {
	ctx, q.down.stop = context.WithCancelCause(ctx)
	defer q.down.stop(nil)
	dir, err := openDir(&q.row)
	if err != nil {
		return &sinkError{Err: err}
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := q.e.take(ctx, q.down, q.row, dir, false); err != nil {
		return causeOf(ctx, err) // the contact's own session may have come before
	}
	if q.down.final != "" { // a crash had hidden it
		q.down.report()
		return q.down.close(ctx)
	}
	defer q.let() // after the last word, which may be sealed
	s, err := q.converse(ctx)
	if err = causeOf(ctx, err); err != nil {
		left := q.left(err)
		if q.talk != nil && q.talk.sess != nil {
			q.talk.terminate(ctx, left)
		}
		return errors.Join(err, q.down.giveUp(ctx, left))
	}
	if !s.last() {
		err = q.down.row.Interrupt(context.WithoutCancel(ctx), errNextPart)
	}
	return errors.Join(err, q.down.close(ctx))
}

// left is the error as the row and the contact are told it.
func (q *request) left(err error) error {
	if q.answered {
		return err
	}
	return notBegun(err)
}

// converse asks, and takes what comes.
func (q *request) converse(ctx context.Context) (s span, err error) {
	prefix, err := q.down.prefix(ctx)
	if err != nil {
		return s, err
	}
	accepted, err := q.ask(ctx, prefix)
	if unopened(err) && q.e.rebuilt(ctx, q.to.JID) { // once
		q.let()
		accepted, err = q.ask(ctx, prefix)
	}
	if err != nil {
		return s, err
	}
	if s, err = q.checkAccept(ctx, accepted); err != nil {
		return s, err
	}
	q.answered, q.from = true, s.offset
	q.accepted()
	q.e.cfg.Report(Offer{Head: q.down.head, Size: q.row.Size, ResumedFrom: s.offset, Description: q.row.Description, Directory: q.row.Source == journal.SourceTree})
	q.talk.reportAccepted(q.down.head, s.offset)
	finding, cancel := q.e.during(ctx, q.talk.sess)
	path, err := q.talk.connect(finding, q.path, accepted.Transport)
	cancel(nil)
	if err != nil {
		return s, q.talk.reasoned(err)
	}
	defer func() { _ = path.Close() }()
	q.talk.reportPath(q.down.head, path, encryptionJET, q.env.Devices...)
	if err := q.down.take(ctx, q.talk, path, s); err != nil {
		q.talk.terminate(ctx, err) // before the socket says it worse
		return s, err
	}
	q.down.finish(ctx, q.talk, s, q.sender)
	return s, nil
}

// let lets go of what the question of the moment holds.
func (q *request) let() {
	if q.path != nil {
		q.path.Close()
	}
	if q.talk != nil {
		q.talk.ts.Wipe()
	}
}

// ask makes the request and waits for the answer.
func (q *request) ask(ctx context.Context, prefix string) (c jingle.Content, err error) {
	q.talk = &talk{e: q.e, ts: crypto.NewSecret(crypto.AES256GCM)}
	sid := jingle.NewSID()
	content, err := q.prepare(ctx, sid, prefix)
	if err != nil {
		return c, err
	}
	if err := q.down.row.Offer(ctx, q.to.JID.Resource()); err != nil {
		return c, err
	}
	q.lost = q.e.sess.Lost()
	if q.talk.sess, err = q.e.reach(ctx, q.to, sid, content, q.patience); err != nil {
		return c, err
	}
	late := time.NewTimer(q.patience)
	defer late.Stop()
	gone, stop := q.talk.watch(ctx)
	defer stop()
	for {
		select {
		case ev, open := <-q.talk.sess.Events():
			q.talk.heard.add(ev, open)
		case <-gone:
			return c, errPeerGone
		case <-late.C:
			return c, errSilent
		case <-q.lost:
			return c, errStreamLost
		case <-ctx.Done():
			return c, context.Cause(ctx)
		}
		switch heard := &q.talk.heard; {
		case heard.accepted != nil:
			return *heard.accepted, nil
		case heard.ended:
			return c, inUse(q.talk.ended())
		}
	}
}

// prepare makes the route, the envelope and the content.
func (q *request) prepare(ctx context.Context, sid, prefix string) (c jingle.Content, err error) {
	if q.path, err = q.e.offerRoute(ctx, q.to, q.route); err != nil {
		return c, err
	}
	r := &jingle.Range{Offset: q.down.offset(), Length: -1}
	if limit := q.e.sessionLimit(); q.row.Size-r.Offset > limit {
		r.Length = limit
	}
	c = jingle.Content{
		Creator: jingle.SenderInitiator, Name: contentName, Senders: jingle.SenderResponder,
		Description: jingle.Description(&jingle.File{Size: q.row.Size, Range: r, HashUsed: []string{"sha-256"}}), Transport: q.path.Element(),
	}
	o := &offer{
		Transfer: q.row.ID, SID: sid, Content: c.Name, Senders: c.Senders, Cipher: q.talk.ts.Suite().URN(),
		Initiator: q.e.sess.JID(), Responder: q.to.JID, Device: q.e.omemo.DeviceID(), Digest: contentDigest(c),
		File: &jingle.File{Size: q.row.Size}, Prefix: prefix,
	}
	q.talk.offer = o
	payload := o.Payload(q.talk.ts)
	defer clear(payload)
	if q.env, err = q.e.omemo.WrapPayload(ctx, q.e.sess, q.to.JID.Bare(), payload, omemo.Kept); err != nil {
		return c, wrapFailed(q.to, err)
	}
	c.Security = (&jingle.Security{Name: c.Name, Cipher: o.Cipher, Type: envelopeType, Envelope: q.env.Element}).Element()
	return c, nil
}

// checkAccept opens the sealed accept. A sender whose file does not begin with
// what we have sends all of it.
func (q *request) checkAccept(ctx context.Context, c jingle.Content) (s span, err error) {
	x, err := q.talk.unseal(kindAccept, c.Extra...)
	if err != nil {
		return s, err
	}
	a, err := parseAccept(x)
	if err != nil {
		return s, err
	}
	s = span{a.Offset, a.Length, q.row.Size}
	if err := sealedAccept(c, a, q.talk.offer, s, q.e.sessionLimit()); err != nil {
		return s, err
	}
	i := slices.IndexFunc(q.env.Devices, func(d omemo.Device) bool { return d.ID == a.Device })
	if i < 0 || !q.row.HasKey(q.env.Devices[i].IdentityKey) {
		return s, fmt.Errorf("%w: an accept of another device", errSealed)
	}
	q.sender = q.env.Devices[i]
	if err := q.judge(q.sender); err != nil {
		return s, err
	}
	switch s.offset {
	case q.down.offset():
		return s, nil
	case 0:
		return s, q.down.restart(ctx)
	}
	return s, fmt.Errorf("%w: an accept from byte %d", errSealed, s.offset)
}
