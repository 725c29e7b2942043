package tree

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"jetsend/internal/inbox"
	"jetsend/internal/machine"
)

// awkward are names that mean something somewhere, or are no text.
func awkward() []thing {
	return []thing{
		{path: ".git/HEAD", data: "1"}, {path: "aux.c", data: "2"}, {path: "trailing ", data: "3"}, {path: "dot.", data: "4"}, {path: "\xff\xfe", data: "5"},
		{path: "e\u0301", data: "6"}, {path: "\u00e9", data: "7"}, {path: "new\nline", data: "8"}, {path: "back\\slash", data: "9"}, {path: "A", data: "10"},
		{path: "a", data: "11"}, {path: "-rf", data: "12"}, {path: "...", data: "13"}, {path: "..a", data: "14"}, {path: ".jetsend-x.set", data: "15"},
		{path: strings.Repeat("\u65e5", 85), data: "16"},
	}
}

func TestAwkwardNames(t *testing.T) {
	k := newKit(t)
	s := k.open(inbox.Rename)
	s.folder("f", awkward()...)
	s.done()
	for _, o := range s.outcomes() {
		if strings.Contains(o, "renamed") || strings.Contains(o, "failed") {
			t.Error(o)
		}
	}
	for _, th := range awkward() {
		k.shows(filepath.Join("f", th.path), filepath.Join("f", th.path)+" "+th.data)
	}
}

// folded makes the file system, as far as steps tell, one that does not take some names.
func folded(t *testing.T, refuses func(name string) bool) {
	machine.Watch(func(s machine.Step) error {
		name := filepath.Base(s.Path)
		if s.To != "" {
			name = filepath.Base(s.To)
		}
		if (s.Op == machine.Create || s.Op == machine.Rename) && refuses(name) {
			return syscall.EINVAL
		}
		return nil
	})
	t.Cleanup(func() { machine.Watch(nil) })
}

// TestUnnameable: what the file system cannot hold gets a safe name, and keeps it when the
// folder is updated.
func TestUnnameable(t *testing.T) {
	folded(t, func(name string) bool {
		return strings.Contains(name, ":") || strings.Contains(name, "\xff") || len(name) > 200
	})
	long := strings.Repeat("n", 250)
	things := []thing{
		{path: "a:b", data: "1"}, {path: "a_b", data: "2"}, {path: "c:d/x", data: "3"}, {path: "c_d/x", data: "4"}, {path: "l:", target: "a:b"}, {path: long, data: "5"},
		{path: strings.Repeat("m", 300), data: "6"}, {path: "z\xff", data: "7"},
	}
	k := newKit(t)
	s := k.open(inbox.Update)
	s.folder("f", things...)
	plain := strings.Repeat("n", 100)
	want := []string{"f/", "f/a_b 1", "f/a_b (1) 2", "f/c_d/", "f/c_d/x 3", "f/c_d (1)/", "f/c_d (1)/x 4", "f/l_ -> a:b", "f/" + strings.Repeat("m", 100) + " 6", "f/" + plain + " 5", "f/z_ 7"}
	s.done()
	if got := k.show("f"); !same(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	k.again()
	s = k.open(inbox.Update)
	if wanted := s.folder("f", things...); len(wanted) > 0 {
		t.Errorf("wanted: %q", wanted)
	}
	s.done()
	if got := k.show("f"); !same(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func same(a, b []string) bool {
	seen := map[string]int{}
	for _, s := range a {
		seen[s]++
	}
	for _, s := range b {
		seen[s]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestNoLinks: on a file system without links, they fail, and the rest goes on.
func TestNoLinks(t *testing.T) {
	machine.Watch(func(s machine.Step) error {
		if s.Op == machine.Create && strings.HasSuffix(s.Path, "-2") { // behind that of the file
			return syscall.EPERM
		}
		return nil
	})
	t.Cleanup(func() { machine.Watch(nil) })
	k := newKit(t)
	s := k.open(inbox.Rename)
	s.folder("f", thing{path: "a", data: "A"}, thing{path: "l", target: "a"}, thing{path: "z", dir: true})
	s.done().want("new ", "new a", "failed l reason operation not permitted", "new z")
}

// TestRules: what the rule for names that are taken says of files and folders.
func TestRules(t *testing.T) {
	for how, want := range map[inbox.Conflict][]string{
		inbox.Rename:    {"new  renamed a (1)", "new  renamed f (1)", "new x"},
		inbox.Update:    {"new  renamed a (1)", "new  renamed f (1)", "new x"},
		inbox.Skip:      {"failed  reason file exists", "failed  reason file exists", "failed x reason file exists"},
		inbox.Overwrite: {"new ", "failed  reason file exists", "failed x reason file exists"},
	} {
		k := newKit(t)
		k.write("a", "mine")
		k.write("f", "mine")
		s := k.open(how)
		s.file("a", thing{data: "A"})
		s.folder("f", thing{path: "x", data: "X"})
		s.done().want(want...)
	}
}
