package jingle

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/xmltree"
)

const nsAxolotl = "eu.siacs.conversations.axolotl"

// The examples of the ProtoXEP are read, and written as they are.
func TestEncryptedFileExample(t *testing.T) {
	d := captured(t, "protoxep-initiate.xml").Child(NS, "content").Child(NSEncryptedFile, "description")
	f, err := ParseEncryptedFile(d, nsAxolotl)
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Name: "omemo.png", Description: "This is a test. If this were a real file...", MediaType: "image/png", Size: 51158,
		Date: time.Date(2015, 8, 30, 23, 24, 5, 0, time.UTC), Range: &Range{Length: -1}, HashUsed: []string{"sha-1"},
	}
	if diff := cmp.Diff(want, f.File); diff != "" {
		t.Error(diff)
	}
	head := f.Envelope.Child(nsAxolotl, "header")
	if !f.Envelope.Is(nsAxolotl, "encrypted") || head.Attr("sid") != "27183" || len(head.All(nsAxolotl, "key")) != 2 ||
		head.ChildText(nsAxolotl, "iv") == "" || len(f.Envelope.Children) != 1 {
		t.Errorf("envelope %s", f.Envelope)
	}
	if got, want := string(f.Element().Canonical()), string(d.Canonical()); got != want {
		t.Errorf("written as\n%s\nnot\n%s", got, want)
	}

	info := captured(t, "protoxep-checksum.xml").Child(NSEncryptedFile, "checksum")
	c, err := ParseEncryptedChecksum(info)
	// The value of the example is as long as one of MD5, for sha-1.
	if err != nil || !cmp.Equal(c.Hashes, []Hash{{Algo: "sha-1"}}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestEncryptedFileElement(t *testing.T) {
	env := xmltree.New(nsAxolotl, "encrypted", xmltree.New(nsAxolotl, "header", xmltree.New(nsAxolotl, "iv")).Set("sid", "1"))
	before := env.String()
	f := &EncryptedFile{Envelope: env, File: &File{Name: "n", Size: 17, HashUsed: []string{"sha-256"}}}
	want := `<description xmlns='urn:xmpp:jingle:apps:encrypted:file-transfer:0'><encrypted xmlns='urn:xmpp:omemo:0'>` +
		`<header sid='1'><iv/></header><file><desc/><name>n</name><size>17</size><hash xmlns='urn:xmpp:hashes:1' algo='sha-256'/></file></encrypted></description>`
	if got := f.Element().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if env.String() != before {
		t.Errorf("the envelope became %s", env)
	}
	for _, space := range []string{nsOMEMO0, nsAxolotl} {
		got, err := ParseEncryptedFile(parse(t, strings.ReplaceAll(want, nsOMEMO0, space)), nsAxolotl)
		if err != nil || !cmp.Equal(got, f) {
			t.Errorf("%s: %+v, %v", space, got, err)
		}
	}
	c := Content{Name: "file", SendersOmitted: true, Description: f.Element()}.Element()
	if _, ok := c.LookupAttr("senders"); ok || c.Attr("creator") != SenderInitiator {
		t.Errorf("content %s", c)
	}
}

func TestEncryptedFileRefused(t *testing.T) {
	good := func(file string) string {
		return `<description xmlns='` + NSEncryptedFile + `'><encrypted xmlns='urn:xmpp:omemo:0'><header sid='1'/>` + file + `</encrypted></description>`
	}
	for _, bad := range []string{
		good(``), good(`<file/><file/>`), good(`<file><size>x</size></file>`), good(`<file><size>1</size><size>1</size></file>`),
		`<description xmlns='` + NSEncryptedFile + `'/>`,
		`<description xmlns='` + NSEncryptedFile + `'><file/></description>`,
		strings.ReplaceAll(good(`<file/>`), NSEncryptedFile, NSFile),
		strings.ReplaceAll(good(`<file/>`), "urn:xmpp:omemo:0", "urn:xmpp:omemo:2"),
		strings.ReplaceAll(good(`<file/>`), "<header sid='1'/>", "<header sid='1'/></encrypted><encrypted xmlns='urn:xmpp:omemo:0'>"),
	} {
		if got, err := ParseEncryptedFile(parse(t, bad), nsAxolotl); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
	if _, err := ParseEncryptedFile(nil, nsAxolotl); !errors.Is(err, ErrMalformed) {
		t.Errorf("none: %v", err)
	}
	if _, err := ParseEncryptedChecksum(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("no checksum: %v", err)
	}
}

func TestEncryptedChecksum(t *testing.T) {
	d256, d1 := sha256.Sum256([]byte("x")), sha1.Sum([]byte("x"))
	b64 := base64.StdEncoding.EncodeToString
	wrap := func(s string) string {
		return `<checksum xmlns='` + NSEncryptedFile + `'><file>` + s + `</file></checksum>`
	}
	hash := func(algo, text string) string {
		return `<hash xmlns='urn:xmpp:hashes:1' algo='` + algo + `'>` + text + `</hash>`
	}
	for _, tt := range []struct {
		in   string
		want []Hash
	}{
		{``, nil},
		{hash("sha-256", ""), nil},
		{hash("", "00"), nil},
		{hash("sha-256", hex.EncodeToString(d256[:])), []Hash{{"sha-256", d256[:]}}},
		{hash("sha-256", strings.ToUpper(hex.EncodeToString(d256[:]))), []Hash{{"sha-256", d256[:]}}},
		{hash("sha-256", b64(d256[:])), []Hash{{"sha-256", d256[:]}}},
		{hash("sha-256", "\n "+b64(d256[:])+"\n"), []Hash{{"sha-256", d256[:]}}},
		{hash("sha-1", hex.EncodeToString(d1[:])) + hash("sha-256", b64(d256[:])), []Hash{{"sha-1", d1[:]}, {"sha-256", d256[:]}}},
		{hash("sha-256", "nonsense"), []Hash{{Algo: "sha-256"}}},
		{strings.ReplaceAll(hash("sha-256", b64(d256[:])), "hashes:1", "hashes:2"), []Hash{{"sha-256", d256[:]}}},
	} {
		got, err := ParseEncryptedChecksum(parse(t, wrap(tt.in)))
		if err != nil || !cmp.Equal(got.Hashes, tt.want) {
			t.Errorf("%s: %+v, %v", tt.in, got, err)
		}
	}
	c := EncryptedChecksum{Hashes: []Hash{{"sha-256", d256[:]}}}
	if got, want := c.Element().String(), wrap(hash("sha-256", hex.EncodeToString(d256[:]))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []string{`<checksum xmlns='` + NSEncryptedFile + `'/>`, strings.ReplaceAll(wrap(""), NSEncryptedFile, NSFile)} {
		if got, err := ParseEncryptedChecksum(parse(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
}

func TestEnvelopeIn(t *testing.T) {
	enc := xmltree.New(nsAxolotl, "encrypted")
	for _, tt := range []struct {
		extra []*xmltree.Element
		want  *xmltree.Element
		ok    bool
	}{
		{nil, nil, true},
		{[]*xmltree.Element{xmltree.New("x", "thumbnail")}, nil, true},
		{[]*xmltree.Element{xmltree.New("x", "thumbnail"), enc}, enc, true},
		{[]*xmltree.Element{enc, enc}, nil, false},
	} {
		got, err := EnvelopeIn(&File{Extra: tt.extra})
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%v: %v, %v", tt.extra, got, err)
		}
	}
}

func FuzzEncryptedFile(f *testing.F) {
	f.Add(captured(f, "protoxep-initiate.xml").Child(NS, "content").Child(NSEncryptedFile, "description").String())
	f.Add(`<description xmlns='` + NSEncryptedFile + `'><encrypted xmlns='` + nsAxolotl + `'><header sid='1'><iv/></header>` +
		`<file><size>16</size><hash algo='sha-256'/></file></encrypted></description>`)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			return
		}
		got, err := ParseEncryptedFile(e, nsAxolotl)
		if err != nil {
			return
		}
		if !got.Envelope.Is(nsAxolotl, "encrypted") || got.File.Size < -1 {
			t.Fatalf("%+v", got)
		}
		one := got.Element()
		back, err := ParseEncryptedFile(one, nsAxolotl)
		if err != nil {
			t.Fatalf("%s: %v", one, err)
		}
		if two := back.Element(); !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Fatalf("%s became %s", one, two)
		}
	})
}

func FuzzEncryptedChecksum(f *testing.F) {
	f.Add(captured(f, "protoxep-checksum.xml").Child(NSEncryptedFile, "checksum").String())
	f.Add((&EncryptedChecksum{Hashes: []Hash{{"sha-256", make([]byte, 32)}, {"sha-1", make([]byte, 20)}}}).Element().String())
	f.Fuzz(func(t *testing.T, in string) {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			return
		}
		got, err := ParseEncryptedChecksum(e)
		if err != nil {
			return
		}
		for _, h := range got.Hashes {
			if n := digestSize(h.Algo); h.Algo == "" || h.Value != nil && n > 0 && len(h.Value) != n {
				t.Fatalf("%+v", h)
			}
		}
	})
}
