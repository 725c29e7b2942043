package svg

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestPicture: whatever is written, the picture is XML, and asks for nothing from elsewhere.
func TestPicture(t *testing.T) {
	p := New(100, 50.25, "a & b", ".mine{fill:red}")
	p.Box("box", 1, 2, 3, 4, 2)
	p.Dot("good", 1, 1, 1)
	p.Text("mono", 1, 2, `<script>"&'`+"\x1b")
	p.Path("line", At("M", 0, 0.04)+At("L", 10, 5.55))
	text := string(p.Bytes())
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err, text)
		}
	}
	for _, bad := range []string{"<script", "href", "url(", "@import"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s is in the picture", bad)
		}
	}
	if !strings.Contains(text, `d="M0 0L10 5.5"`) && !strings.Contains(text, `d="M0 0L10 5.6"`) {
		t.Error(text)
	}
}
