package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/exclude"
	"jetsend/internal/set"
	"jetsend/internal/source"
)

var when = time.Date(2001, 2, 3, 4, 5, 6, 789012345, time.UTC)

// write makes a file with the directories above it.
func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(name, []byte(text), 0o640), os.Chtimes(name, when, when)); err != nil {
		tb.Fatal(err)
	}
}

// listed lists paths.
func listed(tb testing.TB, opt Options, paths ...string) *Index {
	tb.Helper()
	var args []source.Named
	for _, p := range paths {
		args = append(args, source.Named{Path: p})
	}
	return named(tb, opt, args...)
}

func named(tb testing.TB, opt Options, args ...source.Named) *Index {
	tb.Helper()
	dir := tb.TempDir()
	ix, err := Make(tb.Context(), args, dir, opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ix.Close() })
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		tb.Fatalf("%v lies there, %v", left, err)
	}
	return ix
}

// excluding names a directory without what the patterns say.
func excluding(tb testing.TB, path string, patterns ...string) source.Named {
	tb.Helper()
	l, err := exclude.Parse(patterns...)
	if err != nil {
		tb.Fatal(err)
	}
	return source.Named{Path: path, Exclude: l}
}

// all are the items from the first one on.
func all(tb testing.TB, ix *Index) (items []set.Item) {
	tb.Helper()
	ix.Rewind(nil)
	for {
		it, err := ix.Next()
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			tb.Fatal(err)
		}
		items = append(items, it)
	}
}

// where is the path of an item.
func where(it *set.Item) string { return strings.Join(it.Entry.Path, "/") }

// paths are those of all entries, with what is wrong with them.
func paths(tb testing.TB, ix *Index) (out []string) {
	tb.Helper()
	for _, it := range all(tb, ix) {
		switch {
		case it.Argument != nil:
			out = append(out, "["+it.Argument.Name+"]")
		case it.Failed != "":
			out = append(out, where(&it)+": "+it.Failed)
		default:
			out = append(out, where(&it))
		}
	}
	return out
}

// find is the entry with a path.
func find(tb testing.TB, ix *Index, path string) *set.Item {
	tb.Helper()
	items := all(tb, ix)
	i := slices.IndexFunc(items, func(it set.Item) bool { return it.Argument == nil && where(&it) == path })
	if i < 0 {
		tb.Fatalf("no %q", path)
	}
	return &items[i]
}

// content reads a file as a sender does.
func contentOf(ix *Index, it *set.Item) (string, error) {
	c, err := ix.Open(it)
	if err != nil {
		return "", err
	}
	b := make([]byte, it.Entry.Size)
	_, err = io.ReadFull(io.NewSectionReader(c, 0, it.Entry.Size), b)
	return string(b), errors.Join(err, c.Unchanged(), c.Close())
}

// reference lists a directory as package index shall, in another way.
func reference(tb testing.TB, dir string) (out []string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(dir, p)
		if rel == "." {
			rel = ""
		}
		out = append(out, rel)
		return errors.Join(err, rerr)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// same fails a test when two lists differ.
func compare(tb testing.TB, got, want []string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("listed\n%s\nwant\n%s", quoted(got), quoted(want))
	}
}

func quoted(list []string) string {
	var b strings.Builder
	for _, s := range list {
		_, _ = fmt.Fprintf(&b, "  %q\n", s)
	}
	return b.String()
}

// fifo makes a FIFO, socket one that nobody listens on.
func fifo(tb testing.TB, path string) {
	tb.Helper()
	if err := mkfifo(path); err != nil {
		tb.Fatal(err)
	}
}
