package omemo

import (
	"context"
	"database/sql"
	"testing"
)

// vouches verifies keys as an invitation does.
func (p *party) vouches(t *testing.T, devices ...Device) {
	t.Helper()
	err := p.step(t.Context(), func(tx *sql.Tx) error { return p.Vouch(t.Context(), tx, romeo, devices) })
	if err != nil {
		t.Fatal(err)
	}
}

func named(p *party) Device { return Named(p.DeviceID(), [KeySize]byte(p.IdentityKey()[1:])) }

// TestVouch: the keys that an invitation names are verified before their devices are seen, and
// show as that; what the user has decided about a key stays, and a key that a device has shown.
func TestVouch(t *testing.T) {
	s := newServer()
	j := newParty(t, s, juliet, Config{})
	r := []*party{newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{})}
	look := func(when string, want ...Trust) []Device {
		t.Helper()
		var got []Device
		for i, p := range r {
			for _, d := range romeosDevices(t, j) {
				if d.ID == p.DeviceID() && d.IdentityKey != nil {
					if got = append(got, d); d.Trust != want[i] {
						t.Errorf("%s: device %d is %s", when, i, d.Trust)
					}
				}
			}
		}
		return got
	}
	has := func() (yes bool) {
		err := j.step(t.Context(), func(tx *sql.Tx) (err error) { yes, err = j.HasVerified(t.Context(), tx, romeo); return err })
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if has() {
		t.Error("a key is verified before")
	}
	j.vouches(t, named(r[0]))
	if !has() {
		t.Error("no key is verified")
	}
	if got := look("unseen", Verified); len(got) != 1 || !got[0].Invited || got[0].Active || got[0].Decided.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := j.Distrust(t.Context(), romeo, r[0].Fingerprint()); err != nil { // although nobody has seen it
		t.Fatal(err)
	}
	j.vouches(t, named(r[0]), named(r[1]))
	if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
		t.Fatal(err)
	}
	got := look("seen", Distrusted, Verified, Undecided)
	if len(got) != 3 || got[0].Invited || !got[1].Invited || !got[1].Active {
		t.Errorf("%+v", got)
	}
	// A device that has shown its key keeps it, whatever an invitation says that it is.
	other := named(r[1])
	other.ID = r[2].DeviceID()
	other.IdentityKey[5] ^= 1
	j.vouches(t, other)
	if got := look("another key", Distrusted, Verified, Undecided); len(got) != 3 || string(got[2].IdentityKey) != string(r[2].IdentityKey()) {
		t.Errorf("%+v", got)
	}
	if err := j.Verify(t.Context(), romeo, r[1].Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if got := look("compared", Distrusted, Verified, Undecided); got[1].Invited {
		t.Error("what the user has compared is by an invitation")
	}
}

// TestVouched: an invitation names this device, and those that the user has verified here.
func TestVouched(t *testing.T) {
	s := newServer()
	j, second, third := newParty(t, s, juliet, Config{}), newParty(t, s, juliet, Config{}), newParty(t, s, juliet, Config{})
	if err := j.Refresh(t.Context(), j.pep, juliet); err != nil {
		t.Fatal(err)
	}
	ids := func() (all []uint32) {
		vouched, err := j.Vouched(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range vouched {
			all = append(all, d.ID)
		}
		return all
	}
	if got := ids(); len(got) != 1 || got[0] != j.DeviceID() {
		t.Errorf("%v", got)
	}
	if err := j.Verify(t.Context(), juliet, second.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if got := ids(); len(got) != 2 || got[0] != j.DeviceID() || got[1] != second.DeviceID() {
		t.Errorf("%v, not with %d", got, third.DeviceID())
	}
}

func romeosDevices(t *testing.T, p *party) []Device {
	t.Helper()
	all, err := p.Devices(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
