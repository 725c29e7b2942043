package main

import (
	"fmt"
	"strings"

	"jetsend/internal/xmpptest/svg"
)

// Measures of a terminal in the picture.
const (
	wide, high = 7.0, 17.0 // of a character
	inset      = 12.0
	bar        = 28.0 // the title bar
	between    = 14.0
)

// panes is the style of terminals, which are dark on every page.
const panes = `.pane{fill:#0d1117;stroke:#6e7681}.bar{fill:#30363d}.name{fill:#e6edf3;font-size:12px;text-anchor:middle}
.t{font-family:` + svg.Mono + `;font-size:11.6px;fill:#d0d7de;white-space:pre}.b{font-weight:700}
.c31{fill:#ff7b72}.c32{fill:#7ee787}.c33{fill:#e3b341}.c34{fill:#79c0ff}.c35{fill:#d2a8ff}.c36{fill:#76e3ea}
`

// pane is a screen with a name.
type pane struct {
	name string
	*screen
}

// drawPanes draws screens side by side, as high as the longest needs.
func drawPanes(title string, all ...pane) (*svg.Picture, error) {
	lines, columns := 0, 0
	for _, p := range all {
		if p.lost > 0 {
			return nil, fmt.Errorf("the screen of %s is too low by %d lines", p.name, p.lost)
		}
		lines, columns = max(lines, p.used()), max(columns, p.columns)
	}
	w, h := float64(columns)*wide+2*inset, bar+float64(lines)*high+2*inset
	n := float64(len(all))
	out := svg.New(n*w+(n-1)*between+2, h+2, title, panes)
	for i, p := range all {
		x := 1 + float64(i)*(w+between)
		out.Box("pane", x, 1, w, h, 8)
		out.Path("bar", svg.At("M", x, 1+bar)+"V9"+svg.At("q", 0, -8, 8, -8)+svg.At("h", w-16)+svg.At("q", 8, 0, 8, 8)+svg.At("V", 1+bar)+"z")
		out.Text("name", x+w/2, bar-8, p.name)
		for y, line := range p.lines[:lines] {
			out.Raw(lineOf(line, x+inset, bar+inset+float64(y)*high+12))
		}
	}
	return out, nil
}

// lineOf is a line of a screen. Its length is told, so that every font fits.
func lineOf(line []cell, x, y float64) string {
	for len(line) > 0 && line[len(line)-1].r == ' ' {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<text class="t" x="%.0f" y="%.0f" textLength="%.0f" xml:space="preserve">`, x, y, float64(len(line))*wide)
	for len(line) > 0 {
		n := 1
		for n < len(line) && line[n].style == line[0].style {
			n++
		}
		b.WriteString(span(line[:n]))
		line = line[n:]
	}
	b.WriteString("</text>\n")
	return b.String()
}

// span is what looks the same.
func span(cells []cell) string {
	var text strings.Builder
	for _, c := range cells {
		text.WriteRune(c.r)
	}
	classes := ""
	if c := cells[0].colour; c != 0 {
		classes = fmt.Sprintf("c%d", c%10+30)
	}
	if cells[0].bold {
		classes = strings.TrimSpace(classes + " b")
	}
	if classes == "" {
		return svg.Escape(text.String())
	}
	return fmt.Sprintf(`<tspan class="%s">%s</tspan>`, classes, svg.Escape(text.String()))
}
