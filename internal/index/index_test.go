package index

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"jetsend/internal/archive"
	"jetsend/internal/set"
	"jetsend/internal/source"
)

// awkward are names that are listed as they are, in no order.
var awkward = []string{".git", "a", "a.b", "a-b", "A", "aux.c", "trailing ", "line\nbreak", "bad\xff\xfeutf", "e\u0301", "\u00e9", "z", "0", "~", "-rf", "con"}

// TestOrder: what is in a directory follows it at once, siblings ascend as bytes.
func TestOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "top")
	for i, name := range awkward {
		if i%2 == 0 {
			for _, below := range awkward[:i] {
				write(t, filepath.Join(dir, name, "sub", below), below)
			}
		}
		if err := os.MkdirAll(filepath.Join(dir, "a", name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "m", name), name)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "text")
	ix := listed(t, Options{}, file, dir, file)
	want := slices.Concat([]string{"[file]", "", "[top]"}, reference(t, dir), []string{"[file]", ""})
	compare(t, paths(t, ix), want)
	compare(t, paths(t, ix), want) // again
	args := ix.Arguments()
	if len(args) != 3 || args[0].Directory || !args[1].Directory || args[0].Path != file || args[1].Path != dir ||
		args[1].Entries != uint64(len(want)-5) || ix.Entries() != uint64(len(want)-3) || args[2].Bytes != 4 {
		t.Errorf("%+v, %d entries", args, ix.Entries())
	}
	valid(t, ix)
}

// valid writes and reads all that an index says, as the other end does: what it refuses no
// listing may say.
func valid(t *testing.T, ix *Index) {
	t.Helper()
	sum, stack := int64(0), [][]string{}
	for _, it := range all(t, ix) {
		var m set.Message = it.Entry
		if it.Argument != nil {
			m, stack = *it.Argument, nil
		}
		stream := set.Append(nil, m)
		got, err := set.NewReader(func() ([]byte, error) { b := stream; stream = nil; return b, nil }).Read()
		if err != nil {
			t.Fatalf("%+v: %v", it, err)
		}
		e, ok := got.(set.Entry)
		if !ok {
			continue
		}
		if it.Failed == "" && e.Kind == set.File && e.Extents < 0 {
			sum += e.Size
		}
		for _, x := range it.Extents {
			sum += x.Length
		}
		if len(e.Path) > archive.MaxDepth || len(stack) > 0 && slices.Compare(e.Path, stack[0]) <= 0 {
			t.Fatalf("%q behind %q", e.Path, stack)
		}
		stack = [][]string{e.Path}
	}
	if sum != ix.Bytes() {
		t.Errorf("%d bytes, told %d", sum, ix.Bytes())
	}
}

// TestEntries: what is said of each.
func TestEntries(t *testing.T) {
	dir := t.TempDir()
	top := filepath.Join(dir, "top")
	write(t, filepath.Join(top, "d", "file"), "0123456789")
	write(t, filepath.Join(top, "empty"), "")
	for name, target := range map[string]string{
		"abs": "/etc/passwd", "out": "../../x", "d/up": "../empty", "d/deep": "../../out", "in": ".//d/", "late": "d/../..", "dangling": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	fifo(t, filepath.Join(top, "pipe"))
	ix := listed(t, Options{}, top)
	compare(t, paths(t, ix), []string{"[top]", "", "d", "d/file", "d/up", "dangling", "empty", "in"})
	a := ix.Arguments()[0]
	if a.Entries != 7 || a.Failed != 0 || a.Bytes != 10 || a.Name != "top" {
		t.Errorf("%+v", a)
	}
	var left []string
	for _, l := range a.Left {
		left = append(left, l.Path)
	}
	if a.LeftOut != 5 || !slices.Equal(left, []string{"abs", "d/deep", "late", "out", "pipe"}) {
		t.Errorf("%d left out: %q", a.LeftOut, left)
	}
	valid(t, ix)

	file := find(t, ix, "d/file")
	if e := file.Entry; e.Kind != set.File || e.Size != 10 || e.Mode != 0o640 || !e.MTime.Equal(when) || e.Extents != -1 || e.SHA256 != nil {
		t.Errorf("%+v", e)
	}
	if e := find(t, ix, "in").Entry; e.Kind != set.Link || e.Target != ".//d/" {
		t.Errorf("%+v", e)
	}
	if e := find(t, ix, "d").Entry; e.Kind != set.Directory || e.Mode != 0o755 {
		t.Errorf("%+v", e)
	}
	if text, err := contentOf(ix, file); err != nil || text != "0123456789" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ix.Open(find(t, ix, "d")); err == nil {
		t.Error("a directory is opened")
	}
}

// TestArguments: what may be named, and what it is called.
func TestArguments(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "f"), "text")
	for name, target := range map[string]string{"to-file": "d/f", "to-dir": "d"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string][]byte{}
	ix := named(t, Options{Folder: func(p string) ([]byte, error) {
		ids[p] = []byte(fmt.Sprintf("%016d", len(ids)))
		return ids[p], nil
	}}, source.Named{Path: filepath.Join(dir, "to-file")}, source.Named{Path: filepath.Join(dir, "to-dir")}, source.Named{Path: filepath.Join(dir, "d"), Name: "other"})
	compare(t, paths(t, ix), []string{"[to-file]", "", "[to-dir]", "", "f", "[other]", "", "f"})
	args := ix.Arguments()
	real, err := filepath.EvalSymlinks(filepath.Join(dir, "d", "f"))
	if err != nil || args[0].Path != real || args[1].Path != filepath.Join(dir, "to-dir") || args[0].Folder != nil || len(ids) != 2 {
		t.Errorf("%+v, %v, %v", args, ids, err)
	}
	ix.Rewind(func(n int) uuid.UUID { return uuid.UUID{15: byte(n + 1)} })
	for n := 0; ; {
		it, err := ix.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if a := it.Argument; a != nil {
			n++
			if a.ID != (uuid.UUID{15: byte(n)}) || string(a.Folder) != string(args[n-1].Folder) || a.Bytes != 4 {
				t.Errorf("%+v", a)
			}
		} else if it.Entry.Kind == set.File {
			if text, err := contentOf(ix, &it); err != nil || text != "text" {
				t.Errorf("%q, %v", text, err)
			}
		}
	}

	fifo(t, filepath.Join(dir, "pipe"))
	stop := errors.New("stop")
	for name, tt := range map[string]struct {
		n    source.Named
		opt  Options
		want error
	}{
		"a FIFO":       {n: source.Named{Path: filepath.Join(dir, "pipe")}},
		"a device":     {n: source.Named{Path: "/dev/null"}},
		"an input":     {n: source.Named{Input: strings.NewReader("")}},
		"nothing":      {n: source.Named{Path: filepath.Join(dir, "none")}, want: fs.ErrNotExist},
		"no folder id": {n: source.Named{Path: dir}, opt: Options{Folder: func(string) ([]byte, error) { return nil, stop }}, want: stop},
	} {
		if _, err := Make(t.Context(), []source.Named{tt.n}, t.TempDir(), tt.opt); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Make(t.Context(), nil, filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestExcluded: patterns are held against paths below their argument, and a directory that
// is left out is not entered.
func TestExcluded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "top")
	for _, name := range []string{"a.o", "keep.o", "sub/a.o", "sub/b", "target/x/y", "d/target", "doc/x"} {
		write(t, filepath.Join(dir, name), name)
	}
	ix := named(t, Options{}, excluding(t, dir, "*.o", "!keep.o", "target/", "/doc"), source.Named{Path: dir})
	a := ix.Arguments()
	compare(t, paths(t, ix)[:a[0].Entries+1], []string{"[top]", "", "d", "d/target", "keep.o", "sub", "sub/b"})
	if a[0].Exclude != "*.o\n!keep.o\ntarget/\n/doc" || a[1].Exclude != "" || a[1].Entries != uint64(len(reference(t, dir))) {
		t.Errorf("%+v", a)
	}
}

// TestBounds: what is too deep or too long fails with its directory, and nothing else does.
func TestBounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "top")
	deep := dir + strings.Repeat("/d", archive.MaxDepth)
	write(t, filepath.Join(dir, "z"), "")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	ix := listed(t, Options{}, dir)
	if a := ix.Arguments()[0]; a.Failed != 0 || a.Entries != archive.MaxDepth+2 {
		t.Errorf("an empty directory at the bound: %+v", a)
	}
	write(t, filepath.Join(deep, "f"), "")
	ix = listed(t, Options{}, dir)
	if a := ix.Arguments()[0]; a.Failed != 1 || a.Entries != archive.MaxDepth+2 {
		t.Errorf("%+v", a)
	}
	if it := find(t, ix, deep[len(dir)+1:]); it.Failed != "more than 100 levels" || it.Entry.Kind != set.Directory {
		t.Errorf("%+v", it)
	}
	compare(t, paths(t, ix)[archive.MaxDepth+2:], []string{"z"})
	valid(t, ix)

	dir = filepath.Join(t.TempDir(), "top")
	at, err := os.OpenRoot(mkdir(t, dir))
	for i := 0; err == nil && i < 16; i++ { // 16 names of 250 bytes leave 80
		name := strings.Repeat("n", 250)
		err = at.Mkdir(name, 0o755)
		if err == nil {
			at, err = at.OpenRoot(name)
		}
	}
	for _, n := range []int{79, 80} {
		if err == nil {
			err = at.WriteFile(strings.Repeat("f", n), nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		a := listed(t, Options{}, dir).Arguments()[0]
		if want := uint64(n - 79); a.Failed != want || a.Entries != 18-want {
			t.Errorf("a name of %d bytes: %+v", n, a)
		}
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestChecksum: each file that is no sparse one has its hash.
func TestChecksum(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "top")
	big := strings.Repeat("0123456789", 100_000)
	write(t, filepath.Join(dir, "big"), big)
	write(t, filepath.Join(dir, "empty"), "")
	ix := listed(t, Options{Checksum: true}, dir, filepath.Join(dir, "big"))
	for name, text := range map[string]string{"big": big, "empty": "", "": big} {
		items := all(t, ix)
		i := slices.IndexFunc(items, func(it set.Item) bool { return it.Entry.Kind == set.File && where(&it) == name })
		if want := sha256.Sum256([]byte(text)); string(items[i].Entry.SHA256) != string(want[:]) {
			t.Errorf("%q: %x", name, items[i].Entry.SHA256)
		}
	}
	valid(t, ix)
	ctx, stop := context.WithCancelCause(t.Context())
	cause := errors.New("stop")
	stop(cause)
	if _, err := Make(ctx, []source.Named{{Path: dir}}, t.TempDir(), Options{Checksum: true}); !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestTwice: a name that a directory tells twice is listed once.
func TestTwice(t *testing.T) {
	var n names
	want := []string{strings.Repeat("a", set.MaxPath-1)}
	for i := range 20_000 {
		want = append(want, fmt.Sprintf("b%06d", i))
	}
	for _, name := range slices.Backward(want) {
		n.add(name)
		n.add(name)
	}
	n.sort()
	if got := slices.Collect(n.all); !slices.Equal(got, want) {
		t.Errorf("%d names, first %.20q", len(got), got[0])
	}
}

// TestDots: two dots behind a link lead where the system says.
func TestDots(t *testing.T) {
	d := t.TempDir()
	write(t, filepath.Join(d, "far", "f"), "far")
	write(t, filepath.Join(d, "f"), "near")
	mkdir(t, filepath.Join(d, "far", "sub"))
	if err := os.Symlink("far/sub", filepath.Join(d, "link")); err != nil {
		t.Fatal(err)
	}
	ix := listed(t, Options{}, d+"/link/../f", d+"/link/..")
	for _, it := range all(t, ix) {
		if it.Argument != nil || it.Entry.Kind != set.File {
			continue
		}
		if text, err := contentOf(ix, &it); err != nil || text != "far" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if args := ix.Arguments(); args[0].Name != "f" || args[1].Name != "far" {
		t.Errorf("%+v", args)
	}
}
