package shortname_test

import (
	"database/sql"
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/shortname"
	"jetsend/internal/state"
)

func TestNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	ctx := t.Context()
	db, err := state.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	n, err := shortname.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	romeo, paris := jid.MustParse("romeo@montague.example"), jid.MustParse("paris@verona.example")
	set := func(name string, of jid.JID) {
		t.Helper()
		if err := n.Set(ctx, name, of); err != nil {
			t.Fatal(err)
		}
	}
	set("Romeo", jid.MustParse("romeo@montague.example/orchard"))
	set("my  Love", romeo)
	set("ＰＡＲＩＳ", romeo)
	set("paris", paris)
	want := map[string]jid.JID{"romeo": romeo, "my love": romeo, "paris": paris}
	if n, err = shortname.Open(ctx, db); err != nil { // by another process
		t.Fatal(err)
	}
	if all, err := n.All(ctx); err != nil || !maps.Equal(all, want) {
		t.Errorf("%v, %v; want %v", all, err, want)
	}
	if err := n.Forget(ctx, romeo); err != nil {
		t.Fatal(err)
	}
	if all, err := n.All(ctx); err != nil || !maps.Equal(all, map[string]jid.JID{"paris": paris}) {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"", "a@b", "a/b", "-n", "a\x1b[2J", "\u202e", strings.Repeat("a", 129)} {
		if err := n.Set(ctx, bad, romeo); !errors.Is(err, shortname.ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestNamesWait: while another process writes to the state, a name waits for it as
// everything else does, and longer than SQLite itself would.
func TestNamesWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	ctx := t.Context()
	db, err := state.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	n, err := shortname.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `PRAGMA busy_timeout = 0`); err != nil { // as if its time were over
		t.Fatal(err)
	}
	other, err := state.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	of, done := jid.MustParse("romeo@montague.example"), make(chan error, 1)
	err = state.Write(ctx, other, func(*sql.Tx) error {
		go func() { done <- errors.Join(n.Set(ctx, "romeo", of), n.Forget(ctx, of)) }()
		select {
		case err := <-done:
			t.Errorf("did not wait: %v", err)
			done <- nil
		case <-time.After(100 * time.Millisecond): // enough for who does not wait
		}
		return nil
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
}
