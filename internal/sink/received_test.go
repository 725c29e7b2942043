package sink

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"jetsend/internal/archive"
	"jetsend/internal/event"
)

// TestChanges: what is not as it was sent in a directory is counted, and told in clean text.
func TestChanges(t *testing.T) {
	tree := archive.Tree{Renamed: 99, LeftOut: 1, Changes: []archive.Change{{Path: "a/link\x1b", Err: syscall.EPERM}}}
	for i := range 99 {
		tree.Changes = append(tree.Changes, archive.Change{Path: fmt.Sprintf(".%d", i), Now: fmt.Sprintf("_%d", i)})
	}
	f := &File{tree: &tree, offered: "verona", name: "verona"}
	texts := f.Changes("verona")
	if *f.Differences() != (event.Differences{Renamed: 99, LeftOut: 1}) || len(texts) != maxChanges+1 {
		t.Fatalf("%+v, %d texts", f.Differences(), len(texts))
	}
	for i, want := range map[int]string{0: "verona: a/link", 1: "verona: .0 arrived as _0", maxChanges: "verona: 90 more are not as they were sent"} {
		if !strings.HasPrefix(texts[i], want) || strings.Contains(texts[i], "\x1b") {
			t.Errorf("%q", texts[i])
		}
	}
}
