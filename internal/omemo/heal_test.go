package omemo

import (
	"context"
	"errors"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// What is lost, and how the two sides meet again: whatever it was, one refused
// envelope later the next one opens.
func TestLosses(t *testing.T) {
	unlessShort(t)
	for name, lose := range map[string]func(t *testing.T, j, r *party){
		// Our sessions are lost and the contact sends: refused, healed.
		"ours, they send": func(t *testing.T, j, r *party) {
			j.lose()
			e := r.wrap(j, "lost")
			if _, err := j.open(r, e); !errors.Is(err, ErrEnvelope) {
				t.Fatalf("got %v", err)
			}
			r.mustTake(j, j.heal(r, e))
			j.mustOpen(r, r.wrap(j, "healed"), "healed")
		},
		// The same with a client that does not fetch bundles for a file.
		"ours, a Dino sends": func(t *testing.T, j, r *party) {
			j.lose()
			e := r.offer(j)
			if _, err := j.open(r, e); !errors.Is(err, ErrEnvelope) {
				t.Fatalf("got %v", err)
			}
			r.mustTake(j, j.heal(r, e))
			if _, err := j.open(r, r.offer(j)); err != nil {
				t.Fatal(err)
			}
		},
		// Our sessions are lost and we send: a new one begins.
		"ours, we send": func(_ *testing.T, j, r *party) {
			j.lose()
			r.mustOpen(j, j.wrap(r, "new"), "new")
			j.mustOpen(r, r.wrap(j, "back"), "back")
		},
		// Their sessions are lost and we send: not-acceptable, rebuilt, resent.
		"theirs, we send": func(t *testing.T, j, r *party) {
			r.lose()
			if _, err := r.open(j, j.wrap(r, "lost")); !errors.Is(err, ErrEnvelope) {
				t.Fatalf("got %v", err)
			}
			if err := j.Rebuild(t.Context(), j.pep, romeo); err != nil {
				t.Fatal(err)
			}
			r.mustOpen(j, j.wrap(r, "again"), "again")
		},
		// A Dino has lost its session and sends: no key for us.
		"theirs, a Dino sends": func(t *testing.T, j, r *party) {
			r.lose()
			e := r.offer(j)
			if _, err := j.open(r, e); !errors.Is(err, ErrNotForUs) {
				t.Fatalf("got %v", err)
			}
			r.mustTake(j, j.heal(r, e))
			if _, err := j.open(r, r.offer(j)); err != nil {
				t.Fatal(err)
			}
		},
		"both, a Dino sends": func(t *testing.T, j, r *party) {
			j.lose()
			r.lose()
			r.mustTake(j, j.heal(r, r.offer(j)))
			if _, err := j.open(r, r.offer(j)); err != nil {
				t.Fatal(err)
			}
		},
		"both, we send": func(_ *testing.T, j, r *party) {
			j.lose()
			r.lose()
			r.mustOpen(j, j.wrap(r, "new"), "new")
		},
		// Prekeys of ours that others have taken are gone, as after a backup.
		"our prekeys": func(t *testing.T, j, r *party) {
			r.lose()
			e := r.wrap(j, "lost")
			j.exec(`DELETE FROM prekeys`)
			if _, err := j.open(r, e); !errors.Is(err, ErrEnvelope) {
				t.Fatalf("got %v", err)
			}
			r.mustTake(j, j.heal(r, e))
			j.mustOpen(r, r.wrap(j, "healed"), "healed")
		},
		// Replaced prekeys leave sessions alone, and new ones use the new keys.
		"prekeys replaced": func(t *testing.T, j, r *party) {
			j.exec(`DELETE FROM prekeys`)
			j.exec(`UPDATE signed_prekeys SET created = 0`)
			j.exec(`UPDATE publication SET generation = generation + 1`)
			if _, err := j.KeepAnnounced(t.Context(), j.pep); err != nil {
				t.Fatal(err)
			}
			j.mustOpen(r, r.wrap(j, "old session"), "old session")
			r.lose()
			j.mustOpen(r, r.wrap(j, "new session"), "new session")
		},
		// They begin anew with another device: both ids are in the list.
		"wiped": func(t *testing.T, j, r *party) {
			r2 := newParty(t, j.s, romeo, Config{})
			j.push(r2)
			r2.mustTake(j, j.prime(r2))
			if _, err := j.open(r2, r2.offer(j)); err != nil {
				t.Fatal(err)
			}
			e := j.wrap(r2, "both")
			r.mustOpen(j, e, "both")
			r2.mustOpen(j, e, "both")
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, r := pair(t)
			settle(j, r)
			lose(t, j, r)
			talk(j, r)
			talk(r, j)
		})
	}
}

// reborn makes a device with r's id and another identity key, and publishes it.
func reborn(t *testing.T, r *party) *party {
	t.Helper()
	n := newParty(t, newServer(), r.jid, Config{})
	n.exec(`DROP TRIGGER identity_never_changes`)
	n.exec(`UPDATE identity SET device = ?`, r.DeviceID())
	n = reopen(t, r.s, r.jid, Config{}, n.path)
	b, _, err := n.checkedBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.s.put(r.jid, n.bundleNode(), b.element().String())
	return n
}

// An identity key that changed at a known id heals in no way: nothing is
// rebuilt, nothing is sent, and the user hears of it.
func TestChangedIdentityIsNotHealed(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	old := r.offer(j)
	n := reborn(t, r)
	j.lose()
	isChanged := func(what string, err error) {
		t.Helper()
		var trust *TrustError
		if !errors.As(err, &trust) || trust.Kind != Changed || trust.Known != r.Fingerprint() {
			t.Errorf("%s: %v", what, err)
		}
	}
	j.unchanged("changed identity", func() {
		children, err := j.Heal(t.Context(), j.pep, j.cause(r.jid, old), noJunk)
		isChanged("heal", err)
		e, err2 := n.WrapPayload(t.Context(), n.pep, juliet, []byte("x"), Kept)
		if err2 != nil {
			t.Fatal(err2)
		}
		cause := j.cause(r.jid, e.Element)
		isChanged("a prekey message", cause)
		again, err := j.Heal(t.Context(), j.pep, cause, noJunk)
		if err != nil {
			t.Error(err)
		}
		err = j.Rebuild(t.Context(), j.pep, romeo)
		isChanged("rebuild", err)
		_, err = j.Prime(t.Context(), j.pep, r.jid, 0, false)
		isChanged("prime", err)
		isChanged("message", j.HandleMessage(t.Context(), j.pep, r.jid, e.Element))
		if children != nil || again != nil {
			t.Error("there is a message")
		}
	})
}

// A changed key that the user compared takes the place of the old one, with
// sessions of its own; the old one is refused from then on.
func TestReplaceKey(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	old := r.offer(j)
	if err := j.Verify(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if got, err := j.ChangedKeys(t.Context(), j.pep, romeo); err != nil || len(got) != 0 {
		t.Fatalf("nothing changed: %v, %v", got, err)
	}
	n := reborn(t, r)
	var got []*TrustError
	j.unchanged("looking", func() {
		var err error
		if got, err = j.ChangedKeys(t.Context(), j.pep, romeo); err != nil || len(got) != 1 || got[0].Kind != Changed ||
			got[0].Known != r.Fingerprint() || got[0].Fingerprint != n.Fingerprint() || got[0].Device != r.DeviceID() {
			t.Fatalf("%v, %v", got, err)
		}
		if err := j.Replace(t.Context(), romeo, 1, n.Fingerprint()); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("a device that is not there: %v", err)
		}
		if err := j.Replace(t.Context(), romeo, r.DeviceID(), "abc"); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("no fingerprint: %v", err)
		}
	})
	if err := j.Replace(t.Context(), romeo, got[0].Device, got[0].Fingerprint); err != nil {
		t.Fatal(err)
	}
	if d, _ := j.known(n); d.Trust != Verified || d.Fingerprint != n.Fingerprint() || !d.New {
		t.Errorf("%+v", d)
	}
	if n := j.one(`SELECT count(*) FROM trust`); n != 1 {
		t.Errorf("%d decisions: the old key is still verified", n)
	}
	e, err := j.WrapPayload(t.Context(), j.pep, romeo, []byte("to the new one"), Kept)
	if err != nil {
		t.Fatal(err)
	}
	n.mustOpen(j, e.Element, "to the new one")
	j.mustOpen(n, n.wrap(j, "and back"), "and back")
	j.unchanged("the old key", func() {
		if _, err := j.open(r, old); err == nil {
			t.Error("the old key still opens")
		}
	})
}

// Once a minute, then ever more seldom, until something opens; also after a
// restart.
func TestHealingIsLimited(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	settle(j, r)
	j.lose()
	e := r.offer(j)
	pauses := []time.Duration{healPause, healPause, 2 * healPause, 4 * healPause, 8 * healPause, 16 * healPause, 32 * healPause, maxHealPause, maxHealPause}
	fetches := func() int { return j.s.count("items romeo@jet.test " + nodeBundles) }
	if j.heal(r, e) == nil {
		t.Fatal("not healed")
	}
	for i, pause := range pauses[1:] {
		before := fetches()
		c.add(pause - time.Millisecond)
		if j.heal(r, e) != nil || fetches() != before {
			t.Fatalf("healed early, at %d", i)
		}
		j = reopen(t, j.s, juliet, Config{Now: c.Now}, j.path)
		if j.heal(r, e) != nil {
			t.Fatalf("healed early after a restart, at %d", i)
		}
		c.add(time.Millisecond)
		message := j.heal(r, e)
		if message == nil {
			t.Fatalf("not healed after %v", pause)
		}
		if i == len(pauses)-2 {
			r.mustTake(j, message)
		}
	}
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Fatal(err)
	}
	j.lose()
	c.add(healPause)
	if j.heal(r, r.offer(j)) == nil {
		t.Error("not healed in a minute after it had worked")
	}
	// A clock that was wrong keeps nobody out.
	c.add(-time.Hour)
	if j.heal(r, r.offer(j)) == nil {
		t.Error("not healed after the clock was set back")
	}
}

// Two processes heal once. A bundle that cannot be had costs a turn, and no
// more.
func TestHealOnce(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	settle(j, r)
	j.lose()
	cause := j.cause(r.jid, r.offer(j))
	r.mustTake(j, j.onlyOne(c, func(ctx context.Context, q *party) ([]*xmltree.Element, error) {
		return q.Heal(ctx, q.pep, cause, func() bool { return true })
	}))
	if _, err := j.open(r, r.offer(j)); err != nil {
		t.Error(err)
	}
	c.add(healPause)
	j.lose()
	cause = j.cause(r.jid, r.offer(j))
	lost := errors.New("stream lost")
	j.s.before = failing("items romeo@jet.test "+nodeBundles, lost)
	if _, err := j.Heal(t.Context(), j.pep, cause, noJunk); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	if children, err := j.Heal(t.Context(), j.pep, cause, noJunk); children != nil || err != nil {
		t.Errorf("asked again: %v (%v)", children, err)
	}
}

// Nothing is healed where nothing is broken, nor for whom it is not meant.
func TestNotHealed(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	nothing := func(name string, from jid.JID, e *xmltree.Element, want error) {
		t.Helper()
		j.unchanged(name, func() {
			children, err := j.Heal(t.Context(), j.pep, j.cause(from, e), noJunk)
			if children != nil || !errors.Is(err, want) {
				t.Errorf("%s: %v (%v)", name, children, err)
			}
		})
	}
	e := r.wrap(j, "x")
	j.mustOpen(r, e, "x")
	nothing("replayed", r.jid, e, nil)
	e = r.wrap(j, "x")
	flip(t, e.Child(NS, "payload"))
	if _, err := j.open(r, e); !errors.Is(err, ErrEnvelope) {
		t.Fatal(err)
	}
	nothing("a payload that does not verify", r.jid, e, nil)
	nothing("another sender", jid.MustParse("nurse@jet.test/house"), r.offer(j), nil)
	nothing("ourselves", juliet, envelopeElement(j.DeviceID(), nil, make([]byte, ivSize), nil), nil)
	nothing("no envelope", r.jid, xmltree.New(NS, "encrypted"), nil)
	e = r.offer(j)
	e.Child(NS, "header").Child(NS, "key").SetText("MwoFAAA=")
	nothing("no message", r.jid, e, nil)

	j.lose()
	e = r.offer(j)
	cause := j.cause(r.jid, e)
	if err := j.Distrust(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	j.unchanged("distrusted", func() {
		var trust *TrustError
		if children, err := j.Heal(t.Context(), j.pep, cause, noJunk); children != nil || !errors.As(err, &trust) {
			t.Errorf("distrusted: %v (%v)", children, err)
		}
	})
	j.exec(`DELETE FROM trust`)
	j.s.put(romeo, NodeDevices, `<list xmlns='`+NS+`'/>`)
	j.push(r)
	nothing("left the list", r.jid, e, ErrUnknownDevice)
}

// Rebuilding is for the usable devices; the others keep what they have, and one
// that fails does not stop the rest.
func TestRebuild(t *testing.T) {
	unlessShort(t)
	s := newServer()
	j, r := newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{})
	bad, out := newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{})
	late := onWire(t, r.wrap(j, "late"))
	if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
		t.Fatal(err)
	}
	j.mustOpen(r, r.wrap(j, "x"), "x")
	r.announce()
	if err := j.Distrust(t.Context(), romeo, out.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	delete(s.nodes, "romeo@jet.test "+bad.bundleNode())
	base := func(o *party) (b string) {
		if err := j.db.QueryRow(`SELECT base FROM sessions WHERE device = ?`, o.DeviceID()).Scan(&b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := []string{base(r), base(bad), base(out)}
	if err := j.Rebuild(t.Context(), j.pep, r.jid); err != nil {
		t.Fatal(err)
	}
	if base(r) == before[0] || base(bad) != before[1] || base(out) != before[2] {
		t.Error("other sessions than the right one are new")
	}
	r.mustOpen(j, j.wrap(r, "new"), "new")
	j.mustOpen(r, late, "late") // of the archived session
	s.before = failing("items romeo@jet.test", stanza.NewError("item-not-found"))
	if err := j.Rebuild(t.Context(), j.pep, romeo); !errors.Is(err, ErrNoDevice) {
		t.Errorf("got %v", err)
	}
	s.before = nil
	if err := j.Rebuild(t.Context(), j.pep, jid.MustParse("nurse@jet.test")); !errors.Is(err, ErrNoDevice) {
		t.Errorf("nobody: %v", err)
	}
}
