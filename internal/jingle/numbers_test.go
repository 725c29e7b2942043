package jingle

import (
	"testing"

	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestNumbersFromTheWire puts no number in the place of each number of a description.
func TestNumbersFromTheWire(t *testing.T) {
	size := func(text string) error {
		f, err := ParseFile(xmltree.New(NSFile, "file", xmltree.New(NSFile, "size").SetText(text)))
		if err == nil && f.Size != 2 {
			t.Errorf("%q is the size %d", text, f.Size)
		}
		return err
	}
	span := func(name string) func(string) error {
		return func(text string) error {
			_, err := ParseFile(xmltree.New(NSFile, "file", xmltree.New(NSFile, "range").Set(name, text)))
			return err
		}
	}
	for what, read := range map[string]func(string) error{"size": size, "offset": span("offset"), "length": span("length")} {
		for _, text := range append(xmpptest.NoNumbers(), "9223372036854775808") {
			if read(text) == nil {
				t.Errorf("%s: %q is a number", what, text)
			}
		}
		if err := read("2"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
