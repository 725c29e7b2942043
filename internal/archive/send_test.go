package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// grove makes a tree with one of everything.
func grove(tb testing.TB) string {
	tb.Helper()
	d := filepath.Join(tb.TempDir(), "photos")
	long := strings.Repeat("n", 255)
	write(tb, filepath.Join(d, "a"), "content of a")
	write(tb, filepath.Join(d, "empty"), "")
	write(tb, filepath.Join(d, "block"), strings.Repeat("b", blockSize))
	write(tb, filepath.Join(d, "grüße", "日本.txt"), "unicode")
	write(tb, filepath.Join(d, long, long, "deep"), "long names")
	write(tb, filepath.Join(d, "sub", "big"), strings.Repeat("0123456789", 100_000))
	for name, target := range map[string]string{
		"to-a": "a", "sub/up": "../a", "sub/messy": ".//..///a/", "dangling": "none/at/all", "dot": ".",
		"out": "../x", "absolute": "/etc/passwd", "sneaky": "sub/../a",
	} {
		if err := os.Symlink(target, filepath.Join(d, name)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(d, "nothing"), 0o750); err != nil {
		tb.Fatal(err)
	}
	if err := mkfifo(filepath.Join(d, "fifo")); err != nil {
		tb.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"a": 0o640, "empty": 0o444, "block": 0o755 | fs.ModeSetuid, "nothing": 0o750, "sub": 0o555} {
		if err := os.Chmod(filepath.Join(d, name), mode); err != nil {
			tb.Fatal(err)
		}
	}
	for _, name := range []string{"nothing", "sub"} {
		if err := os.Chtimes(filepath.Join(d, name), when, when); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

func TestScan(t *testing.T) {
	d := grove(t)
	sock, err := net.Listen("unix", filepath.Join(d, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sock.Close() }()
	m := mustScan(t, d)
	var skipped []string
	for _, s := range m.Skipped() {
		skipped = append(skipped, s.Path+": "+s.Reason)
	}
	want := []string{
		"absolute: symbolic link that leads out of the directory", "fifo: named pipe",
		"out: symbolic link that leads out of the directory", "s: socket", "sneaky: symbolic link that leads out of the directory",
	}
	if !slices.Equal(skipped, want) {
		t.Errorf("skipped %q", skipped)
	}
	if files, n := m.Files(); files != 6 || n != 12+512+7+10+1_000_000 || m.Name() != "photos" {
		t.Errorf("%s: %d files of %d bytes", m.Name(), files, n)
	}

	// What any reader of tar sees.
	r := tar.NewReader(bytes.NewReader(stream(t, m)))
	seen := map[string]*tar.Header{}
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.Mode&^0o777 != 0 {
			t.Errorf("%s: %+v", h.Name, h)
		}
		seen[h.Name] = h
		names = append(names, h.Name)
	}
	if names[0] != "photos/" || seen["photos/sub/messy"].Linkname != "../a" || !seen["photos/a"].ModTime.Equal(when) ||
		seen["photos/block"].Mode != 0o755 || seen["photos/nothing/"].Mode != 0o750 {
		t.Errorf("%q %+v", names, seen["photos/a"])
	}
}

func TestRoundTrip(t *testing.T) {
	d := grove(t)
	y := newYard(t)
	tree, err := y.extract(t, stream(t, mustScan(t, d)), Limits{Bytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if tree.Renamed != 0 {
		t.Errorf("%+v", tree)
	}
	want := listing(t, d, "fifo", "out", "absolute", "sneaky")
	for _, skipped := range []string{"fifo", "out", "absolute", "sneaky"} {
		delete(want, skipped)
	}
	want["sub/messy"] = "-> ../a"
	want["block"] = strings.Replace(want["block"], "urwx", "-rwx", 1)
	got := listing(t, filepath.Join(y.inbox, "in"))
	if !strings.HasPrefix(got["."], want["."]) { // the listing left out the time
		t.Errorf("top: %s, want %s", got["."], want["."])
	}
	got["."] = want["."]
	equal(t, "tree", got, want)
}

func TestThousands(t *testing.T) {
	d := filepath.Join(t.TempDir(), "many")
	for i := range 4000 {
		write(t, filepath.Join(d, fmt.Sprint(i%7), fmt.Sprint(i%61), fmt.Sprintf("%d%s", i, strings.Repeat("x", i%120))), strings.Repeat("y", i%1500))
	}
	y := newYard(t)
	if _, err := y.extract(t, stream(t, mustScan(t, d)), Limits{Bytes: 4000 * 1500}); err != nil {
		t.Fatal(err)
	}
	equal(t, "tree", listing(t, filepath.Join(y.inbox, "in")), listing(t, d))
}

func TestDeterminism(t *testing.T) {
	d := grove(t)
	a, b := mustScan(t, d), mustScan(t, d)
	if a.Digest() != b.Digest() || !bytes.Equal(stream(t, a), stream(t, b)) {
		t.Error("two scans differ")
	}
	// A copy whose files were made in another order.
	c := filepath.Join(t.TempDir(), "photos")
	if err := os.Mkdir(c, 0o700); err != nil {
		t.Fatal(err)
	}
	entries := slices.Clone(a.entries)
	slices.Reverse(entries)
	for _, e := range entries {
		p := filepath.Join(c, e.path)
		switch {
		case e.kind == tar.TypeDir:
			if err := os.MkdirAll(p, 0o700); err != nil {
				t.Fatal(err)
			}
		case e.kind == tar.TypeReg:
			b, err := os.ReadFile(filepath.Join(d, e.path))
			if err != nil {
				t.Fatal(err)
			}
			write(t, p, string(b))
		}
	}
	for _, e := range entries {
		if e.kind == tar.TypeSymlink {
			if err := os.Symlink(e.link, filepath.Join(c, e.path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range entries {
		if e.kind != tar.TypeSymlink {
			if err := errors.Join(os.Chmod(filepath.Join(c, e.path), e.mode), os.Chtimes(filepath.Join(c, e.path), e.mtime(), e.mtime())); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The times of links cannot be set here: take them from the original.
	copied := mustScan(t, c)
	for i := range copied.entries {
		if e := &copied.entries[i]; e.kind == tar.TypeSymlink {
			e.sec, e.nsec = a.entries[i].sec, a.entries[i].nsec
		}
	}
	if copied.Digest() != a.Digest() || !bytes.Equal(stream(t, copied), stream(t, a)) {
		t.Error("a copy differs")
	}
}

func TestSeek(t *testing.T) {
	m := mustScan(t, grove(t))
	whole := stream(t, m)
	r := mustOpen(t, m)
	rng := rand.New(rand.NewPCG(1, 2))
	offsets := []int64{0, m.Size(), m.Size() - 1, m.Size() - endSize, m.Size() + 5}
	for i := range m.entries {
		e := &m.entries[i]
		offsets = append(offsets, e.at, e.at+e.head, e.at+e.head+e.size, e.end()-1)
	}
	for range 2000 {
		offsets = append(offsets, rng.Int64N(m.Size()))
	}
	for _, off := range offsets {
		if got, err := r.Seek(off, io.SeekStart); err != nil || got != off {
			t.Fatal(got, err)
		}
		b := make([]byte, 1+rng.IntN(5000))
		n, err := io.ReadFull(r, b)
		want := whole[min(off, m.Size()):min(off+int64(len(b)), m.Size())]
		if !bytes.Equal(b[:n], want) || (n < len(b)) != (err != nil) {
			t.Fatalf("at %d: %d bytes of %d, %v", off, n, len(b), err)
		}
	}
	if end, err := r.Seek(0, io.SeekEnd); err != nil || end != m.Size() {
		t.Error(end, err)
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("before the start")
	}
	if pos, err := r.Seek(-7, io.SeekCurrent); err != nil || pos != m.Size()-7 {
		t.Error(pos, err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 7 {
		t.Error(len(rest), err)
	}
}

// A stream of more than 10 GiB, of which the test reads kilobytes.
func TestHuge(t *testing.T) {
	d := t.TempDir()
	const size = 10 << 30
	f, err := os.Create(filepath.Join(d, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("the end"), size-7)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Skip("no sparse files here:", err)
	}
	write(t, filepath.Join(d, "next"), "after it")
	m := mustScan(t, d)
	e := m.entries[1]
	if e.size != size || m.Size() != m.entries[2].end()+endSize {
		t.Fatalf("%+v", e)
	}
	r := mustOpen(t, m)
	b := make([]byte, 7)
	if _, err := r.Seek(e.at+e.head+size-7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "the end" {
		t.Errorf("%q %v", b, err)
	}
	// A reader of tar agrees about the size, and about what comes next.
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(r) // which seeks over data
	var names []string
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(filepath.Base(h.Name), " ", h.Size))
	}
	if !slices.Equal(names[1:], []string{fmt.Sprint("huge ", int64(size)), "next 8"}) {
		t.Errorf("%q", names)
	}
	for i := range 3 { // three of 4 EiB are more than a stream can have
		e := entry{path: fmt.Sprint(i), kind: tar.TypeReg, size: 1 << 62}
		if err := m.add(e); (i > 0) != errors.Is(err, ErrTooMany) {
			t.Errorf("%d of 4 EiB: %v", i+1, err)
		}
	}
}

func TestChanges(t *testing.T) {
	touch := func(p string) error { return os.Chtimes(p, when.Add(time.Second), when.Add(time.Second)) }
	for name, tt := range map[string]struct {
		change func(d string) error
		path   string // told by Unchanged
		read   bool   // seen by reading alone
	}{
		"nothing": {func(string) error { return nil }, "", false},
		"grown": {func(d string) error {
			return errors.Join(os.WriteFile(d+"/sub/big", make([]byte, 1_000_001), 0), os.Chtimes(d+"/sub/big", when, when))
		}, "sub/big", true},
		"shrunk": {func(d string) error {
			return errors.Join(os.Truncate(d+"/sub/big", 999_999), os.Chtimes(d+"/sub/big", when, when))
		}, "sub/big", true},
		"touched":    {func(d string) error { return touch(d + "/a") }, "a", true},
		"gone":       {func(d string) error { return os.Remove(d + "/a") }, top, true},
		"a FIFO now": {func(d string) error { return errors.Join(os.Remove(d+"/a"), mkfifo(d+"/a")) }, top, true},
		"mode":       {func(d string) error { return os.Chmod(d+"/a", 0o600) }, "a", false},
		"link": {func(d string) error {
			return errors.Join(os.Remove(d+"/to-a"), os.Symlink("b", d+"/to-a"), touchDir(d))
		}, "to-a", false},
		"new file": {func(d string) error {
			return errors.Join(os.WriteFile(d+"/nothing/x", nil, 0o600), os.Chtimes(d+"/nothing", when, when))
		}, "nothing/x", false},
		"directory": {func(d string) error { return touch(d + "/nothing") }, "nothing", false},
		"other links": {func(d string) error {
			return errors.Join(os.Remove(d+"/out"), os.Symlink("../y", d+"/out"), touchDir(d))
		}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := grove(t)
			if err := touchDir(d); err != nil {
				t.Fatal(err)
			}
			m := mustScan(t, d)
			r := mustOpen(t, m)
			if err := tt.change(d); err != nil {
				t.Fatal(err)
			}
			var changed *ChangedError
			if _, err := io.Copy(io.Discard, r); errors.As(err, &changed) != tt.read || (err != nil) != tt.read {
				t.Errorf("reading: %v", err)
			}
			changed = nil
			err := r.Unchanged(t.Context())
			if (err != nil) != (tt.path != "") || err != nil && (!errors.As(err, &changed) || changed.Path != tt.path) {
				t.Errorf("unchanged: %v", err)
			}
			if now := mustScan(t, d); (now.Digest() == m.Digest()) != (tt.path == "") {
				t.Error("digest")
			}
		})
	}
}

func touchDir(d string) error { return os.Chtimes(d, when, when) }

// A file that changes while it is being read is seen when its end is reached.
func TestChangesMidway(t *testing.T) {
	for name, change := range map[string]func(p string) error{
		"appended":  func(p string) error { return appendTo(p, "x") },
		"truncated": func(p string) error { return os.Truncate(p, 600_000) },
		"rewritten": func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("z"), 1_000_000), 0) },
	} {
		d := grove(t)
		m := mustScan(t, d)
		r := mustOpen(t, m)
		i := slices.IndexFunc(m.entries, func(e entry) bool { return e.path == "sub/big" })
		if _, err := io.CopyN(io.Discard, r, m.entries[i].at+m.entries[i].head+500_000); err != nil {
			t.Fatal(err)
		}
		if err := change(d + "/sub/big"); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		var changed *ChangedError
		if !errors.As(err, &changed) || changed.Path != "sub/big" || n > 500_000 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func appendTo(p, s string) error {
	f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s)
	return errors.Join(err, f.Close())
}

// A file that is replaced by a link out of the directory is not read.
func TestNotFollowed(t *testing.T) {
	d := grove(t)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "content of a") // the same size and time
	m := mustScan(t, d)
	if err := errors.Join(os.Remove(d+"/a"), os.Symlink(secret, d+"/a")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, mustOpen(t, m)); err == nil {
		t.Error("followed")
	}
	if err := errors.Join(os.RemoveAll(d+"/sub"), os.Symlink(filepath.Dir(secret), d+"/sub")); err != nil {
		t.Fatal(err)
	}
	for _, e := range mustScan(t, d).entries {
		if strings.HasPrefix(e.path, "sub") || e.path == "a" {
			t.Errorf("%+v", e)
		}
	}
}

func TestScanBounds(t *testing.T) {
	d := filepath.Join(t.TempDir(), "d")
	if err := os.MkdirAll(filepath.Join(d, strings.Repeat("x/", MaxDepth)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := newYard(t).extract(t, stream(t, mustScan(t, d)), all); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
	if err := os.Mkdir(filepath.Join(d, strings.Repeat("x/", MaxDepth+1)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Scan(t.Context(), d, nil); !errors.Is(err, ErrTooMany) {
		t.Errorf("%d levels: %v", MaxDepth+1, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, grove(t), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Scan(t.Context(), filepath.Join(d, "missing"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	write(t, filepath.Join(d, "file"), "x")
	if _, err := Scan(t.Context(), filepath.Join(d, "file"), nil); err == nil {
		t.Error("a file was scanned")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(grove(t), link); err != nil {
		t.Fatal(err)
	}
	if m := mustScan(t, link); m.Name() != "link" || m.files != 6 {
		t.Errorf("by a link: %s, %d files", m.Name(), m.files)
	}
}

// TestExcluded: what is left out is not opened, may come and go, and does not count.
func TestExcluded(t *testing.T) {
	d := t.TempDir()
	for _, name := range []string{"keep/a", "logs/x", "keep/1.log"} {
		write(t, filepath.Join(d, name), "x")
	}
	if err := os.Symlink("/etc", filepath.Join(d, "keep", "out.log")); err != nil {
		t.Fatal(err)
	}
	m, err := Scan(t.Context(), d, func(p string, dir bool) bool { return strings.HasSuffix(p, ".log") || dir && p == "logs" })
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range m.entries {
		paths = append(paths, e.path)
	}
	if want := []string{".", "keep", "keep/a"}; !slices.Equal(paths, want) || len(m.Skipped()) > 0 {
		t.Errorf("%q, skipped %v", paths, m.Skipped())
	}
	r, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	whole := time.Unix(1700000000, 0) // its header is shorter
	err = errors.Join(os.Remove(filepath.Join(d, "keep", "1.log")), os.WriteFile(filepath.Join(d, "keep", "2.log"), nil, 0o600), os.Chtimes(filepath.Join(d, "keep"), whole, whole))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Unchanged(t.Context()); err != nil {
		t.Errorf("after a change of what is left out: %v", err)
	}
	write(t, filepath.Join(d, "keep", "b"), "x")
	var changed *ChangedError
	if err := r.Unchanged(t.Context()); !errors.As(err, &changed) || changed.Path != "keep/b" {
		t.Errorf("after another one: %v", err)
	}
}
