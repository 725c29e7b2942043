package omemo

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// "Belongs to the initiator", check by check (design section 8): juliet's
// envelope to romeo is good; whatever is wrong with where it comes from makes
// it refused, and nothing of romeo's state changes but what he was told of
// published keys.
func TestUnknownSender(t *testing.T) {
	unlessShort(t)
	unavailable := func(prefix string) func(s *server, j, r *party) {
		return func(s *server, j, _ *party) {
			s.before = func(_ context.Context, call string) error {
				if strings.HasPrefix(call, "items "+j.self.String()+" "+prefix) {
					return stanza.NewError(stanza.ServiceUnavailable)
				}
				return nil
			}
		}
	}
	for name, breakIt := range map[string]func(s *server, j, r *party){
		"no list":                func(s *server, _, _ *party) { delete(s.nodes, "juliet@jet.test "+NodeDevices) },
		"list not to be had":     unavailable(NodeDevices),
		"list empty":             func(s *server, j, _ *party) { s.put(juliet, NodeDevices, `<list xmlns='`+NS+`'/>`) },
		"list is something else": func(s *server, j, _ *party) { s.put(juliet, NodeDevices, `<list xmlns='urn:other'/>`) },
		"not in the list": func(s *server, j, _ *party) {
			s.put(juliet, NodeDevices, strings.ReplaceAll(s.get(juliet, NodeDevices), formatID(j.DeviceID()), "77"))
		},
		"no bundle":              func(s *server, j, _ *party) { delete(s.nodes, "juliet@jet.test "+j.bundleNode()) },
		"bundle not to be had":   unavailable(nodeBundles),
		"bundle with a bad sign": func(s *server, j, _ *party) { s.put(juliet, j.bundleNode(), damaged(j).element().String()) },
		"bundle of another": func(s *server, j, r *party) {
			other := newParty(j.t, newServer(), juliet, Config{})
			s.put(juliet, j.bundleNode(), other.s.get(juliet, other.bundleNode()))
		},
		"bundle with the key of romeo himself": func(s *server, j, r *party) { s.put(juliet, j.bundleNode(), s.get(romeo, r.bundleNode())) },
	} {
		t.Run(name, func(t *testing.T) {
			j, r := pair(t)
			e := j.wrap(r, "x")
			breakIt(j.s, j, r)
			_, err := r.open(j, e)
			var trust *TrustError
			if !errors.Is(err, ErrEnvelope) && !errors.As(err, &trust) {
				t.Errorf("got %v", err)
			}
			if n := r.one(`SELECT count(*) FROM sessions`) + r.one(`SELECT count(*) FROM devices WHERE identity_key IS NOT NULL`); n != 0 {
				t.Errorf("%d sessions and keys stored", n)
			}
			if n := r.one(`SELECT count(*) FROM prekeys WHERE id <= ?`, prekeyTarget); n != prekeyTarget {
				t.Errorf("%d prekeys left", n)
			}
		})
	}
}

// damaged is a device's bundle with a wrong signature.
func damaged(p *party) *bundle {
	p.t.Helper()
	b, _, err := p.ownBundle(p.t.Context(), p.db)
	if err != nil {
		p.t.Fatal(err)
	}
	b.signature[9] ^= 4
	return b
}

// The session is that of the bare JID of from, whatever the header says.
func TestWrongSender(t *testing.T) {
	unlessShort(t)
	s := newServer()
	j, r := newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{})
	m := newParty(t, s, jid.MustParse("mallory@jet.test/x"), Config{})
	talk(j, r)
	talk(m, r)
	e := j.wrap(r, "x")
	r.unchanged("an envelope of another", func() {
		if _, err := r.open(m, e); !errors.Is(err, ErrEnvelope) { // juliet's device id is none of mallory's
			t.Errorf("from mallory: %v", err)
		}
		stolen := e.Clone()
		stolen.Child(NS, "header").Set("sid", formatID(m.DeviceID()))
		if _, err := r.open(m, stolen); !errors.Is(err, ErrEnvelope) {
			t.Errorf("from mallory's device: %v", err)
		}
		if _, err := r.Unwrap(t.Context(), r.pep, jid.JID{}, e); !errors.Is(err, ErrEnvelope) {
			t.Errorf("from nobody: %v", err)
		}
		ours := e.Clone()
		ours.Child(NS, "header").Set("sid", formatID(r.DeviceID()))
		if _, err := r.open(r, ours); !errors.Is(err, ErrEnvelope) {
			t.Errorf("from ourselves: %v", err)
		}
	})
	other := *j
	other.jid = jid.MustParse("juliet@jet.test/elsewhere") // the resource does not matter
	r.mustOpen(&other, e, "x")
}

// An ordinary message of a device that nobody knows costs no look-up: there is
// no session that could open it.
func TestStrangerCostsNothing(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	stranger := newParty(t, newServer(), romeo, Config{})
	e := j.wrap(r, "x")
	e.Child(NS, "header").Child(NS, "key").Set("rid", formatID(stranger.DeviceID()))
	before := stranger.s.count("items")
	stranger.unchanged("a stranger's message", func() {
		if _, err := stranger.open(j, e); !errors.Is(err, ErrEnvelope) || !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("got %v", err)
		}
	})
	if n := stranger.s.count("items") - before; n != 0 {
		t.Errorf("%d look-ups", n)
	}
}

// The network is never waited for inside a transaction: while a look-up hangs,
// the database and the Account are free.
func TestNoNetworkInTransaction(t *testing.T) {
	j, r := pair(t)
	e := j.wrap(r, "x")
	j.exec(`DELETE FROM sessions`)
	free := func(p *party) {
		if err := p.MarkUsed(context.Background(), nil); err != nil {
			t.Errorf("the database is not free: %v", err)
		}
	}
	j.s.before = func(context.Context, string) error {
		free(j)
		free(r)
		return nil
	}
	r.mustOpen(j, e, "x")
	j.wrap(r, "y")
	late := r.wrap(j, "z")
	j.exec(`DELETE FROM sessions`)
	r.mustTake(j, j.heal(r, late))
	r.announce()
	if err := j.Rebuild(t.Context(), j.pep, romeo); err != nil {
		t.Error(err)
	}
	r.mustTake(j, j.prime(r))
	j.exec(`UPDATE upkeep SET alive = 0`)
	r.mustTake(j, j.stepWith(r))
	j.takeOut()
	j.keep()
	if err := j.RemoveOwnDevice(t.Context(), j.pep, 4711); !errors.Is(err, ErrNoSuchDevice) {
		t.Error(err)
	}
	for _, p := range []*party{j, r} {
		p.exec(`UPDATE publication SET generation = generation + 1`)
		p.exec(`DELETE FROM prekeys WHERE id < 20`)
		if err := p.Announce(t.Context(), p.pep); err != nil {
			t.Error(err)
		}
		if err := p.Refresh(t.Context(), p.pep, p.jid); err != nil && !errors.Is(err, ErrNoDevice) {
			t.Error(err)
		}
		if err := p.Withdraw(t.Context(), p.pep); err != nil {
			t.Error(err)
		}
	}
	if j.s.count("") < 15 {
		t.Errorf("only %d calls", j.s.count(""))
	}
}

// What is wrong with an envelope itself.
func TestMalformedEnvelopes(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	for name, tt := range map[string]struct {
		change func(e, head, key *xmltree.Element)
		want   error
	}{
		"another element":   {func(e, _, _ *xmltree.Element) { e.Name.Local = "other" }, ErrEnvelope},
		"no header":         {func(e, _, _ *xmltree.Element) { e.Children = e.Children[1:] }, ErrEnvelope},
		"no sid":            {func(_, h, _ *xmltree.Element) { h.Attrs = nil }, ErrEnvelope},
		"sid 0":             {func(_, h, _ *xmltree.Element) { h.Set("sid", "0") }, ErrEnvelope},
		"sid too large":     {func(_, h, _ *xmltree.Element) { h.Set("sid", "2147483648") }, ErrEnvelope},
		"sid of another":    {func(_, h, _ *xmltree.Element) { h.Set("sid", "5") }, ErrEnvelope},
		"no keys":           {func(_, h, _ *xmltree.Element) { h.Children = h.All(NS, "iv") }, ErrNotForUs},
		"key for another":   {func(_, _, k *xmltree.Element) { k.Set("rid", "5") }, ErrNotForUs},
		"rid no number":     {func(_, _, k *xmltree.Element) { k.Set("rid", "x") }, ErrNotForUs},
		"key no base64":     {func(_, _, k *xmltree.Element) { k.SetText("???") }, ErrEnvelope},
		"key empty":         {func(_, _, k *xmltree.Element) { k.SetText("") }, ErrEnvelope},
		"key too long":      {func(_, _, k *xmltree.Element) { k.SetText(strings.Repeat("A", 4096)) }, ErrEnvelope},
		"key marked prekey": {func(_, _, k *xmltree.Element) { k.Set("prekey", "1") }, ErrEnvelope},
		"too many keys": {func(_, h, k *xmltree.Element) {
			for range maxHeaderKeys {
				h.Add(k.Clone())
			}
		}, ErrEnvelope},
		"no iv":          {func(_, h, _ *xmltree.Element) { h.Children = h.All(NS, "key") }, ErrEnvelope},
		"iv of 11 bytes": {func(_, h, _ *xmltree.Element) { h.Child(NS, "iv").SetText("AAAAAAAAAAAAAAA=") }, ErrEnvelope},
		"iv no base64":   {func(_, h, _ *xmltree.Element) { h.Child(NS, "iv").SetText("!") }, ErrEnvelope},
		"payload too long": {func(e, _, _ *xmltree.Element) {
			e.Child(NS, "payload").SetText(strings.Repeat("AAAA", maxPayloadBytes/2))
		}, ErrEnvelope},
		"payload garbage": {func(e, _, _ *xmltree.Element) { e.Child(NS, "payload").SetText("=") }, ErrEnvelope},
	} {
		e := onWire(t, j.wrap(r, "payload"))
		head := e.Child(NS, "header")
		tt.change(e, head, head.Child(NS, "key"))
		r.unchanged(name, func() {
			if _, err := r.open(j, e); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		})
	}
}

// What is only seen after the ratchet: the payload does not verify, or the key
// has a length that means nothing.
func TestBadPayloads(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	for name, change := range map[string]func(e *xmltree.Element){
		"one bit":  func(e *xmltree.Element) { flip(t, e.Child(NS, "payload")) },
		"iv":       func(e *xmltree.Element) { flip(t, e.Child(NS, "header").Child(NS, "iv")) },
		"cut":      func(e *xmltree.Element) { e.Child(NS, "payload").SetText("") },
		"extended": func(e *xmltree.Element) { e.Child(NS, "payload").SetText("AAAAAAAAAAAAAAAA") },
	} {
		e := j.wrap(r, "payload")
		change(e)
		if o, err := r.open(j, e); !errors.Is(err, ErrEnvelope) || o != nil {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	for n, ok := range map[int]bool{0: false, 15: false, 16: true, 17: false, 31: false, 32: true, 44: true, 64: true, 65: false} {
		k := j.encrypt(r, strings.Repeat("k", n))
		e := envelopeElement(j.DeviceID(), []wrappedKey{k}, make([]byte, 12), nil)
		if _, err := r.open(j, e); (err == nil) != ok || err != nil && !errors.Is(err, ErrEnvelope) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
		k = j.encrypt(r, strings.Repeat("k", n)) // never fits an arbitrary payload
		e = envelopeElement(j.DeviceID(), []wrappedKey{k}, make([]byte, 12), []byte("payload"))
		if _, err := r.open(j, e); !errors.Is(err, ErrEnvelope) {
			t.Errorf("key of %d bytes with a payload: %v", n, err)
		}
	}
	r.mustOpen(j, j.wrap(r, "still alive"), "still alive")
}

// flip changes one bit of base64 text.
func flip(t *testing.T, e *xmltree.Element) {
	t.Helper()
	b, err := decodeBase64(e.Text, maxPayloadBytes)
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	e.SetText(base64.StdEncoding.EncodeToString(b))
}

// Of several keys with our device id each is tried; the order does not matter,
// and the ones that fail leave nothing behind.
func TestSeveralKeys(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	e := j.wrap(r, "x")
	head := e.Child(NS, "header")
	key := head.Child(NS, "key")
	bad := key.Clone().SetText("MwohBQ==")
	lie := key.Clone().Set("prekey", "true")
	garbage := key.Clone().SetText("*")
	head.Children = []*xmltree.Element{garbage, bad, head.Child(NS, "iv"), lie, key}
	r.mustOpen(j, e, "x")
	// But not without end.
	e = j.wrap(r, "x")
	head = e.Child(NS, "header")
	head.Children = append([]*xmltree.Element{bad, bad, bad, bad}, head.Children...)
	if _, err := r.open(j, e); !errors.Is(err, ErrEnvelope) {
		t.Errorf("fifth key: %v", err)
	}
}

// An envelope that says that this very device made it, or nobody, has no session to belong to.
func TestNoSender(t *testing.T) {
	j := newParty(t, newServer(), juliet, Config{})
	orchard, err := juliet.WithResource("orchard")
	if err != nil {
		t.Fatal(err)
	}
	other := j.DeviceID()%maxDeviceID + 1
	for from, device := range map[jid.JID]uint32{{}: other, juliet: j.DeviceID(), orchard: j.DeviceID()} {
		if _, err := j.unwrapping(j.pep, from, &header{device: device}); !errors.Is(err, ErrEnvelope) {
			t.Errorf("from %q: %v", from, err)
		}
	}
	if got, err := j.unwrapping(j.pep, orchard, &header{device: other}); err != nil || got.addr != (address{juliet.Bare(), other}) {
		t.Errorf("another device of ours: %v, %v", got, err)
	}
}
