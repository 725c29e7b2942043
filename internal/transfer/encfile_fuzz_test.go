package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/xmltree"
)

// replayed are the exchanges of testdata/replay that begin with an offer to us.
func replayed(f *testing.F) (out []*xmltree.Element) {
	files, err := filepath.Glob("testdata/replay/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		x, err := xmltree.Parse(b)
		if err != nil {
			f.Fatal(err)
		}
		if offeredIn(x) != nil && x.Attr("role") == "responder" {
			out = append(out, x)
		}
	}
	return out
}

// offeredIn is the content that an exchange begins with.
func offeredIn(x *xmltree.Element) *xmltree.Element {
	return x.Child("", "stanza").Child("", "iq").Child(jingle.NS, "jingle").Child(jingle.NS, "content")
}

// FuzzReadClear: whatever an offer looks like, it is refused, or it has one
// envelope of the kind that we open, a size, and room for the tag. The seeds are
// the offers of the replayed clients.
func FuzzReadClear(f *testing.F) {
	for _, x := range replayed(f) {
		f.Add(offeredIn(x).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := xmltree.Parse(b)
		if err != nil {
			return
		}
		c, err := jingle.ParseContent(x)
		if err != nil {
			return
		}
		for _, senders := range []string{jingle.SenderInitiator, jingle.SenderResponder} {
			c.Senders = senders
			in, err := readClear(c, senders)
			var no *refusal
			switch {
			case err != nil && !errors.As(err, &no):
				t.Fatalf("refused without a reason: %v", err)
			case err != nil:
				continue
			case in.sec == nil || in.sec.Type != envelopeType || in.sec.Envelope.Name.Space != envelopeType || in.file.Size < 0:
				t.Fatalf("%+v", in)
			case senders == jingle.SenderResponder && in.form == formEncryptedFile:
				t.Fatal("the document knows no request")
			case in.form != formJET && c.Security != nil:
				t.Fatal("two envelopes")
			}
		}
	})
}

// FuzzTell: what an envelope held is refused, or gives a secret that fits its
// cipher; nothing but our profile has a sealed offer.
func FuzzTell(f *testing.F) {
	key := make([]byte, 32)
	f.Add(key[:16], key[:12], []byte(nil), false, crypto.AES128GCM.ShortURN(), false)
	f.Add(key, key[:16], []byte(" "), true, crypto.AES128GCM.URN(), false)
	f.Add(key, key[:12], make([]byte, 44), true, crypto.AES256GCM.URN(), false)
	f.Add(key, key[:12], []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), true, crypto.AES128GCM.URN(), false)
	f.Add(key, key[:12], testOffer().payload(crypto.NewSecret(crypto.AES256GCM)), true, crypto.AES256GCM.URN(), false)
	f.Add(key[:16], key[:12], []byte(nil), false, crypto.AES128GCM.URN(), true)
	for _, x := range replayed(f) {
		held := x.Child("", "opened")
		if held == nil {
			continue
		}
		payload, has := held.LookupAttr("payload")
		if text, ok := held.LookupAttr("payload-hex"); ok {
			payload, has = string(unhex(f, text)), true
		}
		sec := offeredIn(x).Child(jingle.NSJET, "security")
		f.Add(unhex(f, held.Attr("key")), unhex(f, held.Attr("iv")), []byte(payload), has, sec.Attr("cipher"), sec == nil)
	}
	f.Fuzz(func(t *testing.T, key, iv, payload []byte, has bool, cipher string, file bool) {
		kind := formJET
		if file {
			kind = formEncryptedFile
		}
		c, err := kind.tell(&omemo.Opened{Key: key, IV: iv, Payload: payload, HasPayload: has}, cipher)
		if err != nil {
			if !errors.Is(err, errOffer) {
				t.Fatalf("%v", err)
			}
			return
		}
		if len(c.ts.Key()) != c.ts.Suite().KeySize() || c.offer != nil && (file || c.ts.Suite() != crypto.AES256GCM) {
			t.Fatalf("%+v", c)
		}
		if want, err := crypto.ParseSuite(cipher); !file && (err != nil || want != c.ts.Suite()) || file && c.ts.Suite() != crypto.AES128GCM {
			t.Fatalf("%s for %s", c.ts.Suite().Name(), cipher)
		}
	})
}
