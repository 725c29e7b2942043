package omemo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
)

// garbage is an envelope of p's device with so many keys for o that nobody made:
// well-formed messages, with ratchet keys that are drawn and a number far ahead.
func (p *party) garbage(o *party, keys int, number uint32) *xmltree.Element {
	p.t.Helper()
	var wrapped []wrappedKey
	for range keys {
		r := make([]byte, 56)
		_, _ = rand.Read(r) // never fails
		m := append([]byte{0x33, 0x0a, 0x21, 0x05}, r[:32]...)
		m = binary.AppendUvarint(append(m, 0x10), uint64(number))
		m = append(append(m, 0x18, 0, 0x22, 0x10), r[32:]...)
		wrapped = append(wrapped, wrappedKey{o.DeviceID(), false, m})
	}
	return onWire(p.t, envelopeElement(p.DeviceID(), wrapped, make([]byte, ivSize), nil))
}

// manySessions has r know j's device with as many states as are kept: a contact may
// begin a session as often as he likes.
func manySessions(j, r *party, c *clock) {
	j.t.Helper()
	for range maxArchived + 1 {
		j.lose()
		r.mustOpen(j, j.wrap(r, "x"), "x")
		r.announce()
		c.add(time.Minute)
	}
}

// An envelope that does not open is looked at and healed without the lock of
// those who write: nobody waits for it, and it waits for nobody.
func TestGarbageTakesNoLock(t *testing.T) {
	j, r, c := clocked(t)
	manySessions(j, r, c)
	e := j.garbage(r, maxOwnKeys, maxNewGap)
	if _, err := r.Heal(t.Context(), r.pep, r.cause(j.jid, e), noJunk); err != nil { // its turn is over then
		t.Fatal(err)
	}
	db, err := state.Open(t.Context(), r.path) // another process
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.unchanged("garbage", func() {
		err := r.HandleMessage(ctx, r.pep, j.jid, j.garbage(r, maxOwnKeys, maxNewGap))
		if !errors.Is(err, ErrEnvelope) {
			t.Errorf("message: %v", err)
		}
		if children, err := r.Heal(ctx, r.pep, err, noJunk); children != nil || err != nil {
			t.Errorf("heal: %v (%v)", children, err)
		}
		if _, err := r.Unwrap(ctx, r.pep, j.jid, j.garbage(r, maxOwnKeys, maxNewGap)); !errors.Is(err, ErrEnvelope) {
			t.Errorf("offer: %v", err)
		}
	})
}

// A contact is charged by work, in messages and offers alike, and starves nobody but
// himself: what has no turn any more is passed over as a message and waits as an
// offer, while others are served at once.
func TestWorkIsCharged(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	manySessions(j, r, c)
	nurse := newParty(t, r.s, jid.MustParse("nurse@jet.test/house"), Config{Now: c.Now})
	r.mustOpen(nurse, nurse.wrap(r, "x"), "x")
	r.announce()
	c.add(time.Hour)
	left := func(of jid.JID) int { return int(r.work.account(of.Bare(), c.Now()).TokensAt(c.Now())) }
	// Each key is tried in the current state and in all older ones.
	const price = maxOwnKeys * (agreementWork + (maxArchived+1)*(agreementWork+chainWork*maxArchivedGap))
	e, before := j.garbage(r, maxOwnKeys, maxArchivedGap), left(j.jid)
	cause := r.cause(j.jid, e)
	if spent := before - left(j.jid); spent < price || spent > 2*price {
		t.Errorf("garbage costs %d, its keys %d", spent, price)
	}
	before = left(j.jid)
	_ = r.cause(j.jid, j.garbage(r, maxOwnKeys, maxArchivedGap+1))
	if spent := before - left(j.jid); spent > price/5 {
		t.Errorf("too far ahead for an old state: costs %d", spent)
	}
	if _, err := r.Heal(t.Context(), r.pep, cause, noJunk); err != nil {
		t.Fatal(err)
	}
	before = left(j.jid)
	if _, err := r.Heal(t.Context(), r.pep, cause, noJunk); err != nil || left(j.jid) != before {
		t.Errorf("healing has cost %d (%v): the verdict is there", before-left(j.jid), err)
	}
	looked := 0
	for ; looked < messagesPerSender; looked++ {
		err := r.HandleMessage(t.Context(), r.pep, j.jid, j.garbage(r, maxOwnKeys, maxArchivedGap))
		if errors.Is(err, ErrTooMany) {
			break
		}
		if !errors.Is(err, ErrEnvelope) {
			t.Fatal(err)
		}
	}
	if looked > contactWorkAtOnce/price {
		t.Errorf("%d messages of garbage were looked at", looked)
	}
	if err := r.DeviceListChanged(t.Context(), j.jid, xmltree.New(NS, "list")); !errors.Is(err, ErrTooMany) || r.fresh(j.jid.Bare()) {
		t.Errorf("one more device list: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Unwrap(ctx, r.pep, j.jid, j.garbage(r, maxOwnKeys, maxArchivedGap)); !errors.Is(err, context.Canceled) {
		t.Errorf("an offer that has to wait: %v", err)
	}
	r.mustOpen(nurse, nurse.wrap(r, "somebody else"), "somebody else")
	if err := r.HandleMessage(t.Context(), r.pep, nurse.jid, nurse.offer(r)); err != nil {
		t.Errorf("a message of somebody else: %v", err)
	}
	c.add(contactWorkAtOnce / time.Duration(contactWork) * time.Second)
	r.mustOpen(j, j.wrap(r, "later"), "later")
	for i := range 2 * maxAccounts {
		r.work.account(jid.MustParse(fmt.Sprintf("n%d@jet.test", i)), c.Now()).AllowN(c.Now(), 1)
	}
	if n := r.work.of.Len(); n != maxAccounts {
		t.Errorf("%d accounts", n)
	}
}

// In a chain that nobody knows yet a message may be as far ahead as an honest device
// may come, in an old state a handful; one that is further costs nothing and is healed.
func TestNewGap(t *testing.T) {
	unlessShort(t)
	for number, opens := range map[int]bool{maxNewGap: true, maxNewGap + 1: false} {
		j, r := pair(t)
		settle(j, r)
		r.mustOpen(j, j.wrap(r, "turn"), "turn") // r begins a new chain
		e := r.messagesTo(j, number+1)
		_, err := j.open(r, e)
		if (err == nil) != opens {
			t.Errorf("%d ahead: %v", number, err)
		}
		if !opens {
			r.mustTake(j, j.heal(r, e))
			if _, err := j.open(r, r.offer(j)); err != nil {
				t.Errorf("healed: %v", err)
			}
		}
	}
}

// What one message of garbage costs.
func BenchmarkGarbage(b *testing.B) {
	s, c := newServer(), newClock()
	j, r := newParty(b, s, juliet, Config{Now: c.Now}), newParty(b, s, romeo, Config{Now: c.Now})
	manySessions(j, r, c)
	for _, number := range []uint32{0, maxArchivedGap, maxNewGap, maxKnownGap} {
		e := j.garbage(r, maxOwnKeys, number)
		b.Run(fmt.Sprint(number), func(b *testing.B) {
			for b.Loop() {
				c.add(time.Hour)
				if err := r.HandleMessage(b.Context(), r.pep, j.jid, e); !errors.Is(err, ErrEnvelope) {
					b.Fatal(err)
				}
			}
		})
	}
}
