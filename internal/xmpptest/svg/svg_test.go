package svg

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPicture: whatever is written, the picture is XML, and asks for nothing from elsewhere.
func TestPicture(t *testing.T) {
	p := New(100, 50.25, "a & b", ".mine{fill:red}")
	p.Box("box", 1, 2, 3, 4, 2)
	p.Dot("good", 1, 1, 1)
	p.Text("mono", 1, 2, `<script>"&'`+"\x1b")
	p.Path("line", At("M", 0, 0.04)+At("L", 10, 5.57))
	sound(t, string(p.Bytes()))
	if text := string(p.Bytes()); !strings.Contains(text, `d="M0 0L10 5.6"`) {
		t.Error(text)
	}
}

// TestPicturesOfDocs: so are all pictures in docs/, and they are small.
func TestPicturesOfDocs(t *testing.T) {
	const most = 60 << 10
	files, err := filepath.Glob("../../../docs/*.svg")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil || len(text) > most {
				t.Fatal(len(text), err)
			}
			sound(t, string(text))
		})
	}
}

func sound(t *testing.T, text string) {
	t.Helper()
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
	for _, bad := range []string{"<script", "href", "url(", "@import", "onload"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s is in the picture", bad)
		}
	}
}
