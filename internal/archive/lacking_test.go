package archive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Links that the file system does not have are left out, and told; everything else
// arrives. Other errors are errors.
func TestNoLinks(t *testing.T) {
	b := pack(t, dir("t/"), reg("t/a", "x"), sym("t/link", "a"), dir("t/d/"), sym("t/d/up", "../a"), reg("t/z", "y"))
	for errno, left := range map[syscall.Errno]bool{
		syscall.EPERM: true, syscall.EOPNOTSUPP: true, syscall.ENOSYS: true, syscall.ENAMETOOLONG: true, syscall.EIO: false, syscall.ENOSPC: false,
	} {
		y := newYard(t)
		lack := func(_ *os.Root, target, path string) error {
			return &os.LinkError{Op: "symlinkat", Old: target, New: path, Err: errno}
		}
		tree, err := Extract(t.Context(), bytes.NewReader(b), y.root, Target{ID: "1", Name: "in", symlink: lack}, all)
		if !left {
			if err == nil {
				t.Errorf("%v: %+v", errno, tree)
			}
			continue
		}
		if err != nil || tree.LeftOut != 2 || tree.Links != 0 || tree.Files != 2 || len(tree.Changes) != 2 {
			t.Fatalf("%v: %+v, %v", errno, tree, err)
		}
		if c := tree.Changes[1]; c.Path != "d/up" || c.Now != "" || c.Err == nil {
			t.Errorf("%v: %+v", errno, c)
		}
		y.sane(t, tree)
		for name, want := range map[string]bool{"a": true, "z": true, "d": true, "link": false, "d/up": false} {
			if _, err := os.Lstat(filepath.Join(y.inbox, "in", name)); (err == nil) != want {
				t.Errorf("%v: %s: %v", errno, name, err)
			}
		}
	}
}

// A name that the file system cannot hold gets a plainer one.
func TestUnnameable(t *testing.T) {
	long := strings.Repeat("n", 150) + ".txt"
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"grüße.txt": {syscall.EILSEQ, "gr__e.txt"}, "日本": {syscall.EINVAL, "__"}, long: {syscall.ENAMETOOLONG, long[:96] + ".txt"},
	} {
		u := unpacker{made: map[string]made{top: {path: top, dir: true}}}
		var tried []string
		got, err := u.claim(name, func(p string) error {
			tried = append(tried, p)
			if p == name {
				return &os.PathError{Op: "openat", Path: p, Err: tt.err}
			}
			return nil
		})
		if err != nil || got != tt.want || !slices.Equal(tried, []string{name, tt.want}) || u.tree.Renamed != 1 || u.tree.Changes[0] != (Change{Path: name, Now: tt.want}) {
			t.Errorf("%s: %q after %q, %+v, %v", name, got, tried, u.tree, err)
		}
	}
}

// Every name that changes is counted, the first are told.
func TestChangesTold(t *testing.T) {
	items := []item{dir("t/"), dir("t/.git/"), reg("t/.git/config", "x"), reg("t/aux.c", "x"), reg("t/e\u0301", "x"), reg("t/plain", "x")}
	for i := range maxChanges {
		items = append(items, reg(fmt.Sprintf("t/.%d", i), "x"))
	}
	tree, err := newYard(t).extract(t, pack(t, items...), all)
	if err != nil || tree.Renamed != maxChanges+3 || tree.LeftOut != 0 || len(tree.Changes) != maxChanges {
		t.Fatalf("%d renamed, %d told, %v", tree.Renamed, len(tree.Changes), err)
	}
	for i, want := range []Change{{Path: ".git", Now: "_git"}, {Path: "aux.c", Now: "_aux.c"}, {Path: "e\u0301", Now: "\u00e9"}} {
		if tree.Changes[i] != want {
			t.Errorf("%+v, want %+v", tree.Changes[i], want)
		}
	}
}

// The entries that will be renamed are known to the sender as well.
func TestRenames(t *testing.T) {
	d := t.TempDir()
	for _, name := range []string{".git/config", "aux.c", "plain", "dir/.hidden"} {
		write(t, filepath.Join(d, name), "x")
	}
	n, first := mustScan(t, d).Renames()
	if want := []Change{{Path: ".git", Now: "_git"}, {Path: "aux.c", Now: "_aux.c"}, {Path: "dir/.hidden", Now: "dir/_hidden"}}; n != 3 || !slices.Equal(first, want) {
		t.Errorf("%d: %+v", n, first)
	}
}
