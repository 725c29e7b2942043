package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestRooms: the picture of the packages has the arrows and the leaves of the tree.
func TestRooms(t *testing.T) {
	g, err := readImports(t.Context(), "../../..")
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile("../../../docs/rooms.svg")
	if err != nil {
		t.Fatal(err)
	}
	told := func(picture []byte) (lines []string) {
		for _, m := range regexp.MustCompile(`<title>(.+ imports .+)</title>|class="(?:middle|leaf)"[^>]*>(.+)</text>`).FindAllSubmatch(picture, -1) {
			lines = append(lines, string(m[1])+string(m[2]))
		}
		slices.Sort(lines)
		return lines
	}
	got, want := told(drawn), told(roomsOf(g).Bytes())
	if len(want) < 100 {
		t.Fatalf("the tree has only %v", want)
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("docs/rooms.svg lacks: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("docs/rooms.svg has, and the tree has not: %s", line)
		}
	}
	if t.Failed() {
		t.Log("run `make rooms`")
	}
}

// TestArrange: arrows go down, none that others make needless is left, and no two nodes of a
// layer touch.
func TestArrange(t *testing.T) {
	const width, gap = 40, 10
	g := imports{"leaf": nil}
	for i := range 30 { // each imports all below
		of := []string{"leaf"}
		for k := range 30 {
			if k > i && (k-i)%3 != 0 {
				of = append(of, fmt.Sprint(k))
			}
		}
		g[fmt.Sprint(i)] = of
	}
	g = g.reduced()
	if _, there := g["leaf"]; there {
		t.Error("a leaf is there")
	}
	for name, of := range g {
		if len(of) > 2 {
			t.Errorf("%s imports %v", name, of)
		}
	}
	l := arrange(g, func(string) float64 { return width }, gap)
	seen := slices.Collect(maps.Keys(g))
	for at, layer := range l.layers {
		for i, n := range layer {
			seen = slices.DeleteFunc(seen, func(s string) bool { return s == n.name })
			for _, d := range n.down {
				if d.layer != at+1 {
					t.Errorf("%q in %d: an arrow to layer %d", n.name, at, d.layer)
				}
			}
			if i > 0 && n.x-layer[i-1].x < (n.width+layer[i-1].width)/2+gap-0.01 {
				t.Errorf("%q touches %q", layer[i-1].name, n.name)
			}
		}
	}
	if len(seen) > 0 {
		t.Errorf("not drawn: %v", seen)
	}
}
