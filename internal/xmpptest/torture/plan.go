package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// end is one of the two accounts.
type end string

const (
	sender   end = "sender"
	receiver end = "receiver"
)

// way is how a transfer is begun or taken up.
type way string

const (
	bySend     way = "send"
	byAgain    way = "the same send"
	bySender   way = "resume by the sender"
	byReceiver way = "resume by the receiver"
	byDaemon   way = "the receiver's daemon"
)

// kind is what is done to a round.
type kind string

const (
	kill        kind = "kill"        // -9 for an end
	interrupt   kind = "interrupt"   // SIGINT for an end
	terminate   kind = "terminate"   // SIGTERM for an end
	killServer  kind = "kill server" // -9, and start it again
	cutPath     kind = "cut path"
	stallPath   kind = "stall path"
	refusePath  kind = "refuse path" // cut it, and let nobody through for a while
	flipPath    kind = "flip path"   // damage one byte
	cutStream   kind = "cut stream"  // an end's connection to the server
	stallStream kind = "stall stream"
)

// route is how the bytes of a file go.
type route string

const (
	direct route = "direct"
	proxy  route = "proxy"
	inBand route = "ibb"
)

// moment is when a fault strikes: when a share of the file has passed the wire
// since the attempt began, or an end has said something, or at once; and then so
// much later.
type moment struct {
	share float64 // of the file, more than 0
	end   end
	event string
	after time.Duration
}

// fault is one planned misfortune.
type fault struct {
	kind kind
	end  end // of kill, interrupt, terminate, cutStream and stallStream
	when moment
	hold time.Duration // how long a stall, a refusal or an absence lasts
}

// attempt is one command that works on the transfer, and what happens meanwhile.
type attempt struct {
	way    way
	named  bool // resume names the transfer
	beside bool // with byReceiver: the receiver's daemon runs as well
	faults []fault
}

// plan is a round before it runs.
type plan struct {
	seed    uint64
	size    int64
	rate    int64 // bytes per second
	route   route
	retries int    // of send and resume
	fresh   bool   // new accounts, not those of the round before
	apart   bool   // each file goes in a session of its own
	set     *shape // nil: one file
	entries int    // of the set
	data    int64  // bytes of the set that are not there
	// attempts are made one after the other until the transfer is done; the
	// last ones meet no fault.
	attempts []attempt
}

const (
	// maxFaulty bounds the attempts of a round that meet faults.
	maxFaulty = 4
	// cleanTries is how many attempts without a fault a round may need: one for
	// the transfer, one for a lost last word, and some for what the peer still
	// holds of a session that the other end has lost.
	cleanTries = 5
	// selfRetries is what --retries gets when the run shall go on by itself.
	selfRetries = 5
	// maxInBand bounds a file that goes in-band, which is slow.
	maxInBand = 3 << 20
	// quickest and slowest are how long a file takes at the rate of its round,
	// so that there is a middle to hit.
	quickest, slowest = 800 * time.Millisecond, 3500 * time.Millisecond
)

// limits bound the plans.
type limits struct {
	minSize, maxSize int64
	maxHold          time.Duration
	dry              bool
	sets             bool // the rounds are about sets
}

// newPlan makes the plan of a seed.
func newPlan(seed uint64, l limits) plan {
	rnd := rand.New(rand.NewPCG(seed, 0))
	p := plan{seed: seed, route: pick(rnd, direct, direct, direct, proxy, inBand), fresh: rnd.IntN(3) == 0}
	top := l.maxSize
	if p.route == inBand {
		top = max(min(top, maxInBand), l.minSize)
	}
	// Small files are as likely as large ones.
	span := rnd.Float64()
	p.size = l.minSize + int64(float64(top-l.minSize)*span*span)
	took := quickest + time.Duration(rnd.Int64N(int64(slowest-quickest)))
	p.rate = max(int64(float64(p.size)/took.Seconds()), 16<<10)
	if rnd.IntN(2) == 0 {
		p.retries = selfRetries
	}
	if l.sets {
		p.newShape(l)
	}
	if l.dry {
		p.attempts = []attempt{{way: bySend}}
		return p
	}
	for i := range 1 + rnd.IntN(maxFaulty) {
		p.attempts = append(p.attempts, newAttempt(rnd, i, l))
	}
	for i := range cleanTries {
		a := newAttempt(rnd, 1, l)
		a.faults = nil
		if i == 0 { // SIGINT is a pause: what it stopped at one end, the other end's commands cannot go on with
			a.way = bySender
		}
		p.attempts = append(p.attempts, a)
	}
	return p
}

func newAttempt(rnd *rand.Rand, i int, l limits) attempt {
	a := attempt{way: bySend, named: rnd.IntN(2) == 0, beside: rnd.IntN(2) == 0}
	if i > 0 {
		a.way = pick(rnd, byAgain, bySender, bySender, byReceiver, byReceiver, byDaemon)
	}
	for range pick(rnd, 1, 1, 1, 2, 2, 3) {
		a.faults = append(a.faults, newFault(rnd, l))
	}
	return a
}

func newFault(rnd *rand.Rand, l limits) fault {
	f := fault{
		kind: pick(rnd, kill, kill, kill, kill, interrupt, terminate, killServer, killServer,
			cutPath, cutPath, stallPath, refusePath, flipPath, cutStream, stallStream),
		end:  pick(rnd, sender, receiver),
		hold: time.Duration(rnd.Int64N(int64(l.maxHold))),
	}
	later := time.Duration(rnd.Int64N(int64(60 * time.Millisecond)))
	switch n := rnd.IntN(20); {
	case n < 12: // while the bytes pass
		f.when = moment{share: 0.01 + 0.98*rnd.Float64()}
	case n < 15: // about when the last one has passed: tag, release, receipt, end
		f.when = moment{share: 1, after: later}
	case n < 17:
		f.when = moment{end: receiver, event: "received", after: later / 4}
	case n < 19: // while they agree
		f.when = moment{end: pick(rnd, sender, receiver), event: pick(rnd, "online", "offer", "accepted", "negotiated"), after: later}
	default:
		f.when = moment{after: time.Duration(rnd.Int64N(int64(time.Second)))}
	}
	return f
}

func pick[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

// String says what the fault does and when.
func (f fault) String() string {
	what := string(f.kind)
	switch f.kind {
	case kill, interrupt, terminate, cutStream, stallStream:
		what += " of " + string(f.end)
	}
	switch f.kind {
	case stallPath, stallStream, refusePath, killServer:
		what += fmt.Sprintf(" for %.1fs", f.hold.Seconds())
	}
	return what + " " + f.when.String()
}

// String says when it is.
func (m moment) String() string {
	var s string
	switch {
	case m.share > 0:
		s = fmt.Sprintf("at %.0f%%", 100*m.share)
	case m.event != "":
		s = fmt.Sprintf("at %s of %s", m.event, m.end)
	default:
		s = "from the start"
	}
	if m.after > 0 {
		s += fmt.Sprintf(" +%dms", m.after.Milliseconds())
	}
	return s
}

// String describes the plan, without the attempts that meet no fault.
func (p plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes at %d a second, %s, --retries %d, fresh accounts %t", p.size, p.rate, p.route, p.retries, p.fresh)
	if p.set != nil {
		fmt.Fprintf(&b, ", %s of %d entries", p.set, p.entries)
	}
	for _, a := range p.attempts {
		if len(a.faults) > 0 {
			fmt.Fprintf(&b, "\n  %s: %v", a.way, a.faults)
		}
	}
	return b.String()
}
