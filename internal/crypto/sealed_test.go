package crypto

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func testContext() Context {
	return Context{
		SID: "851ba2", Content: "a-file-offer", Senders: "initiator", Cipher: AES256GCM.URN(),
		Initiator: "romeo@montague.example/a", Responder: "juliet@capulet.example/b", Device: 31337,
	}
}

func TestSealOpen(t *testing.T) {
	for _, suite := range []Suite{AES128GCM, AES256GCM} {
		s := NewSecret(suite)
		for _, plaintext := range []string{"", "x", "<accept/>", strings.Repeat("long", 5000)} {
			sealed, err := Seal(s, "accept", testContext(), []byte(plaintext))
			if err != nil {
				t.Fatal(err)
			}
			if want := 12 + len(plaintext) + 16; len(sealed) != want {
				t.Errorf("sealed to %d bytes, want %d", len(sealed), want)
			}
			got, err := Open(s, "accept", testContext(), sealed)
			if err != nil || string(got) != plaintext {
				t.Errorf("opened to %.20q, %v", got, err)
			}
			again, err := Seal(s, "accept", testContext(), []byte(plaintext))
			if err != nil || bytes.Equal(again[:12], sealed[:12]) {
				t.Errorf("nonce %x twice, %v", sealed[:12], err)
			}
		}
	}
}

// An element opens with its own secret, kind and context only.
func TestSealedIsBound(t *testing.T) {
	s := NewSecret(AES256GCM)
	sealed, err := Seal(s, "accept", testContext(), []byte("<accept/>"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, s *Secret, kind string, c Context, sealed []byte) {
		t.Helper()
		if got, err := Open(s, kind, c, sealed); !errors.Is(err, ErrAuthentication) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	for name, change := range map[string]func(*Context){
		"sid":       func(c *Context) { c.SID = "851ba3" },
		"content":   func(c *Context) { c.Content = "" },
		"senders":   func(c *Context) { c.Senders = "responder" },
		"cipher":    func(c *Context) { c.Cipher = AES256GCM.ShortURN() },
		"initiator": func(c *Context) { c.Initiator += "2" },
		"responder": func(c *Context) { c.Responder = "juliet@capulet.example" },
		"roles":     func(c *Context) { c.Initiator, c.Responder = c.Responder, c.Initiator },
		"device":    func(c *Context) { c.Device++ },
		"a border between fields": func(c *Context) {
			c.SID, c.Content = c.SID+c.Content[:1], c.Content[1:]
		},
	} {
		c := testContext()
		change(&c)
		refused(name, s, "accept", c, sealed)
	}
	for _, kind := range []string{"", "Accept", "accept ", "receipt"} {
		refused("kind "+kind, s, kind, testContext(), sealed)
	}
	key, iv := s.Key(), s.IV()
	key[31] ^= 1
	refused("key", mustSecret(t, key, iv), "accept", testContext(), sealed)
	key[31] ^= 1
	iv[0] ^= 1
	refused("IV", mustSecret(t, key, iv), "accept", testContext(), sealed)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		refused(fmt.Sprintf("byte %d", i), s, "accept", testContext(), changed)
		refused(fmt.Sprintf("first %d bytes", i), s, "accept", testContext(), sealed[:i])
	}
	refused("a byte more", s, "accept", testContext(), append(bytes.Clone(sealed), 0))
}

// sealedVector is an entry of testdata/sealed.json.
type sealedVector struct {
	Suite, Kind                            string
	Key, IV, DerivedKey, Plaintext, Sealed hexBytes
	Context                                Context
}

func sealedVectors(t testing.TB) []sealedVector {
	t.Helper()
	var vectors []sealedVector
	readVectors(t, "sealed.json", &vectors)
	if len(vectors) != 3 {
		t.Fatalf("%d vectors, want 3", len(vectors))
	}
	return vectors
}

// The wire form, against an implementation that is not ours.
func TestSealedVectors(t *testing.T) {
	vectors := sealedVectors(t)
	for i, v := range vectors {
		s := mustSecret(t, v.Key, v.IV)
		if s.Suite().Name() != v.Suite {
			t.Errorf("%d: suite %s", i, s.Suite().Name())
		}
		if got, err := s.sealedKey(v.Kind); err != nil || !bytes.Equal(got, v.DerivedKey) {
			t.Errorf("%d: key %x, %v", i, got, err)
		}
		if got, err := Open(s, v.Kind, v.Context, v.Sealed); err != nil || !bytes.Equal(got, v.Plaintext) {
			t.Errorf("%d: %q, %v", i, got, err)
		}
	}
}

func TestAdditionalData(t *testing.T) {
	got := Context{"s", "", "both", "urn", "a@b/c", "d@e/f", 1<<32 - 1}.additionalData("accept")
	want := "\x00\x00\x00\x09jetsend:1\x00\x00\x00\x06accept\x00\x00\x00\x01s\x00\x00\x00\x00\x00\x00\x00\x04both" +
		"\x00\x00\x00\x03urn\x00\x00\x00\x05a@b/c\x00\x00\x00\x05d@e/f\x00\x00\x00\x0a4294967295"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Nothing opens but what was sealed.
func FuzzOpen(f *testing.F) {
	v := sealedVectors(f)[0]
	s := mustSecret(f, v.Key, v.IV)
	f.Add(v.Kind, v.Context.SID, []byte(v.Sealed))
	f.Add(v.Kind, "", []byte(nil))
	f.Add("receipt", v.Context.SID, make([]byte, 28))
	f.Fuzz(func(t *testing.T, kind, sid string, b []byte) {
		c := v.Context
		c.SID = sid
		got, err := Open(s, kind, c, b)
		if own := kind == v.Kind && sid == v.Context.SID && bytes.Equal(b, v.Sealed); own != (err == nil) {
			t.Fatalf("%q of kind %q in %q: %q, %v", b, kind, sid, got, err)
		}
		if err != nil && !errors.Is(err, ErrAuthentication) {
			t.Fatal(err)
		}
	})
}
