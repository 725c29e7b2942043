package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

var (
	juliet = jid.MustParse("juliet@jet.test")
	nurse  = jid.MustParse("nurse@jet.test")
)

// newBox is an empty outbox, and the directory of its files.
func newBox(t *testing.T) (b *Box, files string) {
	t.Helper()
	dir := t.TempDir()
	db, err := state.Open(t.Context(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if b, err = Open(t.Context(), db, filepath.Join(dir, "outbox"), time.Now); err != nil {
		t.Fatal(err)
	}
	files = filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		t.Fatal(err)
	}
	return b, files
}

// file writes a file, and returns its path.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o640)); err != nil {
		t.Fatal(err)
	}
	return path
}

// entryOf is an entry for a file, which is not in the box.
func entryOf(t *testing.T, to jid.JID, path string) *Entry {
	t.Helper()
	e := &Entry{ID: uuid.NewString(), Peer: to, Name: filepath.Base(path), Files: []File{{Path: path}}, Options: []byte("{}"), Changed: SendChanged, Until: time.Now().Add(time.Hour)}
	var err error
	if e.Stamp, _, err = StampOf(e.Files); err != nil {
		t.Fatal(err)
	}
	return e
}

func put(t *testing.T, b *Box, e *Entry) *Entry {
	t.Helper()
	if err := b.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// ends ends an entry, which it does or not.
func ends(b *Box, e *Entry, code int, want bool) error {
	ended, err := b.End(context.Background(), e, code, fmt.Sprint(code))
	if err == nil && ended != want {
		err = fmt.Errorf("%s: it has ended: %t", e.Name, !ended)
	}
	return err
}

// TestBox: entries come back as they were put, in their order, and are found by the beginnings of
// their ids; one that has ended stays so.
func TestBox(t *testing.T) {
	b, dir := newBox(t)
	ctx := t.Context()
	first := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	second := entryOf(t, nurse, file(t, dir, "b", "two"))
	second.Options, second.Changed, second.Files[0].Exclude, second.Files[0].Name = []byte(`{"Wait":3}`), FailChanged, []string{"*.o"}, "other"
	put(t, b, second)
	open, err := b.Open(ctx)
	if err != nil || len(open) != 2 || open[0].ID != first.ID || open[1].ID != second.ID {
		t.Fatalf("%+v, %v", open, err)
	}
	is := open[1]
	if is.Peer != nurse || string(is.Options) != `{"Wait":3}` || is.Changed != FailChanged || is.Files[0].Exclude[0] != "*.o" || is.Files[0].Name != "other" ||
		!bytes.Equal(is.Stamp, second.Stamp) || is.State != Waiting || is.Until.Unix() != second.Until.Unix() || is.Transfer() != second.ID {
		t.Errorf("%+v", is)
	}
	for prefix, want := range map[string]error{first.ID: nil, strings.ToUpper(first.ID[:8]): nil, "": ErrUnknown, "%": ErrUnknown, "ffffffff-": ErrUnknown} {
		if e, err := b.Find(ctx, prefix); !errors.Is(err, want) || err == nil && e.ID != first.ID {
			t.Errorf("%q: %v, %v", prefix, e.ID, err)
		}
	}
	if err := errors.Join(b.Hold(ctx, first, "a key", 9), ends(b, first, 130, true), b.Wait(ctx, first, "late"), ends(b, first, 0, false)); err != nil {
		t.Fatal(err)
	}
	if e, err := b.Find(ctx, first.ID); err != nil || e.State != Ended || e.Code != 130 || e.Why != "130" || e.Ended.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	if open, err := b.Open(ctx); err != nil || len(open) != 1 {
		t.Errorf("%d open, %v", len(open), err)
	}
}

// TestTransfer: what is begun again is the same transfer as long as the file is the same one.
func TestTransfer(t *testing.T) {
	b, dir := newBox(t)
	e := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	seen := map[string]bool{}
	for i, stamp := range []string{"1", "1", "2", "2", "3"} {
		again, err := b.Find(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Begin(t.Context(), &again, []byte(stamp)); err != nil {
			t.Fatal(err)
		}
		if seen[again.Transfer()] != (i == 1 || i == 3) {
			t.Errorf("%d: %s", i, again.Transfer())
		}
		if _, err := uuid.Parse(again.Transfer()); err != nil || i < 2 != (again.Transfer() == e.ID) {
			t.Errorf("%d: %s, %v", i, again.Transfer(), err)
		}
		seen[again.Transfer()] = true
		if found, err := b.Find(t.Context(), again.Transfer()[:12]); err != nil || found.ID != e.ID {
			t.Errorf("%s: %+v, %v", again.Transfer(), found, err)
		}
	}
}

// TestCopy: a copy is what was there, but for what is left out and what is no file, closed to
// others, and goes with its entry.
func TestCopy(t *testing.T) {
	b, dir := newBox(t)
	file(t, dir, "tree/sub/x", "x")
	file(t, dir, "tree/x.o", "object")
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	tree := filepath.Join(dir, "tree")
	if err := errors.Join(os.Symlink("sub/x", filepath.Join(tree, "link")), os.Chmod(filepath.Join(tree, "sub/x"), 0o400), os.Chtimes(filepath.Join(tree, "sub/x"), old, old), os.Chtimes(filepath.Join(tree, "sub"), old, old)); err != nil {
		t.Fatal(err)
	}
	e := entryOf(t, juliet, tree)
	e.Files = []File{{Path: tree, Exclude: []string{"*.o"}}, {Path: file(t, dir, "other/tree", "a file")}}
	if err := b.Copy(e); err != nil {
		t.Fatal(err)
	}
	put(t, b, e)
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	top := e.Files[0].Path
	if text, err := os.ReadFile(filepath.Join(top, "sub/x")); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
	for path, mode := range map[string]os.FileMode{"sub/x": 0o400, "sub": os.ModeDir | 0o700} {
		if info, err := os.Stat(filepath.Join(top, path)); err != nil || info.Mode() != mode || !info.ModTime().Equal(old) {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(top, "link")); err != nil || to != "sub/x" {
		t.Errorf("%q, %v", to, err)
	}
	if _, err := os.Stat(filepath.Join(top, "x.o")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left out: %v", err)
	}
	if info, err := os.Stat(b.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := ends(b, e, 0, true); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestCopyFails: of a copy that cannot be made nothing is left.
func TestCopyFails(t *testing.T) {
	b, dir := newBox(t)
	e := entryOf(t, juliet, file(t, dir, "a", "one"))
	e.Files = append(e.Files, File{Path: filepath.Join(dir, "none")})
	if err := b.Copy(e); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := b.Take(t.Context(), e, io.MultiReader(strings.NewReader("some"), failing{}), "in", 0); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestSweep: what a process has left that died goes, what is being copied or waits stays, and so does
// for a month what has ended.
func TestSweep(t *testing.T) {
	b, dir := newBox(t)
	waits := entryOf(t, juliet, file(t, dir, "a", "one"))
	left, made := entryOf(t, juliet, file(t, dir, "b", "two")), entryOf(t, juliet, file(t, dir, "c", "three"))
	for _, e := range []*Entry{waits, left, made} {
		if err := b.Copy(e); err != nil {
			t.Fatal(err)
		}
	}
	put(t, b, waits)
	before := time.Now().Add(-2 * keepCopy)
	if err := os.Chtimes(filepath.Join(b.dir, left.ID), before, before); err != nil {
		t.Fatal(err)
	}
	ended := put(t, b, entryOf(t, juliet, file(t, dir, "d", "four")))
	if err := errors.Join(ends(b, ended, 0, true), b.Sweep(t.Context())); err != nil {
		t.Fatal(err)
	}
	for e, there := range map[*Entry]bool{waits: true, left: false, made: true} {
		if _, err := os.Stat(filepath.Join(b.dir, e.ID)); (err == nil) != there {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	if _, err := b.Find(t.Context(), ended.ID); err != nil {
		t.Error(err)
	}
	b.now = func() time.Time { return time.Now().Add(keepEnded + time.Hour) }
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Find(t.Context(), ended.ID); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// TestStamp: what is done to a file shows.
func TestStamp(t *testing.T) {
	dir := t.TempDir()
	path := file(t, dir, "tree/a", "one")
	of := []File{{Path: filepath.Join(dir, "tree"), Exclude: []string{"*.o"}}}
	stamp := func() string {
		b, _, err := StampOf(of)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	was := stamp()
	file(t, dir, "tree/b.o", "left out")
	if stamp() != was {
		t.Error("of what is left out")
	}
	for what, do := range map[string]func() error{
		"content": func() error { return os.WriteFile(path, []byte("other"), 0o600) },
		"mode":    func() error { return os.Chmod(path, 0o400) },
		"time":    func() error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"name":    func() error { return os.Rename(path, path+"x") },
	} {
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, "tree"))); err != nil {
			t.Fatal(err)
		}
		file(t, dir, "tree/a", "one")
		was := stamp()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if stamp() == was {
			t.Errorf("%s: does not show", what)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "tree")); err != nil { // as the last of them left it
		t.Fatal(err)
	}
	file(t, dir, "tree/a", "one")
	if _, n, err := StampOf([]File{{Path: dir}}); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
}

// TestStampLenient: what in a directory cannot be looked at is no reason to send nothing; the files that
// were named are.
func TestStampLenient(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "tree/a", "one")
	shut := filepath.Join(dir, "tree", "shut")
	if err := errors.Join(os.Mkdir(shut, 0o700), os.Chmod(shut, 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(shut, 0o700) })
	of := []File{{Path: filepath.Join(dir, "tree")}}
	if _, _, err := StampOf(of); err != nil {
		t.Error(err)
	}
	if _, n, err := StampOf(of); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	if _, _, err := StampOf([]File{{Path: filepath.Join(dir, "none")}}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestFull: more than MaxWaiting are not taken.
func TestFull(t *testing.T) {
	b, dir := newBox(t)
	e := entryOf(t, juliet, file(t, dir, "a", "one"))
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)
INSERT INTO outbox (id, peer, name, size, files, options, changed, stamp, queued, until, state, why)
SELECT printf('%036d', i), 'x@y', 'n', 0, '[]', '{}', 'send', x'', 0, 0, 'waiting', '' FROM n`
	if err := state.Exec(context.Background(), b.db, many, MaxWaiting-1); err != nil {
		t.Fatal(err)
	}
	put(t, b, e)
	if err := b.Put(t.Context(), entryOf(t, juliet, e.Files[0].Path)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}
