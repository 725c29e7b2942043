package omemo

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// take gives p a message of from, which must have children, over the wire.
func (p *party) take(from *party, children []*xmltree.Element) error {
	p.t.Helper()
	if len(children) == 0 {
		p.t.Fatal("there is no message")
	}
	return p.HandleMessage(p.t.Context(), p.pep, from.jid, onWire(p.t, children[0]))
}

// mustTake is take, without an error.
func (p *party) mustTake(from *party, children []*xmltree.Element) {
	p.t.Helper()
	if err := p.take(from, children); err != nil {
		p.t.Fatal(err)
	}
}

// offer makes an envelope as Dino does it for a file: with a key for o's device
// only when there is a session, and without fetching anything.
func (p *party) offer(o *party) *xmltree.Element {
	p.t.Helper()
	var keys []wrappedKey
	if p.one(`SELECT count(*) FROM sessions WHERE jid = ? AND device = ?`, o.jid.Bare().String(), o.DeviceID()) > 0 {
		keys = append(keys, p.encrypt(o, sixteen))
	}
	return envelopeElement(p.DeviceID(), keys, make([]byte, ivSize), nil)
}

// sixteen is a key for a file.
const sixteen = "0123456789abcdef"

// prime makes the message that primes at the full JID of o, or at at.
func (p *party) prime(o *party, at ...jid.JID) []*xmltree.Element {
	p.t.Helper()
	children, err := p.Prime(p.t.Context(), p.pep, append(at, o.jid)[0], 0, false)
	if err != nil {
		p.t.Fatal(err)
	}
	return children
}

// heal heals after an envelope of o, which does not open.
func (p *party) heal(o *party, e *xmltree.Element) []*xmltree.Element {
	p.t.Helper()
	children, err := p.Heal(p.t.Context(), p.pep, p.cause(o.jid, e), noJunk)
	if err != nil {
		p.t.Fatal(err)
	}
	return children
}

// cause is why an envelope does not open.
func (p *party) cause(from jid.JID, e *xmltree.Element) error {
	p.t.Helper()
	_, err := p.Unwrap(p.t.Context(), p.pep, from, onWire(p.t, e))
	if err == nil {
		p.t.Fatal("it opens")
	}
	return err
}

func noJunk() bool { return false }

// due returns the ids of the devices that are due for a step.
func (p *party) due() (ids []uint32) {
	p.t.Helper()
	all, err := p.DueSteps(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, d := range all {
		ids = append(ids, d.ID)
	}
	return ids
}

// isDue reports whether o's device is due for a step.
func (p *party) isDue(o *party) bool { return slices.Contains(p.due(), o.DeviceID()) }

// stepWith makes the step with o's device.
func (p *party) stepWith(o *party) []*xmltree.Element {
	p.t.Helper()
	d, _ := p.known(o)
	children, err := p.Step(p.t.Context(), p.pep, d, noJunk)
	if err != nil {
		p.t.Fatal(err)
	}
	return children
}

// settle is talk, after which both publish what is left of their prekeys: a new
// session must not meet one that was used.
func settle(a, b *party) {
	a.t.Helper()
	talk(a, b)
	a.announce()
	b.announce()
}

// lose drops all sessions, as a restored backup would.
func (p *party) lose() { p.exec(`DELETE FROM sessions`) }

// prekeyMessage reports whether the first key of an envelope is marked as one.
func prekeyMessage(e *xmltree.Element) bool {
	return e.Child(NS, "header").Child(NS, "key").Attr("prekey") == "true"
}

// clocked makes two devices that share a clock.
func clocked(t *testing.T) (j, r *party, c *clock) {
	t.Helper()
	s, c := newServer(), newClock()
	return newParty(t, s, juliet, Config{Now: c.Now}), newParty(t, s, romeo, Config{Now: c.Now}), c
}

// onlyOne runs f at once on several Accounts that share p's file, and checks
// that it makes a message only once.
func (p *party) onlyOne(c *clock, f func(ctx context.Context, q *party) ([]*xmltree.Element, error)) (message []*xmltree.Element) {
	p.t.Helper()
	parties := []*party{p}
	for range 2 {
		parties = append(parties, reopen(p.t, p.s, p.jid, Config{Now: c.Now}, p.path))
	}
	messages := make(chan []*xmltree.Element, 2*len(parties))
	var wg sync.WaitGroup
	for i := range cap(messages) {
		wg.Go(func() {
			children, err := f(context.Background(), parties[i/2])
			if err != nil {
				p.t.Error(err)
			}
			if children != nil {
				messages <- children
			}
		})
	}
	wg.Wait()
	if len(messages) != 1 {
		p.t.Fatalf("%d messages", len(messages))
	}
	return <-messages
}

const day = 24 * time.Hour
