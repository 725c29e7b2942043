package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

const (
	// negotiateTime bounds finding a path after the accept.
	negotiateTime = 60 * time.Second
	// replaceTime is how long a responder waits for the initiator to propose
	// another transport when no candidate was reached.
	replaceTime = 20 * time.Second
	// unreadInfos is how many transport-infos may wait for being read: all candidates
	// one by one, and the reports.
	unreadInfos = 128
)

// Signals are the actions of a session by which a path is agreed on.
// [*jingle.Session] has them.
type Signals interface {
	TransportInfo(ctx context.Context, transport *xmltree.Element) error
	ReplaceTransport(ctx context.Context, transport *xmltree.Element) (*xmltree.Element, error)
	AcceptTransport(ctx context.Context, transport *xmltree.Element) error
	RejectTransport(ctx context.Context, transport *xmltree.Element) error
}

// Route finds the path for the bytes of one session: SOCKS5 first, and in-band
// when that reaches nobody, as far as both ends allow. No byte of the file has
// been handed to any transport while it looks.
type Route struct {
	f         *Finder
	peer      Peer
	initiator bool
	remote    *xmltree.Element // the initiator's transport, of a responder
	allowed   []string         // by us and, as an initiator, by the peer's features

	socks    *s5b.Negotiation // nil when in-band was offered at once
	sid      string           // of the bytestream that socks looks for
	inband   ibb.Transport    // ours, without socks
	expected *ibb.Expected    // a responder's

	infos, replaces chan *xmltree.Element // heard of the peer
}

func (r *Route) allows(transport string) bool { return slices.Contains(r.allowed, transport) }

// Allowed returns the transports that the path may be of, the first one first.
func (r *Route) Allowed() []string { return slices.Clone(r.allowed) }

// Element returns the transport for the session-initiate or the session-accept.
func (r *Route) Element() *xmltree.Element {
	switch {
	case r.socks == nil:
		return r.inband.Element()
	case r.initiator:
		return r.socks.Element()
	}
	return r.socks.Answer(r.remote)
}

// Punch is what the peer is to be told under a seal, nil for nothing.
func (r *Route) Punch() *Punch {
	if r.socks == nil {
		return nil
	}
	return r.socks.Punch()
}

// Meet gives an initiator what the responder told, before [Route.Connect].
func (r *Route) Meet(p *Punch) {
	if r.socks != nil {
		r.socks.Meet(p)
	}
}

// Ahead begins to dial what a jetsend has offered, right before the session is accepted: it
// listens since then. Of others it is known that some listen only when they have the accept.
func (r *Route) Ahead() {
	if r.socks != nil && !r.initiator && r.peer.Jetsend {
		r.socks.Ahead(r.remote)
	}
}

// Close ends what was not used. A path that was found stays.
func (r *Route) Close() {
	if r.socks != nil {
		_ = r.socks.Close()
	}
	if r.expected != nil {
		_ = r.expected.Close()
	}
}

// Hear takes the transport-infos and the transport-replace of the peer, before
// [Route.Connect] and meanwhile, and nothing of other events. It never waits: what
// there is no place for comes from a peer that says more than there is to say, or
// when nothing is negotiated any more.
func (r *Route) Hear(ev jingle.Event) {
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

// Connect returns the path, with remote being the peer's transport of its offer or
// accept. The reader of the session's events gives them to [Route.Hear] meanwhile. It
// is to be called once, and takes a minute at most; ctx is to end with the session.
// [s5b.ErrNoCandidate] means that no path was found, [fault.ErrNoTransport] that the peer
// wants one that is not allowed.
func (r *Route) Connect(ctx context.Context, s Signals, remote *xmltree.Element) (*Path, error) {
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

func (r *Route) find(ctx context.Context, s Signals, remote *xmltree.Element) (*Path, error) {
	switch {
	case r.socks == nil && r.initiator:
		return r.open(ctx, r.inband, remote)
	case r.socks == nil:
		return r.awaitOpen(ctx)
	case r.initiator:
		b, err := r.viaSocks(ctx, s, remote)
		if err == nil || !unreached(err) || !r.allows(IBB) {
			return b, err
		}
		return r.replace(ctx, s)
	}
	return r.answerAny(ctx, s, remote)
}

// unreached reports whether SOCKS5 found no path, as opposed to a peer that
// misbehaves: only then another transport is tried.
func unreached(err error) bool { return errors.Is(err, s5b.ErrNoCandidate) }

func (r *Route) viaSocks(ctx context.Context, s Signals, remote *xmltree.Element) (*Path, error) {
	conn, err := r.socks.Connect(ctx, remote, r.infos, s.TransportInfo)
	if err != nil {
		return nil, err
	}
	p := Socket(conn, conn.Kind, conn.HalfClose())
	p.SID, p.Way = r.sid, conn.Way
	return p, nil
}

// replace proposes the in-band transport (XEP-0260 section 3, XEP-0261).
func (r *Route) replace(ctx context.Context, s Signals) (*Path, error) {
	own := ibb.NewTransport(r.f.blockSize(ctx, r.peer))
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
func (r *Route) open(ctx context.Context, own ibb.Transport, remote *xmltree.Element) (*Path, error) {
	answer, err := ibb.ParseTransport(remote)
	if err != nil {
		return nil, err
	}
	agreed, err := own.Agree(answer)
	if err != nil {
		return nil, err
	}
	conn, err := r.f.cfg.Inband.Open(ctx, ibb.Params{Peer: r.peer.JID, Transport: agreed, Modulo65535: r.peer.Modulo65535, Grows: r.peer.Jetsend})
	return inband(conn, agreed, err)
}

func (r *Route) awaitOpen(ctx context.Context) (*Path, error) {
	conn, err := r.expected.Accept(ctx)
	return inband(conn, r.inband, err)
}

// inband is the path of the bytestream of t, unless there is an error.
func inband(conn stream.Conn, t ibb.Transport, err error) (*Path, error) {
	if err != nil {
		return nil, err
	}
	p := Inband(conn)
	p.SID = t.SID
	return p, nil
}

// finding is a search for a path that goes on, and gives its outcome once; nil when it has.
type finding chan searched

type searched struct {
	b   *Path
	err error
}

// drop waits for the end of a search that was cancelled, which may have come to a path just
// then.
func (f finding) drop() {
	if f == nil {
		return
	}
	if o := <-f; o.b != nil {
		_ = o.b.Close()
	}
}

// answerAny is a responder's part: SOCKS5 until it works or the initiator
// proposes something else, which it may do at any time before the first byte.
func (r *Route) answerAny(ctx context.Context, s Signals, remote *xmltree.Element) (*Path, error) {
	socks, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(finding, 1)
	go func() { // found is received from before answerAny returns
		b, err := r.viaSocks(socks, s, remote)
		found <- searched{b, err}
	}()
	var late <-chan time.Time
	for {
		select {
		case o := <-found:
			if o.err == nil || !unreached(o.err) || !r.allows(IBB) {
				return o.b, o.err
			}
			found = nil // never ready again
			t := time.NewTimer(replaceTime)
			defer t.Stop()
			late = t.C
		case proposed := <-r.replaces:
			cancel()
			found.drop()
			return r.acceptReplacement(ctx, s, proposed)
		case <-late:
			return nil, s5b.ErrNoCandidate
		case <-ctx.Done():
			found.drop()
			return nil, ctx.Err()
		}
	}
}

func (r *Route) acceptReplacement(ctx context.Context, s Signals, proposed *xmltree.Element) (*Path, error) {
	if !proposed.Is(ibb.NSTransport, "transport") || !r.allows(IBB) {
		return nil, errors.Join(fault.ErrNoTransport, s.RejectTransport(ctx, proposed))
	}
	if err := r.expect(ctx, proposed); err != nil {
		return nil, errors.Join(err, s.RejectTransport(ctx, proposed))
	}
	if err := s.AcceptTransport(ctx, r.inband.Element()); err != nil {
		return nil, err
	}
	return r.awaitOpen(ctx)
}

// expect gets ready for the in-band stream that the initiator will open.
func (r *Route) expect(ctx context.Context, remote *xmltree.Element) error {
	t, err := ibb.ParseTransport(remote)
	if err != nil {
		return err
	}
	most := 0 // what others ask for was measured with their servers, or is their user's word
	if r.peer.Jetsend {
		most = r.f.blockSize(ctx, r.peer)
	}
	if r.inband, err = t.Answer(most); err != nil {
		return err
	}
	r.expected, err = r.f.cfg.Inband.Expect(ibb.Params{Peer: r.peer.JID, Transport: r.inband, Modulo65535: r.peer.Modulo65535, Grows: r.peer.Jetsend})
	return err
}
