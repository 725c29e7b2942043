package ibb

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"strconv"
	"testing"

	"jetsend/internal/jid"
)

// parsed is the stanza as encoding/xml reads it.
type parsed struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Data    []struct {
		XMLName xml.Name
		Attrs   []xml.Attr `xml:",any,attr"`
		Text    string     `xml:",chardata"`
	} `xml:",any"`
	Text string `xml:",chardata"`
}

// inXML returns s as an XML parser gives it back after writing.
func inXML(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		t.Fatal(err)
	}
	var out struct {
		V string `xml:"v,attr"`
	}
	if err := xml.Unmarshal([]byte(`<a v="`+b.String()+`"/>`), &out); err != nil {
		t.Fatal(err)
	}
	return out.V
}

func checkData(t *testing.T, id string, to jid.JID, sid string, seq uint16, data []byte) {
	t.Helper()
	b := AppendData([]byte("before"), id, to, sid, seq, data)
	if !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("lost what was there: %.60s", b)
	}
	b = b[len("before"):]
	var p parsed
	if err := xml.Unmarshal(b, &p); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	attr := func(attrs []xml.Attr, name, want string) {
		t.Helper()
		n := 0
		for _, a := range attrs {
			if a.Name == (xml.Name{Local: name}) {
				n++
				if a.Value != want {
					t.Errorf("%s is %q, want %q", name, a.Value, want)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s is there %d times in %q", name, n, b)
		}
	}
	if p.XMLName != (xml.Name{Local: "iq"}) || len(p.Attrs) != 3 || len(p.Data) != 1 || p.Text != "" {
		t.Fatalf("%q", b)
	}
	attr(p.Attrs, "type", "set")
	attr(p.Attrs, "id", inXML(t, id))
	attr(p.Attrs, "to", inXML(t, to.String()))
	d := p.Data[0]
	if d.XMLName != (xml.Name{Space: NS, Local: "data"}) || len(d.Attrs) != 3 {
		t.Fatalf("%q", b)
	}
	attr(d.Attrs, "seq", strconv.Itoa(int(seq)))
	attr(d.Attrs, "sid", inXML(t, sid))
	got, err := base64.StdEncoding.Strict().DecodeString(d.Text)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("data %x, %v, want %x", got, err, data)
	}
}

func TestAppendData(t *testing.T) {
	checkData(t, "id", juliet, "sid", 0, nil)
	checkData(t, "<'\">&", romeo, "a\tb\r\n\x00\xff", 65535, []byte("x"))
	got := string(AppendData(nil, "i", juliet, "s", 7, []byte("AB")))
	want := `<iq type='set' id='i' to='juliet@capulet.example/balcony'>` +
		`<data xmlns='http://jabber.org/protocol/ibb' seq='7' sid='s'>QUI=</data></iq>`
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestAppendDataAllocates(t *testing.T) {
	data, dst := make([]byte, 4096), make([]byte, 0, 8192)
	n := testing.AllocsPerRun(100, func() { dst = AppendData(dst[:0], "id", juliet, "sid", 1, data) })
	if n > 1 { // the address as text
		t.Errorf("%v allocations for a block", n)
	}
	if len(dst) > 8192 {
		t.Errorf("a stanza of %d bytes is too much for one turn of Prosody", len(dst))
	}
}

func FuzzAppendData(f *testing.F) {
	f.Add("id", "orchard & co's", "s1", uint16(0), []byte("hello"))
	f.Add("'", "<", "\x00", uint16(65535), []byte{})
	f.Fuzz(func(t *testing.T, id, resource, sid string, seq uint16, data []byte) {
		to, err := jid.MustParse("a@b.example").WithResource(resource)
		if err != nil {
			return
		}
		checkData(t, id, to, sid, seq, data)
	})
}
