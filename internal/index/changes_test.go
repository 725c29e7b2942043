package index

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// saved are the lines of an argument.
func saved(tb testing.TB, ix *Index, number int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := ix.Save(&b, number); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestChanges: one of each kind of change, in a folder beside other arguments.
func TestChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "top")
	for _, name := range []string{"same", "longer", "later", "mode", "gone", "kind", "sub/same", "sub/gone/a", "sub/gone/b", "z"} {
		write(t, filepath.Join(dir, name), name)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Symlink("same", in("link")), os.Symlink("same", in("other"))); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "file")
	write(t, other, "text")
	old := saved(t, listed(t, Options{}, other, dir), 1)
	now := listed(t, Options{}, dir, other)
	if c, err := now.Changes(0, bytes.NewReader(old)); err != nil || c != (Changes{Equal: int64(now.Arguments()[0].Entries)}) {
		t.Errorf("untouched: %+v, %v", c, err)
	}
	later := when.Add(time.Second)
	write(t, in("longer"), "longer than it was")
	write(t, in("new"), "12345")
	write(t, in("sub/fresh/deep"), "1234567")
	for _, err := range []error{
		os.Chtimes(in("later"), later, later), os.Chmod(in("mode"), 0o700), os.Remove(in("gone")), os.RemoveAll(in("sub/gone")),
		os.Remove(in("kind")), os.Mkdir(in("kind"), 0o700), os.Remove(in("other")), os.Symlink("z", in("other")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := Changes{
		New:     3,                                                    // new, sub/fresh and what is in it
		Changed: 5,                                                    // longer, later, mode, kind, other
		Equal:   6,                                                    // top, same, sub, sub/same, link, z
		Gone:    4,                                                    // gone, sub/gone with two files
		Bytes:   int64(len("longer than it was") + len("later") + 12), // no byte of mode
	}
	if c, err := listed(t, Options{}, dir).Changes(0, bytes.NewReader(old)); err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	if c, err := listed(t, Options{}, dir).Changes(0, strings.NewReader("")); err != nil || c.Equal+c.Changed+c.Gone != 0 || c.New == 0 {
		t.Errorf("nothing before: %+v, %v", c, err)
	}
}

// TestChangesByHash: with hashes on both sides a time alone is no change, and what is longer
// or other is one.
func TestChangesByHash(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "1234")
	write(t, filepath.Join(dir, "b"), "1234")
	old := saved(t, listed(t, Options{Checksum: true}, dir), 0)
	later := when.Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a"), later, later); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "b"), "1235") // with its time
	c, err := listed(t, Options{Checksum: true}, dir).Changes(0, bytes.NewReader(old))
	if err != nil || c != (Changes{Changed: 1, Equal: 2, Bytes: 4}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestChangesDamaged: what is no listing is an error, whatever it is.
func TestChangesDamaged(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "1234")
	ix := listed(t, Options{}, dir)
	old := saved(t, ix, 0)
	for n := 1; n < len(old); n++ {
		c, err := ix.Changes(0, bytes.NewReader(old[:n]))
		if whole := c.New == 1 && c.Equal == 1; err == nil && !whole { // cut between two lines
			t.Errorf("%d of %d bytes: %+v", n, len(old), c)
		}
	}
	if _, err := ix.Changes(0, strings.NewReader("\xff\xff\xff\xff")); !errors.Is(err, errDamaged) {
		t.Errorf("a line of 4 GiB: %v", err)
	}
}
