package omemo

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/xmltree"
)

// seed adds a file of testdata.
func seed(f *testing.F, name string) {
	f.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
}

// Whatever is read as an envelope is written and read as the same one, and its
// ratchet messages never reach a panic of the library.
func FuzzEnvelope(f *testing.F) {
	silenceLibrary()
	const us = 548787308
	seed(f, "dino-0.4.2-message.xml")
	f.Add([]byte(`<encrypted xmlns='` + NS + `'><header sid='1'><iv>AAAAAAAAAAAAAAAA</iv><key rid='548787308' prekey='1'>MxIAGgAiAA==</key></header><payload/></encrypted>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := xmltree.Parse(in)
		if err != nil {
			return
		}
		h, err := parseEnvelope(e, us)
		if err != nil {
			return
		}
		payload := h.payload
		if h.hasPayload && payload == nil {
			payload = []byte{}
		}
		again, err := parseEnvelope(envelopeElement(h.device, h.keys, h.iv, payload), us)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		same := func(a, b wrappedKey) bool { return a.prekey == b.prekey && bytes.Equal(a.data, b.data) }
		if again.device != h.device || !bytes.Equal(again.iv, h.iv) || !bytes.Equal(again.payload, h.payload) ||
			again.hasPayload != h.hasPayload || !slices.EqualFunc(again.keys, h.keys, same) {
			t.Fatalf("%q became %+v", in, again)
		}
		for _, k := range h.keys {
			for _, prekey := range []bool{true, false} {
				if _, err := parseMessage(k.data, prekey); err != nil && strings.Contains(err.Error(), "panicked") {
					t.Fatalf("%x: %v", k.data, err)
				}
			}
		}
	})
}

// Whatever is read as a bundle is written and read as the same one, and a
// session can be started with it, or is refused without a panic.
func FuzzBundle(f *testing.F) {
	silenceLibrary()
	seed(f, "dino-0.4.2-bundle.xml")
	f.Add([]byte(`<bundle xmlns='` + NS + `'><signedPreKeyPublic signedPreKeyId='1'/><signedPreKeySignature/><identityKey/><prekeys/></bundle>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := xmltree.Parse(in)
		if err != nil {
			return
		}
		b, err := readBundle(e) // without the signature, which no fuzzer will make
		if err != nil {
			return
		}
		again, err := readBundle(b.element())
		if err != nil || !slices.EqualFunc(again.prekeys, b.prekeys, func(a, b prekeyPublic) bool { return a.id == b.id && bytes.Equal(a.key, b.key) }) ||
			again.signedID != b.signedID || !bytes.Equal(again.identityKey, b.identityKey) || !bytes.Equal(again.signature, b.signature) {
			t.Fatalf("%q became %+v: %v", in, again, err)
		}
		if err := b.verify(); err != nil && strings.Contains(err.Error(), "panicked") {
			t.Fatalf("%q: %v", in, err)
		}
		if _, err := b.signal(1, drawn); errors.Is(err, ErrNoPrekeys) != (len(b.prekeys) == 0) {
			t.Fatalf("%q: %v", in, err)
		}
	})
}

// Ids are in range and without doubles; merging adds ours and nothing else, and
// taking it out again leaves the rest.
func FuzzDeviceList(f *testing.F) {
	const us = 7
	seed(f, "dino-0.4.2-devicelist.xml")
	f.Add([]byte(`<list xmlns='` + NS + `'><device id='7'/><device id='0'/><device id='4294967296'/></list>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := xmltree.Parse(in)
		if err != nil {
			return
		}
		ids, err := parseList(e)
		if err != nil {
			return
		}
		for i, id := range ids {
			if id < 1 || id > maxDeviceID || slices.Contains(ids[:i], id) {
				t.Fatalf("%q: %d", in, ids)
			}
		}
		merged, err := parseList(mergeList(e, us))
		if err != nil || !slices.Contains(merged, us) || !slices.Equal(merged[:len(ids)], ids) || len(merged) > len(ids)+1 {
			t.Fatalf("%q: %d merged to %d (%v)", in, ids, merged, err)
		}
		rest, err := parseList(withoutDevice(e, us))
		if want := slices.DeleteFunc(ids, func(id uint32) bool { return id == us }); err != nil || !slices.Equal(rest, want) {
			t.Fatalf("%q: %d left, want %d (%v)", in, rest, want, err)
		}
	})
}
