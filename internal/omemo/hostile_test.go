package omemo

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"strings"
	"testing"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/libsignal/state/record"
)

// What a peer can send to break the library: faults of libsignal, continued.

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
	unlessShort(t)
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

// Garbage and mutations of real messages neither panic nor damage the session.
func TestMutations(t *testing.T) {
	unlessShort(t)
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
