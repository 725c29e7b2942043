package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/rows"
	"jetsend/internal/source"
	"jetsend/internal/state"
)

// earlier is an endpoint with the journal of version8.sql, which package journal knows,
// for a home that is there. Every file in it is data.
func earlier(t *testing.T, data []byte) (e *Endpoint, home string) {
	t.Helper()
	home = t.TempDir()
	dump, err := os.ReadFile("../journal/testdata/version8.sql")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	text := strings.ReplaceAll(string(dump), "/home/romeo", home)
	text = strings.ReplaceAll(text, strings.Repeat("07", len(sum)), fmt.Sprintf("%x", sum))
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), text+`UPDATE transfers SET origin = NULL;`); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	e = offline(t, func(event.Event) {})
	e.db, e.journal = db, j
	return e, home
}

func version8ID(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// TestVersion8Releases: what an earlier version had verified is released, wherever it was
// cut; what it had written to an output is done.
func TestVersion8Releases(t *testing.T) {
	data := bytes.Repeat([]byte{1}, 1000)
	e, home := earlier(t, data)
	in, hidden := filepath.Join(home, "in"), filepath.Join(home, ".in")
	part := func(n int) string { return filepath.Join(in, ".jetsend-"+version8ID(n)+".part") }
	for _, dir := range []string{in, hidden, filepath.Join(in, "received tree")} { // the tree is there
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{
		part(5), // before its name
		filepath.Join(hidden, "in a hidden directory"), // after it
		part(7),                               // written to an output
		part(28), filepath.Join(in, "placed"), // in between; the names are not linked, so that it gets another one
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n, final := range map[int]string{
		5: "in/verified", 6: ".in/in a hidden directory", 7: "", 21: "in/received tree", 28: "in/placed (1)", 29: "",
	} {
		row := load(t, e, journal.Key{ID: version8ID(n), Direction: journal.Receive})
		if !e.settle(t.Context(), row, keeping{}) {
			t.Errorf("%s is not released", row.Name)
		}
		row = load(t, e, row.Key)
		if final != "" {
			final = filepath.Join(home, final)
		}
		if row.State != journal.Complete || row.Path != final || (row.Phase == journal.PhasePoured) != (final == "") {
			t.Errorf("%s is left as %+v", row.Name, row)
		}
		if final != "" && row.Source == journal.SourceFile {
			if got, err := os.ReadFile(final); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %v", row.Name, err)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(in, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestVersion8Sources: what an earlier version had read from an input is sent from where it
// is kept, and goes with its transfer; a file of the user's stays.
func TestVersion8Sources(t *testing.T) {
	data := bytes.Repeat([]byte{1}, 1000)
	e, home := earlier(t, data)
	opener := source.Opener{Log: slog.New(slog.DiscardHandler)}
	for n, kind := range map[int]journal.Source{1: journal.SourceFile, 9: journal.SourceSpool} {
		row := load(t, e, journal.Key{ID: version8ID(n), Direction: journal.Send})
		err := errors.Join(os.MkdirAll(filepath.Dir(row.Path), 0o700), os.WriteFile(row.Path, data, 0o600), os.Chtimes(row.Path, row.MTime, row.MTime))
		if err != nil {
			t.Fatal(err)
		}
		src, err := opener.Reopen(t.Context(), &row)
		if err != nil {
			t.Fatal(err)
		}
		if row.Source != kind || src.Kind() != kind || src.Size != row.Size {
			t.Errorf("%s: %s, opened as %s", row.Name, row.Source, src.Kind())
		}
		source.Close(src)
		if err := rows.Discard(t.TempDir(), row.Peer)(row); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(row.Path); errors.Is(err, fs.ErrNotExist) != (kind == journal.SourceSpool) {
			t.Errorf("%s was discarded: %v", strings.TrimPrefix(row.Path, home), err)
		}
	}
}

// offline is an endpoint with a journal and no account.
func offline(t *testing.T, report func(event.Event)) *Endpoint {
	t.Helper()
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &Endpoint{core: core{timing: usual, cfg: Config{Report: report}, log: slog.New(slog.DiscardHandler), db: db, journal: j}}
}
