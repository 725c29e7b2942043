package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/spool"
	"jetsend/internal/state"
)

// desk opens sources for an account of its own, with a journal.
type desk struct {
	Opener
	journal *journal.Journal
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, account := t.TempDir(), jid.MustParse("juliet@jet.test")
	db, err := state.Open(t.Context(), state.Path(dir, account))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{Opener{Spools: Spools(dir, account), Log: slog.New(slog.DiscardHandler)}, j}
}

// read reads an input.
func (d *desk) read(t *testing.T, text string) *Source {
	t.Helper()
	src, err := d.Read(t.Context(), strings.NewReader(text), "", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// begin takes the row of a source's transfer.
func (d *desk) begin(t *testing.T, src *Source) *journal.Handle {
	t.Helper()
	h, err := d.journal.Begin(t.Context(), journal.Row{
		Key: journal.Key{Direction: journal.Send, ID: src.Transfer}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
		Name: src.Name, Path: src.Path, Size: src.Size, MTime: src.MTime, Mode: src.Mode, Source: src.Kind(), Manifest: src.Manifest(), Origin: src.Origin,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func there(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// TestInput: what is read from an input is a source like a file, and goes with its
// transfer.
func TestInput(t *testing.T) {
	d := newDesk(t)
	src := d.read(t, "a few words")
	b, err := io.ReadAll(io.NewSectionReader(src.Data, 2, src.Size-2))
	if err != nil || string(b) != "few words" || src.Name != "stdin" || src.Mode != 0 || src.Kind() != journal.SourceSpool {
		t.Errorf("%q of %+v, %v", b, src, err)
	}
	Close(src)
	if there(t, src.Path) {
		t.Error("it stays although its transfer never began")
	}

	src = d.read(t, "more words")
	h := d.begin(t, src)
	if err := errors.Join(h.Interrupt(errors.New("cut")), h.Release()); err != nil {
		t.Fatal(err)
	}
	row := h.Row()
	src.Settled(row)
	Close(src)
	again, err := d.Reopen(t.Context(), &row)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(io.NewSectionReader(again.Data, 0, again.Size)); err != nil || string(b) != "more words" || again.Transfer != row.ID {
		t.Errorf("%q of %+v, %v", b, again, err)
	}
	Close(again)
	if !there(t, src.Path) {
		t.Fatal("it goes although its transfer may be resumed")
	}
	if again, err = d.Reopen(t.Context(), &row); err != nil {
		t.Fatal(err)
	}
	row.State = journal.Complete
	again.Settled(row)
	Close(again)
	if _, err := d.Reopen(t.Context(), &row); !errors.Is(err, ErrChanged) {
		t.Errorf("complete: %v", err)
	}
}

// TestInputRefused: an input without a byte, or with too many, leaves nothing.
func TestInputRefused(t *testing.T) {
	d := newDesk(t)
	for text, want := range map[string]error{"": ErrEmptyInput, "too long": spool.ErrTooLarge} {
		_, err := d.Read(t.Context(), strings.NewReader(text), "", Limits{MaxSize: 5})
		if !errors.Is(err, want) || len(Hints(err)) != 1 {
			t.Errorf("%q: %v, hints %q", text, err, Hints(err))
		}
	}
	if left, err := os.ReadDir(d.Spools); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	src, err := d.Read(t.Context(), strings.NewReader(""), "", Limits{Empty: true})
	if err != nil || src.Size != 0 {
		t.Fatalf("an empty one that is wanted: %v", err)
	}
	Close(src)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, w := io.Pipe() // never says anything
	defer func() { _ = w.Close() }()
	if _, err := d.Read(ctx, r, "", Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// TestSweep: what a process left that died goes, unless its transfer may be resumed.
func TestSweep(t *testing.T) {
	d := newDesk(t)
	d.Sweep(t.Context(), d.journal) // there is no directory yet
	lost, kept := d.read(t, "lost"), d.read(t, "kept")
	h := d.begin(t, kept)
	if err := errors.Join(h.Interrupt(errors.New("cut")), h.Release()); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, s := range []*Source{lost, kept} {
		if err := errors.Join(s.Data.Close(), os.Chtimes(s.Path, old, old)); err != nil { // as by a crash
			t.Fatal(err)
		}
	}
	d.Sweep(t.Context(), d.journal)
	if there(t, lost.Path) || !there(t, kept.Path) {
		t.Errorf("there is the lost one: %v; the kept one: %v", there(t, lost.Path), there(t, kept.Path))
	}
}

// TestDiscard removes what was read from an input, and no file of the user's.
func TestDiscard(t *testing.T) {
	d := newDesk(t)
	src := d.read(t, "text")
	defer Close(src)
	row := d.begin(t, src).Row()
	if err := errors.Join(Discard(&row), Discard(&row)); err != nil || there(t, src.Path) {
		t.Errorf("it is there: %v; %v", there(t, src.Path), err)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	row.Path, row.Source = path, journal.SourceFile
	if err := Discard(&row); err != nil || !there(t, path) {
		t.Errorf("the user's file is there: %v; %v", there(t, path), err)
	}
}
