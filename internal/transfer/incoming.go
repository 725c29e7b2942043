package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// incoming is the journey of one file from a contact.
type incoming struct {
	r     *receiver
	e     *Endpoint
	sess  *jingle.Session
	head  Head
	file  *jingle.File // as offered: the sealed one, or else the public one
	held  content      // of the envelope
	dev   omemo.Device
	name  string // made safe
	begun time.Time
}

// refusal is an offer that we do not take, and what we say about it.
type refusal struct {
	err    error
	reason jingle.Reason
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// run takes an offer to its end. mine tells whether it was accepted, so that
// --once ends with it.
func (in *incoming) run(ctx context.Context) (code exitcode.Code, mine bool) {
	part, err := in.decide(ctx)
	in.r.looked()
	if mine = err == nil; !mine {
		err = in.withdrawn(err)
	}
	if err == nil {
		err = in.accept(ctx, part)
	}
	if in.held.ts != nil {
		in.held.ts.Wipe()
	}
	if err == nil {
		return exitcode.OK, mine
	}
	reason := reasonFor(err)
	var no *refusal
	if errors.As(err, &no) {
		reason = no.reason
	}
	_ = in.sess.Terminate(ctx, reason)
	return in.fail(err, mine), mine
}

// fail reports how the transfer ended.
func (in *incoming) fail(err error, started bool) exitcode.Code {
	f := failureOf(err, started)
	in.e.log.Info("not received", "transfer", in.head.Transfer, "peer", in.sess.Peer(), "code", int(f.Code), "reason", f.Error())
	if in.head.Transfer == "" {
		in.e.cfg.Report(FailedEarly{Direction: Receive, Peer: in.sess.Peer().String(), Code: int(f.Code), Reason: clean.Text(f.Error()), Hints: f.Hints})
		return f.Code
	}
	in.e.cfg.Report(Failed{Head: in.head, Code: int(f.Code), Reason: clean.Text(f.Error()), Resumable: f.Resumable, Hints: f.Hints})
	return f.Code
}

// decide makes the checks in the order of docs/protocol.md, the cheapest and
// most telling first, and returns the partial file to write.
func (in *incoming) decide(ctx context.Context) (part *inbox.Partial, err error) {
	ctx, cancel := in.e.during(ctx, in.sess)
	defer cancel(nil)
	defer func() { err = causeOf(ctx, err) }()
	public, sec, err := in.public()
	if err != nil {
		return nil, err
	}
	if err := in.open(ctx, public, sec); err != nil {
		return nil, err
	}
	in.identify(public)
	in.e.cfg.Report(Offer{Head: in.head, Size: in.file.Size})
	if err := in.r.tooBig(in.file.Size); err != nil {
		return nil, &refusal{err, declined(detailTooBig)}
	}
	if in.r.opt.OnConflict == inbox.Skip && in.r.dir.Exists(in.name) {
		return nil, &refusal{fmt.Errorf("%s: %w", in.name, inbox.ErrExists), declined(detailExists)}
	}
	if in.r.opt.Accept == AcceptAsk {
		q := Question{
			Peer: in.sess.Peer(), Name: in.head.Name, Size: in.file.Size,
			Description: clean.Text(in.file.Description), Device: deviceInfo(in.dev), Batch: in.batch(),
		}
		if err := in.r.ask(ctx, q); err != nil {
			return nil, &refusal{err, jingle.Reason{Condition: jingle.Decline}}
		}
	}
	part, err = in.r.dir.Create(in.head.Transfer, in.file.Size, in.r.opt.MinFree)
	if errors.Is(err, inbox.ErrNoSpace) {
		return nil, &refusal{err, declined(detailNoSpace)}
	}
	if err != nil {
		return nil, &sinkError{err}
	}
	if !in.r.claim() { // last, because what is claimed is what --once waits for
		busy := &refusal{fmt.Errorf("%w: this run takes one file", errDeclined), jingle.Reason{Condition: jingle.Busy}}
		return nil, errors.Join(busy, part.Discard())
	}
	return part, nil
}

// identify fills in what the transfer is called. Other clients have no ids.
func (in *incoming) identify(public *jingle.File) {
	in.file = public
	in.head = Head{Transfer: uuid.NewString(), Direction: Receive, Peer: in.sess.Peer().String()}
	if in.held.offer != nil {
		in.file, in.head.Transfer = in.held.offer.File, in.held.offer.Transfer
	}
	in.name = filename.Safe(in.file.Name)
	in.head.Name = clean.Text(in.file.Name)
	if in.file.Name == "" {
		in.head.Name = in.name
	}
}

// batch is what an offer of several files belongs to, or nil.
func (in *incoming) batch() *Batch {
	if in.held.offer == nil {
		return nil
	}
	return in.held.offer.Batch
}

// public reads what the stanza says in the clear.
func (in *incoming) public() (*jingle.File, *jingle.Security, error) {
	c := in.sess.Content()
	unsupported := jingle.Reason{Condition: jingle.UnsupportedApplications}
	if !c.Description.Is(jingle.NSFile, "description") || c.Senders != jingle.SenderInitiator {
		return nil, nil, &refusal{errors.New("not a file offer"), unsupported}
	}
	public, err := jingle.ParseDescription(c.Description)
	switch {
	case err != nil:
	case public.Size < 0:
		err = errors.New("an offer without a size")
	case public.Range != nil && public.Range.Offset != 0:
		err = errors.New("an offer of a part of a file")
	}
	if err != nil {
		return nil, nil, &refusal{err, unsupported}
	}
	if !c.Transport.Is(s5b.NS, "transport") && !c.Transport.Is(ibb.NSTransport, "transport") {
		return nil, nil, &refusal{errors.New("unknown transport"), jingle.Reason{Condition: jingle.UnsupportedTransports}}
	}
	if c.Security == nil {
		return nil, nil, &refusal{fmt.Errorf("%w: the offer is not encrypted", errDeclined), jingle.Reason{Condition: jingle.SecurityError}}
	}
	sec, err := jingle.ParseSecurity(c.Security)
	if err != nil {
		return nil, nil, &refusal{fmt.Errorf("%w: %w", errOffer, err), jingle.Reason{Condition: jingle.SecurityError}}
	}
	return public, sec, nil
}

// open opens the envelope, judges the device that wrapped it, and holds the
// sealed offer against the stanza.
func (in *incoming) open(ctx context.Context, public *jingle.File, sec *jingle.Security) error {
	if sec.Type != envelopeType {
		return fmt.Errorf("%w: envelope type", errOffer)
	}
	opened, err := in.e.omemo.Unwrap(ctx, in.e.sess, in.sess.Peer(), sec.Envelope)
	if errors.Is(err, omemo.ErrEnvelope) || errors.Is(err, omemo.ErrNotForUs) {
		in.e.healLater(in.sess.Peer(), sec.Envelope)
	}
	if err != nil {
		return fmt.Errorf("envelope from %s: %w", in.sess.Peer(), err)
	}
	in.dev = opened.Device
	in.e.chore("upkeep after an envelope", func(ctx context.Context) error {
		return errors.Join(in.e.keepAnnounced(ctx), in.e.steps(ctx))
	})
	if in.r.opt.Accept == AcceptVerified && in.dev.Trust != omemo.Verified {
		return &omemo.TrustError{JID: in.dev.JID, Device: in.dev.ID, Fingerprint: in.dev.Fingerprint, Kind: omemo.Unverified}
	}
	if in.held, err = tell(opened, sec.Cipher); err != nil {
		return err
	}
	if in.held.offer == nil {
		return nil
	}
	if err := in.held.offer.check(in.sess, sec, in.dev.ID, public); err != nil {
		return err
	}
	in.e.rememberJetsend(ctx, in.dev)
	return nil
}

// accept answers the offer, takes the bytes and releases the file.
func (in *incoming) accept(ctx context.Context, part *inbox.Partial) (err error) {
	released := false
	defer func() {
		if !released {
			if derr := part.Discard(); derr != nil {
				in.e.log.Warn("partial file", "error", derr)
			}
		}
	}()
	if err := in.r.enter(ctx, in.sess); err != nil {
		return err
	}
	defer in.r.leave()
	ctx, cancel := in.e.during(ctx, in.sess)
	defer cancel(nil)
	route, err := in.answer(ctx)
	if err != nil {
		return in.reasoned(err)
	}
	defer route.close()
	path, err := route.connect(ctx, in.sess, in.sess.Content().Transport)
	if err != nil {
		return in.reasoned(err)
	}
	defer func() { _ = path.Close() }()
	sum, err := in.stream(ctx, path, part)
	if err != nil {
		err = in.reasoned(err)
		_ = in.sess.Terminate(ctx, reasonFor(err)) // before the socket says it worse
		return err
	}
	// Verified. From here on the sender's leaving changes nothing any more.
	final, err := part.Release(in.name, in.r.opt.OnConflict, in.file.Date)
	if err != nil {
		return &sinkError{err}
	}
	released = true
	in.finish(context.WithoutCancel(ctx), final, sum)
	return nil
}

// answer accepts the offer, with a sealed accept where that is understood.
func (in *incoming) answer(ctx context.Context) (*route, error) {
	c := in.sess.Content()
	r, err := in.e.answerRoute(ctx, in.sess.Peer(), in.r.opt.Route, c.Transport)
	if errors.Is(err, errNoTransport) {
		return nil, &refusal{err, jingle.Reason{Condition: jingle.UnsupportedTransports}}
	}
	if err != nil {
		return nil, err
	}
	accepted := jingle.Content{Creator: c.Creator, Name: c.Name, Senders: c.Senders, Description: c.Description, Transport: r.element()}
	if o := in.held.offer; o != nil {
		a := accept{Transfer: o.Transfer, Size: o.File.Size, Digest: contentDigest(accepted), Device: in.e.omemo.DeviceID()}
		sealed, err := seal(in.held.ts, kindAccept, o.context(), a.element())
		if err != nil {
			r.close()
			return nil, err
		}
		accepted.Extra = []*xmltree.Element{sealed}
	}
	in.e.cfg.Report(Accepted{in.head})
	if err := in.sess.Accept(ctx, accepted); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// stream takes the bytes. When it returns nil they are all there and verified.
func (in *incoming) stream(ctx context.Context, path *bytestream, part *inbox.Partial) (hash.Hash, error) {
	in.e.cfg.Report(Negotiated{
		Head: in.head, Transport: path.transport, Candidate: path.candidate, Cipher: in.held.ts.Suite().Name(),
		Encryption: in.held.encryption, Devices: []DeviceInfo{deviceInfo(in.dev)},
	})
	if err := in.sess.BeginStream(); err != nil {
		return nil, err
	}
	var sum hash.Hash
	if in.r.opt.Checksum || in.held.offer != nil && slices.Contains(in.file.HashUsed, "sha-256") {
		sum = sha256.New()
	}
	m := startMeter(in.head, in.file.Size, in.e.cfg.Report)
	defer m.end()
	// Other clients do not all end the stream after the tag, and not every
	// path hands the end on: then the bytes are counted.
	ends := in.held.offer != nil && path.ends
	return sum, streamIn(ctx, path, ends, part, in.file.Size, in.held.ts, in.r.opt.LimitRate, sum, m)
}

// finish tells everybody. The file is there whatever happens to the words.
func (in *incoming) finish(ctx context.Context, path string, sum hash.Hash) {
	rec := receipt{Transfer: in.head.Transfer, Size: in.file.Size}
	verified := []string{"gcm-tag"}
	if sum != nil {
		rec.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	if err := in.receipt(ctx, rec); err != nil {
		in.e.log.Warn("receipt", "transfer", in.head.Transfer, "error", err)
	}
	_ = in.sess.Terminate(ctx, jingle.Reason{Condition: jingle.Success})
	if err := in.e.omemo.MarkUsed(ctx, []omemo.Device{in.dev}); err != nil {
		in.e.log.Warn("remember device", "error", err)
	}
	seconds := time.Since(in.begun).Seconds()
	in.e.log.Info("received", "transfer", in.head.Transfer, "peer", in.head.Peer, "bytes", rec.Size, "seconds", seconds)
	in.e.cfg.Report(Received{Head: in.head, Path: path, Size: rec.Size, Verified: verified, SHA256: rec.SHA256, Seconds: seconds})
}

// receipt says that the file has arrived; to a jetsend so that it can believe it.
func (in *incoming) receipt(ctx context.Context, rec receipt) error {
	var sealed *xmltree.Element
	if o := in.held.offer; o != nil {
		var err error
		if sealed, err = seal(in.held.ts, kindReceipt, o.context(), rec.element()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, discoWait)
	defer cancel()
	err := in.sess.Info(ctx, receivedElement(in.sess.Content().Name, sealed))
	var se *stanza.Error
	if errors.As(err, &se) {
		return nil // delivered; what the other end thinks of it is its business
	}
	return err
}

// withdrawn prefers the peer's end of the session over what it did to our
// looking at the offer.
func (in *incoming) withdrawn(err error) error {
	select {
	case <-in.sess.Done():
		if r, byPeer := in.sess.Ended(); byPeer {
			return &endedByPeer{r}
		}
	default:
	}
	return err
}

func (in *incoming) reasoned(err error) error { return reasoned(in.sess, err) }
