package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
)

const (
	// receiptTime bounds what the receiver does between the last byte and its
	// receipt: bringing the file to a slow disk.
	receiptTime = 5 * time.Minute
	// reasonTime is how long a lost path waits for the peer's own word on it.
	reasonTime = 2 * time.Second
	// goodbyeTime is how long a sender waits for the receiver's terminate after
	// the receipt, before it ends the session itself.
	goodbyeTime = 5 * time.Second
)

// contentName is the name of our one content.
const contentName = "file"

// envelopeType is the type attribute of our <security/>.
const envelopeType = omemo.NS

// outgoing is the journey of one file to the contact.
type outgoing struct {
	e      *Endpoint
	opt    SendOptions
	head   Head
	src    *source
	batch  *Batch
	begun  time.Time
	to     *peer
	ts     *crypto.Secret
	offer  *offer // of our profile; nil for other clients
	env    *omemo.Envelope
	sess   *jingle.Session
	route  *route
	marked bool // the first byte has been handed to the transport
}

// run sends the file to the first resource that answers and reports how it ended.
func (o *outgoing) run(ctx context.Context, peers []*peer) exitcode.Code {
	o.head = Head{Transfer: uuid.NewString(), Direction: Send, Name: o.src.name}
	var err error
	for _, p := range peers {
		if p.form != peers[0].form { // never silently less
			break
		}
		o.to, o.head.Peer = p, p.jid.String()
		if err = p.check(o.opt, []*source{o.src}); err != nil {
			break
		}
		if err = context.Cause(ctx); err == nil {
			err = o.attempt(ctx)
		}
		if notAcceptable(err) { // the sessions of the two sides differ: build new ones, once
			if rerr := o.e.omemo.Rebuild(ctx, o.e.sess, p.jid.Bare()); rerr != nil {
				o.e.log.Warn("rebuild sessions", "with", p.jid.Bare(), "error", rerr)
			} else {
				err = o.attempt(ctx)
			}
		}
		if !unanswered(err) {
			break
		}
	}
	if err == nil {
		return exitcode.OK
	}
	f := failureOf(causeOf(ctx, err), o.marked)
	o.e.log.Info("not sent", "transfer", o.head.Transfer, "peer", o.head.Peer, "code", int(f.Code), "reason", f.Error())
	o.e.cfg.Report(Failed{Head: o.head, Code: int(f.Code), Reason: clean.Text(f.Error()), Resumable: f.Resumable, Hints: f.Hints})
	return f.Code
}

// offerRefused is an error in answer to the offer itself. Stanza errors of later
// phases mean other things.
type offerRefused struct{ answer *stanza.Error }

func (e *offerRefused) Error() string { return e.answer.Error() }
func (e *offerRefused) Unwrap() error { return e.answer }

// unanswered tells whether a resource did not answer the offer at all, so that
// another may be tried; never after a decline or a security error.
func unanswered(err error) bool {
	var refused *offerRefused
	return errors.As(err, &refused) && codeOfIQ(refused.answer) == exitcode.Offline
}

// notAcceptable tells whether a client refused the offer because its envelope
// holds no key that it can use.
func notAcceptable(err error) bool {
	var refused *offerRefused
	return errors.As(err, &refused) && refused.answer.Condition == stanza.NotAcceptable
}

// attempt is one session with one resource.
func (o *outgoing) attempt(ctx context.Context) (err error) {
	suite := crypto.AES256GCM
	if o.jet() {
		suite = crypto.AES128GCM
	}
	o.ts = crypto.NewSecret(suite)
	defer o.ts.Wipe()
	sid := jingle.NewSID()
	content, err := o.prepare(ctx, sid)
	if err != nil {
		return err
	}
	defer o.route.close()
	if err := o.src.unchanged(); err != nil {
		return err
	}
	if _, err := o.src.file.Seek(0, io.SeekStart); err != nil {
		return &sourceError{err}
	}
	o.e.cfg.Report(Offer{Head: o.head, Size: o.src.size})
	late := time.Now().Add(o.opt.AnswerTimeout)
	if err := o.initiate(ctx, sid, content); err != nil {
		return err
	}
	err = o.converse(ctx, late)
	if err != nil {
		_ = o.sess.Terminate(ctx, reasonFor(err)) // does nothing the second time
	}
	return err
}

// jet tells whether the offer is made as XEP-0396 and other clients have it.
func (o *outgoing) jet() bool { return o.to.form == formJET || o.opt.Encryption == EncryptionJET }

// initiate delivers the offer. A client that does not even acknowledge it in
// time has not answered.
func (o *outgoing) initiate(ctx context.Context, sid string, content jingle.Content) (err error) {
	wait := ctx
	if o.opt.AnswerTimeout > 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, o.opt.AnswerTimeout)
		defer cancel()
	}
	o.sess, err = o.e.jingle.Initiate(wait, o.to.jid, sid, content)
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	}
	var answer *stanza.Error
	if errors.As(err, &answer) {
		err = &offerRefused{answer}
	}
	return fmt.Errorf("offer to %s: %w", o.to.jid, err)
}

// prepare makes the route, the envelope and the content.
func (o *outgoing) prepare(ctx context.Context, sid string) (c jingle.Content, err error) {
	if o.route, err = o.e.offerRoute(ctx, o.to.jid, o.opt.Route, o.to.transports); err != nil {
		return c, err
	}
	c = jingle.Content{
		Creator: jingle.SenderInitiator, Name: contentName, Senders: jingle.SenderInitiator,
		Description: jingle.Description(o.publicFile()), Transport: o.route.element(),
	}
	security := &jingle.Security{Name: c.Name, Type: envelopeType}
	if o.jet() {
		o.offer = nil
		security.Cipher = o.ts.Suite().ShortURN()
		o.env, err = o.e.omemo.WrapKey(ctx, o.e.sess, o.to.jid.Bare(), o.ts)
		if err == nil && o.opt.Encryption != EncryptionJET { // what was really wrapped decides
			err = o.e.guardKeys(ctx, o.to.jid.Bare(), o.env.Devices)
		}
	} else {
		o.offer = o.sealedOffer(sid, c)
		security.Cipher = o.offer.Cipher
		o.env, err = o.e.omemo.WrapPayload(ctx, o.e.sess, o.to.jid.Bare(), o.offer.payload(o.ts))
	}
	var answer *stanza.Error
	if errors.As(err, &answer) { // whose devices cannot be had has none for us
		err = fmt.Errorf("%w: %w", omemo.ErrNoDevice, err)
	}
	if err != nil {
		o.route.close()
		return c, fmt.Errorf("encrypt for %s: %w", o.to.jid.Bare(), err)
	}
	security.Envelope = o.env.Element
	c.Security = security.Element()
	return c, nil
}

// publicFile is what the servers get to see. Other clients need the name there.
func (o *outgoing) publicFile() *jingle.File {
	f := &jingle.File{Size: o.src.size, HashUsed: []string{"sha-256"}}
	if o.jet() {
		f.Name, f.Date, f.Description = o.src.name, o.src.mtime, o.opt.Description
		return f
	}
	f.Range = &jingle.Range{Length: -1}
	return f
}

func (o *outgoing) sealedOffer(sid string, c jingle.Content) *offer {
	f := &jingle.File{Name: o.src.name, Size: o.src.size, Date: o.src.mtime, Description: o.opt.Description}
	if o.opt.Checksum {
		f.HashUsed = []string{"sha-256"} // asks for it in the receipt
	}
	return &offer{
		Transfer: o.head.Transfer, SID: sid, Content: c.Name, Senders: c.Senders, Cipher: o.ts.Suite().URN(),
		Initiator: o.e.sess.JID(), Responder: o.to.jid, Device: o.e.omemo.DeviceID(), Digest: contentDigest(c),
		File: f, Batch: o.batch,
	}
}

// converse takes an offer that was delivered to its end.
func (o *outgoing) converse(ctx context.Context, answerBy time.Time) error {
	accepted, err := o.awaitAccept(ctx, answerBy)
	if err != nil {
		return err
	}
	o.e.cfg.Report(Accepted{o.head})
	streaming, cancel := o.e.during(ctx, o.sess)
	defer cancel(nil)
	path, err := o.route.connect(streaming, o.sess, accepted.Transport)
	if err != nil {
		return o.reasoned(err)
	}
	defer func() { _ = path.Close() }()
	path.settle = o.jet() && path.transport == S5B && !path.ends
	o.e.drain(path)
	digest, err := o.stream(streaming, path)
	if err == nil {
		err = o.endStream(streaming, path)
	}
	cancel(nil) // from here on the peer's end of the session is what we wait for
	if err == nil {
		err = o.awaitEnd(ctx, digest)
	} else {
		err = o.reasoned(err)
	}
	if err != nil {
		// The word on the wire goes before the end of the bytestream, so that
		// the receiver knows why the data stop.
		_ = o.sess.Terminate(ctx, reasonFor(err))
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := o.e.omemo.MarkUsed(ctx, o.env.Devices); err != nil {
		o.e.log.Warn("remember devices", "error", err)
	}
	seconds := time.Since(o.begun).Seconds()
	o.e.log.Info("sent", "transfer", o.head.Transfer, "peer", o.head.Peer, "bytes", o.src.size, "seconds", seconds)
	o.e.cfg.Report(Sent{Head: o.head, Size: o.src.size, VerifiedByPeer: !o.jet(), SHA256: digest, Seconds: seconds})
	return nil
}

// endStream ends our half of the path after the tag. A receiver that counts
// bytes may be done, and gone, before that: then what it said counts. But
// in-band nothing has been sent before its blocks are acknowledged, and a client
// that seals no receipt must not get away with saying success before.
func (o *outgoing) endStream(ctx context.Context, path *bytestream) error {
	path.beforeEnd(o.sess.Done())
	stop := context.AfterFunc(ctx, func() { _ = path.Close() }) // wakes an in-band wait
	defer stop()
	_ = path.SetWriteDeadline(time.Now().Add(idle)) // for what is still on its way
	err := path.CloseWrite()
	if err == nil || path.transport == IBB && o.offer == nil {
		return err
	}
	select {
	case <-o.sess.Done():
		return nil
	default:
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// stream sends the file over the path. It returns its SHA-256 in hex when that
// was asked for.
func (o *outgoing) stream(ctx context.Context, path *bytestream) (string, error) {
	o.e.cfg.Report(Negotiated{
		Head: o.head, Transport: path.transport, Candidate: path.candidate, Cipher: o.ts.Suite().Name(), Encryption: "jet",
		Devices: deviceInfos(o.env.Devices),
	})
	if err := o.sess.BeginStream(); err != nil {
		return "", err
	}
	o.marked = true
	var sum hash.Hash
	if o.opt.Checksum {
		sum = sha256.New()
	}
	m := startMeter(o.head, o.src.size, o.e.cfg.Report)
	defer m.end()
	if err := streamOut(ctx, path, o.src.file, o.src.size, o.src.unchanged, o.ts, o.opt.LimitRate, sum, m); err != nil {
		return "", err
	}
	if sum == nil {
		return "", nil
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
