package ibb

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jetsend/internal/xmltree"
)

func TestParseTransport(t *testing.T) {
	const ns = ` xmlns='urn:xmpp:jingle:transports:ibb:1'`
	for in, want := range map[string]struct {
		t   Transport
		err error
	}{
		`<transport` + ns + ` block-size='4096' sid='a'/>`:                        {Transport{"a", 4096}, nil},
		`<transport` + ns + ` block-size=' 8192 ' sid='a' x='y'><z/></transport>`: {Transport{"a", 8192}, nil},
		`<transport` + ns + ` block-size='65536' sid='a' stanza='iq'/>`:           {Transport{"a", 65535}, nil},
		`<transport` + ns + ` sid='a'/>`:                                          {Transport{"a", 0}, nil},
		`<transport` + ns + ` block-size='8192'/>`:                                {Transport{"", 8192}, nil},
		`<transport` + ns + ` block-size='0' sid='a'/>`:                           {err: ErrMalformed},
		`<transport` + ns + ` block-size='-1' sid='a'/>`:                          {err: ErrMalformed},
		`<transport` + ns + ` block-size='' sid='a'/>`:                            {err: ErrMalformed},
		`<transport` + ns + ` block-size='99999999999999999999' sid='a'/>`:        {err: ErrMalformed},
		`<transport` + ns + ` block-size='1' stanza='message' sid='a'/>`:          {err: ErrMessages},
		`<transport` + ns + ` block-size='1' stanza='x' sid='a'/>`:                {err: ErrMalformed},
		`<transport` + ns + ` sid='` + strings.Repeat("a", maxSID+1) + `'/>`:      {err: ErrMalformed},
		`<transport xmlns='urn:xmpp:jingle:transports:s5b:1' sid='a'/>`:           {err: ErrMalformed},
		`<x` + ns + `/>`: {err: ErrMalformed},
	} {
		e, err := xmltree.Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseTransport(e)
		if got != want.t || !errors.Is(err, want.err) {
			t.Errorf("%.90s: %+v, %v", in, got, err)
		}
	}
	if _, err := ParseTransport(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("nil: %v", err)
	}
}

func TestTransportElement(t *testing.T) {
	got := Transport{SID: "a'b", BlockSize: 2048}.Element().String()
	if want := `<transport xmlns='urn:xmpp:jingle:transports:ibb:1' block-size='2048' sid='a&#39;b'/>`; got != want {
		t.Errorf("got %s", got)
	}
	a, b := NewTransport(0), NewTransport(70000)
	if a.BlockSize != 4096 || b.BlockSize != 65535 || a.SID == b.SID || len(a.SID) < 20 {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestBlockSizeAgreement(t *testing.T) {
	for _, x := range []struct{ offer, limit, answer, agreed int }{
		{4096, 0, 4096, 4096},
		{8192, 4096, 4096, 4096},
		{4096, 8192, 4096, 4096},
		{65535, 0, 65535, 65535},
		{0, 0, 4096, 4096},
	} {
		offer := Transport{"s", x.offer}
		answer, err := offer.Answer(x.limit)
		if err != nil || answer != (Transport{"s", x.answer}) {
			t.Errorf("%+v: answer %+v, %v", x, answer, err)
		}
		agreed, err := offer.Agree(answer)
		if err != nil || agreed != (Transport{"s", x.agreed}) {
			t.Errorf("%+v: agreed %+v, %v", x, agreed, err)
		}
	}
	offer := Transport{"s", 4096}
	// An answer that is larger, says nothing, or lacks the sid (Conversations 2.5.5).
	for _, answer := range []Transport{{"s", 65535}, {"s", 0}, {"", 8192}} {
		if got, err := offer.Agree(answer); err != nil || got != offer {
			t.Errorf("%+v: %+v, %v", answer, got, err)
		}
	}
	if _, err := offer.Agree(Transport{"other", 1024}); !errors.Is(err, ErrMalformed) {
		t.Errorf("another sid: %v", err)
	}
	if _, err := (Transport{BlockSize: 1}).Answer(0); !errors.Is(err, ErrMalformed) {
		t.Errorf("no sid: %v", err)
	}
}

func FuzzParseTransport(f *testing.F) {
	f.Add([]byte(`<transport xmlns='urn:xmpp:jingle:transports:ibb:1' block-size='4096' sid='a' stanza='iq'/>`))
	f.Add([]byte(`<transport xmlns='urn:xmpp:jingle:transports:ibb:1' sid='&amp;'/>`))
	files, err := filepath.Glob("../../dialect/testdata/replay/*.xml") // what other clients say
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range regexp.MustCompile(`<transport xmlns='urn:xmpp:jingle:transports:ibb:1'[^>]*/>`).FindAll(b, -1) {
			f.Add(x)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := xmltree.Parse(in)
		if err != nil {
			return
		}
		x, err := ParseTransport(e)
		if err != nil {
			return
		}
		if x.BlockSize < 0 || x.BlockSize > MaxBlockSize || len(x.SID) > maxSID {
			t.Fatalf("%+v", x)
		}
		again, err := xmltree.Parse(x.Element().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		y, err := ParseTransport(again)
		if x.BlockSize == 0 {
			x.BlockSize = DefaultBlockSize
		}
		if err != nil || x != y {
			t.Fatalf("%+v became %+v, %v", x, y, err)
		}
	})
}
