package index

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/set"
	"jetsend/internal/source"
)

// TestChanged: a file that is not the one that was listed is not opened, neither behind a
// link, nor behind a directory that is one, nor another file of the same size and time.
func TestChanged(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(d string) error
		want   string
	}{
		"untouched":      {func(string) error { return nil }, ""},
		"chmod":          {func(d string) error { return os.Chmod(d+"/sub/a", 0o600) }, ""},
		"gone":           {func(d string) error { return os.Remove(d + "/sub/a") }, "it is gone"},
		"directory gone": {func(d string) error { return os.RemoveAll(d + "/sub") }, "it is gone"},
		"all gone":       {os.RemoveAll, "it is gone"},
		"grown":          {func(d string) error { return add(d+"/sub/a", "more") }, "it has changed"},
		"cut": {func(d string) error {
			return errors.Join(os.Truncate(d+"/sub/a", 3), os.Chtimes(d+"/sub/a", when, when))
		}, "it has changed"},
		"touched":       {func(d string) error { return os.Chtimes(d+"/sub/a", when, when.Add(time.Nanosecond)) }, "it has changed"},
		"a link inside": {func(d string) error { return errors.Join(os.Remove(d+"/sub/a"), os.Symlink("../secret", d+"/sub/a")) }, "it has changed"},
		"a link to itself": {func(d string) error {
			return errors.Join(os.Rename(d+"/sub/a", d+"/sub/b"), os.Symlink("b", d+"/sub/a"))
		}, "it has changed"},
		"a FIFO":      {func(d string) error { return errors.Join(os.Remove(d+"/sub/a"), mkfifo(d+"/sub/a")) }, "it has changed"},
		"a directory": {func(d string) error { return errors.Join(os.Remove(d+"/sub/a"), os.Mkdir(d+"/sub/a", 0o700)) }, "it has changed"},
		"another file": {func(d string) error {
			return os.Rename(d+"/secret", d+"/sub/a")
		}, "it has changed"},
		"the parent a link": {func(d string) error {
			return errors.Join(os.Rename(d+"/sub", d+"/old"), os.Symlink("old", d+"/sub"))
		}, "it has changed"},
		"the parent a FIFO": {func(d string) error { return errors.Join(os.RemoveAll(d+"/sub"), mkfifo(d+"/sub")) }, "it has changed"},
		"the parent another": {func(d string) error {
			return errors.Join(os.Rename(d+"/sub", d+"/old"), os.Rename(d+"/other", d+"/sub"))
		}, "it has changed"},
	} {
		t.Run(name, func(t *testing.T) {
			d := filepath.Join(t.TempDir(), "top")
			for _, f := range []string{"secret", "sub/a", "other/a"} {
				write(t, filepath.Join(d, f), "012345"+f[:1])
			}
			ix := listed(t, Options{}, d)
			it := find(t, ix, "sub/a")
			if err := tt.change(d); err != nil {
				t.Fatal(err)
			}
			text, err := contentOf(ix, it)
			switch {
			case tt.want == "" && (err != nil || text != "012345s"):
				t.Errorf("%q, %v", text, err)
			case tt.want != "" && (err == nil || err.Error() != tt.want || !errors.Is(err, source.ErrChanged) || text != ""):
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

func add(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// TestArgumentChanged: a link in the place of a file that was named is not followed.
func TestArgumentChanged(t *testing.T) {
	d := t.TempDir()
	path := filepath.Join(d, "f")
	write(t, path, "text")
	ix := listed(t, Options{}, path)
	if err := errors.Join(os.Rename(path, path+"2"), os.Symlink("f2", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := ix.Open(find(t, ix, "")); !errors.Is(err, source.ErrChanged) || err.Error() != "it has changed" {
		t.Error(err)
	}
}

// TestChangedMeanwhile: what happens to a file that is open is seen behind its last byte.
func TestChangedMeanwhile(t *testing.T) {
	d := filepath.Join(t.TempDir(), "top")
	f := filepath.Join(d, "f")
	for name, change := range map[string]func() error{
		"grown":   func() error { return add(f, "more") },
		"cut":     func() error { return os.Truncate(f, 1) },
		"written": func() error { return os.WriteFile(f, []byte("else"), 0o600) },
	} {
		write(t, f, "text")
		ix := listed(t, Options{}, d)
		c, err := ix.Open(find(t, ix, "f"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Unchanged(); err != nil {
			t.Error(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := c.Unchanged(); !errors.Is(err, source.ErrChanged) || err.Error() != "it has changed" {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := c.ReadAt(make([]byte, 4), 0); name == "cut" && (n != 1 || !errors.Is(err, source.ErrChanged)) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		_ = c.Close()
		if _, err := c.ReadAt(make([]byte, 4), 0); err == nil || strings.Contains(err.Error(), d) {
			t.Errorf("closed: %v", err)
		}
	}
}

// TestSwapped: a racer exchanges a directory and a file for links that lead elsewhere; what
// is listed and read is of the folder, and nothing waits.
func TestSwapped(t *testing.T) {
	d := t.TempDir()
	top, secret := filepath.Join(d, "top"), filepath.Join(d, "secret")
	write(t, filepath.Join(top, "sub", "f"), "honest")
	write(t, filepath.Join(top, "g"), "honest")
	write(t, filepath.Join(secret, "f"), "secret")
	write(t, filepath.Join(secret, "h"), "secret")
	over, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			swap(filepath.Join(top, "sub"), secret, i)
			swap(filepath.Join(top, "g"), filepath.Join(secret, "f"), i)
		}
	}()
	read, changed := 0, 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		ix := listed(t, Options{Checksum: read%2 == 0}, top)
		for _, it := range all(t, ix) {
			if strings.HasSuffix(where(&it), "h") {
				t.Fatalf("%q is listed", where(&it))
			}
			if it.Argument != nil || it.Entry.Kind != set.File || it.Failed != "" {
				continue
			}
			text, err := contentOf(ix, &it)
			switch {
			case err != nil:
				changed++
			case text != "honest":
				t.Fatalf("read %q", text)
			default:
				read++
			}
		}
	}
	close(over)
	<-stopped
	t.Logf("read %d times, changed %d", read, changed)
}

// swap has a link, or a FIFO, in the place of path for a moment.
func swap(path, target string, i int) {
	_ = os.Rename(path, path+".away")
	if i%3 == 0 {
		_ = mkfifo(path)
	} else {
		_ = os.Symlink(target, path)
	}
	_ = os.Remove(path)
	_ = os.Rename(path+".away", path)
}

// TestSparse: holes are not listed, and the extents come again with the file.
func TestSparse(t *testing.T) {
	d := filepath.Join(t.TempDir(), "top")
	const size = 64 << 20
	f, err := os.OpenFile(filepath.Join(mkdir(t, d), "sparse"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{1 << 20, 32 << 20} {
		if _, err := f.WriteAt([]byte(strings.Repeat("x", 1<<16)), at); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(f.Truncate(size), f.Close())
	for name, size := range map[string]int64{"hole": size, "empty": 0} {
		err = errors.Join(err, os.WriteFile(filepath.Join(d, name), nil, 0o600), os.Truncate(filepath.Join(d, name), size))
	}
	if err != nil {
		t.Fatal(err)
	}
	ix := listed(t, Options{Checksum: true}, d)
	it := find(t, ix, "sparse")
	if it.Entry.Extents < 0 {
		t.Skip("no holes here")
	}
	want := []set.Extent{{Offset: 1 << 20, Length: 1 << 16}, {Offset: 32 << 20, Length: 1 << 16}}
	if it.Entry.Size != size || it.Entry.Extents != 2 || it.Extents[0] != want[0] || it.Extents[1] != want[1] || it.Entry.SHA256 != nil || ix.Bytes() != 1<<17 {
		t.Errorf("%+v, %d bytes", it, ix.Bytes())
	}
	if hole := find(t, ix, "hole"); hole.Entry.Extents != 0 || hole.Extents == nil || hole.Entry.Size != size {
		t.Errorf("%+v", hole)
	}
	if e := find(t, ix, "empty").Entry; e.Extents != -1 || len(e.SHA256) == 0 {
		t.Errorf("%+v", e)
	}
	valid(t, ix)
	it.Extents = nil
	c, err := ix.Open(it)
	if err != nil || len(it.Extents) != 2 || it.Extents[1] != want[1] {
		t.Fatalf("%+v, %v", it, err)
	}
	defer func() { _ = c.Close() }()
	b := make([]byte, 1<<16+1)
	if n, err := c.ReadAt(b, 32<<20); err != nil || n != len(b) || b[0] != 'x' || b[1<<16-1] != 'x' || b[1<<16] != 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := c.ReadAt(b, size); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes behind the end, %v", n, err)
	}
}

// TestDamaged: a file that is not what was written says so, wherever it is cut.
func TestDamaged(t *testing.T) {
	d := filepath.Join(t.TempDir(), "top")
	write(t, filepath.Join(d, "sub", "f"), "text")
	ix := listed(t, Options{}, d)
	for size := range ix.size {
		ix.size = size
		ix.Rewind(nil)
		var err error
		for err == nil {
			_, err = ix.Next()
		}
		if !errors.Is(err, errDamaged) {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

// FuzzLine: a line is what it was made of, and no bytes are fatal.
func FuzzLine(f *testing.F) {
	l := line{item: set.Item{Entry: set.Entry{Kind: set.File, Size: 9, Extents: 1, MTime: when}, Extents: []set.Extent{{Offset: 1, Length: 2}}}, depth: 2, name: "n"}
	f.Add(l.append(nil)[lengthSize:])
	l = line{item: set.Item{Entry: set.Entry{Kind: set.Link, Target: "t", MTime: when}, Failed: "why"}, depth: 1, name: "n"}
	f.Add(l.append(nil)[lengthSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parse(b)
		if err != nil || l.item.Entry.Kind < set.File || l.item.Entry.Kind > set.Link {
			return
		}
		again, err := parse(l.append(nil)[lengthSize:])
		if err != nil || again.name != l.name || again.depth != l.depth || !again.item.Entry.MTime.Equal(l.item.Entry.MTime) || again.item.Failed != l.item.Failed {
			t.Errorf("%+v became %+v, %v", l, again, err)
		}
	})
}
