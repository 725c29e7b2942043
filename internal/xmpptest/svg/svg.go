// Package svg writes the pictures of docs/: boxes, lines and text with classes of one small
// style, readable on a light and on a dark page, without scripts and without anything that
// stands elsewhere.
package svg

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The fonts of text, and of what is typed and printed.
const (
	Sans = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
	Mono = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
)

// style is what all pictures have in common: ink and lines of the page that they are on.
const style = `text{font-family:` + Sans + `;font-size:13px;fill:#1f2328}
.mono{font-family:` + Mono + `}.small{font-size:11px}.faint{fill:#656d76}.head{font-size:15px;font-weight:600}
.middle{text-anchor:middle}.end{text-anchor:end}
.box{fill:#f6f8fa;stroke:#8c959f}.line{fill:none;stroke:#8c959f}.grid{fill:none;stroke:#d0d7de}
.good{fill:#0969da;stroke:none}.other{fill:#8c959f;stroke:none}.way{fill:none;stroke:#0969da;stroke-width:2}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#8d96a0}.box{fill:#161b22;stroke:#6e7681}
.line{stroke:#6e7681}.grid{stroke:#30363d}.good{fill:#4493f8}.other{fill:#6e7681}.way{stroke:#4493f8}}
`

// Picture is a picture in the making.
type Picture struct{ b strings.Builder }

// New begins a picture. title is what is read out where it cannot be seen, more is added to
// its style.
func New(width, height float64, title, more string) *Picture {
	p := &Picture{}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="img">`+"\n", number(width), number(height))
	fmt.Fprintf(&p.b, "<title>%s</title>\n<style>%s%s</style>\n", Escape(title), style, more)
	return p
}

// Box draws a rectangle with round corners.
func (p *Picture) Box(class string, x, y, w, h, round float64) {
	fmt.Fprintf(&p.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`+"\n", class, number(x), number(y), number(w), number(h), number(round))
}

// Dot draws a circle.
func (p *Picture) Dot(class string, x, y, r float64) {
	fmt.Fprintf(&p.b, `<circle class="%s" cx="%s" cy="%s" r="%s"/>`+"\n", class, number(x), number(y), number(r))
}

// Text writes one line; y is where its letters stand.
func (p *Picture) Text(class string, x, y float64, text string) {
	fmt.Fprintf(&p.b, `<text class="%s" x="%s" y="%s">%s</text>`+"\n", class, number(x), number(y), Escape(text))
}

// Path draws along an SVG path, see [At].
func (p *Picture) Path(class, d string) {
	fmt.Fprintf(&p.b, `<path class="%s" d="%s"/>`+"\n", class, d)
}

// Raw adds elements as they are.
func (p *Picture) Raw(elements string) { p.b.WriteString(elements) }

// Bytes ends the picture.
func (p *Picture) Bytes() []byte { return []byte(p.b.String() + "</svg>\n") }

// Save ends the picture and puts it into a file, whole.
func (p *Picture) Save(path string) error {
	if err := os.WriteFile(path+".new", p.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return os.Rename(path+".new", path)
}

// At is a command of a path, with its coordinates.
func At(command string, coordinates ...float64) string {
	for i, c := range coordinates {
		if i > 0 {
			command += " "
		}
		command += number(c)
	}
	return command
}

// Escape makes text out of any string.
func Escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// number has at most one decimal place.
func number(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}
