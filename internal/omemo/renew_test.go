package omemo

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// offerTo wraps a key for the full JID of o in new sessions, and returns it and the keys.
func (p *party) offerTo(to *party) (*Envelope, []*xmltree.Element) {
	p.t.Helper()
	ts := crypto.NewSecret(crypto.AES128GCM)
	defer ts.Wipe()
	e, err := p.WrapKey(p.t.Context(), p.pep, to.jid, ts, Renewed)
	if err != nil {
		p.t.Fatal(err)
	}
	return e, e.Element.Child(NS, "header").All(NS, "key")
}

// begins reports whether each key of an envelope begins a session.
func begins(keys []*xmltree.Element) bool {
	return !slices.ContainsFunc(keys, func(k *xmltree.Element) bool { return k.Attr("prekey") != "true" })
}

// TestRenewed: an offer to a client that says nothing of an envelope which it cannot
// open goes in a new session, so that one that has lost the old ones opens it; but not
// when the device has lately said something in its session, and so often a day.
func TestRenewed(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	talk(j, r)
	bundles := func() int { return j.s.count("items romeo@jet.test " + r.bundleNode()) }
	opens := func(what string, fresh bool) {
		t.Helper()
		before := bundles()
		e, keys := j.offerTo(r)
		if begins(keys) != (fresh || j.one(`SELECT pending FROM sessions`) == 1) || bundles()-before != map[bool]int{true: 1}[fresh] {
			t.Fatalf("%s: begins a session: %t, bundles fetched: %d", what, begins(keys), bundles()-before)
		}
		if o, err := r.open(j, e.Element); err != nil || len(o.Key) != 16 {
			t.Fatalf("%s: %v", what, err)
		}
		if err := r.Announce(t.Context(), r.pep); err != nil {
			t.Fatal(err)
		}
	}
	opens("proven", false)
	c.add(provenFor)
	r.exec(`DELETE FROM sessions`)
	opens("proven long ago, and lost", true)
	opens("the same batch", false)
	c.add(renewedFor)
	r.exec(`DELETE FROM sessions`)
	opens("lost once more", true)
	j.mustOpen(r, r.wrap(j, "answer"), "answer")
	c.add(renewedFor)
	opens("proven again", false)
	c.add(provenFor)
	for range maxRenewals - 2 {
		opens("often", true)
		c.add(renewedFor)
	}
	opens("too often", false)
	c.add(renewalWindow)
	opens("the next day", true)
}

// TestRenewedDevices: which sessions are begun anew, and what becomes of those whose
// bundle is not what it was.
func TestRenewedDevices(t *testing.T) {
	unlessShort(t)
	c, s := newClock(), newServer()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	r, other := newParty(t, s, romeo, Config{Now: c.Now}), newParty(t, s, romeo, Config{Now: c.Now})
	talk(j, r)
	talk(j, other)
	c.add(provenFor)
	fresh := func() (ids []uint32) {
		t.Helper()
		e, keys := j.offerTo(r)
		if len(e.Devices) != len(keys) {
			t.Fatalf("%d keys for %d devices", len(keys), len(e.Devices))
		}
		for _, p := range []*party{r, other} {
			if _, err := p.open(j, e.Element); err != nil {
				t.Fatal(err)
			}
		}
		for i, k := range keys {
			if k.Attr("prekey") == "true" {
				ids = append(ids, e.Devices[i].ID)
			}
		}
		c.add(renewedFor)
		return ids
	}
	both := []uint32{r.DeviceID(), other.DeviceID()}
	slices.Sort(both)
	j.exec(`UPDATE upkeep SET resource = 'garden' WHERE device = ?`, other.DeviceID())
	if got := fresh(); !slices.Equal(got, []uint32{r.DeviceID()}) {
		t.Errorf("begun with %v, and %d is there", got, r.DeviceID())
	}
	j.exec(`UPDATE upkeep SET resource = ''`)
	if got := fresh(); !slices.Equal(got, both) {
		t.Errorf("begun with %v", got)
	}
	// It has been made known there.
	if d, err := j.Unprimed(t.Context(), r.jid); err != nil || len(d) > 0 {
		t.Errorf("to be primed: %v, %v", d, err)
	}
	// Bundles that cannot be had, or have no prekeys, leave the session as it is.
	j.mustOpen(r, r.wrap(j, "x"), "x")
	j.mustOpen(other, other.wrap(j, "x"), "x")
	c.add(provenFor)
	s.before = func(_ context.Context, call string) error {
		if call == "items romeo@jet.test "+r.bundleNode() {
			return stanza.NewError(stanza.ItemNotFound)
		}
		return nil
	}
	if got := fresh(); !slices.Equal(got, []uint32{other.DeviceID()}) {
		t.Errorf("begun with %v, of which one cannot be had", got)
	}
	s.before = nil
	s.strip(t, r)
	if got := fresh(); !slices.Equal(got, []uint32{other.DeviceID()}) {
		t.Errorf("begun with %v, of which one has no prekeys", got)
	}
	// A device that shows another key is left out.
	evil := newParty(t, newServer(), romeo, Config{})
	s.put(romeo, r.bundleNode(), evil.s.get(romeo, evil.bundleNode()))
	e, _ := j.offerTo(r)
	if len(e.Devices) != 1 || e.Devices[0].ID != other.DeviceID() {
		t.Errorf("wrapped for %v", e.Devices)
	}
	c.add(renewedFor)
	s.put(romeo, other.bundleNode(), evil.s.get(romeo, evil.bundleNode()))
	ts := crypto.NewSecret(crypto.AES128GCM)
	_, err := j.WrapKey(t.Context(), j.pep, r.jid, ts, Renewed)
	var changed *TrustError
	if !errors.As(err, &changed) || changed.Kind != Changed {
		t.Errorf("wrapped with %v", err)
	}
}

// TestRebuildIsLimited: a contact who refuses our envelopes does not use up his prekeys
// by us, nor does a server in his name.
func TestRebuildIsLimited(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	talk(j, r)
	began := 0
	for range 2 * maxRenewals {
		switch err := j.Rebuild(t.Context(), j.pep, r.jid); {
		case err == nil:
			began++
		case !errors.Is(err, ErrTooOften):
			t.Fatal(err)
		}
		c.add(time.Minute)
	}
	if began != maxRenewals {
		t.Errorf("begun anew %d times", began)
	}
	r.mustOpen(j, j.wrap(r, "goes on"), "goes on")
	c.add(renewalWindow)
	if err := j.Rebuild(t.Context(), j.pep, r.jid); err != nil {
		t.Error(err)
	}
}

// TestReset: the sessions with one device or with all of a contact's go, and nothing
// else does; the next envelope begins new ones.
func TestReset(t *testing.T) {
	c, s := newClock(), newServer()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	r, other := newParty(t, s, romeo, Config{Now: c.Now}), newParty(t, s, romeo, Config{Now: c.Now})
	talk(j, r)
	talk(j, other)
	if err := j.Verify(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		func() error { _, err := j.Reset(t.Context(), romeo, 1); return err }(),
		func() error { _, err := j.Reset(t.Context(), juliet, 0); return err }(),
	} {
		if !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("reset with %v", err)
		}
	}
	first := j.wrap(r, "first")
	r.mustOpen(j, first, "first")
	r.exec(`DELETE FROM sessions`)
	if _, err := r.open(j, j.wrap(r, "lost")); err == nil {
		t.Fatal("opened without a session")
	}
	for range maxRenewals + 1 { // it is never refused
		ids, err := j.Reset(t.Context(), romeo, r.DeviceID())
		if err != nil || !slices.Equal(ids, []uint32{r.DeviceID()}) {
			t.Fatal(ids, err)
		}
	}
	if n := j.one(`SELECT count(*) FROM sessions`); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
	r.mustOpen(j, j.wrap(r, "again"), "again")
	if d, _ := j.known(r); d.Trust != Verified || d.Fingerprint != r.Fingerprint() {
		t.Errorf("%+v", d)
	}
	// An envelope that was opened before the reset of the receiver's side stays closed.
	if _, err := r.Reset(t.Context(), juliet, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.open(j, first); err == nil {
		t.Error("played back")
	}
}

// TestRebuildLooksAgain: a device of which the server has not told is found when the
// contact could not open an envelope.
func TestRebuildLooksAgain(t *testing.T) {
	c, s := newClock(), newServer()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	r := newParty(t, s, romeo, Config{Now: c.Now})
	talk(j, r)
	other := newParty(t, s, romeo, Config{Now: c.Now})
	if _, err := other.open(j, j.wrap(r, "stale")); !errors.Is(err, ErrNotForUs) {
		t.Fatalf("opened by a device that was not told of: %v", err)
	}
	if err := j.Rebuild(t.Context(), j.pep, r.jid); err != nil {
		t.Fatal(err)
	}
	e := j.wrap(r, "again")
	other.mustOpen(j, e, "again")
	r.mustOpen(j, e, "again")
}
