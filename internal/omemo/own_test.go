package omemo

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// takeOut publishes our list without p's device, as another client would, and
// pushes it.
func (p *party) takeOut() {
	p.t.Helper()
	list, err := xmltree.Parse([]byte(p.s.get(p.jid, NodeDevices)))
	if err != nil {
		p.t.Fatal(err)
	}
	p.s.put(p.jid, NodeDevices, withoutDevice(list, p.DeviceID()).String())
	p.push(p)
}

// keep is KeepAnnounced.
func (p *party) keep() time.Duration {
	p.t.Helper()
	wait, err := p.KeepAnnounced(p.t.Context(), p.pep)
	if err != nil {
		p.t.Fatal(err)
	}
	return wait
}

// listed reports whether p's device is in the published list.
func (p *party) listed() bool {
	return strings.Contains(p.s.get(p.jid, NodeDevices), `'`+formatID(p.DeviceID())+`'`) ||
		strings.Contains(p.s.get(p.jid, NodeDevices), `"`+formatID(p.DeviceID())+`"`)
}

// Our device goes back into the list when somebody takes it out, but there is no
// fight: three times an hour, also over restarts.
func TestKeepAnnounced(t *testing.T) {
	unlessShort(t)
	s, c := newServer(), newClock()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	j2 := newParty(t, s, juliet, Config{Now: c.Now})
	before := s.count("")
	if j.keep() != 0 || s.count("") != before {
		t.Error("asked the server without need")
	}
	for range maxRelists {
		j.takeOut()
		if j.keep() != 0 || !j.listed() || !j2.listed() {
			t.Fatal("not back in the list")
		}
		c.add(time.Minute)
	}
	j = reopen(t, s, juliet, Config{Now: c.Now}, j.path)
	j.takeOut()
	before = s.count("")
	wait := j.keep()
	if wait != relistWindow-maxRelists*time.Minute || j.listed() || s.count("") != before {
		t.Errorf("to wait for %v, after %d calls", wait, s.count("")-before)
	}
	// The bundle is kept up to date all the same.
	j.exec(`UPDATE publication SET generation = generation + 1`)
	if j.keep() == 0 || j.listed() || s.count("") == before {
		t.Error("the bundle is not looked after")
	}
	c.add(wait)
	if j.keep() != 0 || !j.listed() {
		t.Error("not back in the list after the time")
	}
	// A caller that asks for it gets it at once.
	for range 2 * maxRelists {
		j.takeOut()
		j.announce()
		if !j.listed() {
			t.Fatal("announced, and not in the list")
		}
	}
}

// A device that was withdrawn, by whichever process, stays withdrawn.
func TestKeepWithdrawn(t *testing.T) {
	j, _ := pair(t)
	other := reopen(t, j.s, juliet, Config{}, j.path)
	if err := j.Withdraw(t.Context(), j.pep); err != nil {
		t.Fatal(err)
	}
	other.push(other)
	if other.keep() != 0 || other.listed() || j.s.get(juliet, j.bundleNode()) != "" {
		t.Error("announced again")
	}
}

// Signed prekeys get old and are replaced; a session begun with an old one can
// be answered for a while.
func TestRotation(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	old := r.wrap(j, "old")
	e := onWire(t, old)
	first := parsed(t, j)
	c.add(signedPrekeyAge - time.Millisecond)
	if j.needs() {
		t.Error("old before its time")
	}
	c.add(time.Millisecond)
	if !j.needs() || j.keep() != 0 || j.needs() {
		t.Fatal("not renewed")
	}
	second := parsed(t, j)
	if second.signedID == first.signedID || string(second.signedKey) == string(first.signedKey) {
		t.Error("the same signed prekey is published")
	}
	j.mustOpen(r, e, "old")
	r.lose()
	j.announce()
	e = onWire(t, r.wrap(j, "second"))
	for range int(signedPrekeyKept / signedPrekeyAge) {
		c.add(signedPrekeyAge)
		j.announce()
	}
	j.mustOpen(r, e, "second") // of a key that is out of use, and not for too long
	for range 10 {
		c.add(signedPrekeyAge)
		j.announce()
	}
	if n := j.one(`SELECT count(*) FROM signed_prekeys`); n > int(signedPrekeyKept/signedPrekeyAge)+2 {
		t.Errorf("%d signed prekeys are kept", n)
	}
	r.lose()
	j.mustOpen(r, r.wrap(j, "new"), "new")
	// A key from a time when the clock was wrong is not kept until then.
	j.exec(`UPDATE signed_prekeys SET created = ?`, c.Now().Add(1000*day).UnixMilli())
	if !j.needs() {
		t.Error("a signed prekey of the future")
	}
}

// The devices of our own account: this one first, the others with their keys.
func TestOwnDevices(t *testing.T) {
	s := newServer()
	j, j2 := newParty(t, s, juliet, Config{}), newParty(t, s, juliet, Config{})
	devices, err := j.OwnDevices(t.Context(), j.pep)
	if err != nil || len(devices) != 2 {
		t.Fatalf("%+v (%v)", devices, err)
	}
	for i, p := range []*party{j, j2} {
		d := devices[i]
		if d.ID != p.DeviceID() || d.Fingerprint != p.Fingerprint() || !d.Active || !j.Usable(d) || d.JID != juliet.Bare() || d.FirstSeen.IsZero() {
			t.Errorf("device %d: %+v", i, d)
		}
	}
	j.takeOut()
	if devices, err = j.OwnDevices(t.Context(), j.pep); err != nil || len(devices) != 2 || devices[0].Active {
		t.Errorf("taken out: %+v (%v)", devices, err)
	}
}

// Another device is removed with its bundle; this one is not, and neither is
// one that there is not.
func TestRemoveOwnDevice(t *testing.T) {
	s := newServer()
	j, j2 := newParty(t, s, juliet, Config{}), newParty(t, s, juliet, Config{})
	if err := j.RemoveOwnDevice(t.Context(), j.pep, j.DeviceID()); !errors.Is(err, ErrThisDevice) {
		t.Errorf("this one: %v", err)
	}
	if err := j.RemoveOwnDevice(t.Context(), j.pep, 4711); !errors.Is(err, ErrNoSuchDevice) {
		t.Errorf("none: %v", err)
	}
	if err := j.RemoveOwnDevice(t.Context(), j.pep, j2.DeviceID()); err != nil {
		t.Fatal(err)
	}
	if !j.listed() || j2.listed() || s.get(juliet, j2.bundleNode()) != "" {
		t.Errorf("list %s", s.get(juliet, NodeDevices))
	}
	if d, ok := j.known(j2); ok && d.Active {
		t.Errorf("still active: %+v", d)
	}
	if _, err := j.WrapPayload(t.Context(), j.pep, juliet, nil, Kept); !errors.Is(err, ErrNoDevice) {
		t.Errorf("still encrypted to: %v", err)
	}
	// A bundle that was left behind is removed too.
	s.put(juliet, nodeBundles+"4711", `<bundle xmlns='`+NS+`'/>`)
	if err := j.RemoveOwnDevice(t.Context(), j.pep, 4711); err != nil || s.get(juliet, nodeBundles+"4711") != "" {
		t.Errorf("bundle left: %v", err)
	}
}

// Our own account is a contact like others: with its other devices.
func TestOwnAccount(t *testing.T) {
	unlessShort(t)
	s := newServer()
	j, j2 := newParty(t, s, juliet, Config{}), newParty(t, s, jid.MustParse("juliet@jet.test/chamber"), Config{})
	j.push(j2)
	settle(j, j2)
	j.lose()
	e := j2.wrap(j, "lost")
	if _, err := j.open(j2, e); !errors.Is(err, ErrEnvelope) {
		t.Fatal(err)
	}
	j2.mustTake(j, j.heal(j2, e))
	talk(j2, j)
	j2.lose()
	if err := j.Rebuild(t.Context(), j.pep, juliet); err != nil {
		t.Fatal(err)
	}
	talk(j, j2)
}

// Devices that come into a list are told of, once; those of an account that we
// never had to do with, without anything being stored.
func TestNewDevices(t *testing.T) {
	unlessShort(t)
	s := newServer()
	var told []uint32
	j := newParty(t, s, juliet, Config{NewDevices: func(of jid.JID, devices []Device) {
		for _, d := range devices {
			if d.JID != of || !d.Active {
				t.Errorf("told of %+v, of %v", d, of)
			}
			told = append(told, d.ID)
		}
	}})
	expect := func(what string, want ...*party) {
		t.Helper()
		var ids []uint32
		for _, p := range want {
			ids = append(ids, p.DeviceID())
		}
		slices.Sort(told)
		slices.Sort(ids)
		if !slices.Equal(told, ids) {
			t.Errorf("%s: told of %v, want %v", what, told, ids)
		}
		told = nil
	}
	r := newParty(t, s, romeo, Config{})
	j.unchanged("a stranger's list", func() { j.push(r) })
	expect("a stranger", r)
	j.prime(r)
	expect("fetched", r)
	j.push(r)
	expect("nothing new")
	r2 := newParty(t, s, romeo, Config{})
	j.push(r2)
	expect("one more", r2)
	r.takeOut()
	j.push(r)
	expect("one less")
	r.announce()
	j.push(r)
	expect("back again", r)
	j2 := newParty(t, s, juliet, Config{})
	j.push(j2)
	expect("our own", j2)
}
