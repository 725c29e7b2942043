package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/omemo"
	"jetsend/internal/xmltree"
)

// replayed are the exchanges of testdata/replay that begin with an offer to us.
func replayed(f *testing.F) (out []*xmltree.Element) {
	files, err := filepath.Glob("../dialect/testdata/replay/*.xml")
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

// TestReadClear: what an offer says in the clear is one thing, or it is refused,
// each fault as what it is. Above all, nothing that holds an envelope is a plain file.
func TestReadClear(t *testing.T) {
	envelope := func(ns string) *xmltree.Element { return xmltree.New(ns, "encrypted") }
	secured := func(kind string) *xmltree.Element {
		return (&jingle.Security{Name: contentName, Cipher: crypto.AES128GCM.URN(), Type: kind, Envelope: envelope(kind)}).Element()
	}
	for name, tt := range map[string]struct {
		change func(c *jingle.Content, f *jingle.File)
		form   form   // that it has, or else
		reason string // it is refused for this reason
		plain  bool   // as having no envelope
	}{
		"honest":             {form: formJET},
		"from the beginning": {change: func(_ *jingle.Content, f *jingle.File) { f.Range = &jingle.Range{Length: -1} }, form: formJET},
		"a part":             {change: func(_ *jingle.Content, f *jingle.File) { f.Range = &jingle.Range{Offset: 5, Length: -1} }, reason: jingle.UnsupportedApplications},
		"other way":          {change: func(c *jingle.Content, _ *jingle.File) { c.Senders = jingle.SenderResponder }, reason: jingle.UnsupportedApplications},
		"no size":            {change: func(_ *jingle.Content, f *jingle.File) { f.Size = -1 }, form: formJET}, // an empty file of Dino's
		"plain without size": {change: func(c *jingle.Content, f *jingle.File) { c.Security, f.Size = nil, -1 }, reason: jingle.UnsupportedApplications},
		"no stream id":       {change: func(c *jingle.Content, _ *jingle.File) { c.Transport.Set("sid", "") }, reason: jingle.UnsupportedTransports},
		"unknown transport":  {change: func(c *jingle.Content, _ *jingle.File) { c.Transport = xmltree.New("urn:t", "transport") }, reason: jingle.UnsupportedTransports},
		"envelope in file": {change: func(c *jingle.Content, f *jingle.File) {
			c.Security, f.Extra = nil, []*xmltree.Element{envelope(envelopeType)}
		}, form: formConversations},
		"two envelopes": {change: func(_ *jingle.Content, f *jingle.File) { f.Extra = []*xmltree.Element{envelope(envelopeType)} }, reason: jingle.SecurityError},
		"no room for the tag": {change: func(c *jingle.Content, f *jingle.File) {
			c.Security, f.Size, f.Extra = nil, 15, []*xmltree.Element{envelope(envelopeType)}
		}, reason: jingle.UnsupportedApplications},
		"other envelope": {change: func(c *jingle.Content, _ *jingle.File) { c.Security = secured("urn:e") }, reason: jingle.SecurityError},
		"unknown in file": {change: func(c *jingle.Content, f *jingle.File) {
			c.Security, f.Extra = nil, []*xmltree.Element{envelope("urn:e")}
		}, reason: jingle.SecurityError},
		"unknown beside it": {change: func(c *jingle.Content, _ *jingle.File) {
			c.Security, c.Extra = nil, []*xmltree.Element{xmltree.New("urn:x", "x", envelope("urn:e"))}
		}, reason: jingle.SecurityError},
		"none": {change: func(c *jingle.Content, _ *jingle.File) { c.Security = nil }, reason: jingle.SecurityError, plain: true},
	} {
		f := &jingle.File{Name: "f", Size: 100}
		c := jingle.Content{
			Creator: jingle.SenderInitiator, Name: contentName, Senders: jingle.SenderInitiator, Security: secured(envelopeType),
			Transport: xmltree.New(ibb.NSTransport, "transport").Set("sid", "s").Set("block-size", "4096"),
		}
		if tt.change != nil {
			tt.change(&c, f)
		}
		c.Description = jingle.Description(f)
		in, err := readClear(c, jingle.SenderInitiator)
		var no *refusal
		if tt.reason == "" {
			if err != nil || in.form != tt.form || in.file.Size != max(f.Size, 0)-map[form]int64{formConversations: crypto.TagSize}[in.form] {
				t.Errorf("%s: %+v, %v", name, in, err)
			}
		} else if !errors.As(err, &no) || no.Reason.Condition != tt.reason || errors.Is(err, errNotEncrypted) != tt.plain {
			t.Errorf("%s: form %d, %v", name, in.form, err)
		}
	}
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
	f.Add(key, key[:12], testOffer().Payload(crypto.NewSecret(crypto.AES256GCM)), true, crypto.AES256GCM.URN(), false)
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
		c, err := tellForm(kind, &omemo.Opened{Key: key, IV: iv, Payload: payload, HasPayload: has}, cipher)
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
