package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	// negotiateTime bounds finding a path after the accept.
	negotiateTime = 60 * time.Second
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
	to     jid.JID
	ts     *crypto.Secret
	offer  *offer
	env    *omemo.Envelope
	sess   *jingle.Session
	path   *s5b.Negotiation
	begun  time.Time
	marked bool // the first byte has been handed to the transport
}

// Send offers the files one after the other and returns nil when every one is
// complete at the other end, else a *Failure. Every file gets exactly one
// terminal event; a failure before that is not Reported.
func (e *Endpoint) Send(ctx context.Context, opt SendOptions) error {
	sources, err := openSources(opt.Files)
	if err != nil {
		return err
	}
	defer closeSources(sources)
	e.cfg.Report(Online{JID: e.sess.JID().String()})
	resources, err := e.choose(ctx, opt.To, opt.Wait)
	if err != nil {
		return failureOf(err, false)
	}
	batch := newBatch(sources)
	var codes []exitcode.Code
	for i, src := range sources {
		o := &outgoing{e: e, opt: opt, src: src, begun: time.Now()}
		if batch != nil {
			b := *batch
			b.Index = i + 1
			o.batch = &b
		}
		codes = append(codes, o.run(ctx, resources))
	}
	if code := exitcode.Combine(codes...); code != exitcode.OK {
		return &Failure{Code: code, Reason: "not every file was sent", Reported: true}
	}
	return nil
}

// run sends the file to the first resource that answers and reports how it ended.
func (o *outgoing) run(ctx context.Context, resources []jid.JID) exitcode.Code {
	o.head = Head{Transfer: uuid.NewString(), Direction: Send, Name: o.src.name}
	var err error
	for _, r := range resources {
		o.to, o.head.Peer = r, r.String()
		if err = context.Cause(ctx); err == nil {
			err = o.attempt(ctx)
		}
		if !unanswered(err) {
			break
		}
	}
	if err == nil {
		return exitcode.OK
	}
	f := failureOf(err, o.marked)
	o.e.log.Info("not sent", "transfer", o.head.Transfer, "peer", o.head.Peer, "code", int(f.Code), "reason", f.Error())
	o.e.cfg.Report(Failed{Head: o.head, Code: int(f.Code), Reason: clean.Text(f.Error()), Resumable: f.Resumable, Hints: f.Hints})
	return f.Code
}

// unanswered tells whether a resource did not answer the offer at all, so that
// another may be tried; never after a decline or a security error.
func unanswered(err error) bool {
	var se *stanza.Error
	return errors.As(err, &se) && codeOfIQ(se) == exitcode.Offline
}

// attempt is one session with one resource.
func (o *outgoing) attempt(ctx context.Context) (err error) {
	o.ts = crypto.NewSecret(crypto.AES256GCM)
	defer o.ts.Wipe()
	content, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = o.path.Close() }()
	if err := o.src.unchanged(); err != nil {
		return err
	}
	o.e.cfg.Report(Offer{Head: o.head, Size: o.src.size})
	late := time.Now().Add(o.opt.AnswerTimeout)
	if err := o.initiate(ctx, content); err != nil {
		return err
	}
	err = o.converse(ctx, late)
	if err != nil {
		// The word on the wire goes before the end of the bytestream, so that
		// the receiver knows why the data stop.
		_ = o.sess.Terminate(ctx, reasonFor(err))
	}
	return err
}

// initiate delivers the offer. A client that does not even acknowledge it in
// time has not answered.
func (o *outgoing) initiate(ctx context.Context, content jingle.Content) (err error) {
	wait := ctx
	if o.opt.AnswerTimeout > 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, o.opt.AnswerTimeout)
		defer cancel()
	}
	o.sess, err = o.e.jingle.Initiate(wait, o.to, o.offer.SID, content)
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	}
	return fmt.Errorf("offer to %s: %w", o.to, err)
}

// prepare makes the secret's envelope, the candidates and the content.
func (o *outgoing) prepare(ctx context.Context) (c jingle.Content, err error) {
	sid := jingle.NewSID()
	if o.path, err = s5b.New(ctx, o.e.s5bConfig(o.opt.NoDirect), jingle.NewSID(), o.e.sess.JID(), o.to, true); err != nil {
		return c, fmt.Errorf("listen: %w", err)
	}
	public := &jingle.File{Size: o.src.size, Range: &jingle.Range{Length: -1}, HashUsed: []string{"sha-256"}}
	c = jingle.Content{
		Creator: jingle.SenderInitiator, Name: contentName, Senders: jingle.SenderInitiator,
		Description: jingle.Description(public), Transport: o.path.Element(),
	}
	o.offer = &offer{
		Transfer: o.head.Transfer, SID: sid, Content: c.Name, Senders: c.Senders, Cipher: crypto.AES256GCM.URN(),
		Initiator: o.e.sess.JID(), Responder: o.to, Device: o.e.omemo.DeviceID(), Digest: contentDigest(c),
		File:  &jingle.File{Name: o.src.name, Size: o.src.size, Date: o.src.mtime, Description: o.opt.Description},
		Batch: o.batch,
	}
	if o.opt.Checksum {
		o.offer.File.HashUsed = []string{"sha-256"} // asks for it in the receipt
	}
	if o.env, err = o.e.omemo.WrapPayload(ctx, o.e.sess, o.to.Bare(), o.offer.payload(o.ts)); err != nil {
		_ = o.path.Close()
		return c, fmt.Errorf("encrypt for %s: %w", o.to.Bare(), err)
	}
	c.Security = (&jingle.Security{Name: c.Name, Cipher: o.offer.Cipher, Type: envelopeType, Envelope: o.env.Element}).Element()
	return c, nil
}

// converse takes an offer that was delivered to its end.
func (o *outgoing) converse(ctx context.Context, answerBy time.Time) error {
	accepted, err := o.awaitAccept(ctx, answerBy)
	if err != nil {
		return err
	}
	o.e.cfg.Report(Accepted{o.head})
	ctx, cancel := o.e.during(ctx, o.sess)
	defer cancel(nil)
	conn, err := connect(ctx, o.path, o.sess, accepted.Transport)
	if err != nil {
		return o.reasoned(err)
	}
	defer func() { _ = conn.Close() }()
	o.e.cfg.Report(Negotiated{
		Head: o.head, Transport: "s5b", Candidate: conn.Kind, Cipher: o.ts.Suite().Name(), Encryption: "jet",
		Devices: deviceInfos(o.env.Devices),
	})
	var sum hash.Hash
	if o.opt.Checksum {
		sum = sha256.New()
	}
	if err := o.sess.BeginStream(); err != nil {
		return o.reasoned(err)
	}
	o.marked = true
	m := startMeter(o.head, o.src.size, o.e.cfg.Report)
	err = streamOut(ctx, conn, o.src.file, o.src.size, o.src.unchanged, o.ts, o.opt.LimitRate, sum, m)
	m.end()
	if err != nil {
		return o.reasoned(err)
	}
	digest := ""
	if sum != nil {
		digest = hex.EncodeToString(sum.Sum(nil))
	}
	cancel(nil) // from here on the peer's end of the session is what we wait for
	if err := o.awaitReceipt(context.WithoutCancel(ctx), digest); err != nil {
		return err
	}
	if err := o.e.omemo.MarkUsed(context.WithoutCancel(ctx), o.env.Devices); err != nil {
		o.e.log.Warn("remember devices", "error", err)
	}
	seconds := time.Since(o.begun).Seconds()
	o.e.log.Info("sent", "transfer", o.head.Transfer, "peer", o.head.Peer, "bytes", o.src.size, "seconds", seconds)
	o.e.cfg.Report(Sent{Head: o.head, Size: o.src.size, VerifiedByPeer: true, SHA256: digest, Seconds: seconds})
	return nil
}

// awaitAccept waits for the answer and checks the sealed accept in it.
func (o *outgoing) awaitAccept(ctx context.Context, answerBy time.Time) (jingle.Content, error) {
	var late <-chan time.Time
	if o.opt.AnswerTimeout > 0 {
		t := time.NewTimer(time.Until(answerBy))
		defer t.Stop()
		late = t.C
	}
	select {
	case c := <-o.sess.Accepted():
		return c, o.checkAccept(c)
	case <-o.sess.Done():
		return jingle.Content{}, o.ended()
	case <-late:
		return jingle.Content{}, errNoAnswer
	case <-o.e.sess.Done():
		return jingle.Content{}, errStreamLost
	case <-ctx.Done():
		return jingle.Content{}, context.Cause(ctx)
	}
}

func (o *outgoing) checkAccept(c jingle.Content) error {
	x, err := unseal(o.ts, kindAccept, o.offer.context(), c.Extra...)
	if err != nil {
		return err
	}
	a, err := parseAccept(x)
	if err != nil {
		return err
	}
	if c.Inferred || a.Transfer != o.offer.Transfer || a.Offset != 0 || a.Size != o.src.size || a.Digest != contentDigest(c) ||
		c.Name != o.offer.Content || c.Creator != jingle.SenderInitiator || c.Senders != o.offer.Senders {
		return fmt.Errorf("%w: the accept was changed on its way", errSealed)
	}
	return nil
}

// awaitReceipt waits for the sealed receipt. Nothing else is success.
func (o *outgoing) awaitReceipt(ctx context.Context, digest string) error {
	late := time.NewTimer(receiptTime)
	defer late.Stop()
	for {
		select {
		case info := <-o.sess.Infos():
			ok, err := o.checkReceipt(info, digest)
			if err != nil {
				return err
			}
			if ok {
				o.goodbye(ctx)
				return nil
			}
		case <-o.sess.Done():
			return o.lastWord(digest)
		case <-late.C:
			return errUnconfirmed
		case <-o.e.sess.Done():
			return errStreamLost
		}
	}
}

// lastWord looks for a receipt that came right before the end of the session.
func (o *outgoing) lastWord(digest string) error {
	for {
		select {
		case info := <-o.sess.Infos():
			if ok, err := o.checkReceipt(info, digest); err != nil || ok {
				return err
			}
		default:
			if r, _ := o.sess.Ended(); r.Condition != jingle.Success {
				return o.ended()
			}
			return errUnconfirmed
		}
	}
}

// checkReceipt tells whether info is the receipt. A <received/> that does not
// open is a lie about one and ends the transfer.
func (o *outgoing) checkReceipt(info *xmltree.Element, digest string) (bool, error) {
	if !info.Is(jingle.NSFile, "received") {
		return false, nil
	}
	if info.Attr("creator") != o.offer.Senders || info.Attr("name") != o.offer.Content {
		return false, fmt.Errorf("%w: the receipt was changed on its way", errSealed)
	}
	x, err := unseal(o.ts, kindReceipt, o.offer.context(), info.Children...)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	r, err := parseReceipt(x)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	if r.Transfer != o.offer.Transfer || r.Size != o.src.size || digest != "" && r.SHA256 != digest {
		return false, fmt.Errorf("%w: the receipt is for something else", errSealed)
	}
	return true, nil
}

// goodbye leaves the end of the session to the receiver, for a while.
func (o *outgoing) goodbye(ctx context.Context) {
	select {
	case <-o.sess.Done():
	case <-o.e.sess.Done():
	case <-time.After(goodbyeTime):
		_ = o.sess.Terminate(ctx, jingle.Reason{Condition: jingle.Success})
	}
}

// ended is the peer's end of the session as an error.
func (o *outgoing) ended() error {
	r, byPeer := o.sess.Ended()
	if !byPeer {
		return errStreamLost
	}
	return &endedByPeer{r}
}

// reasoned prefers the peer's own word over what its leaving did to our socket.
func (o *outgoing) reasoned(err error) error {
	return reasoned(o.sess, err)
}

func openSources(files []Source) (out []*source, err error) {
	for _, f := range files {
		s, err := openSource(f)
		if err != nil {
			closeSources(out)
			return nil, &Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err}
		}
		out = append(out, s)
	}
	return out, nil
}

func closeSources(sources []*source) {
	for _, s := range sources {
		_ = s.file.Close() // only read
	}
}

func newBatch(sources []*source) *Batch {
	if len(sources) < 2 {
		return nil
	}
	b := &Batch{ID: uuid.NewString(), Count: len(sources)}
	for _, s := range sources {
		b.Bytes += s.size
	}
	return b
}

// source is a file to send, as it was when it was opened.
type source struct {
	file  *os.File
	name  string
	size  int64
	mtime time.Time
}

func openSource(s Source) (*source, error) {
	// O_NONBLOCK: opening a FIFO must not hang; for a regular file it means nothing.
	f, err := os.OpenFile(s.Path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", s.Path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	name := s.Name
	if name == "" {
		name = filepath.Base(s.Path)
	}
	return &source{file: f, name: name, size: info.Size(), mtime: info.ModTime()}, nil
}

// unchanged fails when the file is not the one that was opened any more.
func (s *source) unchanged() error {
	info, err := s.file.Stat()
	if err != nil {
		return &sourceError{err}
	}
	if info.Size() != s.size || !info.ModTime().Equal(s.mtime) {
		return &sourceError{errSourceChanged}
	}
	return nil
}

var _ io.Reader = (*os.File)(nil)
