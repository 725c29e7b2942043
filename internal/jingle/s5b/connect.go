package s5b

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"jetsend/internal/xmltree"
)

// report is what one side said of the candidates of the other.
type report struct {
	said bool
	used *Candidate // nil is candidate-error
}

// outcome is what follows from the reports.
type outcome uint8

const (
	undecided outcome = iota
	nobody            // neither side reached the other
	ours              // the connection that we made to a candidate of the peer
	theirs            // the connection that the peer made to a candidate of ours
)

// nominate draws the conclusion that the other side draws as well (XEP-0260
// section 2.4): the higher priority wins; of equal ones, the candidate that
// the initiator chose.
func nominate(initiator bool, mine, peers report) outcome {
	switch {
	case !mine.said || !peers.said:
		return undecided
	case mine.used == nil && peers.used == nil:
		return nobody
	case peers.used == nil:
		return ours
	case mine.used == nil:
		return theirs
	case mine.used.Priority == peers.used.Priority && initiator, mine.used.Priority > peers.used.Priority:
		return ours
	}
	return theirs
}

// outcome is what follows from what was said so far. Between two jetsends it is ours before
// the peer has reported when nothing that it can report changes that.
func (r *run) outcome() outcome {
	o := nominate(r.n.initiator, r.mine, r.peers)
	if o != undecided || !r.n.cfg.Jetsend || r.mine.used == nil {
		return o
	}
	for _, own := range r.n.own {
		if nominate(r.n.initiator, r.mine, report{said: true, used: &own.Candidate}) != ours {
			return undecided
		}
	}
	return ours
}

// run is one call of Connect.
type run struct {
	n      *Negotiation
	d      *dialler
	send   func(context.Context, *xmltree.Element) error
	sent   chan error // capacity 1: our one report was delivered, or was not
	mine   report
	peers  report
	won    *Conn // the connection that we made
	active bool  // the peer activated the proxy of that connection

	chosen    *offered        // the candidate of ours that the peer reported
	reported  chan struct{}   // closed when our report was delivered, or was not
	activated chan activation // capacity 1: of our proxy; nil before that is nominated
	mediated  *Conn           // the connection through our proxy, ready
	broken    bool            // the peer says that a proxy failed
	brokenCID string          // which one, if it says so

	offered bool // the peer offered any candidate at all
	begun   time.Time
	trickle time.Time // until when candidates may come if it did not
	arrival time.Time // until when the peer's connection must be there; zero before it is nominated
}

// Connect finds the connection that both sides can use. remote is the peer's
// transport element (of its session-initiate or session-accept), infos are
// those of its transport-infos, and send sends one of ours and returns when it
// is acknowledged. It is to be called once, and only after the session was
// accepted, by whichever side; [Negotiation.Ahead] may have begun to dial.
//
// At most ten candidates are dialled, never a multicast, broadcast or
// unspecified address, a loopback or link-local one only with
// Config.AllowLoopback or on a proxy that our user has configured; with
// Config.NoDirect only proxies of Config.Proxies. Names are looked up first
// and their addresses judged alike. Each gets two attempts at most, and a slow
// one delays the next by a fraction of a second.
//
// When a proxy of ours is agreed on, it is dialled and activated only then.
//
// [ErrNoCandidate] means that both sides know there is no connection, and may
// agree on another transport; so does [ErrProxy], which is one. With Config.Silent
// our knowing it is enough after 15 seconds, or 5 when the peer offered no candidate,
// and with Config.Fallback when the time is over. The whole takes at most 30 seconds.
func (n *Negotiation) Connect(ctx context.Context, remote *xmltree.Element, infos <-chan *xmltree.Element,
	send func(context.Context, *xmltree.Element) error,
) (*Conn, error) {
	n.mu.Lock()
	again := n.used || n.shut
	n.used = true
	if !again {
		n.wg.Add(1) // so that Close waits for us, too
		defer n.wg.Done()
	}
	n.mu.Unlock()
	if again {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, n.timing.whole)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	c, err := n.connect(ctx, remote, infos, send)
	n.srv.close()
	n.middle.close()
	if err != nil {
		return nil, fmt.Errorf("socks5 bytestream with %s: %w", n.peer, err)
	}
	return c, nil
}

func (n *Negotiation) connect(ctx context.Context, remote *xmltree.Element, infos <-chan *xmltree.Element,
	send func(context.Context, *xmltree.Element) error,
) (*Conn, error) {
	t, err := n.parse(remote)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r := &run{
		n: n, send: send, sent: make(chan error, 1), reported: make(chan struct{}), begun: now, trickle: now.Add(n.timing.trickle),
	}
	r.d = n.dialler(t.DstAddr)
	r.d.punch(n.middle)
	looping, cancel := context.WithCancel(ctx)
	if n.middle != nil && !n.initiator {
		n.wg.Go(func() { n.middle.serve(looping) })
	}
	c, err := r.loop(looping, t, infos)
	cancel()
	r.d.stop()
	r.awaitActivation()
	for _, made := range []*Conn{r.won, r.mediated} {
		if made != nil && made != c {
			_ = made.Close()
		}
	}
	switch {
	case err == nil && n.cfg.Jetsend:
		r.watchAck(c)
	case err == nil || r.mine.said:
		r.awaitAck(ctx)
	}
	return c, err
}

// Ahead begins to dial the best candidates of remote, what [Negotiation.Connect] will be
// given: a responder knows them since the offer, and need not wait until its accept is
// acknowledged. Nothing is reported before Connect. It is to be called once, right before
// the accept is sent, and only for a peer that listens since its offer.
func (n *Negotiation) Ahead(remote *xmltree.Element) {
	t, err := n.parse(remote)
	if err != nil {
		return // which Connect says
	}
	d := newDialler(n, t.DstAddr)
	d.add(t.Candidates)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.used || n.shut || n.ahead != nil {
		d.stop()
		return
	}
	n.ahead = d
	d.start(time.Now())
}

// dialler returns the one that was begun ahead, or a new one.
func (n *Negotiation) dialler(dstaddr string) *dialler {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ahead == nil {
		n.ahead = newDialler(n, dstaddr)
	}
	return n.ahead
}

// parse reads a transport element of the peer, which must be of this stream.
func (n *Negotiation) parse(e *xmltree.Element) (*Transport, error) {
	t, err := ParseTransport(e)
	if err != nil {
		return nil, err
	}
	if t.SID != "" && t.SID != n.sid {
		return nil, fmt.Errorf("another stream id: %w", ErrProtocol)
	}
	return t, nil
}

// loop is the negotiation itself: everything happens on this goroutine but the
// dialling, the accepting and the sending.
func (r *run) loop(ctx context.Context, remote *Transport, infos <-chan *xmltree.Element) (*Conn, error) {
	if err := r.take(remote); err != nil {
		return nil, err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := r.progress(ctx)
		c, err := r.conclude()
		if c != nil || err != nil {
			return c, err
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil, r.stopped(ctx)
		case e := <-infos:
			err = r.heard(e)
		case res := <-r.d.results:
			r.d.done(res)
			r.win(res)
		case a := <-r.activated:
			err = r.proxied(ctx, a)
		case err = <-r.sent:
			if r.sent = nil; err != nil {
				err = fmt.Errorf("report candidate: %w", err)
			}
		case <-r.n.srv.ready:
		case <-timer.C:
		}
		if err != nil {
			return nil, err
		}
	}
}

// heard takes a transport-info. One that makes no sense is nobody's end.
func (r *run) heard(e *xmltree.Element) error {
	t, err := r.n.parse(e)
	if err != nil {
		r.n.cfg.Log.Debug("transport-info ignored", "error", err)
		return nil
	}
	return r.take(t)
}

// proxied takes the outcome of an activation.
func (r *run) proxied(ctx context.Context, a activation) error {
	r.activated = nil
	if a.err != nil && ctx.Err() != nil {
		return r.stopped(ctx)
	}
	r.mediated = a.conn
	return a.err
}

// stopped says why the context ended.
func (r *run) stopped(ctx context.Context) error {
	switch {
	case r.n.ctx.Err() != nil:
		return ErrClosed
	case r.n.cfg.Fallback && r.won == nil && r.peers.used == nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w in time", ErrNoCandidate)
	}
	return fmt.Errorf("no agreement with the peer: %w", context.Cause(ctx))
}

// take reads what the peer sent.
func (r *run) take(t *Transport) error {
	r.offered = r.offered || len(t.Candidates) > 0
	if !r.mine.said {
		r.d.add(t.Candidates)
	}
	if t.ProxyError {
		r.broken, r.brokenCID = true, t.ErrorCID
	}
	if r.won != nil && r.won.Kind == Mediated {
		r.active = r.active || t.Activated && (t.ActiveCID == "" || t.ActiveCID == r.won.CID)
	}
	if r.peers.said || !t.Failed && t.Used == "" {
		return nil // the first report counts
	}
	r.peers.said = true
	if t.Used == "" {
		return nil
	}
	i := slices.IndexFunc(r.n.own, func(o offered) bool { return o.CID == t.Used })
	if i < 0 {
		return fmt.Errorf("peer used a candidate that we did not offer: %w", ErrProtocol)
	}
	o := r.n.own[i]
	r.chosen, r.peers.used = &o, &o.Candidate
	if o.Type == Mediated { // what cannot win any more need not be tried
		r.d.forget(o.Priority, !r.n.initiator)
	} else { // nothing can be better than what is there
		r.d.forget(math.MaxUint32, true)
	}
	return nil
}

// win takes note of a connection that was made.
func (r *run) win(res result) {
	if res.err != nil {
		return
	}
	if r.mine.said {
		_ = res.conn.Close()
		return
	}
	r.won = res.conn
	r.say(report{said: true, used: &res.Candidate}, r.n.usedReport(res.CID))
}

// say makes our report.
func (r *run) say(what report, e *xmltree.Element) {
	r.mine = what
	r.d.queue = nil
	for _, a := range r.d.running {
		a.cancel()
	}
	sent := r.sent
	r.n.wg.Go(func() {
		defer close(r.reported)
		sent <- r.send(r.n.ctx, e)
	})
}

// progress starts what is due, reports failure when nothing is left, and
// returns how long until something may be due again.
func (r *run) progress(ctx context.Context) time.Duration {
	now := time.Now()
	wait := r.n.timing.whole
	sooner := func(d time.Duration) {
		if d > 0 {
			wait = min(wait, d)
		}
	}
	if !r.mine.said {
		sooner(r.d.start(now))
		sooner(r.d.lonely(now, r.begun))
		sooner(r.enough(now))
		if r.d.idle() && ctx.Err() == nil {
			sooner(r.lose(now))
		}
	}
	switch {
	case r.outcome() != theirs:
	case r.chosen.Type == Mediated:
		r.activate(ctx)
	default:
		if r.arrival.IsZero() {
			r.arrival = now.Add(r.n.timing.arrival)
		}
		sooner(max(r.arrival.Sub(now), time.Millisecond))
	}
	if until, ok := r.silence(); ok {
		sooner(max(until.Sub(now), time.Millisecond))
	}
	return wait
}

// enough ends our own tries when the peer has had a path for a while: what has not answered by
// then mostly never will, and both ends wait for it. It returns how long until then.
func (r *run) enough(now time.Time) time.Duration {
	if r.peers.used == nil {
		return 0
	}
	if left := r.begun.Add(r.n.timing.enough).Sub(now); left > 0 {
		return left
	}
	r.d.forget(math.MaxUint32, true)
	return 0
}

// silence returns until when the peer may keep its report to itself. ok is false as long
// as more than that report is missing, or the peer shows by a connection that it is at it.
func (r *run) silence() (until time.Time, ok bool) {
	if !r.n.cfg.Silent || !r.mine.said || r.mine.used != nil || r.peers.said || r.n.srv.reached() {
		return until, false
	}
	if r.offered {
		return r.begun.Add(r.n.timing.silent), true
	}
	return r.begun.Add(r.n.timing.mute), true
}

// activate begins to make our proxy ready, once.
func (r *run) activate(ctx context.Context) {
	if r.activated != nil || r.mediated != nil || ctx.Err() != nil {
		return
	}
	done, o := make(chan activation, 1), *r.chosen
	r.activated = done
	r.n.wg.Go(func() {
		c, err := r.n.activate(ctx, o, r.reported, r.send)
		done <- activation{c, err}
	})
}

// awaitActivation waits for the end of an activation that was cancelled.
func (r *run) awaitActivation() {
	if r.activated != nil {
		r.mediated = (<-r.activated).conn
	}
}

// lose reports that nothing was reached, unless more candidates may come: then it
// returns for how long.
func (r *run) lose(now time.Time) time.Duration {
	grace := r.trickle.Sub(now)
	hopeless := r.n.cfg.NoDirect && len(r.n.cfg.Proxies) == 0
	if !r.offered && !hopeless && r.peers.used == nil && grace > 0 {
		return grace
	}
	r.say(report{said: true}, r.n.failedReport())
	return 0
}

// conclude returns the nominated connection once it can be used.
func (r *run) conclude() (*Conn, error) {
	switch r.outcome() {
	case nobody:
		return nil, ErrNoCandidate
	case ours:
		if r.won.Kind != Mediated {
			return r.won, nil
		}
		return r.peersProxy()
	case theirs:
		return r.theirChoice()
	case undecided:
		// Conversations as an initiator activates its proxy and reports nothing.
		if r.won != nil && r.won.Kind == Mediated {
			return r.peersProxy()
		}
		if until, ok := r.silence(); ok && !time.Now().Before(until) {
			return nil, fmt.Errorf("the peer does not report: %w", ErrNoCandidate)
		}
	}
	return nil, nil
}

// theirChoice returns the connection by that candidate of ours which the peer has chosen,
// nil until it is there.
func (r *run) theirChoice() (*Conn, error) {
	if r.chosen.Type == Mediated {
		if err := r.proxyError(r.chosen.CID); err != nil {
			return nil, err
		}
		return r.mediated, nil
	}
	if c := r.n.srv.take(r.chosen.listener); c != nil {
		c.CID, c.Kind, c.Way = r.chosen.CID, kind(r.chosen.Type), way(r.chosen.Type)
		if r.chosen.sealed {
			c.Way = Punched
		}
		return c, nil
	}
	if time.Now().After(r.arrival) {
		return nil, fmt.Errorf("peer never made the connection that it reported: %w", ErrProtocol)
	}
	return nil, nil
}

// peersProxy returns the connection to the peer's proxy once that is activated.
func (r *run) peersProxy() (*Conn, error) {
	if r.active {
		return r.won, nil
	}
	return nil, r.proxyError(r.won.CID)
}

// proxyError is what the peer said of the proxy with that cid. Dino and
// Conversations do not say which one they mean.
func (r *run) proxyError(cid string) error {
	if r.broken && (r.brokenCID == "" || r.brokenCID == cid) {
		return fmt.Errorf("peer reports: %w", ErrProxy)
	}
	return nil
}

// watchAck is awaitAck for a jetsend, which keeps what comes over a connection until it
// knows that it is the one: c is used meanwhile. A peer that has not reported, and does
// not get ours, knows of none: then c ends as the negotiation would have.
func (r *run) watchAck(c *Conn) {
	if r.sent == nil {
		return
	}
	sent, reported := r.sent, r.peers.said
	r.n.wg.Go(func() {
		err := <-sent
		if err == nil || r.n.ctx.Err() != nil {
			return
		}
		r.n.cfg.Log.Debug("candidate report", "cid", c.CID, "error", err)
		if !reported {
			c.fail(fmt.Errorf("report candidate: %w", err))
		}
	})
}

// awaitAck gives our report a moment to be acknowledged: it is on its way,
// the peer cannot go on without it, and Close would cancel it.
func (r *run) awaitAck(ctx context.Context) {
	if r.sent == nil || !r.mine.said {
		return
	}
	timer := time.NewTimer(r.n.timing.ack)
	defer timer.Stop()
	select {
	case err := <-r.sent:
		if err != nil {
			r.n.cfg.Log.Debug("candidate report", "error", err)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
}
