package profile

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

func testOffer() *Offer {
	return &Offer{
		Transfer: "0b6f3e53-6fd5-4e5e-9b7c-3a2f3c1d4e5f", SID: "s1", Content: "file", Senders: "initiator",
		Cipher: crypto.AES256GCM.URN(), Initiator: jid.MustParse("romeo@jet.test/a"), Responder: jid.MustParse("juliet@jet.test/b"),
		Device: 4711, Digest: strings.Repeat("0", 64),
		File:      &jingle.File{Name: "two words <&> \"é\".txt", Size: 12, Date: time.Date(2026, 11, 21, 1, 2, 3, 4, time.UTC), Description: "d"},
		Batch:     &Batch{ID: "0b6f3e53-6fd5-4e5e-9b7c-3a2f3c1d4e60", Index: 2, Count: 3, Bytes: 99},
		Directory: &Directory{Manifest: bytes.Repeat([]byte{7}, 32), Files: 12}, Mode: 0o640,
	}
}

func TestOfferRoundTrip(t *testing.T) {
	ts := crypto.NewSecret(crypto.AES256GCM)
	want := testOffer()
	for range MaxGone {
		want.Gone = append(want.Gone, want.Transfer)
	}
	want.File.Name, want.File.Description = strings.Repeat("n", 4<<10), strings.Repeat("d", 8<<10) // the longest that are sent
	gotTS, got, err := ParsePayload(crypto.AES256GCM, want.Payload(ts))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b jid.JID) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if string(gotTS.Serialize()) != string(ts.Serialize()) {
		t.Error("another secret")
	}
}

func TestOfferRefused(t *testing.T) {
	ts := crypto.NewSecret(crypto.AES256GCM)
	good := string(testOffer().Payload(ts))
	for name, bad := range map[string]string{
		"secret alone":    good[:SecretSize],
		"no secret":       good[SecretSize:],
		"not xml":         good[:SecretSize] + "hello",
		"other element":   good[:SecretSize] + "<accept xmlns='jetsend:1'/>",
		"id not a uuid":   strings.Replace(good, "transfer='0b", "transfer='../", 1),
		"id upper case":   strings.Replace(good, "transfer='0b", "transfer='0B", 1),
		"no size":         strings.Replace(good, "<size>12</size>", "<size>x</size>", 1),
		"negative size":   strings.Replace(good, "<size>12<", "<size>-12<", 1),
		"bad device":      strings.Replace(good, "device='4711'", "device='-1'", 1),
		"batch index":     strings.Replace(good, "index='2'", "index='4'", 1),
		"setuid":          strings.Replace(good, "mode='640'", "mode='4755'", 1),
		"not octal":       strings.Replace(good, "mode='640'", "mode='rwx'", 1),
		"negative mode":   strings.Replace(good, "mode='640'", "mode='-1'", 1),
		"short manifest":  strings.Replace(good, "manifest='07", "manifest='", 1),
		"manifest":        strings.Replace(good, "manifest='07", "manifest='xx", 1),
		"files":           strings.Replace(good, "files='12'", "files='-1'", 1),
		"many files":      strings.Replace(good, "files='12'", "files='99999999999'", 1),
		"no initiator":    strings.Replace(good, "romeo@jet.test/a", "", 1),
		"too long":        good + strings.Repeat(" ", maxSealedOffer),
		"second element":  good + "<x/>",
		"gone without id": strings.Replace(good, "</offer>", "<gone/></offer>", 1),
		"too many gone":   strings.Replace(good, "</offer>", strings.Repeat("<gone transfer='"+testOffer().Transfer+"'/>", MaxGone+1)+"</offer>", 1),
	} {
		if _, _, err := ParsePayload(crypto.AES256GCM, []byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSealedElements(t *testing.T) {
	ts := crypto.NewSecret(crypto.AES256GCM)
	ctx := testOffer().Context()
	want := Receipt{Transfer: testOffer().Transfer, Size: 12, Stored: 12, SHA256: strings.Repeat("a", 64)}
	s, err := Seal(ts, KindReceipt, ctx, want.Element())
	if err != nil {
		t.Fatal(err)
	}
	x, err := Unseal(ts, KindReceipt, ctx, xmltree.New("other", "x"), s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseReceipt(x)
	if err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	other := ctx
	other.SID = "s2"
	renamed := s.Clone().Set("kind", KindAccept)
	altered := s.Clone()
	altered.Text = "A" + altered.Text[1:]
	if altered.Text == s.Text {
		altered.Text = "B" + altered.Text[1:]
	}
	for name, open := range map[string]func() (*xmltree.Element, error){
		"other session": func() (*xmltree.Element, error) { return Unseal(ts, KindReceipt, other, s) },
		"other secret": func() (*xmltree.Element, error) {
			return Unseal(crypto.NewSecret(crypto.AES256GCM), KindReceipt, ctx, s)
		},
		"renamed kind": func() (*xmltree.Element, error) { return Unseal(ts, KindAccept, ctx, renamed) },
		"other kind":   func() (*xmltree.Element, error) { return Unseal(ts, KindAccept, ctx, s) },
		"altered":      func() (*xmltree.Element, error) { return Unseal(ts, KindReceipt, ctx, altered) },
		"none":         func() (*xmltree.Element, error) { return Unseal(ts, KindReceipt, ctx) },
	} {
		if x, err := open(); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v %v", name, x, err)
		}
	}
}

// FuzzSealedElements: what a contact has sealed is refused, or reads the same when it is
// written again; a part that is taken lies in the file.
func FuzzSealedElements(f *testing.F) {
	sum := strings.Repeat("0f", 32)
	for _, x := range []*xmltree.Element{
		Accept{Transfer: testOffer().Transfer, Offset: 5, Length: 7, Size: 12, Prefix: sum, Digest: sum, Device: 27183}.Element(),
		Accept{Size: math.MaxInt64, Offset: math.MaxInt64, Length: math.MaxInt64}.Element(),
		Checksum{Transfer: testOffer().Transfer, Size: 12, SHA256: sum}.Element(),
		Receipt{Transfer: testOffer().Transfer, Size: 12, Stored: 12, SHA256: sum}.Element(),
		Receipt{Transfer: testOffer().Transfer, Size: 12, Stored: 5}.Element(),
		Accept{Transfer: testOffer().Transfer, Length: 12, Size: 12, Digest: sum, Device: 1, Random: [32]byte{1}}.Element(),
		Receipt{Transfer: testOffer().Transfer, Size: 12, Stored: 12, Failed: 3}.Element(),
	} {
		f.Add(x.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := xmltree.Parse(b)
		if err != nil {
			return
		}
		if a, err := ParseAccept(x); err == nil {
			if again, err := ParseAccept(a.Element()); err != nil || again != a {
				t.Fatalf("%+v became %+v, %v", a, again, err)
			}
			if s := (Span{a.Offset, a.Length, a.Size}); s.Valid(crypto.MaxPlaintext) && (s.End() < s.Offset || s.End() > s.Size) {
				t.Fatalf("%+v lies in no file", s)
			}
		}
		if c, err := ParseChecksum(x); err == nil {
			if again, err := ParseChecksum(c.Element()); err != nil || again != c {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
		if r, err := ParseReceipt(x); err == nil {
			again, err := ParseReceipt(r.Element())
			if err != nil || again.Transfer != r.Transfer || again.Size != r.Size || again.Stored != r.Stored || again.Failed != r.Failed || r.Stored < 0 || r.Stored > r.Size {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}

func FuzzSealedOffer(f *testing.F) {
	f.Add(testOffer().Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
	f.Add(testSet().Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
	f.Add([]byte("<offer xmlns='jetsend:1'/>"))
	files, err := filepath.Glob("../dialect/testdata/replay/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files { // files as others describe them
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		x, err := xmltree.Parse(b)
		if err != nil {
			f.Fatal(err)
		}
		content := x.Child("", "stanza").Child("", "iq").Child(jingle.NS, "jingle").Child(jingle.NS, "content")
		if file, err := jingle.ParseDescription(content.Child(jingle.NSFile, "description")); err == nil && x.Attr("role") == "responder" {
			o := testOffer()
			o.File = file
			f.Add(o.Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOffer(b)
		if err != nil {
			return
		}
		again, err := ParseOffer(o.Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
		if err != nil {
			t.Fatalf("%q: does not read its own writing: %v", b, err)
		}
		if again.Transfer != o.Transfer || again.File.Size != o.File.Size || again.Digest != o.Digest || !cmp.Equal(again.Set, o.Set) || (o.Set != nil) != (o.Cipher == NSSet) {
			t.Fatalf("%q: changed by writing", b)
		}
	})
}
