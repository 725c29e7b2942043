package main

import (
	"cmp"
	"maps"
	"slices"
)

// node is a package in a layer, or a place where an arrow goes through one.
type node struct {
	name     string // "" for a place
	layer    int
	x, width float64
	up, down []*node
}

// layout is a drawing in layers: the arrows of each go to lower ones.
type layout struct {
	layers [][]*node
	all    map[string]*node
}

// arrange puts the packages into layers, so that arrows are short, and orders each layer so
// that few cross (Sugiyama's way).
func arrange(g imports, width func(string) float64, gap float64) *layout {
	l := &layout{all: map[string]*node{}}
	names := slices.Sorted(maps.Keys(g))
	for _, name := range names {
		l.all[name] = &node{name: name, width: width(name)}
	}
	for _, name := range names {
		for _, to := range g[name] {
			join(l.all[name], l.all[to])
		}
	}
	l.assign(names)
	l.fill(names)
	l.order()
	l.place(gap)
	return l
}

func join(from, to *node) {
	from.down, to.up = append(from.down, to), append(to.up, from)
}

// assign gives each package a layer: below all that import it, and then, where it imports
// more than import it, right above what it imports.
func (l *layout) assign(names []string) {
	var under func(*node) int
	under = func(n *node) (layer int) {
		for _, u := range n.up {
			layer = max(layer, under(u)+1)
		}
		return layer
	}
	lowest := 0
	for _, name := range names {
		n := l.all[name]
		n.layer = under(n)
		lowest = max(lowest, n.layer)
	}
	l.layers = make([][]*node, lowest+1)
	for range names { // each may make room for another
		for _, name := range names {
			if n := l.all[name]; len(n.down) > len(n.up) {
				n.layer = slices.MinFunc(n.down, func(a, b *node) int { return a.layer - b.layer }).layer - 1
			}
		}
	}
}

// fill puts the packages into their layers, and a place into each layer that an arrow passes.
func (l *layout) fill(names []string) {
	for _, name := range names {
		n := l.all[name]
		l.layers[n.layer] = append(l.layers[n.layer], n)
	}
	for _, name := range names {
		n := l.all[name]
		targets := n.down
		n.down = nil
		for _, to := range targets {
			to.up = slices.DeleteFunc(to.up, func(u *node) bool { return u == n })
			last := n
			for layer := n.layer + 1; layer < to.layer; layer++ {
				place := &node{layer: layer}
				l.layers[layer] = append(l.layers[layer], place)
				join(last, place)
				last = place
			}
			join(last, to)
		}
	}
}

// order sorts each layer by the middle of its neighbours, up and down, and keeps the order
// with the fewest crossings.
func (l *layout) order() {
	const sweeps = 60
	l.number()
	best, fewest := l.snapshot(), l.crossings()
	for i := range sweeps {
		for k := range l.layers {
			layer, near := l.layers[k], func(n *node) []*node { return n.up }
			if i%2 == 1 {
				layer, near = l.layers[len(l.layers)-1-k], func(n *node) []*node { return n.down }
			}
			slices.SortStableFunc(layer, func(a, b *node) int { return cmp.Compare(middle(near(a), a.x), middle(near(b), b.x)) })
			for at, n := range layer {
				n.x = float64(at)
			}
		}
		if c := l.crossings(); c < fewest {
			best, fewest = l.snapshot(), c
		}
	}
	l.layers = best
	l.number()
}

func (l *layout) number() {
	for _, layer := range l.layers {
		for at, n := range layer {
			n.x = float64(at)
		}
	}
}

func (l *layout) snapshot() (layers [][]*node) {
	for _, layer := range l.layers {
		layers = append(layers, slices.Clone(layer))
	}
	return layers
}

// middle is the mean place of some nodes, or where one is when there are none.
func middle(of []*node, none float64) float64 {
	if len(of) == 0 {
		return none
	}
	sum := 0.0
	for _, n := range of {
		sum += n.x
	}
	return sum / float64(len(of))
}

// crossings counts the pairs of arrows that cross between two layers.
func (l *layout) crossings() (n int) {
	for _, layer := range l.layers {
		var ends []float64 // of the arrows of those to the left
		for _, from := range layer {
			for _, d := range from.down {
				for _, before := range ends {
					n += cmp.Compare(before, d.x) + 1 // twice, and one that meets counts half
				}
			}
			for _, d := range from.down {
				ends = append(ends, d.x)
			}
		}
	}
	return n / 2
}

// place gives each node its x: near the middle of its neighbours, without one touching
// another.
func (l *layout) place(gap float64) {
	const rounds = 200
	for range rounds {
		for _, layer := range l.layers {
			spread(layer, gap)
		}
	}
	least := 0.0
	for _, layer := range l.layers {
		least = min(least, layer[0].x-layer[0].width/2)
	}
	for _, layer := range l.layers {
		for _, n := range layer {
			n.x -= least
		}
	}
}

// spread moves the nodes of a layer as near to their neighbours as the order and the gaps
// between them allow: a regression of what they want, which may not go down.
func spread(layer []*node, gap float64) {
	type block struct {
		want, weight float64
		n            int
	}
	var blocks []block
	offsets := make([]float64, len(layer))
	for i, n := range layer {
		if i > 0 {
			offsets[i] = offsets[i-1] + (layer[i-1].width+n.width)/2 + gap
		}
		weight := 1.0
		if n.name == "" {
			weight = 4 // arrows are straight
		}
		b := block{middle(append(slices.Clone(n.up), n.down...), n.x) - offsets[i], weight, 1}
		for len(blocks) > 0 && blocks[len(blocks)-1].want > b.want {
			last := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			sum := last.weight + b.weight
			b = block{(last.want*last.weight + b.want*b.weight) / sum, sum, last.n + b.n}
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		for range b.n {
			layer[i].x = b.want + offsets[i]
			i++
		}
	}
}
