package profile

import (
	"strings"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestNumbersFromTheWire puts no number in the place of each number of our profile.
func TestNumbersFromTheWire(t *testing.T) {
	a := Accept{Transfer: testOffer().Transfer, Offset: 1, Length: 2, Size: 3, Digest: strings.Repeat("0", 64), Device: 4}
	if _, err := ParseAccept(a.Element()); err != nil {
		t.Fatal(err)
	}
	c := Checksum{Transfer: testOffer().Transfer, Size: 3, SHA256: strings.Repeat("0", 64)}
	if _, err := ParseChecksum(c.Element()); err != nil {
		t.Fatal(err)
	}
	whole := func() *xmltree.Element {
		x, err := xmltree.Parse(testOffer().Payload(crypto.NewSecret(crypto.AES256GCM))[SecretSize:])
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	offered := func(child, name string) func(string) error {
		return func(text string) error {
			x := whole()
			at := x
			if child != "" {
				at = x.Child(NS, child)
			}
			at.Set(name, text)
			_, err := ParseOffer([]byte(x.String()))
			return err
		}
	}
	for what, read := range map[string]func(string) error{
		"accept offset": func(s string) error { _, err := ParseAccept(a.Element().Set("offset", s)); return err },
		"accept length": func(s string) error { _, err := ParseAccept(a.Element().Set("length", s)); return err },
		"accept size":   func(s string) error { _, err := ParseAccept(a.Element().Set("size", s)); return err },
		"accept device": func(s string) error { _, err := ParseAccept(a.Element().Set("device", s)); return err },
		"checksum size": func(s string) error { _, err := ParseChecksum(c.Element().Set("size", s)); return err },
		"offer device":  offered("", "device"),
		"batch index":   offered("batch", "index"),
		"batch count":   offered("batch", "count"),
		"batch bytes":   offered("batch", "bytes"),
		"archive files": offered("directory", "files"),
	} {
		for _, text := range append(xmpptest.NoNumbers(), " 1", "1 ", "9223372036854775808") {
			if read(text) == nil {
				t.Errorf("%s: %q is a number", what, text)
			}
		}
		if err := read("2"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A mode may be missing; then it is none, and not 0.
	for _, text := range xmpptest.NoNumbers() {
		if _, err := parseMode(text); (err == nil) != (text == "") {
			t.Errorf("mode %q: %v", text, err)
		}
	}
}
