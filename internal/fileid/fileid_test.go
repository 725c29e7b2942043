package fileid

import (
	"os"
	"path/filepath"
	"testing"
)

func of(t *testing.T, path string) ID {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	id, err := Of(f, info)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sum(ids ...ID) []byte {
	var d Digest
	for _, id := range ids {
		d.Add(id)
	}
	return d.Sum()
}

func TestOf(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, p := range []string{a, b} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := of(t, a)
	if err := os.Chmod(a, 0o644); err != nil {
		t.Fatal(err)
	}
	if after := of(t, a); !after.Is(before) || !Same(sum(after), sum(before)) {
		t.Error("other permissions are another file")
	}
	if other := of(t, b); other.Is(before) || Same(sum(other), sum(before)) {
		t.Error("two files are one")
	}
}

func TestSame(t *testing.T) {
	id := ID{device: 1, inode: 2, kind: 3, change: 4}
	a := sum(id, ID{device: 1, inode: 9})
	for name, tt := range map[string]struct {
		id   ID
		want bool
	}{
		"the same":                       {id, true},
		"a device of another number":     {ID{device: 8, inode: 2, kind: 3, change: 4}, true}, // plugged in again
		"changed permissions":            {ID{device: 1, inode: 2, kind: 3, change: 5}, true},
		"the inode of another device":    {ID{device: 8, inode: 2, kind: 3, change: 5}, false},
		"of another kind of file system": {ID{device: 8, inode: 2, kind: 7, change: 4}, false},
		"another file":                   {ID{device: 1, inode: 5, kind: 3, change: 4}, false},
	} {
		if got := Same(a, sum(tt.id, ID{device: 1, inode: 9})); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if Same(a, sum(id)) || Same(sum(id), a) {
		t.Error("one file more or less is the same")
	}
	if !Same(nil, a) || !Same(a, nil) || sum() != nil || len(a) != Size {
		t.Error("no sum is like every other")
	}
}
