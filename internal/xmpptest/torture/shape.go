package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// shape is what a set is made of.
type shape struct {
	files   []int64 // their sizes
	folders []folderShape
	// update: the folders were sent before, with something else in them, and are sent
	// again to a receiver that updates; edits of the files that came first were changed
	// there meanwhile.
	update bool
	edits  int
}

// folderShape is a folder with so many files, links and folders in it.
type folderShape struct {
	entries int
	top     int64 // of the size of a file
}

const (
	// maxArguments bounds the files of a set and, apart from them, its folders.
	maxArguments = 4
	// maxInside bounds the entries of a folder, and maxInsideBand those of one that goes
	// in-band.
	maxInside, maxInsideBand = 1200, 120
	// entrySize is about what an entry takes on the wire beside its data.
	entrySize = 50
	// leastRate lets a session be agreed on in-band.
	leastRate = 32 << 10
)

// newShape draws a set, and makes the plan one about it.
func (p *plan) newShape(l limits) {
	rnd := rand.New(rand.NewPCG(p.seed, 1))
	s := &shape{update: rnd.IntN(3) == 0}
	inside, top := maxInside, l.maxSize/8
	if p.route == inBand {
		inside, top = maxInsideBand, maxInBand/8
	}
	if !s.update {
		for range rnd.IntN(maxArguments + 1) {
			s.files = append(s.files, size(rnd, top))
		}
	}
	for range 1 + rnd.IntN(2) {
		n := 1 + int(float64(inside)*rnd.Float64()*rnd.Float64())
		s.folders = append(s.folders, folderShape{n, max(top/int64(n), 64)})
	}
	if s.update {
		s.edits = rnd.IntN(4)
	}
	p.set = s
}

// pace sets the rate for a set of so many bytes and entries, so that there is a middle to
// hit.
func (p *plan) pace(bytes int64, entries int) {
	rnd := rand.New(rand.NewPCG(p.seed, 2))
	took := quickest + time.Duration(rnd.Int64N(int64(slowest-quickest)))
	p.size, p.data, p.entries = bytes, bytes, entries
	p.rate = max(int64(float64(p.onWire())/took.Seconds()), leastRate)
}

// size draws one: small ones are as likely as large ones.
func size(rnd *rand.Rand, top int64) int64 {
	x := rnd.Float64()
	return int64(float64(top) * x * x * x)
}

// onWire is about how many bytes it all takes.
func (p *plan) onWire() int64 {
	if p.set == nil {
		return p.size
	}
	return p.data + int64(p.entries)*entrySize
}

// String describes the set.
func (s *shape) String() string {
	text := fmt.Sprintf("set of files %d, folders (entries, bytes of a file) %v", s.files, s.folders)
	if s.update {
		text += fmt.Sprintf(", an update with %d edits", s.edits)
	}
	return text
}
