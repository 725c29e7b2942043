package index

import (
	"bytes"
	"slices"
)

// firstPiece is the size of the first of the pieces that names are packed into. A name has
// room in it; the third doubling is the last one, so that a place in a piece has 16 bits.
const (
	firstPiece = 8 << 10
	doublings  = 3
)

// names are those in a directory, packed: a million of them as strings, and what the
// collector leaves of them, would be most of the memory that a sender may take.
type names struct {
	pieces [][]byte
	at     []uint32 // each the number of a piece and a place in it
}

// add adds a name that is shorter than [set.MaxPath].
func (n *names) add(name string) {
	last := len(n.pieces) - 1
	if last < 0 || cap(n.pieces[last])-len(n.pieces[last]) < len(name)+2 {
		last++
		n.pieces = append(n.pieces, make([]byte, 0, firstPiece<<min(last, doublings)))
	}
	p := n.pieces[last]
	n.at = append(n.at, uint32(last)<<16|uint32(len(p)))
	n.pieces[last] = append(append(p, byte(len(name)>>8), byte(len(name))), name...)
}

func (n *names) len() int { return len(n.at) }

func (n *names) bytes(at uint32) []byte {
	p := n.pieces[at>>16][at&0xffff:]
	return p[2 : 2+int(p[0])<<8+int(p[1])]
}

// sort sorts them. A directory that is changed while it is read may tell one twice.
func (n *names) sort() {
	slices.SortFunc(n.at, func(a, b uint32) int { return bytes.Compare(n.bytes(a), n.bytes(b)) })
	n.at = slices.CompactFunc(n.at, func(a, b uint32) bool { return bytes.Equal(n.bytes(a), n.bytes(b)) })
}

// all are the names in their order.
func (n *names) all(yield func(string) bool) {
	for _, at := range n.at {
		if !yield(string(n.bytes(at))) {
			return
		}
	}
}
