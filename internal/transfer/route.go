package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/xmltree"
)

// The transports, as options and events name them.
const (
	S5B = s5b.Name
	IBB = ibb.Name
)

const (
	// negotiateTime bounds finding a path after the accept.
	negotiateTime = 60 * time.Second
	// replaceTime is how long a responder waits for the initiator to propose
	// another transport when no candidate was reached.
	replaceTime = 20 * time.Second
)

// bytestream is a path that stands.
type bytestream struct {
	halfCloser
	transport string // S5B or IBB
	candidate string // direct or proxy, of S5B
	// ends reports whether the other side sees the end of our half, and we that
	// of its half, with nothing lost before it.
	ends bool
	// settle makes the end of the stream wait for what the receiver writes
	// back: a proxy can lose data when both directions end at once.
	settle bool
	back   chan struct{} // closed when that has come, or nothing will
	// handed says that the last byte is in the hands of an in-band path.
	handed *atomic.Bool
}

// inband is a path within the stream to the server.
func inband(conn halfCloser) *bytestream {
	return &bytestream{halfCloser: conn, transport: IBB, ends: true, handed: new(atomic.Bool)}
}

// lateAcks is how long, after the receiver's success, what it has not acknowledged
// of an in-band stream may still be: Conversations says success before it
// acknowledges the last block.
const lateAcks = 2 * time.Second

// handOver says that what is written next is the last of the file.
func (b *bytestream) handOver() {
	if b.handed != nil {
		b.handed.Store(true)
	}
}

// settling reports whether acknowledgements may follow the end of the session: all
// of the file is under way in-band, and the peer says that it has it.
func (b *bytestream) settling(s *jingle.Session) bool {
	if b == nil || b.handed == nil || !b.handed.Load() {
		return false
	}
	r, byPeer := s.Ended()
	return byPeer && r.Condition == jingle.Success
}

// unacknowledged says of a success what is wrong with it, when all of the file went
// out and a part of it was not acknowledged in time.
func (b *bytestream) unacknowledged(err error) error {
	if b.handed == nil || !b.handed.Load() || !saysSuccess(err) {
		return err
	}
	return fmt.Errorf("the end of the file was never acknowledged: %w", err)
}

// route finds the path for the bytes of one session: SOCKS5 first, and in-band
// when that reaches nobody, as far as both ends allow. No byte of the file has
// been handed to any transport while it looks.
type route struct {
	e         *Endpoint
	peer      jid.JID
	initiator bool
	opt       RouteOptions
	remote    *xmltree.Element // the initiator's transport, of a responder
	libervia  bool
	allowed   []string // by us and, as an initiator, by the peer's features

	socks    *s5b.Negotiation // nil when in-band was offered at once
	inband   ibb.Transport    // ours, without socks
	expected *ibb.Expected    // a responder's

	infos, replaces chan *xmltree.Element // heard of the peer
}

// unreadInfos is how many transport-infos may wait for being read: all candidates one
// by one, and the reports.
const unreadInfos = 128

func (e *Endpoint) newRoute(peer jid.JID, initiator bool, opt RouteOptions) *route {
	return &route{
		e: e, peer: peer, initiator: initiator, opt: opt,
		infos: make(chan *xmltree.Element, unreadInfos), replaces: make(chan *xmltree.Element, 1),
	}
}

// hear takes the transport-infos and the transport-replace of the peer, before
// connect and meanwhile. It never waits: what there is no place for comes from a peer
// that says more than there is to say, or when nothing is negotiated any more.
func (r *route) hear(ev jingle.Event) {
	into := r.infos
	switch ev.Action {
	case jingle.TransportInfo:
	case jingle.TransportReplace:
		into = r.replaces
	default:
		return
	}
	select {
	case into <- ev.Payload:
	default:
	}
}

// offerRoute makes the transport for an offer to a peer.
func (e *Endpoint) offerRoute(ctx context.Context, to *peer, opt RouteOptions) (*route, error) {
	r := e.newRoute(to.JID, true, opt)
	for _, t := range opt.Order() {
		if slices.Contains(to.Transports, t) {
			r.allowed = append(r.allowed, t)
		}
	}
	if len(r.allowed) == 0 {
		return nil, errNoTransport
	}
	if r.allowed[0] == IBB {
		r.inband = ibb.NewTransport(e.cfg.IBBBlockSize)
		return r, nil
	}
	cfg := e.s5bConfig(ctx, opt.NoDirect)
	cfg.Fallback = slices.Contains(r.allowed, IBB)
	cfg.Silent = cfg.Fallback && !slices.Contains(to.Takes, formJetsend) // which always reports, however slow its path
	var err error
	r.socks, err = s5b.New(ctx, cfg, jingle.NewSID(), e.sess.JID(), to.JID, true)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return r, nil
}

// answerRoute makes the transport that answers the one of an offer. SOCKS5 that is not
// allowed is answered without a candidate and nothing is dialled, so that the initiator
// can replace it. An in-band stream is expected from here on; libervia says that its
// blocks are counted as Libervia does it.
func (e *Endpoint) answerRoute(ctx context.Context, from jid.JID, opt RouteOptions, remote *xmltree.Element, libervia bool) (*route, error) {
	r := e.newRoute(from, false, opt)
	r.remote, r.allowed, r.libervia = remote, opt.Order(), libervia
	inBand := slices.Contains(r.allowed, IBB)
	switch {
	case remote.Is(s5b.NS, "transport"):
		cfg := s5b.Config{NoDirect: true, Log: e.log}
		if slices.Contains(r.allowed, S5B) {
			cfg = e.s5bConfig(ctx, opt.NoDirect)
		}
		cfg.Fallback = inBand
		n, err := s5b.New(ctx, cfg, remote.Attr("sid"), e.sess.JID(), from, false)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		r.socks = n
		return r, nil
	case remote.Is(ibb.NSTransport, "transport") && inBand:
		return r, r.expect(remote)
	}
	return nil, errNoTransport
}

// expect gets ready for the in-band stream that the initiator will open.
func (r *route) expect(remote *xmltree.Element) error {
	t, err := ibb.ParseTransport(remote)
	if err != nil {
		return err
	}
	if r.inband, err = t.Answer(0); err != nil {
		return err
	}
	r.expected, err = r.e.ibb.Expect(ibb.Params{Peer: r.peer, Transport: r.inband, Modulo65535: r.libervia})
	return err
}

// element is the transport for the session-initiate or the session-accept.
func (r *route) element() *xmltree.Element {
	switch {
	case r.socks == nil:
		return r.inband.Element()
	case r.initiator:
		return r.socks.Element()
	}
	return r.socks.Answer(r.remote)
}

// close ends what was not used.
func (r *route) close() {
	if r.socks != nil {
		_ = r.socks.Close()
	}
	if r.expected != nil {
		_ = r.expected.Close()
	}
}

// connect returns the path, with remote being the peer's transport.
func (r *route) connect(ctx context.Context, s *jingle.Session, remote *xmltree.Element) (*bytestream, error) {
	ctx, cancel := context.WithTimeout(ctx, negotiateTime)
	defer cancel()
	b, err := r.find(ctx, s, remote)
	if err != nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
			return nil, cause
		}
	}
	return b, err
}

func (r *route) find(ctx context.Context, s *jingle.Session, remote *xmltree.Element) (*bytestream, error) {
	switch {
	case r.socks == nil && r.initiator:
		return r.open(ctx, r.inband, remote)
	case r.socks == nil:
		return r.awaitOpen(ctx)
	case r.initiator:
		b, err := r.viaSocks(ctx, s, remote)
		if err == nil || !unreached(err) || !slices.Contains(r.allowed, IBB) {
			return b, err
		}
		return r.replace(ctx, s)
	}
	return r.answerAny(ctx, s, remote)
}

// unreached reports whether SOCKS5 found no path, as opposed to a peer that
// misbehaves: only then another transport is tried.
func unreached(err error) bool { return errors.Is(err, s5b.ErrNoCandidate) }

func (r *route) viaSocks(ctx context.Context, s *jingle.Session, remote *xmltree.Element) (*bytestream, error) {
	conn, err := r.socks.Connect(ctx, remote, r.infos, s.TransportInfo)
	if err != nil {
		return nil, err
	}
	return &bytestream{halfCloser: conn, transport: S5B, candidate: conn.Kind, ends: conn.HalfClose()}, nil
}

// replace proposes the in-band transport (XEP-0260 section 3, XEP-0261).
func (r *route) replace(ctx context.Context, s *jingle.Session) (*bytestream, error) {
	own := ibb.NewTransport(r.e.cfg.IBBBlockSize)
	remote, err := s.ReplaceTransport(ctx, own.Element())
	if errors.Is(err, jingle.ErrTransportRejected) {
		return nil, fmt.Errorf("%w: the contact refuses in-band", s5b.ErrNoCandidate)
	}
	if err != nil {
		return nil, err
	}
	return r.open(ctx, own, remote)
}

// open opens the in-band stream, which is the initiator's part.
func (r *route) open(ctx context.Context, own ibb.Transport, remote *xmltree.Element) (*bytestream, error) {
	answer, err := ibb.ParseTransport(remote)
	if err != nil {
		return nil, err
	}
	agreed, err := own.Agree(answer)
	if err != nil {
		return nil, err
	}
	conn, err := r.e.ibb.Open(ctx, ibb.Params{Peer: r.peer, Transport: agreed, Modulo65535: r.libervia})
	if err != nil {
		return nil, err
	}
	return inband(conn), nil
}

func (r *route) awaitOpen(ctx context.Context) (*bytestream, error) {
	conn, err := r.expected.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return inband(conn), nil
}

// answerAny is a responder's part: SOCKS5 until it works or the initiator
// proposes something else, which it may do at any time before the first byte.
func (r *route) answerAny(ctx context.Context, s *jingle.Session, remote *xmltree.Element) (*bytestream, error) {
	type outcome struct {
		b   *bytestream
		err error
	}
	socks, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan outcome, 1)
	r.e.tasks.Go(func() {
		b, err := r.viaSocks(socks, s, remote)
		found <- outcome{b, err}
	})
	var late <-chan time.Time
	for {
		select {
		case o := <-found:
			if o.err == nil || !unreached(o.err) || !slices.Contains(r.allowed, IBB) {
				return o.b, o.err
			}
			found = nil // never ready again
			t := time.NewTimer(replaceTime)
			defer t.Stop()
			late = t.C
		case proposed := <-r.replaces:
			cancel()
			if found != nil {
				if o := <-found; o.b != nil { // just then
					_ = o.b.Close()
				}
			}
			return r.acceptReplacement(ctx, s, proposed)
		case <-late:
			return nil, s5b.ErrNoCandidate
		case <-ctx.Done():
			if found != nil {
				if o := <-found; o.b != nil {
					_ = o.b.Close()
				}
			}
			return nil, ctx.Err()
		}
	}
}

func (r *route) acceptReplacement(ctx context.Context, s *jingle.Session, proposed *xmltree.Element) (*bytestream, error) {
	if !proposed.Is(ibb.NSTransport, "transport") || !slices.Contains(r.allowed, IBB) {
		return nil, errors.Join(errNoTransport, s.RejectTransport(ctx, proposed))
	}
	if err := r.expect(proposed); err != nil {
		return nil, errors.Join(err, s.RejectTransport(ctx, proposed))
	}
	if err := s.AcceptTransport(ctx, r.inband.Element()); err != nil {
		return nil, err
	}
	return r.awaitOpen(ctx)
}

// writtenBack is what Dino writes back under JET: the tag of an empty message.
const writtenBack = 16

// writesBack reports whether a client may write something back. Clients built on
// Dino have names of their own; Conversations is known not to.
func writesBack(f form, c client) bool {
	return (f == formJET || f == formDraft) && c != conversations && c != conversations1
}

// settleTime bounds the wait for it.
const settleTime = 2 * time.Second

// drain reads and drops what a receiver writes back: Dino sends 16 bytes that
// mean nothing, and closing a socket with unread bytes resets it. It ends when
// the connection is closed.
func (e *Endpoint) drain(b *bytestream) {
	b.back = make(chan struct{})
	e.tasks.Go(func() {
		_, _ = io.CopyN(io.Discard, b.halfCloser, writtenBack)
		close(b.back)
		_, _ = io.Copy(io.Discard, b.halfCloser)
	})
}

// beforeEnd waits until it is safe to end our half of the stream, or stop is closed.
func (b *bytestream) beforeEnd(stop <-chan struct{}) {
	if !b.settle {
		return
	}
	late := time.NewTimer(settleTime)
	defer late.Stop()
	select {
	case <-b.back:
	case <-late.C:
	case <-stop:
	}
}
