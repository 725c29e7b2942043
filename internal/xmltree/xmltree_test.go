package xmltree

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	const in = `<a xmlns='urn:a' x='1 &lt; 2'><b xmlns='urn:b' xml:lang='en'><c/></b><d>text &amp; more</d></a>`
	e, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got := e.String(); got != in {
		t.Errorf("got  %s\nwant %s", got, in)
	}
	if got := e.Child("urn:b", "b").Child("", "c"); !got.Is("urn:b", "c") {
		t.Errorf("c: %v", got)
	}
	if got := e.ChildText("urn:a", "d"); got != "text & more" {
		t.Errorf("d: %q", got)
	}
	m, err := xml.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(m)
	if err != nil {
		t.Fatal(err)
	}
	again.Child("urn:b", "b").Attrs, e.Child("urn:b", "b").Attrs = nil, nil // encoding/xml: no xml:lang
	if d := cmp.Diff(e, again); d != "" {
		t.Error(d)
	}
}

func TestPrefixes(t *testing.T) {
	e, err := Parse([]byte(`<p:a xmlns:p='urn:a' p:x='evil' x='good'><b xmlns='urn:b'/></p:a>`))
	if err != nil {
		t.Fatal(err)
	}
	if e.Attr("x") != "good" || len(e.Attrs) != 1 {
		t.Errorf("attributes: %v", e.Attrs)
	}
	if got, want := e.String(), `<a xmlns='urn:a' x='good'><b xmlns='urn:b'/></a>`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestCanonical(t *testing.T) {
	a, err := Parse([]byte("<a xmlns='urn:a' y='2' x='1'>\n <b xmlns='urn:b'> t </b>\n</a>"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse([]byte("<p:a xmlns:p='urn:a' x='1' y='2'><b xmlns='urn:b'> t </b></p:a>"))
	if err != nil {
		t.Fatal(err)
	}
	if string(a.Canonical()) != string(b.Canonical()) {
		t.Errorf("%s\n%s", a.Canonical(), b.Canonical())
	}
	b.Children[0].Text = "t"
	if string(a.Canonical()) == string(b.Canonical()) {
		t.Error("a changed text went unnoticed")
	}
	if a.Attr("y") != "2" || a.Attrs[0].Name.Local != "y" {
		t.Error("the element itself was changed")
	}
}

func TestStart(t *testing.T) {
	e := Start(xml.StartElement{Name: xml.Name{Space: "urn:a", Local: "a"}, Attr: []xml.Attr{
		{Name: xml.Name{Space: "xmlns", Local: "p"}, Value: "urn:p"},
		{Name: xml.Name{Local: "xmlns"}, Value: "urn:a"},
		{Name: xml.Name{Space: "urn:p", Local: "from"}, Value: "evil"},
		{Name: xml.Name{Space: "xml", Local: "lang"}, Value: "evil"}, // by a prefix for this very name space
		{Name: xml.Name{Local: "from"}, Value: "good"},
	}})
	want := New("urn:a", "a").Set("from", "good")
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
}

func TestNames(t *testing.T) {
	for _, in := range []string{`<p:_b.1-x xmlns:p='u'/>`, `<p:é xmlns:p='u'/>`, `<Z p:é='1' xmlns:p='u' xml:lang='de'/>`} {
		if _, err := Parse([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestNameXmlns has the one element name whose name space encoding/xml tells only
// when it is prefixed.
func TestNameXmlns(t *testing.T) {
	for _, in := range []string{
		`<p:xmlns xmlns:p='urn:a'><p:b/></p:xmlns>`,
		`<xmlns xmlns='urn:a'><b/></xmlns>`,
	} {
		e, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := e.String(), `<xmlns><b xmlns='urn:a'/></xmlns>`; got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

func TestRefused(t *testing.T) {
	for in, want := range map[string]error{
		`<a><!-- x --></a>`:               ErrRestricted,
		`<a><?x y?></a>`:                  ErrRestricted,
		`<!DOCTYPE a><a/>`:                ErrRestricted,
		strings.Repeat("<a>", MaxDepth+1): ErrDepth,
		`<a/><b/>`:                        nil,
		`<a>`:                             nil,
		`x<a/>`:                           nil,
		``:                                nil,
		`<a xmlns:p='u'><p:b></a>`:        nil,
		`<a>&undefined;</a>`:              nil,
		`<p:.b xmlns:p='u'/>`:             ErrName,
		`<a><p:1 xmlns:p='u'/></a>`:       ErrName,
		"<p:\u00b7 xmlns:p='u'/>":         ErrName, // an extender, which no name begins with
		`<:a/>`:                           ErrName,
		`<a:/>`:                           ErrName,
		`<a :b='1'/>`:                     ErrName,
		`<a><xml:b/></a>`:                 ErrName,
		`<a xmlns='` + xmlnsNS + `'/>`:    ErrName,
		"<a>\x00</a>":                     nil,
	} {
		_, err := Parse([]byte(in))
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%.40q: %v", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`<a xmlns='urn:a' x='1'><b xmlns='urn:b'>t</b></a>`)
	f.Add(`<a>&#x0d;&#10;"'</a>`)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := Parse([]byte(in))
		if err != nil {
			return
		}
		again, err := Parse(e.Bytes())
		if err != nil {
			t.Fatalf("%q became %q: %v", in, e, err)
		}
		if d := cmp.Diff(e, again); d != "" {
			t.Fatal(d)
		}
	})
}
