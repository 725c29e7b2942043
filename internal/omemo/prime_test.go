package omemo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// A client that starts no session for a file can send one after it was primed,
// and is not told again.
func TestPrime(t *testing.T) {
	j, r := pair(t)
	if _, err := j.open(r, r.offer(j)); !errors.Is(err, ErrNotForUs) {
		t.Fatalf("unprimed: %v", err)
	}
	r.push(j) // the client has our list, but no session
	r.mustTake(j, j.prime(r))
	if again := j.prime(r); again != nil {
		t.Errorf("primed again: %v", again)
	}
	if d, err := j.Unprimed(t.Context(), r.jid); err != nil || len(d) != 0 {
		t.Errorf("still unprimed: %v (%v)", d, err)
	}
	o, err := j.open(r, r.offer(j))
	if err != nil || string(o.Key) != sixteen || o.Device.At != r.jid {
		t.Fatalf("opened %+v: %v", o, err)
	}
	elsewhere := jid.MustParse("romeo@jet.test/tomb")
	if again := j.prime(r, elsewhere); again != nil {
		t.Errorf("primed after it has answered: %v", again)
	}
}

// What the message looks like: a key and nothing to read, and the hints; with
// junk one byte of payload that does not verify, and no other difference.
func TestPrimeForm(t *testing.T) {
	j, r := pair(t)
	other := jid.MustParse("romeo@jet.test/tomb")
	for _, junk := range []bool{false, true} {
		children, err := j.Prime(t.Context(), j.pep, map[bool]jid.JID{false: r.jid, true: other}[junk], r.DeviceID(), junk)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range children {
			names = append(names, c.Name.Space+" "+c.Name.Local)
		}
		want := []string{NS + " encrypted", "urn:xmpp:carbons:2 private", "urn:xmpp:hints no-copy", "urn:xmpp:hints no-store"}
		if !slices.Equal(names, want) {
			t.Fatalf("children %q", names)
		}
		e := children[0]
		if payload := e.Child(NS, "payload"); (payload != nil) != junk || junk && payload.Text != "AA==" {
			t.Errorf("junk %v: payload %v", junk, payload)
		}
		o, err := r.open(j, e)
		if junk {
			if !errors.Is(err, ErrEnvelope) {
				t.Errorf("junk opened: %v", err)
			}
		} else if err != nil || len(o.Key) != payloadKeySize || !prekeyMessage(e) {
			t.Errorf("opened %+v: %v", o, err)
		}
	}
}

// The junk of one jetsend does not disturb another: the ratchet goes on.
func TestPrimeWithJunk(t *testing.T) {
	j, r := pair(t)
	children, err := j.Prime(t.Context(), j.pep, r.jid, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	r.mustTake(j, children)
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Error(err)
	}
}

// Nobody says which resource is which device: each has its turn, with every
// device, and there is an end to it.
func TestPrimeEveryResource(t *testing.T) {
	unlessShort(t)
	s := newServer()
	j, r1 := newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{})
	r2 := newParty(t, s, jid.MustParse("romeo@jet.test/tomb"), Config{})
	first := j.prime(r1)
	r1.mustTake(j, first)
	if n := len(first[0].Child(NS, "header").All(NS, "key")); n != 2 {
		t.Errorf("%d keys", n)
	}
	// r2 was offline. r1 answers; only the other one is left.
	if _, err := j.open(r1, r1.offer(j)); err != nil {
		t.Fatal(err)
	}
	left, err := j.Unprimed(t.Context(), r2.jid)
	if err != nil || len(left) != 1 || left[0].ID != r2.DeviceID() {
		t.Fatalf("left %v (%v)", left, err)
	}
	second := j.prime(r2)
	r2.mustTake(j, second)
	if n := len(second[0].Child(NS, "header").All(NS, "key")); n != 1 {
		t.Errorf("%d keys", n)
	}
	made := 0
	for i := range 2 * maxPrimed {
		if j.prime(r2, jid.MustParse(fmt.Sprintf("romeo@jet.test/dino.%d", i))) != nil {
			made++
		}
	}
	if made+2 != maxPrimed {
		t.Errorf("primed at %d resources", made+2)
	}
	// A single device, by its id.
	r3 := newParty(t, s, romeo, Config{})
	j.push(r3)
	children, err := j.Prime(t.Context(), j.pep, romeo, r3.DeviceID(), false)
	if err != nil || len(children) == 0 || len(children[0].Child(NS, "header").All(NS, "key")) != 1 {
		t.Errorf("one device: %v (%v)", children, err)
	}
}

// Once per session: over restarts, and again for a new session.
func TestPrimePersists(t *testing.T) {
	j, r := pair(t)
	r.mustTake(j, j.prime(r))
	j = reopen(t, j.s, juliet, Config{}, j.path)
	if again := j.prime(r); again != nil {
		t.Errorf("primed again after a restart: %v", again)
	}
	if err := j.Rebuild(t.Context(), j.pep, romeo); err != nil {
		t.Fatal(err)
	}
	if d, err := j.Unprimed(t.Context(), r.jid); err != nil || len(d) != 1 {
		t.Errorf("a new session, unprimed: %v (%v)", d, err)
	}
	r.mustTake(j, j.prime(r))
	if n := j.one(`SELECT count(*) FROM primed`); n != 1 {
		t.Errorf("%d sessions remembered", n)
	}
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Error(err)
	}
}

// Two processes that prime at once send one message.
func TestPrimeOnce(t *testing.T) {
	j, r, c := clocked(t)
	message := j.onlyOne(c, func(ctx context.Context, q *party) ([]*xmltree.Element, error) {
		return q.Prime(ctx, q.pep, r.jid, 0, false)
	})
	r.mustTake(j, message)
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Error(err)
	}
}

// Who is not primed: devices whose key may not be used, those without a bundle,
// contacts without devices. Priming that is not needed costs no question.
func TestNotPrimed(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
		t.Fatal(err)
	}
	if err := j.Distrust(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if children := j.prime(r); children != nil {
		t.Errorf("distrusted: %v", children)
	}
	bad := newParty(t, j.s, romeo, Config{})
	j.push(bad)
	j.s.put(romeo, bad.bundleNode(), damaged(bad).element().String())
	if _, err := j.Prime(t.Context(), j.pep, r.jid, 0, false); !errors.Is(err, ErrNoDevice) || !errors.Is(err, ErrBundle) {
		t.Errorf("bad bundle: %v", err)
	}
	calls := j.s.count("items")
	if children := j.prime(r); children != nil || j.s.count("items") != calls {
		t.Errorf("bad bundle, asked again: %v", children)
	}
	nurse := jid.MustParse("nurse@jet.test/house")
	for range 2 {
		if children, err := j.Prime(t.Context(), j.pep, nurse, 0, false); children != nil || err != nil {
			t.Errorf("no devices: %v (%v)", children, err)
		}
	}
	if n := j.s.count("items nurse@jet.test"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Our own other devices are primed like others, and this one never.
func TestPrimeOwn(t *testing.T) {
	s := newServer()
	j := newParty(t, s, juliet, Config{})
	j2 := newParty(t, s, jid.MustParse("juliet@jet.test/chamber"), Config{})
	j2.push(j)
	j.push(j2)
	j2.mustTake(j, j.prime(j2))
	if _, err := j.open(j2, j2.offer(j)); err != nil {
		t.Error(err)
	}
	if children, err := j.Prime(t.Context(), j.pep, juliet, j.DeviceID(), false); children != nil || err != nil {
		t.Errorf("ourselves: %v (%v)", children, err)
	}
}

// A message that was not committed does not leave: one that cannot be stored is not made.
func TestNothingLeavesUncommitted(t *testing.T) {
	j, r := pair(t)
	settle(j, r)
	j.exec(`UPDATE upkeep SET alive = 0`)
	d, _ := j.known(r)
	var cancel context.CancelFunc
	j.s.before = func(context.Context, string) error { // the bundle is the last that comes
		cancel()
		return nil
	}
	refused := func(name string, f func(ctx context.Context) ([]*xmltree.Element, error)) {
		t.Helper()
		var ctx context.Context
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		j.unchanged(name, func() {
			if children, err := f(ctx); children != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v (%v)", name, children, err)
			}
		})
	}
	refused("step", func(ctx context.Context) ([]*xmltree.Element, error) { return j.Step(ctx, j.pep, d, noJunk) })
	j.lose()
	cause := j.cause(r.jid, r.offer(j))
	refused("prime", func(ctx context.Context) ([]*xmltree.Element, error) {
		return j.Prime(ctx, j.pep, r.jid, 0, false)
	})
	refused("heal", func(ctx context.Context) ([]*xmltree.Element, error) {
		return j.Heal(ctx, j.pep, cause, noJunk)
	})
}
