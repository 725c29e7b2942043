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

// A name that the file system cannot hold gets a safe one, and then a plainer one.
func TestUnnameable(t *testing.T) {
	long := strings.Repeat("n", 150) + ".txt"
	for name, tt := range map[string]struct {
		err  error
		want []string // tried after it
	}{
		"grüße.txt": {syscall.EILSEQ, []string{"gr__e.txt"}}, "日本": {syscall.EINVAL, []string{"__"}},
		long: {syscall.ENAMETOOLONG, []string{long[:96] + ".txt"}}, "a:b": {syscall.EINVAL, []string{"a_b"}},
		"...": {syscall.ENOENT, []string{"file"}}, "aux.c": {syscall.EPERM, []string{"_aux.c"}},
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
		want := tt.want[len(tt.want)-1]
		if err != nil || got != want || !slices.Equal(tried, append([]string{name}, tt.want...)) || u.tree.Renamed != 1 || u.tree.Changes[0] != (Change{Path: name, Now: want}) {
			t.Errorf("%s: %q after %q, %+v, %v", name, got, tried, u.tree, err)
		}
	}
}

// Every name that changes is counted, the first are told.
func TestChangesTold(t *testing.T) {
	n255 := strings.Repeat("n", 255)
	items := []item{dir("t/"), dir("t/.git/"), reg("t/.git/config", "x"), reg("t/"+n255+"m", "x"), reg("t/.git/"+n255+"m", "x"), reg("t/aux.c", "x")}
	for i := range maxChanges {
		items = append(items, reg(fmt.Sprintf("t/%03d%s", i, n255), "x"))
	}
	tree, err := newYard(t).extract(t, pack(t, items...), all)
	if err != nil || tree.Renamed != maxChanges+2 || tree.LeftOut != 0 || len(tree.Changes) != maxChanges {
		t.Fatalf("%d renamed, %d told, %v", tree.Renamed, len(tree.Changes), err)
	}
	for i, want := range []Change{{Path: n255 + "m", Now: n255}, {Path: ".git/" + n255 + "m", Now: ".git/" + n255}} {
		if tree.Changes[i] != want {
			t.Errorf("%+v, want %+v", tree.Changes[i], want)
		}
	}
}
