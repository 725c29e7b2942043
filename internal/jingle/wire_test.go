package jingle

import (
	"bytes"
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

func TestFileRoundTrip(t *testing.T) {
	digest := sha256.Sum256(nil)
	for _, f := range []File{
		{Size: -1},
		{Name: "a b.txt", Description: "two\nlines", MediaType: "text/plain", Size: 0, Date: time.Date(2015, 7, 26, 21, 46, 0, 5, time.UTC)},
		{Name: " space ", Size: 1 << 62, Range: &Range{Offset: 270336, Length: -1}, HashUsed: []string{"sha-256"}},
		{Size: 5, Range: &Range{Offset: 0, Length: 0, Hashes: []Hash{{"sha-256", digest[:]}}}, Hashes: []Hash{{"sha-256", digest[:]}, {"x-own", []byte{1}}}},
		{Size: -1, Extra: []*xmltree.Element{xmltree.New("eu.siacs.conversations.axolotl", "encrypted")}},
	} {
		e := Description(&f)
		again, err := xmltree.Parse(e.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseDescription(again)
		if err != nil {
			t.Errorf("%s: %v", e, err)
			continue
		}
		if d := cmp.Diff(&f, got); d != "" {
			t.Errorf("%s: %s", e, d)
		}
	}
}

// The elements look as XEP-0234 shows them.
func TestFileElement(t *testing.T) {
	f := File{
		Name: "test.txt", Description: "This is a test.", MediaType: "text/plain", Size: 6144, Date: time.Date(1969, 7, 21, 2, 56, 15, 0, time.UTC),
		Range: &Range{Length: -1}, HashUsed: []string{"sha-256"},
	}
	want := `<description xmlns='urn:xmpp:jingle:apps:file-transfer:5'><file><date>1969-07-21T02:56:15Z</date><desc>This is a test.</desc>` +
		`<media-type>text/plain</media-type><name>test.txt</name><range/><size>6144</size><hash-used xmlns='urn:xmpp:hashes:2' algo='sha-256'/></file></description>`
	if got := Description(&f).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// A file that is offered by name has a <desc/>, without which Libervia fails.
	want = `<description xmlns='urn:xmpp:jingle:apps:file-transfer:5'><file><desc/><name>n</name><size>1</size></file></description>`
	if got := Description(&File{Name: "n", Size: 1}).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c := Checksum{Name: "a-file-offer", File: File{Size: -1, Hashes: []Hash{{"sha-1", []byte("01234567890123456789")}}}}
	want = `<checksum xmlns='urn:xmpp:jingle:apps:file-transfer:5' creator='initiator' name='a-file-offer'><file>` +
		`<hash xmlns='urn:xmpp:hashes:2' algo='sha-1'>MDEyMzQ1Njc4OTAxMjM0NTY3ODk=</hash></file></checksum>`
	if got := c.Element().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseDescription(t *testing.T) {
	wrap := func(s string) string {
		return `<description xmlns='` + NSFile + `'><file>` + s + `</file></description>`
	}
	digest := sha256.Sum256([]byte("x"))
	b64 := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		in   string
		want File
	}{
		{``, File{Size: -1}},
		{`<size> 12 </size>`, File{Size: 12}},
		{`<mediaType>a/b</mediaType>`, File{Size: -1, MediaType: "a/b"}},
		{`<name>a</name><name>b</name>`, File{Size: -1, Name: "a"}},
		{`<date>yesterday</date>`, File{Size: -1}},
		{`<range/>`, File{Size: -1, Range: &Range{Length: -1}}},
		{`<range offset='0' length='7'/>`, File{Size: -1, Range: &Range{Length: 7}}},
		{`<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'/>`, File{Size: -1, HashUsed: []string{"sha-256"}}},
		{`<hash-used xmlns='urn:xmpp:hashes:2'/>`, File{Size: -1}},
		{`<hash algo='sha-256'>` + b64(digest[:]) + `</hash>`, File{Size: -1, Hashes: []Hash{{"sha-256", digest[:]}}}},
		{`<hash algo='sha-256'>` + hex.EncodeToString(digest[:]) + `</hash>`, File{Size: -1, Hashes: []Hash{{"sha-256", digest[:]}}}},
		// Libervia
		{`<hash algo='sha-256'>` + b64([]byte(hex.EncodeToString(digest[:]))) + `</hash>`, File{Size: -1, Hashes: []Hash{{"sha-256", digest[:]}}}},
		{`<hash algo='sha-256'>` + b64(digest[:31]) + `</hash>`, File{Size: -1}},
		{`<hash algo='sha-256'>***</hash>`, File{Size: -1}},
		{`<hash>` + b64(digest[:]) + `</hash>`, File{Size: -1}},
		{`<name>a` + strings.Repeat("ä", 1e5) + `</name>`, File{Size: -1, Name: "a" + strings.Repeat("ä", maxName/2-1)}}, // which goes into the journal
	} {
		got, err := ParseDescription(parse(t, wrap(tt.in)))
		if err != nil || !cmp.Equal(got, &tt.want) {
			t.Errorf("%s: %+v, %v", tt.in, got, err)
		}
	}
	for _, bad := range []string{
		wrap(`<size>x</size>`), wrap(`<size/>`), wrap(`<size>-1</size>`), wrap(`<size>+1</size>`), wrap(`<size>1e3</size>`),
		wrap(`<size>9223372036854775808</size>`), wrap(`<size>1</size><size>2</size>`),
		wrap(`<range offset='-1'/>`), wrap(`<range length='x'/>`), wrap(`<range/><range/>`),
		`<description xmlns='` + NSFile + `'/>`,
		`<description xmlns='` + NSFile + `'><file/><file/></description>`,
		`<description xmlns='urn:xmpp:jingle:apps:rtp:1'><file/></description>`,
		`<file xmlns='` + NSFile + `'/>`,
	} {
		if got, err := ParseDescription(parse(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
}

func TestSecurity(t *testing.T) {
	const ns = "eu.siacs.conversations.axolotl"
	s := &Security{Name: "n", Cipher: "urn:xmpp:ciphers:aes-256-gcm-nopadding:0", Type: ns, Envelope: xmltree.New(ns, "encrypted")}
	want := `<security xmlns='urn:xmpp:jingle:jet:0' name='n' cipher='urn:xmpp:ciphers:aes-256-gcm-nopadding:0' type='` + ns + `'><encrypted xmlns='` + ns + `'/></security>`
	if got := s.Element().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err := ParseSecurity(parse(t, want)); err != nil || !cmp.Equal(got, s) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, change := range [][2]string{
		{NSJET, "urn:xmpp:jingle:jet:1"},
		{"security", "secret"},
		{" cipher='urn:xmpp:ciphers:aes-256-gcm-nopadding:0'", ""},
		{" type='" + ns + "'", ""},
		{" type='" + ns + "'", " type='urn:xmpp:omemo:2'"},
		{"<encrypted xmlns='" + ns + "'/>", ""},
		{"<encrypted xmlns='" + ns + "'/>", strings.Repeat("<encrypted xmlns='"+ns+"'/>", 2)},
	} {
		bad := strings.ReplaceAll(want, change[0], change[1])
		if got, err := ParseSecurity(parse(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
	if _, err := ParseSecurity(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("none: %v", err)
	}
}

func TestReason(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Reason
	}{
		{`<decline/>`, Reason{Condition: Decline}},
		{`<text> not now </text><busy/>`, Reason{Condition: Busy, Text: "not now"}},
		{`<failed_transport/>`, Reason{Condition: FailedTransport}},
		{`<failed_application/>`, Reason{Condition: FailedApplication}},
		{`<boredom/>`, Reason{Condition: GeneralError, Text: "unknown reason boredom"}},
		{`<boredom/><cancel/>`, Reason{Condition: Cancel}},
		{``, Reason{Condition: GeneralError}},
		{`<cancel/><success/>`, Reason{Condition: Cancel}},
		{`<failed-application/><file-not-available xmlns='` + NSFile + `'/>`, Reason{Condition: FailedApplication, Detail: xmltree.New(NSFile, "file-not-available")}},
		{`<success xmlns='urn:x'/>`, Reason{Condition: GeneralError, Detail: xmltree.New("urn:x", "success")}},
		{`<gone/><text>` + strings.Repeat("ä", 400) + `</text>`, Reason{Condition: Gone, Text: strings.Repeat("ä", 256)}},
		{`<gone/><text>a` + strings.Repeat("ä", 400) + `</text>`, Reason{Condition: Gone, Text: "a" + strings.Repeat("ä", 255)}},
	} {
		if got := ParseReason(parse(t, `<reason xmlns='`+NS+`'>`+tt.in+`</reason>`)); !cmp.Equal(got, tt.want) {
			t.Errorf("%.60s: %+v", tt.in, got)
		}
	}
	if got := ParseReason(nil); got.Condition != GeneralError {
		t.Errorf("none: %+v", got)
	}
	if got := (Reason{Condition: Busy, Text: "x"}).String(); got != "busy (x)" || (Reason{Condition: Busy}).String() != "busy" {
		t.Error(got)
	}
	for _, c := range []string{
		AlternativeSession, Busy, Cancel, ConnectivityError, Decline, Expired, FailedApplication, FailedTransport, GeneralError, Gone,
		IncompatibleParameters, MediaError, SecurityError, Success, Timeout, UnsupportedApplications, UnsupportedTransports,
	} {
		r := Reason{Condition: c, Text: "why", Detail: xmltree.New(NSJetsend, "reason-detail")}
		if got := ParseReason(parse(t, r.Element().String())); !cmp.Equal(got, r) {
			t.Errorf("%s became %+v", c, got)
		}
	}
}

func TestNewSID(t *testing.T) {
	if a, b := NewSID(), NewSID(); a == b || len(a) < 22 || strings.ContainsAny(a, " <>&'\"") {
		t.Errorf("%q, %q", a, b)
	}
}

func FuzzParseDescription(f *testing.F) {
	f.Add(captured(f, "dino-initiate.xml").Child(NS, "content").Child(NSFile, "description").String())
	f.Add(`<description xmlns='` + NSFile + `'><file><date>1969-07-21T02:56:15Z</date><name>a</name><size>1</size><range offset='1' length='2'/><hash xmlns='` + NSHashes + `' algo='sha-1'>w0mcJylzCn+AfvuGdqkty2+KP48=</hash></file></description>`)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			return
		}
		got, err := ParseDescription(e)
		if err != nil {
			return
		}
		if got.Size < -1 || got.Range != nil && (got.Range.Offset < 0 || got.Range.Length < -1) {
			t.Fatalf("%+v", got)
		}
		one := Description(got)
		back, err := ParseDescription(one)
		if err != nil {
			t.Fatalf("%s: %v", one, err)
		}
		if two := Description(back); !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Fatalf("%s became %s", one, two)
		}
	})
}

func FuzzSecurity(f *testing.F) {
	f.Add(captured(f, "dino-initiate.xml").Child(NS, "content").Child(NSJET, "security").String())
	f.Fuzz(func(t *testing.T, in string) {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			return
		}
		got, err := ParseSecurity(e)
		if err != nil {
			return
		}
		back, err := ParseSecurity(got.Element())
		if err != nil || !cmp.Equal(back, got) {
			t.Fatalf("%+v became %+v, %v", got, back, err)
		}
	})
}
