package s5b

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/xmltree"
)

// captured returns a transport element captured from Dino 0.4.2.
func captured(t testing.TB, name string) *xmltree.Element {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	e, err := xmltree.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseCaptured(t *testing.T) {
	const sid = "e801f3fa-ad37-4742-8d89-fe1610a8059f"
	for _, tt := range []struct {
		file string
		want Transport
	}{
		{"dino-initiate.xml", Transport{SID: sid, DstAddr: "ec532ebf02de4b3fd0a6f2721ea4472ecfcd7e5d", Candidates: []Candidate{
			{CID: "00667a0a-25e9-43e4-93c2-3bde1e449c24", Host: "127.0.0.1", Port: 39343, JID: "romeo@jet.test/dino.romeo", Priority: 8290304, Type: Direct},
			{CID: "0a4b2e44-bccf-41b5-aff5-ea0c0a947246", Host: "::1", Port: 40731, JID: "romeo@jet.test/dino.romeo", Priority: 8290303, Type: Direct},
			{CID: "eff472bc-b6c4-48dd-9a97-8875e571567d", Host: "127.0.0.1", Port: 5000, JID: "proxy.jet.test", Priority: 688128, Type: Mediated},
			{CID: "da7b0804-9e5b-4315-9105-5f861515fef1", Host: "127.0.0.1", Port: 5000, JID: "proxy.jet.test", Priority: 688127, Type: Mediated},
		}}},
		{"dino-used.xml", Transport{SID: sid, Used: "00667a0a-25e9-43e4-93c2-3bde1e449c24"}},
		{"dino-error.xml", Transport{SID: "98eff9d8-436f-4403-bcb0-64a51c79da99", Failed: true}},
		{"dino-activated.xml", Transport{SID: "268f76ac-7b91-4599-89e8-fc5c2f1ff6ca", Activated: true, ActiveCID: "18d703bc-1833-48d6-86f0-d6d229ecea79"}},
	} {
		got, err := ParseTransport(captured(t, tt.file))
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if d := cmp.Diff(&tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.file, d)
		}
	}
}

func TestParseTransport(t *testing.T) {
	parse := func(inner string) (*Transport, error) {
		e, err := xmltree.Parse([]byte(`<transport xmlns='` + NS + `' sid='s'` + inner))
		if err != nil {
			t.Fatal(err)
		}
		return ParseTransport(e)
	}
	const good = `<candidate cid='g' host='192.0.2.1' port='1' priority='2'/>`
	for _, bad := range []string{
		`<candidate host='192.0.2.1' port='1' priority='2'/>`,
		`<candidate cid='' host='192.0.2.1' port='1' priority='2'/>`,
		`<candidate cid='c' port='1' priority='2'/>`,
		`<candidate cid='c' host='192.0.2.1' port='0' priority='2'/>`,
		`<candidate cid='c' host='192.0.2.1' port='65536' priority='2'/>`,
		`<candidate cid='c' host='192.0.2.1' port='-1' priority='2'/>`,
		`<candidate cid='c' host='192.0.2.1' port='x' priority='2'/>`,
		`<candidate cid='c' host='192.0.2.1' port='1'/>`,
		`<candidate cid='c' host='192.0.2.1' port='1' priority='-2'/>`,
		`<candidate cid='c' host='192.0.2.1' port='1' priority='4294967296'/>`,
		`<candidate cid='c' host='192.0.2.1' port='1' priority='2' type='teleport'/>`,
		`<candidate cid='c' host='fe80::1%eth0' port='1' priority='2'/>`,
		`<candidate cid='c' host='a b' port='1' priority='2'/>`,
		`<candidate cid='c' host='a/b' port='1' priority='2'/>`,
		`<candidate cid='c' host='` + strings.Repeat("a", 256) + `' port='1' priority='2'/>`,
		`<candidate cid='` + strings.Repeat("a", 256) + `' host='192.0.2.1' port='1' priority='2'/>`,
	} {
		got, err := parse(`>` + bad + good + `</transport>`)
		if err != nil || len(got.Candidates) != 1 || got.Candidates[0].CID != "g" {
			t.Errorf("%s: %v, %v", bad, got, err)
		}
	}
	got, err := parse(` block-size='4096'><candidate cid='c' host='192.0.2.1' priority='2'/><other xmlns='urn:x'/></transport>`)
	want := []Candidate{{CID: "c", Host: "192.0.2.1", Port: 1080, Priority: 2, Type: Direct}}
	if err != nil || !cmp.Equal(got.Candidates, want) {
		t.Errorf("%v, %v", got, err)
	}
	got, err = parse(` dstaddr='` + strings.Repeat("a", 256) + `'>` + strings.Repeat(good, 2*maxParsed) + `</transport>`)
	if err != nil || len(got.Candidates) != maxParsed || got.DstAddr != "" {
		t.Errorf("too much: %d candidates, %v", len(got.Candidates), err)
	}
	for _, bad := range []string{` mode='udp'/>`, `><candidate-used/></transport>`} {
		if _, err := parse(bad); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, e := range []*xmltree.Element{nil, xmltree.New("urn:x", "transport"), xmltree.New(NS, "candidate")} {
		if _, err := ParseTransport(e); !errors.Is(err, ErrProtocol) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

func FuzzParseTransport(f *testing.F) {
	for _, name := range []string{"dino-initiate.xml", "dino-accept.xml", "dino-used.xml", "dino-error.xml", "dino-activated.xml"} {
		f.Add(captured(f, name).String())
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			return
		}
		got, err := ParseTransport(e)
		if err != nil {
			return
		}
		again := xmltree.New(NS, "transport").Set("sid", got.SID)
		for _, c := range got.Candidates {
			if c.Port < 1 || c.Port > 65535 || c.Host == "" || c.CID == "" {
				t.Fatalf("candidate %+v", c)
			}
			again.Add(c.Element())
		}
		back, err := ParseTransport(again)
		if err != nil || !cmp.Equal(back.Candidates, got.Candidates) {
			t.Fatalf("%+v became %+v, %v", got.Candidates, back, err)
		}
	})
}
