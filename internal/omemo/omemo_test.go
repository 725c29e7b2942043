package omemo

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
)

func TestPayloadRoundTrip(t *testing.T) {
	j, r := pair(t)
	for i, payload := range []string{"", "x", string(bytes.Repeat([]byte("sealed offer "), 500))} {
		e, err := j.WrapPayload(t.Context(), j.pep, r.jid, []byte(payload), Kept)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Devices) != 1 || e.Devices[0].ID != r.DeviceID() || e.Devices[0].Fingerprint != r.Fingerprint() || e.Devices[0].Trust != Blind {
			t.Errorf("wrapped for %+v", e.Devices)
		}
		o := r.mustOpen(j, e.Element, payload)
		if len(o.Key) != 32 || len(o.IV) != 12 {
			t.Errorf("%d bytes of key and %d of IV", len(o.Key), len(o.IV))
		}
		if d := o.Device; d.JID != j.jid.Bare() || d.ID != j.DeviceID() || !bytes.Equal(d.IdentityKey, j.IdentityKey()) ||
			d.Fingerprint != j.Fingerprint() || d.Trust != Blind || !d.Active || !d.New || !r.Usable(d) {
			t.Errorf("opened from %+v", d)
		}
		if i == 1 { // the rest goes over the established session
			j.mustOpen(r, r.wrap(j, "back"), "back")
		}
	}
}

func TestKeyRoundTrip(t *testing.T) {
	j, r := pair(t)
	for _, ivSize := range []int{12, 16} {
		ts, err := crypto.SecretFrom(crypto.AES128GCM, []byte("0123456789abcdef"), bytes.Repeat([]byte{7}, ivSize))
		if err != nil {
			t.Fatal(err)
		}
		e, err := j.WrapKey(t.Context(), j.pep, r.jid, ts, Kept)
		if err != nil {
			t.Fatal(err)
		}
		o, err := r.open(j, e.Element)
		if err != nil {
			t.Fatal(err)
		}
		if o.HasPayload || o.Payload != nil || string(o.Key) != "0123456789abcdef" || !bytes.Equal(o.IV, ts.IV()) {
			t.Errorf("opened %+v", o)
		}
		if string(ts.Key()) != "0123456789abcdef" || !bytes.Equal(ts.IV(), bytes.Repeat([]byte{7}, ivSize)) {
			t.Error("the secret was changed")
		}
	}
	if _, err := j.WrapKey(t.Context(), j.pep, r.jid, crypto.NewSecret(crypto.AES256GCM), Kept); err == nil {
		t.Error("wrapped 32 bytes, which other clients garble")
	}
}

// The prekey attribute is there when it is true and only then.
func TestPrekeyAttribute(t *testing.T) {
	j, r := pair(t)
	attr := func(p, to *party) (string, bool) {
		e := p.wrap(to, "x")
		v, ok := e.Child(NS, "header").Child(NS, "key").LookupAttr("prekey")
		to.mustOpen(p, e, "x")
		return v, ok
	}
	if v, _ := attr(j, r); v != "true" {
		t.Errorf("first message: prekey=%q", v)
	}
	if v, _ := attr(j, r); v != "true" {
		t.Errorf("second message, unanswered: prekey=%q", v)
	}
	if _, ok := attr(r, j); ok {
		t.Error("answer has a prekey attribute")
	}
	if _, ok := attr(j, r); ok {
		t.Error("message in an established session has a prekey attribute")
	}
}

// A second device of the contact gets the secret too, our own other devices do
// not, unless the contact is our own account, and we ourselves never do.
func TestRecipients(t *testing.T) {
	unlessShort(t)
	s := newServer()
	j, j2 := newParty(t, s, juliet, Config{}), newParty(t, s, jid.MustParse("juliet@jet.test/nurse"), Config{})
	r, r2 := newParty(t, s, romeo, Config{}), newParty(t, s, jid.MustParse("romeo@jet.test/cell"), Config{})
	check := func(to *party, want ...*party) {
		t.Helper()
		e, err := j.WrapPayload(t.Context(), j.pep, to.jid, []byte("x"), Kept)
		if err != nil {
			t.Fatal(err)
		}
		var got, ids []uint32
		for _, d := range e.Devices {
			got = append(got, d.ID)
		}
		for _, k := range e.Element.Child(NS, "header").All(NS, "key") {
			id, err := parseID(k.Attr("rid"), 1)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		var wanted []uint32
		for _, p := range want {
			wanted = append(wanted, p.DeviceID())
			p.mustOpen(j, e.Element, "x")
		}
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) || !slices.Equal(ids, wanted) {
			t.Errorf("to %s: devices %v, keys for %v, want %v", to.jid, got, ids, wanted)
		}
	}
	check(r, r, r2)
	j.push(j2)
	check(j2, j2)
	if _, err := j2.open(j, j.wrap(r, "x")); !errors.Is(err, ErrNotForUs) {
		t.Errorf("an envelope for others: %v", err)
	}
}

// Everything survives the end of the process: identity, prekeys, sessions.
func TestReopen(t *testing.T) {
	j, r := pair(t)
	first := j.wrap(r, "first")
	r2 := reopen(t, r.s, romeo, Config{}, r.path)
	if r2.DeviceID() != r.DeviceID() || r2.Fingerprint() != r.Fingerprint() {
		t.Fatal("another identity after opening again")
	}
	r2.mustOpen(j, first, "first")
	j2 := reopen(t, j.s, juliet, Config{}, j.path)
	j2.mustOpen(r2, r2.wrap(j, "back"), "back")
	r.mustOpen(j2, j2.wrap(r, "again"), "again") // the Account that was open all the time
}

func TestIdentityIsWrittenOnce(t *testing.T) {
	j := newParty(t, newServer(), juliet, Config{})
	if id := j.DeviceID(); id < 1 || id > maxDeviceID {
		t.Errorf("device id %d", id)
	}
	if len(j.Fingerprint()) != 64 {
		t.Errorf("fingerprint %q", j.Fingerprint())
	}
	for _, query := range []string{`UPDATE identity SET device = device + 1`, `DELETE FROM identity`, `INSERT INTO identity SELECT * FROM identity`} {
		if _, err := j.db.ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s: done", query)
		}
	}
	if _, err := Open(t.Context(), j.db, romeo, Config{}); !errors.Is(err, ErrOtherAccount) {
		t.Errorf("state of another account: %v", err)
	}
	j.exec(`DROP TRIGGER identity_never_changes`)
	j.exec(`UPDATE identity SET private_key = randomblob(32)`)
	if _, err := Open(t.Context(), j.db, juliet, Config{}); err == nil {
		t.Error("opened an identity whose halves do not fit")
	}
}

// A crash after the commit and before the stanza was sent loses a message, and
// nothing else.
func TestCrashAfterCommit(t *testing.T) {
	j, r := pair(t)
	j.wrap(r, "never sent")
	j = reopen(t, j.s, juliet, Config{}, j.path)
	r.mustOpen(j, j.wrap(r, "sent"), "sent")
	j.mustOpen(r, r.wrap(j, "answer"), "answer")
	for range 3 {
		j.wrap(r, "never sent")
		r.wrap(j, "never sent")
	}
	j = reopen(t, j.s, juliet, Config{}, j.path)
	r = reopen(t, r.s, romeo, Config{}, r.path)
	r.mustOpen(j, j.wrap(r, "sent"), "sent")
	j.mustOpen(r, r.wrap(j, "answer"), "answer")
}

// A crash before the commit, here a cancellation, leaves no trace.
func TestCancelledStep(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	e := j.wrap(r, "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j.unchanged("a cancelled wrap", func() {
		if _, err := j.WrapPayload(ctx, j.pep, r.jid, []byte("y"), Kept); !errors.Is(err, context.Canceled) {
			t.Errorf("wrap: %v", err)
		}
	})
	r.unchanged("a cancelled unwrap", func() {
		if _, err := r.Unwrap(ctx, r.pep, j.jid, e); !errors.Is(err, context.Canceled) {
			t.Errorf("unwrap: %v", err)
		}
	})
	r.mustOpen(j, e, "x")
}
