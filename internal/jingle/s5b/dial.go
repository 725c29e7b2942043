package s5b

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"jetsend/internal/ipaddr"
	"jetsend/internal/xmltree"
)

const (
	// maxDialled bounds the candidates of a peer that are tried: more are of
	// no use to a client, and each is a connection that somebody else chose.
	maxDialled = 10
	// maxPerName bounds the addresses of a candidate with a host name.
	maxPerName = 2
	// maxTries bounds the attempts on a candidate.
	maxTries = 2
)

// dialler tries the peer's candidates, best first, the next one beside those
// that are slow. All methods but deliver are for the goroutine of Connect.
type dialler struct {
	n       *Negotiation
	ctx     context.Context // until the dialler is stopped
	cancel  context.CancelFunc
	dstaddr string // as the peer said it, or empty

	cids    map[string]bool    // of candidates taken
	places  map[string]bool    // host and port of candidates taken
	queue   []target           // best first
	running map[string]running // by cid
	next    time.Time          // not before that is another attempt started
	proxies time.Time          // not before that is a proxy tried beside a direct candidate

	results chan result // holds as many as there can be attempts

	mu      sync.Mutex
	stopped bool
}

// target is a candidate to be tried.
type target struct {
	Candidate
	local     bool // loopback and link-local addresses are allowed
	punch     bool // both dial, now or never
	tries     int
	notBefore time.Time
}

// running is an attempt under way.
type running struct {
	Candidate
	punch  bool
	cancel context.CancelFunc
	// forgotten: see dialler.forget. It may have failed by itself a moment before.
	forgotten bool
}

// result is the end of one attempt.
type result struct {
	target
	conn *Conn // nil when err is not
	err  error
}

func newDialler(n *Negotiation, dstaddr string) *dialler {
	d := &dialler{
		n: n, dstaddr: dstaddr,
		cids: make(map[string]bool), places: make(map[string]bool), running: make(map[string]running),
		results: make(chan result, maxDialled*maxTries+1), // one more for a punch
	}
	d.ctx, d.cancel = context.WithCancel(n.ctx)
	return d
}

// punch takes the middle as one more candidate, if there is one: that of the responder,
// which an initiator alone tries.
func (d *dialler) punch(m *middle) {
	if m == nil || !d.n.initiator || m.peer.CID == "" || len(m.peer.CID) > maxAttr || len(m.targets()) == 0 {
		return
	}
	d.cids[m.peer.CID] = true
	d.queue = append(d.queue, target{Candidate: Candidate{CID: m.peer.CID, Priority: m.peer.Priority, Type: Direct}, punch: true})
}

// alone reports whether a punch is all that is left.
func (d *dialler) alone() bool {
	for _, r := range d.running {
		return len(d.queue) == 0 && len(d.running) == 1 && r.punch
	}
	return false
}

// lonelyAgain is when a punch that has met somebody is looked at again.
const lonelyAgain = 100 * time.Millisecond

// lonely ends a punch that everything else has been waiting for, and returns how long
// until then.
func (d *dialler) lonely(now, begun time.Time) time.Duration {
	if !d.alone() {
		return 0
	}
	if left := begun.Add(d.n.timing.lonely).Sub(now); left > 0 {
		return left
	}
	if d.n.middle.asking.Load() > 0 { // somebody was met, and is about to answer
		return lonelyAgain
	}
	for _, r := range d.running {
		r.cancel()
	}
	return 0
}

// add takes candidates that the peer offered.
func (d *dialler) add(cs []Candidate) {
	for _, c := range cs {
		t, ok := d.wanted(c)
		if !ok {
			continue
		}
		d.cids[t.CID], d.places[hostPort(t.Host, t.Port)] = true, true
		d.queue = append(d.queue, t)
	}
	slices.SortStableFunc(d.queue, func(a, b target) int {
		switch {
		case a.Priority > b.Priority:
			return -1
		case a.Priority < b.Priority:
			return 1
		}
		return 0
	})
}

// wanted makes c a target, and reports whether it may be tried.
func (d *dialler) wanted(c Candidate) (target, bool) {
	p, place, known := d.n.known(c)
	if d.n.cfg.NoDirect {
		if !known {
			return target{}, false // of the peer's choice is also its proxy
		}
		// Its JID does not make a host our proxy: what is dialled is the host
		// that we know.
		c.Host, c.Port, place = p.Host, p.Port, true
	}
	t := target{Candidate: c, local: d.n.cfg.AllowLoopback || place && p.Configured}
	addr := hostPort(c.Host, c.Port)
	if d.cids[c.CID] || d.places[addr] || len(d.places) == maxDialled {
		return t, false
	}
	for _, o := range d.n.own {
		// Ourselves. A proxy is another server for each destination address.
		if hostPort(o.Host, o.Port) == addr && !(o.Type == Mediated && c.Type == Mediated) {
			return t, false
		}
	}
	ip, err := netip.ParseAddr(c.Host)
	if err == nil && !ipaddr.MayDial(ip, t.local) {
		d.n.cfg.Log.Info("candidate not dialled: forbidden address", "host", c.Host)
		return t, false
	}
	return t, true
}

// forget drops the candidates that rank below priority: the peer has a better
// connection already.
func (d *dialler) forget(priority uint32, equal bool) {
	below := func(p uint32) bool { return p < priority || equal && p == priority }
	d.queue = slices.DeleteFunc(d.queue, func(t target) bool { return below(t.Priority) })
	for cid, r := range d.running {
		if below(r.Priority) {
			r.cancel()
			r.forgotten = true
			d.running[cid] = r
		}
	}
}

// idle reports whether nothing is left to try or to wait for.
func (d *dialler) idle() bool { return len(d.queue) == 0 && len(d.running) == 0 }

// start starts what is due now and returns how long until the next is, or 0
// when only a result or a new candidate can make a difference.
func (d *dialler) start(now time.Time) time.Duration {
	for {
		i := slices.IndexFunc(d.queue, func(t target) bool { return !d.due(t).After(now) })
		if i < 0 {
			break
		}
		t := d.queue[i]
		d.queue = slices.Delete(d.queue, i, i+1)
		d.launch(t)
		if !t.punch {
			d.next = now.Add(d.n.timing.stagger)
		}
		if t.Type != Mediated {
			d.proxies = now.Add(d.n.timing.proxy)
		}
	}
	var wait time.Duration
	for _, t := range d.queue {
		if w := max(d.due(t).Sub(now), time.Millisecond); wait == 0 || w < wait {
			wait = w
		}
	}
	return wait
}

// due returns when t may be tried, as things stand.
func (d *dialler) due(t target) time.Time {
	at := t.notBefore
	if t.punch {
		return at // the other side has begun
	}
	if at.Before(d.next) {
		at = d.next
	}
	if t.Type == Mediated && at.Before(d.proxies) {
		for _, r := range d.running {
			if r.Type != Mediated {
				return d.proxies
			}
		}
	}
	return at
}

// launch tries t on a goroutine of the negotiation.
func (d *dialler) launch(t target) {
	t.tries++
	ctx, cancel := context.WithCancel(d.ctx)
	d.running[t.CID] = running{Candidate: t.Candidate, punch: t.punch, cancel: cancel}
	dsts := d.n.destinations(t.Candidate, d.dstaddr)
	d.n.wg.Go(func() {
		defer cancel()
		var conn *Conn
		var err error
		if t.punch {
			conn, err = d.n.middle.meet(ctx, t.CID, dsts[0])
		} else {
			conn, err = d.n.reach(ctx, t, dsts)
		}
		d.deliver(result{t, conn, err})
	})
}

// deliver hands a result to Connect, or closes its connection when nobody
// wants it any more.
func (d *dialler) deliver(r result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped {
		d.results <- r // never full
		return
	}
	if r.conn != nil {
		_ = r.conn.Close()
	}
}

// done takes note of a result: a candidate that failed at once gets a second
// try, and the next one does not wait for its turn.
func (d *dialler) done(r result) {
	forgotten := d.running[r.CID].forgotten
	delete(d.running, r.CID)
	if r.err == nil {
		return
	}
	d.n.cfg.Log.Debug("candidate not reached", "type", r.Type, "host", r.Host, "port", r.Port, "error", r.err)
	if !r.punch {
		d.next = time.Time{}
	}
	final := forgotten || errors.Is(r.err, context.DeadlineExceeded) || errors.Is(r.err, context.Canceled) ||
		errors.Is(r.err, os.ErrDeadlineExceeded) || errors.Is(r.err, errRefused) || errors.Is(r.err, errForbidden)
	if !final && !r.punch && r.tries < maxTries {
		r.notBefore = time.Now().Add(d.n.timing.retry)
		d.queue = append(d.queue, r.target)
	}
}

// stop ends all attempts and closes the connections that they made.
func (d *dialler) stop() {
	d.cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for {
		select {
		case r := <-d.results:
			if r.conn != nil {
				_ = r.conn.Close()
			}
		default:
			return
		}
	}
}

// errForbidden means that a name led to no address that may be dialled.
var errForbidden = errors.New("no address that may be dialled")

// reach makes one connection to t, handshake included, with the first of the
// destination addresses that its server knows. It takes no longer than
// timing.attempt and timing.greet together.
func (n *Negotiation) reach(ctx context.Context, t target, dsts []string) (*Conn, error) {
	dialling, cancel := context.WithTimeout(ctx, n.timing.attempt)
	defer cancel()
	hosts, err := n.hosts(dialling, t.Host, t.local)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		for _, dst := range dsts {
			var conn *Conn
			if conn, err = n.dialOne(ctx, dialling, hostPort(h, t.Port), dst, n.cfg.Jetsend && t.Type != Mediated); err == nil {
				conn.CID, conn.Kind, conn.Way = t.CID, kind(t.Type), way(t.Type)
				return conn, nil
			}
			if !errors.Is(err, errRefused) {
				break // another destination changes nothing
			}
		}
	}
	return nil, err
}

// hosts returns the addresses of host that may be dialled, loopback and
// link-local ones only if local is set. A name is looked up here and never left
// to the dialler, because it could lead anywhere; except with Config.Proxied,
// when only proxies that are known to us get here, and nothing is looked up.
func (n *Negotiation) hosts(ctx context.Context, host string, local bool) ([]string, error) {
	var found []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{a}
	} else if n.cfg.Proxied {
		return []string{host}, nil
	} else if found, err = n.cfg.Resolve(ctx, host); err != nil {
		return nil, fmt.Errorf("resolve candidate: %w", err)
	}
	var out []string
	for _, a := range found {
		if a = a.Unmap(); ipaddr.MayDial(a, local) && len(out) < maxPerName {
			out = append(out, a.String())
		}
	}
	if len(out) == 0 {
		return nil, errForbidden
	}
	return out, nil
}

// destinations returns the destination addresses to try at c. Psi's own server
// wants the initiator's JID first, whoever offered the candidate.
func (n *Negotiation) destinations(c Candidate, dstaddr string) []string {
	ownerFirst := DestinationAddress(n.sid, n.peer, n.self)
	if dstaddr == "" {
		dstaddr = ownerFirst
	}
	out := []string{dstaddr}
	if c.Type != Mediated {
		initiatorFirst := ownerFirst
		if n.initiator {
			initiatorFirst = DestinationAddress(n.sid, n.self, n.peer)
		}
		if initiatorFirst != dstaddr {
			out = append(out, initiatorFirst)
		}
	}
	return out
}

// dialOne dials under dialling, and takes its time for the handshake.
func (n *Negotiation) dialOne(ctx, dialling context.Context, at, dst string, atOnce bool) (*Conn, error) {
	c, err := n.cfg.Dial(dialling, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("dial candidate: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, n.timing.greet)
	defer cancel()
	if err := request(ctx, c, dst, atOnce); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// kind names the type of a candidate as [Conn].Kind does.
func kind(typ string) string {
	if typ == Mediated {
		return Mediated
	}
	return Direct
}

// way names what made a direct candidate possible.
func way(typ string) string {
	if typ == Assisted {
		return Mapped
	}
	return ""
}

// usedReport and failedReport are the two reports of XEP-0260 section 2.3.
func (n *Negotiation) usedReport(cid string) *xmltree.Element {
	return n.cidReport("candidate-used", cid)
}

func (n *Negotiation) failedReport() *xmltree.Element {
	return n.transport(xmltree.New(NS, "candidate-error"))
}
