package omemo

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
)

// Blind trust before verification, and the mode that demands verification:
// which of two devices of a contact are used after which decisions.
func TestTrustTable(t *testing.T) {
	unlessShort(t)
	for _, tt := range []struct {
		name   string
		mode   TrustMode
		decide string // what is decided about the devices, in order
		want   []Trust
	}{
		{"nothing decided", BlindMode, "", []Trust{Blind, Blind}},
		{"one verified", BlindMode, "v", []Trust{Verified, Undecided}},
		{"both verified", BlindMode, "vv", []Trust{Verified, Verified}},
		{"one distrusted", BlindMode, "d", []Trust{Distrusted, Blind}},
		{"verified and distrusted", BlindMode, "vd", []Trust{Verified, Distrusted}},
		{"nothing decided", VerifiedMode, "", []Trust{Undecided, Undecided}},
		{"one verified", VerifiedMode, "v", []Trust{Verified, Undecided}},
		{"one distrusted", VerifiedMode, "d", []Trust{Distrusted, Undecided}},
	} {
		s := newServer()
		j := newParty(t, s, juliet, Config{Trust: tt.mode})
		r := []*party{newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{})}
		if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
			t.Fatal(err)
		}
		for i, c := range tt.decide {
			decide := j.Verify
			if c == 'd' {
				decide = j.Distrust
			}
			if err := decide(t.Context(), romeo, r[i].Fingerprint()); err != nil {
				t.Fatal(err)
			}
		}
		usable := 0
		for i, want := range tt.want {
			d, _ := j.known(r[i])
			if d.Trust != want || j.Usable(d) != (want == Blind || want == Verified) {
				t.Errorf("%s, mode %d: device %d is %s, want %s", tt.name, tt.mode, i, d.Trust, want)
			}
			checkOpens(t, tt.name, j, r[i], want)
			if j.Usable(d) {
				usable++
			}
		}
		e, err := j.WrapPayload(t.Context(), j.pep, romeo, []byte("x"), Kept)
		if usable == 0 {
			var trust *TrustError
			if !errors.Is(err, ErrNoDevice) || !errors.As(err, &trust) {
				t.Errorf("%s, mode %d: wrap: %v", tt.name, tt.mode, err)
			}
		} else if err != nil || len(e.Devices) != usable {
			t.Errorf("%s, mode %d: wrapped for %+v (%v), want %d", tt.name, tt.mode, e, err, usable)
		}
	}
}

// checkOpens checks that j opens what r sends exactly when trust allows it, and
// that what it refuses leaves no trace.
func checkOpens(t *testing.T, name string, j, r *party, trust Trust) {
	t.Helper()
	e := r.wrap(j, "x")
	if trust == Blind || trust == Verified {
		j.mustOpen(r, e, "x")
		return
	}
	want := Unverified
	if trust == Distrusted {
		want = Revoked
	}
	j.unchanged("an envelope of an unusable key", func() {
		_, err := j.open(r, e)
		var refused *TrustError
		if !errors.As(err, &refused) || refused.Kind != want || refused.Device != r.DeviceID() ||
			refused.JID != r.jid.Bare() || refused.Fingerprint != r.Fingerprint() {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	})
}

// A device that nobody knows yet, met by its envelope, in a mode that demands
// verification: refused, but shown, so that its key can be verified.
func TestUnknownDeviceUnverified(t *testing.T) {
	s := newServer()
	j, r := newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{Trust: VerifiedMode})
	e := j.wrap(r, "x")
	var refused *TrustError
	if _, err := r.open(j, e); !errors.As(err, &refused) || refused.Kind != Unverified || refused.Fingerprint != j.Fingerprint() {
		t.Fatalf("got %v", err)
	}
	if n := r.one(`SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions", n)
	}
	if err := r.Verify(t.Context(), juliet, refused.Fingerprint); err != nil {
		t.Fatal(err)
	}
	r.mustOpen(j, e, "x") // the prekey was not used up
}

func TestVerifyFingerprints(t *testing.T) {
	j, r := pair(t)
	if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
		t.Fatal(err)
	}
	print := r.Fingerprint()
	for _, bad := range []string{"", "xyz", print[:62], j.Fingerprint(), "06" + print} {
		if err := j.Verify(t.Context(), romeo, bad); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := j.Verify(t.Context(), juliet, print); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the key of another contact: %v", err)
	}
	for _, good := range []string{print, "05" + print, strings.ToUpper(print), print[:32] + " " + print[32:40] + ":" + print[40:]} {
		if err := j.Distrust(t.Context(), romeo, print); err != nil {
			t.Fatal(err)
		}
		if err := j.Verify(t.Context(), romeo, good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
		if d, _ := j.known(r); d.Trust != Verified {
			t.Errorf("%q: %s", good, d.Trust)
		}
	}
}

// New means: not part of any transfer yet. MarkUsed ends it, for the devices
// named only.
func TestNewAndMarkUsed(t *testing.T) {
	c := newClock()
	s := newServer()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	r, r2 := newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{})
	e, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(e.Devices, func(d Device) bool { return d.ID == r.DeviceID() })
	if !e.Devices[i].New || !e.Devices[i].LastUsed.IsZero() || !e.Devices[i].FirstSeen.Equal(c.Now()) {
		t.Errorf("before: %+v", e.Devices[i])
	}
	seen := c.Now()
	c.add(time.Hour)
	if err := j.MarkUsed(t.Context(), e.Devices[i:i+1]); err != nil {
		t.Fatal(err)
	}
	if d, _ := j.known(r); d.New || !d.LastUsed.Equal(c.Now()) || !d.FirstSeen.Equal(seen) {
		t.Errorf("after: %+v", d)
	}
	if d, _ := j.known(r2); !d.New {
		t.Errorf("the other device: %+v", d)
	}
	all, err := j.AllDevices(t.Context())
	if err != nil || len(all) != 2 {
		t.Errorf("all devices: %+v (%v)", all, err)
	}
}

// A known device that shows another identity key is refused, in its envelope
// and in its bundle, and nothing is changed by it.
func TestChangedIdentity(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	evil := newParty(t, newServer(), juliet, Config{}) // another identity, to be shown under juliet's device id
	evil.s.put(romeo, NodeDevices, r.s.get(romeo, NodeDevices))
	evil.s.put(romeo, r.bundleNode(), r.s.get(romeo, r.bundleNode()))
	e := evil.wrap(r, "x")
	e.Child(NS, "header").Set("sid", formatID(j.DeviceID()))
	b, _, err := evil.checkedBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.s.put(juliet, j.bundleNode(), b.element().String()) // the server helps

	r.unchanged("a changed key", func() {
		var refused *TrustError
		if _, err := r.open(j, e); !errors.As(err, &refused) || refused.Kind != Changed ||
			refused.Fingerprint != evil.Fingerprint() || refused.Known != j.Fingerprint() {
			t.Errorf("envelope: %v", err)
		}
	})
	r.exec(`DELETE FROM sessions`) // so that the bundle is asked for
	r.unchanged("a changed bundle", func() {
		_, err := r.WrapPayload(t.Context(), r.pep, juliet, []byte("x"), Kept)
		var refused *TrustError
		if !errors.Is(err, ErrNoDevice) || !errors.As(err, &refused) || refused.Kind != Changed {
			t.Errorf("bundle: %v", err)
		}
	})
}

// A decision about a key holds for every device that has it, also when the
// device is met again, and it outlives the device's place in the list.
func TestDecisionBelongsToKey(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	if err := j.Distrust(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	r.s.put(romeo, NodeDevices, `<list xmlns='`+NS+`'/>`)
	j.push(r)
	if d, ok := j.known(r); !ok || d.Active || d.Trust != Distrusted {
		t.Errorf("off the list: %+v", d)
	}
	other := r.DeviceID()%maxDeviceID + 1
	r.s.put(romeo, NodeDevices, `<list xmlns='`+NS+`'><device id='`+formatID(other)+`'/></list>`)
	r.s.put(romeo, nodeBundles+formatID(other), r.s.get(romeo, r.bundleNode()))
	j.push(r)
	if _, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept); !errors.Is(err, ErrNoDevice) {
		t.Errorf("the distrusted key under another device id: %v", err)
	}
}

func TestStrings(t *testing.T) {
	for got, want := range map[string]string{
		Undecided.String(): "undecided", Blind.String(): "blind", Verified.String(): "verified",
		Distrusted.String(): "distrusted", Trust(9).String(): "unknown", TrustKind(9).String(): "unknown",
		(&TrustError{JID: jid.MustParse("a@b"), Device: 7, Fingerprint: "ff", Known: "ee", Kind: Changed}).Error(): "the key of device 7 of a@b has changed",
		(&TrustError{JID: jid.MustParse("a@b"), Device: 7, Fingerprint: "ff", Kind: Revoked}).Error():              "the key of device 7 of a@b is distrusted",
		(&TrustError{JID: jid.MustParse("a@b"), Device: 7, Fingerprint: "ff", Kind: Unverified}).Error():           "the key of device 7 of a@b is not verified",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
