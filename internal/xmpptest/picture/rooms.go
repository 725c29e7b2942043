package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"jetsend/internal/xmpptest/svg"
)

// Measures of the picture of the packages.
const (
	roomHigh  = 26.0
	layerHigh = 74.0
	roomGap   = 14.0
	margin    = 16.0
	head      = 5.0 // of an arrow
	hues      = 6
)

// ways is the style of arrows: those of one package have one colour.
const ways = `.w{fill:none;stroke-width:1.2}.w0,.h0{stroke:#0969da}.w1,.h1{stroke:#bc4c00}.w2,.h2{stroke:#1a7f37}
.w3,.h3{stroke:#8250df}.w4,.h4{stroke:#bf3989}.w5,.h5{stroke:#8a6d00}.h0{fill:#0969da}.h1{fill:#bc4c00}.h2{fill:#1a7f37}
.h3{fill:#8250df}.h4{fill:#bf3989}.h5{fill:#8a6d00}
`

// drawRooms draws the packages and their imports.
func drawRooms(ctx context.Context, path string) error {
	if path == "" {
		return nil
	}
	g, err := readImports(ctx, ".")
	if err != nil {
		return err
	}
	return roomsOf(g).Save(path)
}

// roomsOf draws packages with arrows to those that they import, and the leaves below.
func roomsOf(g imports) *svg.Picture {
	l := arrange(g.reduced(), func(name string) float64 { return float64(len(name))*7.3 + 16 }, roomGap)
	right := 0.0
	for _, layer := range l.layers {
		last := layer[len(layer)-1]
		right = max(right, last.x+last.width/2)
	}
	leaves := wrap(g.leaves(), int(right/6.8))
	bottom := margin + float64(len(l.layers)-1)*layerHigh + roomHigh
	p := svg.New(right+2*margin, bottom+40+20*float64(len(leaves))+margin, "the packages of jetsend, each above those that it imports", ways)
	for i, layer := range l.layers {
		slices.SortFunc(layer, func(a, b *node) int { return cmp.Compare(a.x, b.x) })
		for k, n := range layer {
			if n.name != "" {
				drawArrows(p, n, (i+k)%hues)
			}
		}
	}
	for _, layer := range l.layers {
		for _, n := range layer {
			if n.name != "" {
				p.Box("box", margin+n.x-n.width/2, top(n), n.width, roomHigh, 5)
				p.Text("middle", margin+n.x, top(n)+17, n.name)
			}
		}
	}
	p.Box("box", margin, bottom+18, right, 20*float64(len(leaves))+22, 5)
	p.Text("small faint", margin+10, bottom+34, "leaves, which import nothing of ours; arrows to them are left out, and those that go where others lead already")
	for i, line := range leaves {
		p.Text("leaf", margin+10, bottom+54+20*float64(i), line)
	}
	return p
}

func top(n *node) float64 { return margin + float64(n.layer)*layerHigh }

// drawArrows draws the arrows of a package, through the places that they have in the layers
// between.
func drawArrows(p *svg.Picture, from *node, hue int) {
	for _, next := range from.down {
		x, y := margin+port(from, from.down, next), top(from)+roomHigh
		d, last := svg.At("M", x, y), from
		for {
			end := margin + port(next, next.up, last)
			tip := top(next)
			if next.name != "" {
				tip -= head
			}
			mid := (y + tip) / 2
			d += svg.At("C", x, mid, end, mid, end, tip)
			if next.name != "" {
				arrow(p, from.name, next.name, d, end, tip, hue)
				break
			}
			x, y = end, top(next)+roomHigh
			d += svg.At("V", y)
			last, next = next, next.down[0]
		}
	}
}

func arrow(p *svg.Picture, from, to, d string, x, y float64, hue int) {
	p.Raw(fmt.Sprintf("<g><title>%s</title>", svg.Escape(from+" imports "+to)))
	p.Path(fmt.Sprintf("w w%d", hue), d)
	p.Path(fmt.Sprintf("h%d", hue), svg.At("M", x-3, y)+svg.At("h", 6)+svg.At("l", -3, head)+"z")
	p.Raw("</g>\n")
}

// port is where one of the arrows of a node begins or ends: in the order of the other ends.
func port(n *node, others []*node, other *node) float64 {
	if n.name == "" {
		return n.x
	}
	sorted := slices.Clone(others)
	slices.SortStableFunc(sorted, func(a, b *node) int { return cmp.Compare(a.x, b.x) })
	count := float64(len(sorted))
	step := min(9, (n.width-12)/count)
	return n.x + (float64(slices.Index(sorted, other))-(count-1)/2)*step
}

// wrap writes names on lines of so many characters.
func wrap(names []string, most int) (lines []string) {
	line := ""
	for _, name := range names {
		if line != "" && len(line)+2+len(name) > most {
			lines, line = append(lines, line+","), ""
		}
		line = strings.TrimPrefix(line+", "+name, ", ")
	}
	return append(lines, line)
}
