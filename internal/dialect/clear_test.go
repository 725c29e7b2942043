package dialect

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
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

// TestReadClear: what an offer says in the clear is one thing, or it is refused,
// each fault as what it is. Above all, nothing that holds an envelope is a plain file.
func TestReadClear(t *testing.T) {
	envelope := func(ns string) *xmltree.Element { return xmltree.New(ns, "encrypted") }
	secured := func(kind string) *xmltree.Element {
		return (&jingle.Security{Name: ContentName, Cipher: crypto.AES128GCM.URN(), Type: kind, Envelope: envelope(kind)}).Element()
	}
	for name, tt := range map[string]struct {
		change func(c *jingle.Content, f *jingle.File)
		form   Form   // that it has, or else
		reason string // it is refused for this reason
		plain  bool   // as having no envelope
	}{
		"honest":             {form: FormJET},
		"from the beginning": {change: func(_ *jingle.Content, f *jingle.File) { f.Range = &jingle.Range{Length: -1} }, form: FormJET},
		"a part":             {change: func(_ *jingle.Content, f *jingle.File) { f.Range = &jingle.Range{Offset: 5, Length: -1} }, reason: jingle.UnsupportedApplications},
		"other way":          {change: func(c *jingle.Content, _ *jingle.File) { c.Senders = jingle.SenderResponder }, reason: jingle.UnsupportedApplications},
		"no size":            {change: func(_ *jingle.Content, f *jingle.File) { f.Size = -1 }, form: FormJET}, // an empty file of Dino's
		"plain without size": {change: func(c *jingle.Content, f *jingle.File) { c.Security, f.Size = nil, -1 }, reason: jingle.UnsupportedApplications},
		"no stream id":       {change: func(c *jingle.Content, _ *jingle.File) { c.Transport.Set("sid", "") }, reason: jingle.UnsupportedTransports},
		"unknown transport":  {change: func(c *jingle.Content, _ *jingle.File) { c.Transport = xmltree.New("urn:t", "transport") }, reason: jingle.UnsupportedTransports},
		"envelope in file": {change: func(c *jingle.Content, f *jingle.File) {
			c.Security, f.Extra = nil, []*xmltree.Element{envelope(envelopeType)}
		}, form: FormConversations},
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
			Creator: jingle.SenderInitiator, Name: ContentName, Senders: jingle.SenderInitiator, Security: secured(envelopeType),
			Transport: xmltree.New(ibb.NSTransport, "transport").Set("sid", "s").Set("block-size", "4096"),
		}
		if tt.change != nil {
			tt.change(&c, f)
		}
		c.Description = jingle.Description(f)
		in, err := Read(c, jingle.SenderInitiator)
		var no *fault.Refusal
		if tt.reason == "" {
			if err != nil || in.Form != tt.form || in.File.Size != max(f.Size, 0)-map[Form]int64{FormConversations: crypto.TagSize}[in.Form] {
				t.Errorf("%s: %+v, %v", name, in, err)
			}
		} else if !errors.As(err, &no) || no.Reason.Condition != tt.reason || errors.Is(err, ErrNotEncrypted) != tt.plain {
			t.Errorf("%s: form %d, %v", name, in.Form, err)
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
			in, err := Read(c, senders)
			var no *fault.Refusal
			switch {
			case err != nil && !errors.As(err, &no):
				t.Fatalf("refused without a reason: %v", err)
			case err != nil:
				continue
			case in.Security == nil || in.Security.Type != envelopeType || in.Security.Envelope.Name.Space != envelopeType || in.File.Size < 0:
				t.Fatalf("%+v", in)
			case senders == jingle.SenderResponder && in.Form == FormEncryptedFile:
				t.Fatal("the document knows no request")
			case in.Form != FormJET && c.Security != nil:
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
	many := setOffer()
	many.Cipher = profile.NSSet
	f.Add(key, key[:12], many.Payload(crypto.NewSecret(crypto.AES256GCM)), true, profile.NSSet, false)
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
		c := Clear{Form: FormJET, File: &jingle.File{}, Security: &jingle.Security{Cipher: cipher}}
		if file {
			c.Form = FormEncryptedFile
		}
		d, err := c.tell(&omemo.Opened{Key: key, IV: iv, Payload: payload, HasPayload: has})
		if err != nil {
			return
		}
		suite := d.Secret().Suite()
		if len(d.Secret().Key()) != suite.KeySize() || d.Form().Seals() && (file || suite != crypto.AES256GCM) {
			t.Fatalf("%+v", d)
		}
		if _, many := d.(*set); many != (d.Sealed().Set != nil) || many != (cipher == profile.NSSet && !file) {
			t.Fatalf("%T for %s", d, cipher)
		}
		if want, err := crypto.ParseSuite(cipher); !file && cipher != profile.NSSet && (err != nil || want != suite) || file && suite != crypto.AES128GCM {
			t.Fatalf("%s for %s", suite.Name(), cipher)
		}
		if s := d.Sealed(); d.Form().Seals() != (s.Transfer != "") || d.Form() == FormPlaintext {
			t.Fatalf("form %d, %+v", d.Form(), s)
		}
	})
}

func testOffer() *profile.Offer {
	return &profile.Offer{
		Transfer: "0b6f3e53-6fd5-4e5e-9b7c-3a2f3c1d4e5f", SID: "s1", Content: ContentName, Senders: jingle.SenderInitiator,
		Cipher: crypto.AES256GCM.URN(), Initiator: jid.MustParse("romeo@jet.test/a"), Responder: jid.MustParse("juliet@jet.test/b"),
		Device: 4711, Digest: strings.Repeat("0", 64), File: &jingle.File{Name: "f", Size: 12},
	}
}
