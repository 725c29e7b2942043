package omemo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand"
	"os"
	"strings"
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

// Faults: panics on what a peer can send.
func TestPanics(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	zeros := make([]byte, 8)
	for name, k := range map[string]wrappedKey{
		"nothing":                    {},
		"nothing, prekey":            {prekey: true},
		"version only":               {data: []byte{0x33}},
		"version only, prekey":       {data: []byte{0x33}, prekey: true},
		"empty fields, prekey":       {data: []byte{0x33, 0x12, 0, 0x1a, 0, 0x22, 0}, prekey: true},
		"empty ratchet key":          {data: append([]byte{0x33, 0x0a, 0, 0x22, 0}, zeros...)},
		"no fields":                  {data: append([]byte{0x33}, zeros...)},
		"truncated protobuf":         {data: append([]byte{0x33, 0x0a, 0x21, 5}, zeros...)},
		"truncated protobuf, prekey": {data: []byte{0x33, 0x12, 0x21, 5}, prekey: true},
	} {
		r.unchanged(name, func() {
			if _, err := r.decrypt(j, k); err == nil {
				t.Errorf("%s: opened", name)
			} else if strings.Contains(err.Error(), "panicked") {
				t.Errorf("%s reached the library: %v", name, err)
			}
		})
	}
	for _, b := range [][]byte{nil, {}, {keyType}, make([]byte, 33), append([]byte{keyType}, make([]byte, 31)...), append([]byte{keyType}, make([]byte, 33)...)} {
		if err := checkPublic(b); err == nil {
			t.Errorf("key %x of %d bytes passed", b, len(b))
		}
	}
	err := guard(func() error { _, err := ecc.DecodePoint(nil, 0); return err })
	if err == nil || !strings.Contains(err.Error(), "panicked") || strings.Contains(err.Error(), "index") {
		t.Errorf("a panic became %v", err)
	}
}

// Fault: encrypting without a session, and storing a session without a state.
func TestNoSession(t *testing.T) {
	j, r := pair(t)
	err := j.raw(r, func(ctx context.Context, w *ratchet) error {
		if err := w.StoreSession(ctx, nil, record.NewSession(serializer.Session, serializer.State)); err == nil {
			t.Error("stored a session without a state")
		}
		_, _, err := w.encrypt(ctx, []byte("x"))
		return err
	})
	if !errors.Is(err, signalerror.ErrNoSessionForUser) {
		t.Errorf("encrypt: %v", err)
	}
	m, err := parsePrekeyMessage(j.encryptAnyway(r, make([]byte, 16)).data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.decrypt(j, wrappedKey{data: m.signal.Serialize()}); !errors.Is(err, signalerror.ErrNoSessionForUser) {
		t.Errorf("decrypt: %v", err)
	}
}

// encryptAnyway makes a message of j's device whose body is exactly body, with
// a good MAC, as a peer with a session can.
func (p *party) encryptAnyway(o *party, body []byte) (k wrappedKey) {
	p.t.Helper()
	p.rebuild(o)
	err := p.raw(o, func(ctx context.Context, r *ratchet) error {
		rec, err := r.LoadSession(ctx, nil)
		if err != nil {
			return err
		}
		s := rec.SessionState()
		m, err := protocol.NewSignalMessage(protocol.CurrentVersion, s.SenderChainKey().Index(), 0, s.SenderChainKey().MessageKeys().MacKey(),
			s.SenderRatchetKey(), body, s.LocalIdentityKey(), s.RemoteIdentityKey(), serializer.SignalMessage)
		if err != nil {
			return err
		}
		items, err := s.UnackPreKeyMessageItems()
		if err != nil {
			return err
		}
		whole, err := protocol.NewPreKeySignalMessage(protocol.CurrentVersion, 1, items.PreKeyID(), items.SignedPreKeyID(), items.BaseKey(),
			s.LocalIdentityKey(), m, serializer.PreKeySignalMessage, serializer.SignalMessage)
		if err != nil {
			return err
		}
		k = wrappedKey{rid: o.DeviceID(), prekey: true, data: whole.Serialize()}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

// Fault: a body that is no multiple of 16, with a good MAC, panics in the cipher.
func TestOddBody(t *testing.T) {
	for _, n := range []int{1, 15, 17, 31} {
		j, r := pair(t)
		k := j.encryptAnyway(r, make([]byte, n))
		r.unchanged("an odd body", func() {
			_, err := r.decrypt(j, k)
			if err == nil || strings.Contains(err.Error(), "panicked") {
				t.Errorf("body of %d bytes: %v", n, err)
			}
		})
		talk(j, r)
	}
}

// Fault: DecodePoint pads short keys and cuts long ones, and points of low
// order are accepted.
func TestBadKeysInMessages(t *testing.T) {
	j, r := pair(t)
	e := j.wrap(r, "x")
	data, err := decodeBase64(e.Child(NS, "header").ChildText(NS, "key"), maxKeyBytes)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, publicKeySize)
	one[0], one[1] = keyType, 1
	for name, change := range map[string]func(key []byte) []byte{
		"short":     func(k []byte) []byte { return k[:32] },
		"long":      func(k []byte) []byte { return append(bytes.Clone(k), 0) },
		"type":      func(k []byte) []byte { return append([]byte{4}, k[1:]...) },
		"zero":      func([]byte) []byte { return append([]byte{keyType}, make([]byte, 32)...) },
		"low order": func([]byte) []byte { return one },
	} {
		s, err := serializer.PreKeySignalMessage.Deserialize(data)
		if err != nil {
			t.Fatal(err)
		}
		base := s.BaseKey
		s.BaseKey = change(base)
		if _, err := parsePrekeyMessage(serializer.PreKeySignalMessage.Serialize(s)); err == nil {
			t.Errorf("base key %s: passed", name)
		}
		s.BaseKey, s.IdentityKey = base, change(s.IdentityKey)
		if _, err := parsePrekeyMessage(serializer.PreKeySignalMessage.Serialize(s)); err == nil {
			t.Errorf("identity key %s: passed", name)
		}
		inner, err := serializer.SignalMessage.Deserialize(s.Message)
		if err != nil {
			t.Fatal(err)
		}
		inner.RatchetKey = change(inner.RatchetKey)
		if _, err := parseSignalMessage(serializer.SignalMessage.Serialize(inner)); err == nil {
			t.Errorf("ratchet key %s: passed", name)
		}
	}
	if lowOrder(r.IdentityKey()) {
		t.Error("an honest key counts as low order")
	}
}

// Fault: the MAC is computed over the library's own serialisation, so another
// encoding of the same message passes. It opens once all the same.
func TestReserialised(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	k := j.encrypt(r, "once")
	cut := len(k.data) - protocol.MacLength
	other := k // with an unknown protobuf field before the MAC
	other.data = append(append(bytes.Clone(k.data[:cut]), 0x78, 0x01), k.data[cut:]...)
	r.mustDecrypt(j, other, "once")
	r.unchanged("the other encoding", func() {
		if _, err := r.decrypt(j, k); !errors.Is(err, signalerror.ErrOldCounter) {
			t.Errorf("the other encoding of an opened message: %v", err)
		}
	})
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
	e := j.wrap(r, "x")
	data, err := decodeBase64(e.Child(NS, "header").ChildText(NS, "key"), maxKeyBytes)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parsePrekeyMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	if !m.prekey.PreKeyID().IsEmpty {
		t.Errorf("used prekey %d", m.prekey.PreKeyID().Value)
	}
	r.mustOpen(j, e, "x")
}

// A bundle without one-time prekeys still starts a session.
func TestNoOneTimePrekeys(t *testing.T) {
	j, r := pair(t)
	b, _, err := r.ownBundle(t.Context(), r.db)
	if err != nil {
		t.Fatal(err)
	}
	b.prekeys = nil
	r.s.put(romeo, r.bundleNode(), b.element().String())
	r.mustOpen(j, j.wrap(r, "x"), "x")
	if n := r.one(`SELECT count(*) FROM prekeys`); n != prekeyTarget {
		t.Errorf("%d prekeys left", n)
	}
	talk(j, r)
}

// Garbage and mutations of real messages neither panic nor damage the session.
func TestMutations(t *testing.T) {
	j, r := pair(t)
	prekey := j.encryptFirst(r, "first")
	r.mustDecrypt(j, prekey, "first")
	j.mustDecrypt(r, r.encrypt(j, "x"), "x")
	plain := j.encrypt(r, "plain")
	rnd := rand.New(rand.NewSource(1))
	for i := range 300 {
		for _, k := range []wrappedKey{prekey, plain} {
			m := k
			m.data = bytes.Clone(k.data)
			for range 1 + rnd.Intn(3) {
				at := rnd.Intn(len(m.data))
				switch rnd.Intn(3) {
				case 0:
					m.data[at] ^= 1 << rnd.Intn(8)
				case 1:
					m.data = m.data[:1+at]
				case 2:
					m.data[at] = byte(rnd.Intn(4))
				}
			}
			got, err := r.decrypt(j, m)
			if err != nil && strings.Contains(err.Error(), "panicked") {
				t.Errorf("mutation %d: %v", i, err)
			}
			if err == nil && string(got) != "plain" {
				t.Errorf("mutation %d opened as %q", i, got)
			}
		}
	}
	if _, err := r.decrypt(j, plain); err != nil && !errors.Is(err, signalerror.ErrOldCounter) {
		t.Errorf("the real message afterwards: %v", err)
	}
	r.mustDecrypt(j, j.encrypt(r, "next"), "next")
	j.mustDecrypt(r, r.encrypt(j, "back"), "back")
}

// encryptFirst starts a session and makes the first message.
func (p *party) encryptFirst(o *party, plain string) wrappedKey {
	p.t.Helper()
	p.rebuild(o)
	return p.encrypt(o, plain)
}
