package session

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

const streamHead = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`

// frames decodes all of a stream.
func frames(r io.Reader) ([]frame, error) {
	d := newDecoder(bufio.NewReader(r))
	if _, err := d.open(); err != nil {
		return nil, err
	}
	var out []frame
	for {
		f, err := d.next()
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
}

func TestDecode(t *testing.T) {
	in := streamHead + " \n<message from='a@b'><body>x &lt; y</body><x xmlns='urn:x'><message xmlns='jabber:client'/></x></message>\n\n" +
		"<stream:features/><r xmlns='urn:xmpp:sm:3'/></stream:stream>"
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in))} {
		fs, err := frames(r)
		if !errors.Is(err, ErrStreamEnd) {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, f := range fs {
			if f.bad != nil {
				t.Errorf("%s: %v", name, f.bad)
			}
			got = append(got, f.el.String())
		}
		want := []string{
			"<message xmlns='jabber:client' from='a@b'><body>x &lt; y</body><x xmlns='urn:x'><message xmlns='jabber:client'/></x></message>",
			"<features xmlns='http://etherx.jabber.org/streams'/>",
			"<r xmlns='urn:xmpp:sm:3'/>",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestSkipped has stanzas over every soft limit: the start tag survives, the
// rest is skipped, and the stream goes on.
func TestSkipped(t *testing.T) {
	for name, tt := range map[string]struct {
		stanza string
		want   error
		id     string
	}{
		"long text":        {"<iq id='1'><x>" + strings.Repeat("x", maxStanza) + "</x></iq>", ErrStanzaTooBig, "1"},
		"many children":    {"<iq id='1'>" + strings.Repeat("<x/>", maxElements) + "</iq>", errElements, "1"},
		"deep":             {"<iq id='1'>" + strings.Repeat("<x>", 1000) + strings.Repeat("</x>", 1000) + "</iq>", errDepth, "1"},
		"attributes":       {"<iq id='1'><x" + manyAttrs() + "/></iq>", errAttrs, "1"},
		"own attributes":   {"<iq id='1'" + manyAttrs() + "/>", errAttrs, ""},
		"two froms":        {"<iq id='1' from='a@b' from='c@d'/>", errAmbiguous, ""},
		"no-name prefix":   {"<iq id='1' from='a@b' xmlns:e='' e:from='c@d'/>", errAmbiguous, ""},
		"inner duplicate":  {"<iq id='1'><x a='1' a='2'/></iq>", errAmbiguous, "1"},
		"no name":          {"<iq id='1' xmlns:p='u'><p:.b/></iq>", xmltree.ErrName, "1"},
		"name of xml":      {"<iq id='1'><xml:a/></iq>", xmltree.ErrName, "1"},
		"own name":         {"<stream:.iq id='1'/>", xmltree.ErrName, ""},
		"very long":        {"<iq id='1'>" + strings.Repeat("<a xmlns='"+strings.Repeat("n", 5e4)+"'><b xmlns=''/><![CDATA[</iq>]>]]></a>", 100) + "</iq>", ErrStanzaTooBig, "1"},
		"very deep":        {"<iq id='1'>" + strings.Repeat("<x>", 1e5) + strings.Repeat("</x>", 1e5) + "</iq>", errDepth, "1"},
		"long in a tag":    {"<iq id='1'><x y='/>\"" + strings.Repeat("/>", maxStanza) + "'/></iq >", ErrStanzaTooBig, "1"},
		"long tag":         {"<iq id='1' x='" + strings.Repeat(">", maxStanza) + "'></iq>", ErrStanzaTooBig, ""},
		"long empty tag":   {" <iq id='1' x=\"'" + strings.Repeat(">", maxStanza) + "\" />", ErrStanzaTooBig, ""},
		"bad empty tag":    {"<iq id='1'><x a='1' a='2'/></iq>\n", errAmbiguous, "1"},
		"late after depth": {"<iq id='1'>" + strings.Repeat("<x>", 200) + "<y z='1' z='2'/>" + strings.Repeat("</x>", 200) + "</iq>", errDepth, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			fs, err := frames(strings.NewReader(streamHead + tt.stanza + "<message/></stream:stream>"))
			if !errors.Is(err, ErrStreamEnd) || len(fs) != 2 {
				t.Fatalf("%d stanzas, then %v", len(fs), err)
			}
			f := fs[0]
			if !errors.Is(f.bad, tt.want) || f.el.Attr("id") != tt.id || len(f.el.Children) > 0 || f.weight != f.el.Weight() ||
				name != "own name" && !f.el.Is(gstanza.NSClient, "iq") {
				t.Errorf("bad %v, id %q, %d children, weight %d", f.bad, f.el.Attr("id"), len(f.el.Children), f.weight)
			}
			if fs[1].bad != nil || !fs[1].el.Is(gstanza.NSClient, "message") {
				t.Errorf("then %v %v", fs[1].el, fs[1].bad)
			}
		})
	}
}

func manyAttrs() string {
	var b strings.Builder
	for i := range maxAttrs + 1 {
		b.WriteString(" a" + strings.Repeat("x", i) + "=''")
	}
	return b.String()
}

func TestFatal(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want error
	}{
		"comment":        {"<!-- x -->", errRestricted},
		"inner comment":  {"<message><!-- x --></message>", errRestricted},
		"processing":     {"<message><?x y?></message>", errRestricted},
		"document type":  {"<!DOCTYPE x>", errRestricted},
		"text":           {"hello<message/>", errStrayText},
		"endless space":  {strings.Repeat(" ", maxStanza), errHardLimit},
		"skipped, then":  {"<iq a='1' a='2'><x/><!-- x --></iq>", errRestricted},
		"skipped, cut":   {"<iq a='1' a='2'><x/>", io.ErrUnexpectedEOF},
		"cut":            {"<message><body>x", io.ErrUnexpectedEOF},
		"cut between":    {"<message/>", io.ErrUnexpectedEOF},
		"mismatched":     {"<message></iq>", nil},
		"unknown entity": {"<message>&x;</message>", nil},
	} {
		_, err := frames(strings.NewReader(streamHead + tt.in))
		if err == nil || errors.Is(err, ErrStreamEnd) || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, head := range []string{"", "x", "<!-- x --><a>", "<?php?><a>", "<!DOCTYPE x><a>"} {
		if _, err := frames(strings.NewReader(head)); err == nil {
			t.Errorf("%q is a header", head)
		}
	}
}

// TestRestart has two streams on one reader, as after SASL: the decoder of the
// first must not have eaten the second one's bytes.
func TestRestart(t *testing.T) {
	br := bufio.NewReader(strings.NewReader(streamHead + "<success xmlns='urn:x'>x</success>" + streamHead + "<message/>"))
	for _, want := range []string{"success", "message"} {
		d := newDecoder(br)
		if _, err := d.open(); err != nil {
			t.Fatal(err)
		}
		f, err := d.next()
		if err != nil || f.el.Name.Local != want {
			t.Fatalf("%v %v", f.el, err)
		}
	}
}

// FuzzDecode checks that whatever is decoded keeps to the limits and survives
// being written and read again.
func FuzzDecode(f *testing.F) {
	f.Add("<message from='a@b'><body>x</body></message></stream:stream>")
	f.Add("<iq xmlns:e='urn:e' e:from='x' from='y' type='get' id='1'><q xmlns='urn:q'/></iq> \n<presence/>")
	f.Add("<a><b><c></c></b></a><!-- -->")
	f.Add("<stream:error><x xmlns='urn:x'/></stream:error>")
	f.Add("<a xmlns:p='' p:b='1'/>")
	f.Add("<stream:a/><stream:.a/><:a/><a:/>")
	f.Add("<a><xml:a/></a><a xml:lang='a' xmlns:p='xml' p:lang='b'/>")
	f.Add("<a a='1' a='2'><b c='>'/><![CDATA[<]]></a><b/>")
	f.Add("<p:xmlns xmlns:p='a'><b xmlns='a'/><p:b/></p:xmlns>")
	f.Fuzz(func(t *testing.T, in string) {
		fs, err := frames(strings.NewReader(streamHead + in))
		if err == nil {
			t.Fatal("a finite stream has no end")
		}
		for _, f := range fs {
			if f.bad != nil {
				if len(f.el.Children) > 0 || f.el.Text != "" {
					t.Fatalf("content of a skipped stanza: %v", f.el)
				}
				continue
			}
			again, err := xmltree.Parse(f.el.Bytes())
			if err != nil {
				t.Fatalf("%q became %q: %v", in, f.el, err)
			}
			if d := cmp.Diff(f.el, again); d != "" {
				t.Fatal(d)
			}
			if in, err := parseInbound(f); err == nil && !in.from.IsZero() && in.el.Attr("from") == "" {
				t.Fatal("a sender from nowhere")
			}
		}
	})
}

// TestRosterLimit: only the answer to our own request for the roster may be longer than
// a stanza; whatever else claims that length, or another's id, is dropped.
func TestRosterLimit(t *testing.T) {
	long := "<query xmlns='jabber:iq:roster'>" + strings.Repeat("<item jid='a@b.example' name='n'><group>g</group></item>", 30000) + "</query></iq>"
	if len(long) <= maxStanza {
		t.Fatal("that is not long")
	}
	for start, fits := range map[string]bool{
		"<iq type='result' id='ours'>":      true,
		"<iq type='result' id='theirs'>":    false,
		"<iq type='set' id='ours'>":         false,
		"<message type='result' id='ours'>": false,
	} {
		stanza := start + long
		if strings.HasPrefix(start, "<message") {
			stanza = strings.TrimSuffix(stanza, "</iq>") + "</message>"
		}
		d := newDecoder(bufio.NewReader(strings.NewReader("<stream xmlns='jabber:client'>" + stanza + "<presence/>")))
		d.roster = func(id string) bool { return id == "ours" }
		if _, err := d.open(); err != nil {
			t.Fatal(err)
		}
		f, err := d.next()
		if err != nil || (f.bad == nil) != fits {
			t.Errorf("%s: %v, %v", start, f.bad, err)
		}
		if f, err = d.next(); err != nil || f.el.Name.Local != "presence" {
			t.Errorf("%s: what comes behind it: %v", start, err)
		}
	}
}
