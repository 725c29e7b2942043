package simulate

import (
	"context"
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// network is the way of one end to the server, over all its lives.
type network struct {
	w    *world
	name string
	base time.Duration // of a packet on its way
	slow int           // one in so many packets takes much longer

	mu     sync.Mutex
	came   int   // of them, those that arrived at this end
	logins int   // so far
	cuts   []cut // to come, in order
}

// delay draws how long packets take in one direction of a new stream.
func (n *network) delay(up bool) func() time.Duration {
	n.mu.Lock()
	n.logins++
	of := n.name + strconv.FormatBool(up) + strconv.Itoa(n.logins) + "/"
	n.mu.Unlock()
	count := 0
	return func() time.Duration {
		n.mu.Lock()
		defer n.mu.Unlock()
		count++
		r := n.w.dice.of(of, count)
		d := between(r, n.base/2, n.base*3/2)
		if once(r, n.slow) && !n.w.calm() {
			d += between(r, 0, 20*time.Second)
		}
		return d
	}
}

// pause is what a login takes.
func (n *network) pause(ctx context.Context) {
	late := time.NewTimer(4 * n.base)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
	}
}

// passed counts a packet that arrived; the stream may be lost with it.
func (n *network) passed(a *account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.came++
	for len(n.cuts) > 0 && n.cuts[0].after <= n.came {
		c := n.cuts[0]
		n.cuts = n.cuts[1:]
		if n.w.calm() {
			continue
		}
		n.w.trace(n.name, "stream cut after %d packets: resumed %v, down %v, next login after %v", n.came, c.resumed, c.down, c.login)
		n.w.count("cut")
		select {
		case a.cuts <- c:
		default:
		}
	}
}

// bounces draws which requests of a lost stream are answered with an error: also such as
// arrived, when their acknowledgement did not.
func (n *network) bounces(of int) func(i int, arrived bool) bool {
	return func(i int, arrived bool) bool {
		r := n.w.dice.of(n.name+"bounce"+strconv.Itoa(of)+strconv.FormatBool(arrived), i)
		if arrived {
			return once(r, 2)
		}
		return !once(r, 3)
	}
}

// carried sees the data of a bytestream.
func (n *network) carried(from, to jid.JID, data *xmltree.Element) {
	block, err := base64.StdEncoding.DecodeString(data.Text)
	if err != nil || data.Attr("seq") != "0" {
		return
	}
	n.w.streams.begin(from.String()+" "+to.String()+" "+data.Attr("sid"), block)
}
