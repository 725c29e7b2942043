package tree

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/inbox"
)

// TestChangedSinceArrived: what came in an earlier session of the set, and has changed at the
// sender since, is not said to be there. A folder is brought up to date, also where each new
// one gets a name of its own; a file has failed.
func TestChangedSinceArrived(t *testing.T) {
	k := newKit(t)
	later := epoch.Add(time.Hour)
	s := k.open(inbox.Rename)
	s.folder("f", thing{path: "a", data: "A"}, thing{path: "b", data: "B"})
	s.file("g", thing{data: "G"})
	s.file("h", thing{data: "H"})
	s.file("i", thing{data: "I"})
	if err := s.Indexed(); err != nil {
		t.Fatal(err)
	}
	for len(s.outcomes()) < int(s.next) {
		time.Sleep(time.Millisecond)
	}
	s.cut()
	if err := os.Remove(filepath.Join(k.dir, "i")); err != nil {
		t.Fatal(err)
	}
	s = k.open(inbox.Rename)
	s.folder("f", thing{path: "a", data: "AA", mtime: later}, thing{path: "b", data: "B"}, thing{path: "c", data: "C"})
	s.file("g", thing{data: "GG", mtime: later})
	s.file("h", thing{data: "H"})
	s.file("i", thing{data: "II", mtime: later}) // nobody knows what was taken away
	s.done().want("changed ", "changed a", "equal b", "new c", "failed  reason it has changed since it arrived here", "equal ", "equal ")
	k.shows("", "./", "f/", "f/a AA", "f/b B", "f/c C", "g G", "h H")
}
