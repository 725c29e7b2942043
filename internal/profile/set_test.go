package profile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/set"
	"jetsend/internal/xmltree"
)

func testSet() *Offer {
	o := testOffer()
	o.Cipher, o.Batch, o.Directory, o.Mode = NSSet, nil, nil, 0
	o.File = &jingle.File{Name: "photos and 2 others", Size: 4711}
	o.Set = &Set{Items: 3, Entries: 17, Bytes: 4711, Listed: []Listed{
		{Name: "photos", Directory: true, Bytes: 4700, Entries: 15}, {Name: "<a> 'b'\n", Bytes: 11, Entries: 1}, {Name: "empty", Entries: 1},
	}}
	return o
}

// parse reads an offer as it is behind a secret.
func parse(o *Offer) (*Offer, error) {
	return ParseOffer(o.Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
}

func TestSetRoundTrip(t *testing.T) {
	for name, change := range map[string]func(o *Offer){
		"as it is":  func(*Offer) {},
		"a request": func(o *Offer) { o.Senders, o.Set.Entries, o.Set.Listed = jingle.SenderResponder, 0, nil },
		"empty":     func(o *Offer) { o.Set.Bytes, o.File.Size, o.Set.Listed = 0, 0, nil },
		"the most":  func(o *Offer) { o.Set.Items, o.Set.Entries = set.MaxArguments, set.MaxEntries },
		"the longest texts": func(o *Offer) {
			o.File.Name, o.File.Description = strings.Repeat("n", maxGivenName), strings.Repeat("d", maxDescription)
			o.Set.Listed = []Listed{{Name: strings.Repeat("l", maxListing-100)}}
			for range MaxGone {
				o.Gone = append(o.Gone, o.Transfer)
			}
		},
	} {
		want := testSet()
		change(want)
		_, got, err := ParsePayload(crypto.AES256GCM, want.Payload(crypto.NewSecret(crypto.AES256GCM)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b jid.JID) bool { return a == b })); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestSetListsWhatFits: of many items, and of long names, the first ones are told.
func TestSetListsWhatFits(t *testing.T) {
	for name, tt := range map[string]struct {
		name string
		most int
	}{
		"many":      {"n", maxListed},
		"long":      {strings.Repeat("n", 250), 12},
		"escaped":   {strings.Repeat("'", 250), 3},
		"too long":  {strings.Repeat("n", maxListing), 0},
		"not UTF-8": {"\xff\x00", maxListed},
	} {
		o := testSet()
		o.Set.Items, o.Set.Listed = 100, nil
		for range o.Set.Items {
			o.Set.Listed = append(o.Set.Listed, Listed{Name: tt.name, Entries: 1})
		}
		got, err := parse(o)
		if err != nil || len(got.Set.Listed) != tt.most || got.Set.Items != 100 {
			t.Errorf("%s: %d are listed, %v", name, len(got.Set.Listed), err)
		}
	}
}

// TestSetRefused: an offer is of a set or of a file, and says so once.
func TestSetRefused(t *testing.T) {
	many, file := string(testSet().Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:]), string(testOffer().Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
	if _, err := ParseOffer([]byte(many)); err != nil {
		t.Fatal(err)
	}
	item := "<item name='' kind='file' bytes='0' entries='1'/>"
	for name, bad := range map[string]string{
		"a set with the cipher of a file":  strings.Replace(many, NSSet, crypto.AES256GCM.URN(), 1),
		"a file with the cipher of a set":  strings.Replace(file, crypto.AES256GCM.URN(), NSSet, 1),
		"no cipher":                        strings.Replace(many, NSSet, "", 1),
		"another version":                  strings.Replace(many, NSSet, NSSet+":0", 1),
		"no set":                           strings.Replace(many, "<set ", "<x ", 1),
		"another size":                     strings.Replace(many, "<size>4711<", "<size>4712<", 1),
		"no items":                         strings.Replace(many, "items='3'", "items='0'", 1),
		"fewer items than are listed":      strings.Replace(many, "items='3'", "items='2'", 1),
		"too many items":                   strings.Replace(many, "items='3'", fmt.Sprintf("items='%d'", set.MaxArguments+1), 1),
		"items untold":                     strings.Replace(many, "items='3'", "", 1),
		"too many entries":                 strings.Replace(many, "entries='17'", fmt.Sprintf("entries='%d'", set.MaxEntries+1), 1),
		"too many entries of an item":      strings.Replace(many, "entries='15'", fmt.Sprintf("entries='%d'", set.MaxEntries+1), 1),
		"negative bytes":                   strings.Replace(many, "<set items='3' entries='17' bytes='4711'>", "<set items='3' entries='17' bytes='-1'>", 1),
		"negative bytes of an item":        strings.Replace(many, "bytes='11'", "bytes='-1'", 1),
		"another kind":                     strings.Replace(many, "kind='directory'", "kind='link'", 1),
		"more than are told":               strings.Replace(strings.Replace(many, "items='3'", "items='100'", 1), "</set>", strings.Repeat(item, maxListed)+"</set>", 1),
		"longer than what is told":         strings.Replace(many, "name='empty'", "name='"+strings.Repeat("n", maxListing)+"'", 1),
		"an archive as well":               strings.Replace(many, "</offer>", "<directory manifest='"+strings.Repeat("00", 32)+"' files='1'/></offer>", 1),
		"a file of a batch as well":        strings.Replace(many, "</offer>", "<batch id='"+testOffer().Transfer+"' index='1' count='1' bytes='1'/></offer>", 1),
		"a mode":                           strings.Replace(many, "<offer ", "<offer mode='644' ", 1),
		"a restart":                        strings.Replace(many, "<offer ", "<offer restart='true' ", 1),
		"a request from behind some bytes": strings.Replace(many, "<offer ", "<offer prefix='00' ", 1),
	} {
		if bad == many || bad == file {
			t.Errorf("%s: nothing is changed", name)
		}
		if o, err := ParseOffer([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestSetAccept: a set is accepted whole, with a random, and a file without one.
func TestSetAccept(t *testing.T) {
	content := func(s Span) jingle.Content {
		return jingle.Content{
			Creator: jingle.SenderInitiator, Name: "file", Senders: jingle.SenderInitiator,
			Description: jingle.Description(&jingle.File{Size: s.Size, Range: s.Range()}), Transport: xmltree.New("urn:t", "transport").Set("sid", "b"),
		}
	}
	random := [crypto.RandomSize]byte{31: 1}
	for name, tt := range map[string]struct {
		offer  *Offer
		span   Span
		random [crypto.RandomSize]byte
		prefix string
		ok     bool
	}{
		"a set":                 {testSet(), Whole(4711), random, "", true},
		"without a random":      {testSet(), Whole(4711), [crypto.RandomSize]byte{}, "", false},
		"a part of it":          {testSet(), Span{0, 11, 4711}, random, "", false},
		"its rest":              {testSet(), Span{11, 4700, 4711}, random, strings.Repeat("0", 64), false},
		"nothing of it":         {testSet(), Span{4711, 0, 4711}, random, "", false},
		"with a prefix":         {testSet(), Whole(4711), random, strings.Repeat("0", 64), false},
		"a file":                {testOffer(), Span{0, 10, 12}, [crypto.RandomSize]byte{}, "", true},
		"a file with a random":  {testOffer(), Span{0, 10, 12}, random, "", false},
		"a file beyond a limit": {testOffer(), Whole(12), [crypto.RandomSize]byte{}, "", false},
	} {
		c := content(tt.span)
		a := Accept{
			Transfer: tt.offer.Transfer, Offset: tt.span.Offset, Length: tt.span.Length, Size: tt.span.Size, Prefix: tt.prefix,
			Digest: ContentDigest(c), Device: 7, Random: tt.random,
		}
		got, err := ParseAccept(a.Element())
		if err != nil || got != a {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if s, err := got.Check(c, tt.offer, tt.span.Size, 10); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrSealed) || err == nil && s != tt.span {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, bad := range []string{"", "00", strings.Repeat("00", 32), strings.Repeat("0", 63) + "x", strings.Repeat("01", 33), strings.Repeat("0", 65)} {
		x := Accept{Length: 1, Size: 1, Device: 7}.Element().Set("random", bad)
		if a, err := ParseAccept(x); !errors.Is(err, ErrSealed) {
			t.Errorf("%q: %+v, %v", bad, a, err)
		}
	}
}

// TestSetReceipt: how many entries failed goes with the receipt.
func TestSetReceipt(t *testing.T) {
	full := Receipt{Transfer: "x", Size: 3, Stored: 3}
	for _, failed := range []int64{0, 1, set.MaxEntries} {
		r := full
		r.Failed = failed
		x := r.Element()
		if _, told := x.LookupAttr("failed"); told != (failed > 0) {
			t.Errorf("%d: %s", failed, x.Bytes())
		}
		if got, err := ParseReceipt(x); err != nil || got != r {
			t.Errorf("%d: %+v, %v", failed, got, err)
		}
	}
	for _, bad := range []string{"-1", "x", "", fmt.Sprint(set.MaxEntries + 1)} {
		if _, err := ParseReceipt(full.Element().Set("failed", bad)); !errors.Is(err, ErrSealed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestUnsealText: what was sealed comes back as the bytes that it was.
func TestUnsealText(t *testing.T) {
	ts, ctx := crypto.NewSecret(crypto.AES256GCM), testSet().Context()
	want := Accept{Transfer: "t", Random: [crypto.RandomSize]byte{1}}.Element().Bytes()
	b, err := crypto.Seal(ts, KindAccept, ctx, append(want, ' '))
	if err != nil {
		t.Fatal(err)
	}
	x, text, err := UnsealText(ts, KindAccept, ctx, xmltree.New(NS, "sealed").Set("kind", KindAccept).SetText(base64.StdEncoding.EncodeToString(b)))
	if err != nil || string(text) != string(want)+" " || x.Attr("transfer") != "t" {
		t.Errorf("%q, %v", text, err)
	}
}
