package ibb

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// TestFlood: a peer that ignores missing acknowledgements is cut off, whether
// it sends much or many.
func TestFlood(t *testing.T) {
	for _, size := range []int{0, 1, 4096, 65535} {
		m := NewManager(Config{Port: &silent{}})
		e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 65535}})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := ask(t, m, romeo, strings.Replace(openS, "16", "65535", 1)); got != "result" {
			t.Fatal(got)
		}
		c, err := e.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Fill up to where acknowledgements are withheld.
		answers := map[string]int{}
		el := element("data", "s").SetText(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), ackBytes/4)))
		for n := range 4 {
			askLater(m, el.Set("seq", strconv.Itoa(n)), answers)
		}
		askLater(m, el.Set("seq", "4").SetText("eA=="), answers)
		if answers["result"] != 4 || len(answers) != 1 {
			t.Fatalf("blocks of %d: %v", size, answers)
		}
		el.SetText(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("y"), size)))
		withheld := 1
		for n := 5; answers["resource-constraint"] == 0 && n < 2*maxWithheld; n++ {
			askLater(m, el.Set("seq", strconv.Itoa(n)), answers)
			withheld++
		}
		withheld-- // the last one was refused
		if answers["result"] != 4 || answers["resource-constraint"] != 1 {
			t.Errorf("blocks of %d: %v", size, answers)
		}
		if c.in.buf.Len() > maxBuffered || len(c.in.withheld) > maxWithheld {
			t.Errorf("blocks of %d: %d bytes and %d blocks were kept", size, c.in.buf.Len(), len(c.in.withheld))
		}
		// Closing answers the rest.
		_ = c.Close()
		if answers["item-not-found"] != withheld {
			t.Errorf("blocks of %d: %v, %d were withheld", size, answers, withheld)
		}
		m.Close()
	}
}

// askLater counts the answers to el, those to come too.
func askLater(m *Manager, el *xmltree.Element, answers map[string]int) {
	m.HandleIQ(context.Background(), stanza.IQ{From: romeo, ID: "1", Type: stanza.Set, Payload: el}, func(_ *xmltree.Element, err error) {
		var se *stanza.Error
		if errors.As(err, &se) {
			answers[se.Condition]++
			return
		}
		answers["result"]++
	})
}

// FuzzHandleIQ gives a manager three payloads on end, after an <open/>.
func FuzzHandleIQ(f *testing.F) {
	f.Add([]byte(openS), []byte(data(0, "QUJD")), []byte(closeS), true)
	f.Add([]byte(data(0, "QUJD")), []byte(data(1, "QU")), []byte(data(65536, "=")), true)
	f.Add([]byte(`<data xmlns='`+NS+`' sid='s' seq=' 0 '> QQ== </data>`), []byte(`<x/>`), []byte(openS), false)
	f.Fuzz(func(t *testing.T, a, b, c []byte, opened bool) {
		m := NewManager(Config{Port: &silent{}})
		defer m.Close()
		e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 16}})
		if err != nil {
			t.Fatal(err)
		}
		if opened {
			_, _ = askTyped(m, romeo, stanza.Set, openElement("s", 16))
		}
		asked, answered := 0, 0
		var want []byte
		for _, in := range [][]byte{a, b, c} {
			x, err := xmltree.Parse(in)
			if err != nil {
				continue
			}
			asked++
			m.HandleIQ(context.Background(), stanza.IQ{From: romeo, ID: "1", Type: stanza.Set, Payload: x}, func(_ *xmltree.Element, err error) {
				answered++
				var se *stanza.Error
				if err != nil && !errors.As(err, &se) {
					t.Errorf("%s: %v", in, err)
				}
				if err == nil && x.Name.Local == "data" {
					d, err := base64.StdEncoding.DecodeString(layout.Replace(x.Text))
					if err != nil || len(d) > 16 {
						t.Errorf("accepted %q", x.Text)
					}
					want = append(want, d...)
				}
			})
		}
		if asked != answered {
			t.Errorf("%d answers to %d requests", answered, asked)
		}
		if got := e.c.in.buf.Bytes(); !bytes.Equal(got, want) {
			t.Errorf("buffered %q, want %q", got, want)
		}
	})
}
