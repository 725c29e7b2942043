package omemo

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/util/optional"

	"jetsend/internal/xmltree"
)

// strip takes the one-time prekeys out of p's bundle, as a lying server can: nothing
// signs them. The function that it returns puts them back.
func (s *server) strip(t *testing.T, p *party) (restore func()) {
	t.Helper()
	full := s.get(p.jid, p.bundleNode())
	x, err := xmltree.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	x.Child(NS, "prekeys").Children = nil
	s.put(p.jid, p.bundleNode(), x.String())
	return func() { s.put(p.jid, p.bundleNode(), full) }
}

// wrapBare wraps as a client does that begins sessions from a bundle without one-time
// prekeys: we do not.
func (p *party) wrapBare(to *party, payload string) *xmltree.Element {
	p.t.Helper()
	b, _, err := to.ownBundle(p.t.Context(), to.db)
	if err != nil {
		p.t.Fatal(err)
	}
	bare := prekey.NewBundle(to.DeviceID(), to.DeviceID(), optional.NewEmptyUint32(), b.signedID, ecc.ECPublicKeyable(nil), point(b.signedKey),
		[signatureSize]byte(b.signature), identity.NewKey(point(b.identityKey)))
	key, iv, sealed, err := sealPayload([]byte(payload))
	if err != nil {
		p.t.Fatal(err)
	}
	k := wrappedKey{rid: to.DeviceID()}
	err = p.raw(to, func(ctx context.Context, r *ratchet) (err error) {
		builder, _ := r.library()
		if err := builder.ProcessBundle(ctx, bare); err != nil {
			return err
		}
		if err := r.store(ctx, r.q.(*sql.Tx)); err != nil {
			return err
		}
		k.data, k.prekey, err = r.encrypt(ctx, key)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return envelopeElement(p.DeviceID(), []wrappedKey{k}, iv, sealed)
}

// healed has a server alone make p heal its session with o, as often as p lets it in
// many hours: each time an archived state is pushed out.
func (p *party) healed(o *party, c *clock) {
	p.t.Helper()
	evil := newServer()
	a, b := newParty(p.t, evil, o.jid, Config{}), newParty(p.t, evil, p.jid, Config{})
	talk(a, b)
	garbage := onWire(p.t, envelopeElement(o.DeviceID(), []wrappedKey{{p.DeviceID(), false, a.encrypt(b, "0123456789abcdef").data}}, make([]byte, ivSize), nil))
	healed := 0
	for range 3 * maxArchived {
		children, err := p.Heal(p.t.Context(), p.pep, p.cause(o.jid, garbage), noJunk)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(children) > 0 {
			healed++
		}
		c.add(maxHealPause)
	}
	if healed <= maxArchived {
		p.t.Fatalf("healed only %d times", healed)
	}
}

// TestPrekeysStripped: no session is begun from a bundle without one-time prekeys, and
// the user is told so. A session that exists goes on, the key is pinned all the same,
// and a device that has none left may still begin a session with us.
func TestPrekeysStripped(t *testing.T) {
	j, r, c := clocked(t)
	restore := j.s.strip(t, r)
	_, err := j.WrapPayload(t.Context(), j.pep, r.jid, []byte("x"), Kept)
	if !errors.Is(err, ErrNoDevice) || !errors.Is(err, ErrBundle) || !errors.Is(err, ErrNoPrekeys) {
		t.Fatalf("wrapped with %v", err)
	}
	if n := j.one(`SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions", n)
	}
	if d, _ := j.known(r); d.Fingerprint != r.Fingerprint() {
		t.Errorf("its key was not pinned: %+v", d)
	}
	if err := j.Rebuild(t.Context(), j.pep, r.jid); !errors.Is(err, ErrBundle) {
		t.Errorf("rebuilt with %v", err)
	}
	if ch, err := j.Prime(t.Context(), j.pep, r.jid, 0, false); ch != nil || err != nil {
		t.Errorf("primed with %v, %v", ch, err)
	}
	j.mustOpen(r, r.wrap(j, "the other way round"), "the other way round")
	r.mustOpen(j, j.wrap(r, "in its session"), "in its session")
	restore()
	c.add(badFresh)
	if err := j.Rebuild(t.Context(), j.pep, r.jid); err != nil {
		t.Fatal(err)
	}
	r.mustOpen(j, j.wrap(r, "with a prekey"), "with a prekey")
}

// TestPrekeyMessageWithoutPrekey: what begins a session without a one-time prekey is
// refused before any work, healed by nobody, and leaves no trace.
func TestPrekeyMessageWithoutPrekey(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	e := j.wrapBare(r, "x")
	calls := len(j.s.calls)
	r.unchanged("a prekey message without a prekey", func() {
		_, cause := r.open(j, e)
		if !errors.Is(cause, ErrEnvelope) {
			t.Errorf("opened with %v", cause)
		}
		if ch, err := r.Heal(t.Context(), r.pep, cause, noJunk); err != nil || ch != nil {
			t.Errorf("healed with %v, %v", ch, err)
		}
	})
	if len(j.s.calls) != calls {
		t.Errorf("the server was asked: %v", j.s.calls[calls:])
	}
}

// TestReplayedEnvelope: an envelope that was opened never opens again, whatever has
// become of its session: not at once, not when a server alone has pushed its session
// out by healing, not after a reset, and for no other sender and no other device.
func TestReplayedEnvelope(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	other := newParty(t, j.s, romeo, Config{Now: c.Now}) // romeo's second device
	first := j.wrap(r, "first")
	r.mustOpen(j, first, "first")
	j.mustOpen(r, r.wrap(j, "answer"), "answer")
	later := j.wrap(r, "later") // an ordinary message
	r.mustOpen(j, later, "later")
	refused := func(when string) {
		t.Helper()
		for name, e := range map[string]*xmltree.Element{"first": first, "later": later} {
			if o, err := r.open(j, e); err == nil {
				t.Errorf("%s, %s: opened again: %q", when, name, o.Payload)
			}
			if _, err := r.open(other, e); err == nil {
				t.Errorf("%s, %s: opened for another sender", when, name)
			}
		}
	}
	refused("at once")
	r.healed(j, c)
	refused("when its session was pushed out")
	c.add(2 * (signedPrekeyAge + signedPrekeyKept))
	refused("a long time later")
	r.exec(`DELETE FROM sessions`)
	refused("when its session is gone")
	for range 20 { // the ids of prekeys are not used for others soon
		r.mustOpen(j, func() *xmltree.Element {
			if err := j.Rebuild(t.Context(), j.pep, r.jid); err != nil {
				t.Fatal(err)
			}
			return j.wrap(r, "more")
		}(), "more")
		if err := r.Announce(t.Context(), r.pep); err != nil {
			t.Fatal(err)
		}
		c.add(time.Minute)
	}
	refused("when its prekey was replaced")
}
