package omemo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"testing"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/libsignal/state/record"
)

// The faults of libsignal, one regression test each.

// Fault: a prekey record that was serialised and read again has another public
// key. Ours come back from the state as they were.
func TestRecordRoundTrip(t *testing.T) {
	j := newParty(t, newServer(), juliet, Config{})
	before, _, err := j.checkedBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := reopen(t, j.s, juliet, Config{}, j.path)
	after, _, err := again.checkedBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !before.equal(after) || len(after.prekeys) != prekeyTarget {
		t.Error("the bundle changed in the state")
	}
	for _, k := range after.prekeys {
		p, err := loadPrekey(t.Context(), j.db, k.id)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p.KeyPair().PublicKey().Serialize(), k.key) {
			t.Fatalf("prekey %d is published with another public key", k.id)
		}
	}
}

// A bundle that got damaged that way, or any other, is not published.
func TestSelfCheck(t *testing.T) {
	j := reopen(t, newServer(), juliet, Config{}, t.TempDir()+"/state.db")
	for name, damage := range map[string]func(b *bundle){
		"signed prekey as the library would reload it": func(b *bundle) {
			b.signedKey = append([]byte{keyType}, b.signedKey[:publicKeySize-1]...)
		},
		"signature":             func(b *bundle) { b.signature[3] ^= 1 },
		"another identity":      func(b *bundle) { b.identityKey = b.prekeys[0].key },
		"a prekey of no length": func(b *bundle) { b.prekeys[5].key = nil },
		"too few prekeys":       func(b *bundle) { b.prekeys = b.prekeys[1:] },
	} {
		b, _, err := j.checkedBundle(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		damage(b)
		if err := j.selfCheck(b); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
	j.exec(`UPDATE signed_prekeys SET signature = zeroblob(64)`)
	if err := j.Announce(t.Context(), j.pep); !errors.Is(err, ErrBundle) {
		t.Errorf("announced with a damaged signature: %v", err)
	}
	if n := j.s.count("publish"); n != 0 {
		t.Errorf("%d nodes published", n)
	}
}

// Fault: a late message of an archived session destroys the current one.
func TestArchivedState(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	late := j.encrypt(r, "late")
	r.rebuild(j) // heals
	j.mustDecrypt(r, r.encrypt(j, "new"), "new")
	next := j.encrypt(r, "next")
	r.mustDecrypt(j, late, "late")
	r.mustDecrypt(j, next, "next")
	j.mustDecrypt(r, r.encrypt(j, "answer"), "answer")
	talk(j, r)
}

// A late message must not bring back the session that healing has replaced:
// our next one still starts the new session.
func TestHealedSessionStays(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	late := j.encrypt(r, "late")
	j.exec(`DELETE FROM sessions`) // juliet loses hers
	r.rebuild(j)
	r.mustDecrypt(j, late, "late")
	k := r.encrypt(j, "healed")
	if !k.prekey {
		t.Error("the late message undid the healing")
	}
	j.mustDecrypt(r, k, "healed")
	talk(j, r)
}

// An archived state that opens a message becomes the current one when nothing
// is being healed, so that both ends meet in one session.
func TestPromotion(t *testing.T) {
	state := func(root byte, pending bool) *record.StateStructure {
		s := &record.StateStructure{RootKey: []byte{root}}
		if pending {
			s.PendingPreKey = new(record.PendingPreKeyStructure)
		}
		return s
	}
	for _, tt := range []struct {
		name    string
		pending bool // the current state
		opened  int
		want    string // root keys; the opened state's is 9
	}{
		{"current", false, 0, "9 1 2"},
		{"current, being healed", true, 0, "9 1 2"},
		{"archived", false, 2, "9 0 1"},
		{"archived, current being healed", true, 2, "0 9 1"},
	} {
		s := arrange([]*record.StateStructure{state(0, tt.pending), state(1, false), state(2, false)}, tt.opened, state(9, false))
		got := string('0' + s.SessionState.RootKey[0])
		for _, p := range s.PreviousStates {
			got += " " + string('0'+p.RootKey[0])
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Both sides start a session at the same time and send two messages in it.
func TestGlare(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	j1, r1 := j.wrap(r, "j1"), r.wrap(j, "r1")
	j2, r2 := j.wrap(r, "j2"), r.wrap(j, "r2")
	r.mustOpen(j, j1, "j1")
	j.mustOpen(r, r1, "r1")
	r.mustOpen(j, j2, "j2")
	j.mustOpen(r, r2, "r2")
	for range 3 {
		talk(j, r)
	}
	j3, r3 := j.wrap(r, "j3"), r.wrap(j, "r3")
	r.mustOpen(j, j3, "j3")
	j.mustOpen(r, r3, "r3")
	talk(r, j)
}

// forged returns the message with a ratchet key of an attacker.
func forged(t *testing.T, good []byte) []byte {
	t.Helper()
	m, err := parseSignalMessage(good)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ecc.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	s := m.signal.Structure()
	s.RatchetKey = pair.PublicKey().Serialize()
	return serializer.SignalMessage.Serialize(s)
}

// Fault: the state is changed before the MAC is checked.
func TestForgery(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	good := j.encrypt(r, "good")
	bad := good
	bad.data = forged(t, good.data)
	r.unchanged("a forged message", func() {
		if _, err := r.decrypt(j, bad); !errors.Is(err, signalerror.ErrNoValidSessions) {
			t.Errorf("forged message: %v", err)
		}
	})
	r.mustDecrypt(j, good, "good")
	talk(j, r)
}

// Fault: a prekey message pins its identity key before it is authenticated.
func TestPoison(t *testing.T) {
	unlessShort(t)
	s := newServer()
	r, evil, victim := newParty(t, s, romeo, Config{}), newParty(t, s, juliet, Config{}), newParty(t, s, juliet, Config{})
	e := evil.wrap(r, "x")
	data, err := decodeBase64(e.Child(NS, "header").ChildText(NS, "key"), maxKeyBytes)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parsePrekeyMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	// evil's message, with the victim's identity key: the MAC cannot fit.
	p, err := protocol.NewPreKeySignalMessage(protocol.CurrentVersion, 1, m.prekey.PreKeyID(), m.prekey.SignedPreKeyID(), m.prekey.BaseKey(),
		identity.NewKey(point(victim.IdentityKey())), m.signal, serializer.PreKeySignalMessage, serializer.SignalMessage)
	if err != nil {
		t.Fatal(err)
	}
	r.unchanged("a prekey message with a wrong MAC", func() {
		if _, err := r.decrypt(victim, wrappedKey{data: p.Serialize(), prekey: true}); err == nil {
			t.Error("it opened")
		}
	})
	// The same through the front door, where the victim's key is what is published.
	envelope := envelopeElement(victim.DeviceID(), []wrappedKey{{r.DeviceID(), true, p.Serialize()}}, make([]byte, 12), nil)
	if _, err := r.open(victim, envelope); !errors.Is(err, ErrEnvelope) {
		t.Errorf("unwrap: %v", err)
	}
	if n := r.one(`SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions stored", n)
	}
	if n := r.one(`SELECT count(*) FROM prekeys WHERE id <= ?`, prekeyTarget); n != prekeyTarget {
		t.Errorf("%d prekeys left", n)
	}
	r.mustOpen(victim, victim.wrap(r, "real"), "real")
}

// Fault, not in the list: the library pads the plaintext in place, into what
// lies behind it in its array.
func TestPaddingInPlace(t *testing.T) {
	j, r := pair(t)
	j.rebuild(r)
	array := bytes.Repeat([]byte{0xAA}, 48)
	err := j.raw(r, func(ctx context.Context, w *ratchet) error {
		_, _, err := w.encrypt(ctx, array[:16])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(array, bytes.Repeat([]byte{0xAA}, 48)) {
		t.Errorf("encrypting changed the caller's memory: %x", array)
	}
}

// Fault: the library logs to standard output, with what attackers sent.
func TestLoggerIsSilent(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	stdout := os.Stdout
	os.Stdout = f
	defer func() { os.Stdout = stdout }()

	j, r := pair(t)
	talk(j, r)
	k := j.encrypt(r, "x")
	k.data = forged(t, k.data)
	for _, k := range []wrappedKey{k, {data: []byte("3secret")}, {data: []byte{0x33, 0xff, 0xff}, prekey: true}} {
		if _, err := r.decrypt(j, k); err == nil {
			t.Error("opened")
		}
	}
	// Straight into the library, which has more to say without our checks.
	_, _ = protocol.NewSignalMessageFromBytes([]byte("3secret"), serializer.SignalMessage)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || len(b) > 0 {
		t.Errorf("on standard output (%v): %q", err, b)
	}
}

// The library's sentinels are found through ours.
func TestSentinels(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	first := j.wrap(r, "x")
	r.mustOpen(j, first, "x")
	for _, want := range []error{ErrEnvelope, signalerror.ErrOldCounter} { // replay
		r.unchanged("a replay", func() {
			if _, err := r.open(j, first); !errors.Is(err, want) {
				t.Errorf("replay: %v is not %v", err, want)
			}
		})
	}
	// The one-time prekey is gone, and so is the session that could know it.
	r.exec(`DELETE FROM sessions`)
	for _, want := range []error{ErrEnvelope, signalerror.ErrNoOneTimeKeyFound} {
		r.unchanged("a used prekey", func() {
			if _, err := r.open(j, first); !errors.Is(err, want) {
				t.Errorf("used prekey: %v is not %v", err, want)
			}
		})
	}
	r.exec(`DELETE FROM signed_prekeys`)
	if _, err := r.open(j, first); !errors.Is(err, ErrEnvelope) || !errors.Is(err, signalerror.ErrNoSignedPreKey) {
		t.Errorf("no signed prekey: %v", err)
	}
	// A message of an established session, to a side that lost it.
	j2, r2 := pair(t)
	talk(j2, r2)
	r2.exec(`DELETE FROM sessions`)
	if _, err := r2.open(j2, j2.wrap(r2, "x")); !errors.Is(err, ErrEnvelope) || !errors.Is(err, signalerror.ErrNoSessionForUser) {
		t.Errorf("lost session: %v", err)
	}
}

// The prekey id 0 is taken for "none" by the library: we neither make it nor
// use it. Ids wrap round before 0xFFFFFF, which it never removes.
func TestPrekeyIDs(t *testing.T) {
	j, r := pair(t)
	r.exec(`UPDATE publication SET next_prekey = ?`, maxPrekeyID-1)
	r.exec(`DELETE FROM prekeys WHERE id > 90`)
	if err := r.step(t.Context(), func(tx *sql.Tx) error { return r.refill(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
	if n := r.one(`SELECT count(*) FROM prekeys`); n != prekeyTarget {
		t.Errorf("%d prekeys", n)
	}
	if n := r.one(`SELECT count(*) FROM prekeys WHERE id < 1 OR id > ?`, maxPrekeyID); n != 0 {
		t.Errorf("%d prekeys with ids that must not be", n)
	}
	if next := r.one(`SELECT next_prekey FROM publication`); next != 99 { // 2 at the end, 1..90 in use, 8 more
		t.Errorf("next prekey id is %d", next)
	}
	b, _, err := r.ownBundle(t.Context(), r.db)
	if err != nil {
		t.Fatal(err)
	}
	b.prekeys = []prekeyPublic{{0, b.prekeys[0].key}}
	r.s.put(romeo, r.bundleNode(), b.element().String())
	if _, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept); !errors.Is(err, ErrBundle) {
		t.Errorf("the prekey of id 0 was used: %v", err)
	}
}
