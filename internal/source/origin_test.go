package source

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/archive"
	"jetsend/internal/exclude"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// lure is a file that was sent, and secret one of the same size and time, which
// anybody may look at, that was not.
type lure struct {
	dir, path, secret string
	when              time.Time
}

func newLure(t *testing.T) *lure {
	t.Helper()
	l := &lure{dir: filepath.Join(t.TempDir(), "outbox"), when: time.Unix(1_700_000_000, 123_456_789)}
	l.path, l.secret = filepath.Join(l.dir, "report.txt"), filepath.Join(t.TempDir(), "report.txt")
	err := os.Mkdir(l.dir, 0o700)
	for name, text := range map[string]string{l.path: "please send this.", l.secret: "root:$6$secret:::"} {
		err = errors.Join(err, os.WriteFile(name, []byte(text), 0o600), os.Chtimes(name, l.when, l.when))
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// row is what the journal keeps of a source.
func rowFor(t *testing.T, n Named) *journal.Row {
	t.Helper()
	src, err := Open(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	Close(src)
	return &journal.Row{
		Key: journal.Key{Direction: journal.Send, ID: "0f6c0a1e-0000-4000-8000-000000000001"}, Peer: jid.MustParse("a@b"),
		Name: src.Name, Path: src.Path, Size: src.Size, MTime: src.MTime, Mode: src.Mode, Source: src.Kind(), Manifest: src.Manifest(), Exclude: src.Exclude(), Origin: src.Origin,
	}
}

// TestSourceExchanged: the rest of a file is not read from another one of its size
// and time, whatever leads to it.
func TestSourceExchanged(t *testing.T) {
	for name, change := range map[string]func(l *lure) error{
		"a link":      func(l *lure) error { return errors.Join(os.Remove(l.path), os.Symlink(l.secret, l.path)) },
		"a hard link": func(l *lure) error { return errors.Join(os.Remove(l.path), os.Link(l.secret, l.path)) },
		"a copy":      func(l *lure) error { return errors.Join(os.Rename(l.secret, l.path)) },
		"a FIFO":      func(l *lure) error { return errors.Join(os.Remove(l.path), mkfifo(l.path)) },
		"a directory": func(l *lure) error { return errors.Join(os.Remove(l.path), os.Mkdir(l.path, 0o700)) },
		"another directory": func(l *lure) error {
			return errors.Join(os.RemoveAll(l.dir), os.Symlink(filepath.Dir(l.secret), l.dir))
		},
	} {
		l := newLure(t)
		row := rowFor(t, Named{Path: l.path})
		if err := change(l); err != nil {
			t.Fatal(err)
		}
		again, err := (Opener{}).Reopen(t.Context(), row)
		if err == nil {
			b, _ := io.ReadAll(io.NewSectionReader(again.Data, 0, again.Size))
			Close(again)
			t.Errorf("%s: handed out %q", name, b)
		} else if !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSourceSame: what leaves the file what it is does not matter, nor does a link
// that the user named.
func TestSourceSame(t *testing.T) {
	for name, change := range map[string]func(l *lure) error{
		"nothing":      func(*lure) error { return nil },
		"permissions":  func(l *lure) error { return os.Chmod(l.path, 0o644) },
		"another name": func(l *lure) error { return os.Link(l.path, l.path+".bak") },
		"the link that was named": func(l *lure) error {
			latest := filepath.Join(filepath.Dir(l.dir), "latest")
			return errors.Join(os.Remove(latest), os.Symlink(l.secret, latest))
		},
	} {
		l := newLure(t)
		latest := filepath.Join(filepath.Dir(l.dir), "latest")
		if err := os.Symlink(l.path, latest); err != nil {
			t.Fatal(err)
		}
		row := rowFor(t, Named{Path: latest})
		if row.Name != "latest" {
			t.Errorf("it is called %s", row.Name)
		}
		if err := change(l); err != nil {
			t.Fatal(err)
		}
		again, err := (Opener{}).Reopen(t.Context(), row)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := io.ReadAll(io.NewSectionReader(again.Data, 0, again.Size))
		if err != nil || string(b) != "please send this." {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		Close(again)
	}
}

// TestSourceOfBefore: a row from before identities were kept goes by size and time.
func TestSourceOfBefore(t *testing.T) {
	l := newLure(t)
	row := rowFor(t, Named{Path: l.path})
	row.Origin = nil
	copied := l.path + ".new"
	err := errors.Join(os.WriteFile(copied, []byte("please send this."), 0o600), os.Chtimes(copied, l.when, l.when), os.Rename(copied, l.path))
	if err != nil {
		t.Fatal(err)
	}
	again, err := (Opener{}).Reopen(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	Close(again)
}

// TestTreeExchanged: the same for a file of a directory, of which nothing is sent
// again either.
func TestTreeExchanged(t *testing.T) {
	l := newLure(t)
	info, err := os.Stat(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	row := rowFor(t, Named{Path: l.dir})
	src, err := (Opener{}).Reopen(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(src)
	err = errors.Join(os.Rename(l.secret, l.path), os.Chtimes(l.dir, info.ModTime(), info.ModTime()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(io.NewSectionReader(src.Data, 0, src.Size)); !errors.Is(err, ErrChanged) {
		t.Errorf("read: %v", err)
	}
	if err := src.Unchanged(t.Context()); !errors.Is(err, ErrChanged) {
		t.Errorf("at the end: %v", err)
	}
	if m, err := archive.Scan(t.Context(), l.dir, nil); err != nil || string(row.Manifest) != string(digestOf(m)) {
		t.Fatalf("it shows by the manifest alone: %v", err)
	}
	if _, err := (Opener{}).Reopen(t.Context(), row); !errors.Is(err, ErrChanged) {
		t.Errorf("opened again: %v", err)
	}
}

func digestOf(m *archive.Manifest) []byte {
	d := m.Digest()
	return d[:]
}

// TestReopenLeavesOut: what was left out of a directory is left out again.
func TestReopenLeavesOut(t *testing.T) {
	l := newLure(t)
	left, err := exclude.Parse("*.log", "!keep.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.log", "keep.log"} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	row := rowFor(t, Named{Path: l.dir, Exclude: left})
	if row.Exclude != "*.log\n!keep.log" {
		t.Errorf("the journal has %q", row.Exclude)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "a.log"), []byte("longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := (Opener{}).Reopen(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	Close(again)
	row.Exclude = ""
	if _, err := (Opener{}).Reopen(t.Context(), row); !errors.Is(err, ErrChanged) {
		t.Errorf("without the patterns: %v", err)
	}
}

// TestDirectoryTimeCounts: without patterns the times of directories belong to what is
// sent, with some those alone do not.
func TestDirectoryTimeCounts(t *testing.T) {
	left, err := exclude.Parse("*.log")
	if err != nil {
		t.Fatal(err)
	}
	for list, want := range map[*exclude.List]error{nil: ErrChanged, left: nil} {
		l := newLure(t)
		src, err := Open(t.Context(), Named{Path: l.dir, Exclude: list})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(l.dir, l.when, l.when.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := src.Unchanged(t.Context()); !errors.Is(err, want) {
			t.Errorf("%q: %v", list, err)
		}
		Close(src)
	}
}
