package archive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mend makes the checksums of the headers right, so that what a change did to
// them is not all that Extract ever sees. Layout: POSIX.1-1988 ustar.
func mend(b []byte) []byte {
	b = bytes.Clone(b)
	for at := 0; at+blockSize <= len(b); {
		h := b[at : at+blockSize]
		sum := b[at+148 : at+156]
		copy(sum, "        ")
		total := 0
		for _, c := range h {
			total += int(c)
		}
		if total == 8*' ' { // the end
			clear(sum)
			return b
		}
		copy(sum, fmt.Sprintf("%06o\x00 ", total))
		size, _ := strconv.ParseInt(strings.Trim(string(h[124:136]), " \x00"), 8, 64)
		if size < 0 || size > int64(len(b)) {
			size = 0
		}
		at += blockSize + int(padded(size))
	}
	return b
}

// FuzzExtract gives arbitrary streams to Extract. Whatever comes of it, nothing
// but the tree came to be, and the tree keeps the promises of [yard.sane].
func FuzzExtract(f *testing.F) {
	for _, b := range refusals(f) {
		if len(b) <= 16<<10 { // small ones change faster
			f.Add(b)
		}
	}
	f.Add(pack(f, dir("t/"), reg("t/a", "x"), dir("t/.d/"), reg("t/.d/b", "y"), sym("t/.d/l", "../a"), sym("t/m", ".d/l")))
	f.Add(pack(f, dir("t/"), reg("t/e\u0301", "1"), reg("t/é", "2"), reg("t/\xff", "3"), reg(`t/\`, "4")))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = mend(b)
		y := newYard(t)
		if _, err := y.extract(t, b, Limits{Bytes: 1 << 20, Entries: 50, Depth: 8}); err != nil {
			return
		}
		// A tree that was unpacked can be sent, and comes out the same.
		in := filepath.Join(y.inbox, "in")
		m := mustScan(t, in)
		if len(m.Skipped()) != 0 {
			t.Fatalf("skipped: %q", m.Skipped())
		}
		want := listing(t, in)
		b = stream(t, m)
		if err := os.RemoveAll(in); err != nil {
			t.Fatal(err)
		}
		if _, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in"}, Limits{Bytes: m.Size()}); err != nil {
			t.Fatal(err)
		}
		equal(t, "there and back", listing(t, in), want)
	})
}
