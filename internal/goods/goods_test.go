package goods

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/together"
)

// opener opens goods in an empty state, and says what it warns of.
func opener(t *testing.T) (Opener, *[]string) {
	t.Helper()
	dir := t.TempDir()
	db, err := state.Open(t.Context(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	warned := new([]string)
	return Opener{
		Sources: source.Opener{Spools: filepath.Join(dir, "spools"), Log: slog.New(slog.DiscardHandler)},
		Sets:    outset.Lister{Dir: dir, Journal: j},
		Warn:    func(text string) { *warned = append(*warned, text) },
	}, warned
}

// two are a file and a directory with a file in it.
func two(t *testing.T) []source.Named {
	t.Helper()
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "a.txt"), filepath.Join(dir, "folder")
	for _, err := range []error{
		os.WriteFile(file, []byte("one"), 0o600), os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, "b"), []byte("another"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return []source.Named{{Path: file}, {Path: folder}}
}

// TestOpen: two arguments are one source as a set, where that may be, and else two of one
// batch.
func TestOpen(t *testing.T) {
	o, warned := opener(t)
	of := Order{To: jid.MustParse("juliet@jet.test"), Files: two(t), Sets: true}
	g, err := o.Open(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	if g.Set == nil || len(g.Sources) != 1 || g.Sources[0].Items != 2 || g.Batch() != nil || g.Inside() != 3 || Directory(g.Sources[0]) != nil {
		t.Errorf("%+v, %d inside", g.Sources, g.Inside())
	}
	g.Close()
	of.Sets = false
	if g, err = o.Open(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	b := g.Batch()
	if g.Set != nil || len(g.Sources) != 2 || b == nil || b.Count != 2 || b.Bytes != g.Sources[0].Size+g.Sources[1].Size || g.Inside() != 1 {
		t.Errorf("%+v, %+v, %d inside", g.Sources, b, g.Inside())
	}
	if Directory(g.Sources[0]) != nil || Directory(g.Sources[1]).Files != 1 {
		t.Error("what is a directory?")
	}
	if len(*warned) > 0 {
		t.Errorf("warned: %q", *warned)
	}
}

// TestFailure: what cannot be had ends the command with what the user can do, and with
// what has interrupted it.
func TestFailure(t *testing.T) {
	o, _ := opener(t)
	of := Order{Files: []source.Named{{Path: filepath.Join(t.TempDir(), "none")}}}
	var f *fault.Failure
	if _, err := o.Open(t.Context(), of); !errors.As(err, &f) || f.Code != exitcode.LocalFile {
		t.Errorf("no such file: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrInterrupted)
	if _, err := o.Open(ctx, of); !errors.As(err, &f) || f.Code != exitcode.Cancelled {
		t.Errorf("interrupted: %v", err)
	}
}

// TestAgain: a file is opened again, unless it has changed.
func TestAgain(t *testing.T) {
	o, _ := opener(t)
	named := two(t)[:1]
	g, err := o.Open(t.Context(), Order{Files: named})
	if err != nil {
		t.Fatal(err)
	}
	s := g.Sources[0]
	row := journal.Row{Path: s.Path, Name: s.Name, Size: s.Size, MTime: s.MTime, Origin: s.Origin, Source: s.Kind()}
	g.Close()
	if g, err = o.Again(t.Context(), &row); err != nil {
		t.Fatal(err)
	}
	g.Close()
	if err := os.WriteFile(named[0].Path, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Again(t.Context(), &row); !errors.Is(err, source.ErrChanged) {
		t.Errorf("changed: %v", err)
	}
}

// TestCheckTexts: what does not fit into an offer is a mistake of the user.
func TestCheckTexts(t *testing.T) {
	if err := CheckTexts("hello", two(t)); err != nil {
		t.Error(err)
	}
	var f *fault.Failure
	if err := CheckTexts(strings.Repeat("x", 1<<20), nil); !errors.As(err, &f) || f.Code != exitcode.Usage {
		t.Errorf("a long description: %v", err)
	}
}

// TestTogether: what two sends read at the same time, as a set or each file for itself, is read once, whoever
// is first; what was changed between is another file.
func TestTogether(t *testing.T) {
	o, _ := opener(t)
	named := two(t)
	w := together.New()
	for _, sets := range []bool{true, false} {
		var all []*Goods
		var files []io.ReaderAt
		var readers []*together.Reader
		for range 2 {
			r := w.Join(t.Context())
			readers = append(readers, r)
			g, err := o.Open(t.Context(), Order{To: jid.MustParse("juliet@jet.test"), Files: named, Sets: sets, Reader: r})
			if err != nil {
				t.Fatal(err)
			}
			all, files = append(all, g), append(files, opened(t, g))
		}
		first := content(t, files[0])
		// Of the file that both have open only the length is looked at: what is read of it
		// afterwards was kept.
		if err := os.WriteFile(named[0].Path, []byte("ONE"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := content(t, files[1]); got != first {
			t.Errorf("sets %t: %q, and %q before", sets, got, first)
		}
		g, err := o.Open(t.Context(), Order{Files: named[:1], Reader: readers[0]})
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, opened(t, g)); got != "ONE" {
			t.Errorf("sets %t: changed: %q", sets, got)
		}
		g.Close()
		for i, g := range all {
			g.Close()
			readers[i].Leave()
		}
		if err := os.WriteFile(named[0].Path, []byte("one"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// opened is the first file of goods.
func opened(t *testing.T, g *Goods) io.ReaderAt {
	t.Helper()
	if g.Set == nil {
		return g.Sources[0].Data
	}
	for {
		it, err := g.Set.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := g.Set.Open(&it); err == nil {
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
	}
}

func content(t *testing.T, r io.ReaderAt) string {
	t.Helper()
	b := make([]byte, 10)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(b[:n])
}
