package tree

import (
	"os"
	"path/filepath"
	"testing"

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

var _ set.Target = (*Target)(nil)

func TestFile(t *testing.T) {
	k := newKit(t)
	k.write("a.txt", "mine")
	s := k.open(inbox.Rename)
	s.file("a.txt", thing{data: "one", mode: 0o755})
	s.file("a.txt", thing{data: "two"})
	s.file("../b", thing{})
	s.done().want("new  renamed a (1).txt", "new  renamed a (2).txt", "new  renamed b")
	k.shows("", "./", "a (1).txt one", "a (2).txt two", "a.txt mine", "b ")
	is, err := os.Stat(filepath.Join(k.dir, "a (1).txt"))
	if err != nil || is.Mode().Perm() != 0o755 || !is.ModTime().Equal(epoch) {
		t.Error(is, err)
	}
}

func TestFolder(t *testing.T) {
	k := newKit(t)
	s := k.open(inbox.Rename)
	s.folder("f", thing{path: "a", data: "A"}, thing{path: "b/c", data: "C", mode: 0o755}, thing{path: "b/d/e", data: ""}, thing{path: "b.x", data: "x"},
		thing{path: "l", target: "b/c"}, thing{path: "z", dir: true, mode: 0o500})
	s.done().want("new ", "new a", "new b", "new b/c", "new b/d", "new b/d/e", "new b.x", "new l", "new z")
	k.shows("f", "f/", "f/a A", "f/b/", "f/b/c C", "f/b/d/", "f/b/d/e ", "f/b.x x", "f/l -> b/c", "f/z/")
	for path, mode := range map[string]os.FileMode{"": 0o755, "a": 0o644, "b/c": 0o755, "b": 0o755, "z": 0o500} {
		is, err := os.Stat(filepath.Join(k.dir, "f", path))
		if err != nil || is.Mode().Perm() != mode || !is.ModTime().Equal(epoch) {
			t.Error(path, is.Mode(), is.ModTime(), err)
		}
	}
}
