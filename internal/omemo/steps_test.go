package omemo

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"jetsend/internal/xmltree"
)

// A device that has begun a session gets a message of ours, where it is, so
// that its messages are prekey messages no longer; once, and the answer is not
// answered in turn.
func TestCompletion(t *testing.T) {
	j, r := pair(t)
	r.mustTake(j, j.prime(r))
	if !prekeyMessage(j.offer(r)) {
		t.Fatal("there was an answer already")
	}
	due, err := r.DueSteps(t.Context())
	if err != nil || len(due) != 1 || due[0].ID != j.DeviceID() || due[0].At != j.jid {
		t.Fatalf("due: %+v (%v)", due, err)
	}
	r = reopen(t, r.s, r.jid, Config{}, r.path) // the debt outlives the process
	message := r.stepWith(j)
	if payload := message[0].Child(NS, "payload"); payload != nil {
		t.Errorf("payload %v", payload)
	}
	j.mustTake(r, message)
	if prekeyMessage(j.offer(r)) {
		t.Error("still a prekey message")
	}
	if r.isDue(j) || j.isDue(r) {
		t.Error("still due")
	}
	if again := r.stepWith(j); again != nil {
		t.Error("stepped without need")
	}
	if again := j.prime(r); again != nil {
		t.Error("primed without need")
	}
}

// A device that begins one session after the other is not answered each time.
func TestCompletionIsLimited(t *testing.T) {
	j, r, c := clocked(t)
	begin := func() {
		t.Helper()
		r.announce()
		j.rebuild(r)
		r.mustOpen(j, j.wrap(r, "x"), "x")
	}
	begin()
	j.mustTake(r, r.stepWith(j))
	begin()
	if r.isDue(j) || r.stepWith(j) != nil {
		t.Error("due again at once")
	}
	c.add(replyPause)
	if !r.isDue(j) {
		t.Error("not due after a while")
	}
	j.mustTake(r, r.stepWith(j))
}

// Two processes make one step.
func TestStepOnce(t *testing.T) {
	j, r, c := clocked(t)
	r.mustTake(j, j.prime(r))
	d, _ := r.known(j)
	j.mustTake(r, r.onlyOne(c, func(ctx context.Context, q *party) ([]*xmltree.Element, error) {
		return q.Step(ctx, q.pep, d, func() bool { return true })
	}))
}

// A chain that has become long turns, at most weekly.
func TestTurn(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	talk(j, r)
	r.mustOpen(j, j.wrap(r, "x"), "x") // r has answered: the next is j's turn
	many := func(n int) {
		t.Helper()
		for range n {
			j.mustDecrypt(r, r.encrypt(j, sixteen), sixteen)
		}
	}
	many(stepAfter - 1)
	if j.isDue(r) {
		t.Error("due before its time")
	}
	many(1)
	if !j.isDue(r) {
		t.Fatal("not due")
	}
	r.mustTake(j, j.stepWith(r))
	first, err := parseMessage(r.encrypt(j, sixteen).data, false)
	if err != nil || first.signal.Counter() != 0 {
		t.Errorf("the other side has not begun a new chain: %v", err)
	}
	many(stepAfter)
	if j.isDue(r) || j.stepWith(r) != nil {
		t.Error("due twice in a week")
	}
	c.add(stepPause)
	if !j.isDue(r) {
		t.Error("not due after a week")
	}
}

// messagesTo makes n ratchet messages of p, and returns the last.
func (p *party) messagesTo(o *party, n int) (last *xmltree.Element) {
	p.t.Helper()
	err := p.step(p.t.Context(), func(tx *sql.Tx) error {
		for range n {
			r := p.newRatchet(tx, address{o.jid.Bare(), o.DeviceID()}, o.IdentityKey())
			data, prekey, err := r.encrypt(p.t.Context(), []byte(sixteen))
			if err != nil {
				return err
			}
			last = envelopeElement(p.DeviceID(), []wrappedKey{{o.DeviceID(), prekey, data}}, make([]byte, ivSize), nil)
			if err := r.store(p.t.Context(), tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return last
}

// The library's limit: 2000 chat messages that never got here can be skipped,
// one more cannot, and is healed.
func TestGap(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	settle(j, r)
	if _, err := j.open(r, r.messagesTo(j, 2001)); err != nil {
		t.Errorf("2000 messages skipped: %v", err)
	}
	e := r.messagesTo(j, 2002)
	if _, err := j.open(r, e); !errors.Is(err, ErrEnvelope) {
		t.Fatalf("2001 messages skipped: %v", err)
	}
	r.mustTake(j, j.heal(r, e))
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Error(err)
	}
}

// A contact that was silent here for two weeks may have written a lot elsewhere:
// a new session takes care of it, at most so often.
func TestRenewal(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	settle(j, r)
	c.add(silentAfter - time.Millisecond)
	if j.isDue(r) {
		t.Error("due before its time")
	}
	for range 2 {
		c.add(time.Millisecond)
		r.messagesTo(j, 1500)
		if !j.isDue(r) {
			t.Fatal("not due")
		}
		r.mustTake(j, j.stepWith(r))
		r.announce()
		if j.isDue(r) {
			t.Error("due again")
		}
		c.add(silentAfter - time.Millisecond)
		if j.isDue(r) {
			t.Error("due before its time")
		}
	}
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Error(err)
	}
	if j.isDue(r) {
		t.Error("due just after it was heard")
	}
}

// A contact cannot make a session's record grow without end, neither by new
// sessions nor by numbers that jump ahead.
func TestRecordIsBounded(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	settle(j, r)
	for range maxArchived + 3 {
		j.announce() // without the one-time key that the last round took: it would be drawn again some day
		r.rebuild(j)
		j.mustDecrypt(r, r.encrypt(j, sixteen), sixteen)
	}
	err := j.raw(r, func(ctx context.Context, x *ratchet) error {
		s, err := x.LoadSession(ctx, nil)
		if err != nil {
			return err
		}
		record := s.Structure()
		if n := len(record.PreviousStates); n != maxArchived {
			t.Errorf("%d states are archived", n)
		}
		whole := len(trim(record, maxRecordBytes))
		if n := len(trim(record, whole)); n != whole {
			t.Errorf("cut to %d of %d bytes", n, whole)
		}
		if n := len(trim(record, whole-1)); n > whole/maxArchived*2 || n == 0 {
			t.Errorf("cut to %d of %d bytes", n, whole)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for range 3 {
		if _, err := j.open(r, r.messagesTo(j, maxNewGap+1)); err != nil {
			t.Fatal(err)
		}
		if n := j.one(`SELECT max(json_array_length(c.value, '$.MessageKeys')) FROM sessions s,
			json_each(CAST(s.record AS TEXT), '$.SessionState.ReceiverChains') c`); n != maxSkipped {
			t.Errorf("%d keys are kept of what was skipped", n)
		}
	}
	talk(j, r)
}

// Who gets no step: devices that are nowhere to be found, not usable, or gone;
// and a bundle that cannot be had is asked for once a week.
func TestNoSteps(t *testing.T) {
	j, r, c := clocked(t)
	j.wrap(r, "x") // a session, and nothing else
	c.add(silentAfter)
	if j.isDue(r) {
		t.Error("due, but where?")
	}
	j.mustTake(r, r.prime(j))
	c.add(silentAfter)
	if err := j.Distrust(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	d, _ := j.known(r)
	var trust *TrustError
	if _, err := j.Step(t.Context(), j.pep, d, noJunk); j.isDue(r) || !errors.As(err, &trust) {
		t.Errorf("distrusted: %v", err)
	}
	j.exec(`DELETE FROM trust`)
	j.exec(`UPDATE upkeep SET reply = 0`)
	j.s.before = failing("items romeo@jet.test "+nodeBundles, errors.New("stream lost"))
	if _, err := j.Step(t.Context(), j.pep, d, noJunk); err == nil {
		t.Error("renewed without a bundle")
	}
	j.s.before = nil
	if j.isDue(r) {
		t.Error("due again at once")
	}
	c.add(stepPause)
	if !j.isDue(r) {
		t.Error("not due after a week")
	}
	j.s.put(romeo, NodeDevices, `<list xmlns='`+NS+`'/>`)
	j.push(r)
	if j.isDue(r) || j.stepWith(r) != nil {
		t.Error("due, but gone")
	}
}
