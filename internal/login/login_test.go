package login

import (
	"path/filepath"
	"regexp"
	"testing"

	"jetsend/internal/state"
)

func TestMechanism(t *testing.T) {
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, want := range []string{"", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		if want != "" {
			if err := Remember(t.Context(), db, want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := Mechanism(t.Context(), db); err != nil || got != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
}

// TestOwnResource: one for each state, whatever is drawn later.
func TestOwnResource(t *testing.T) {
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := Mechanism(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	first, err := OwnResource(t.Context(), db)
	if again, aerr := OwnResource(t.Context(), db); err != nil || aerr != nil || again != first || first == NewResource() {
		t.Errorf("%q and %q: %v, %v", first, again, err, aerr)
	}
}

// TestKeysOfBefore: what an older version remembers of keys is there, and says nothing of sets.
func TestKeysOfBefore(t *testing.T) {
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := state.Migrate(t.Context(), db, "login", schema[:3]); err != nil {
		t.Fatal(err)
	}
	if err := state.Exec(t.Context(), db, `INSERT INTO jetsends (jid, identity_key) VALUES ('juliet@jet.test', x'07')`); err != nil {
		t.Fatal(err)
	}
	if _, err := Mechanism(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var keys, sets int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*), sum(sets) FROM jetsends`).Scan(&keys, &sets); err != nil || keys != 1 || sets != 0 {
		t.Errorf("%d keys, %d with sets, %v", keys, sets, err)
	}
}

// TestUserAgent: one for each state, a UUID of version 4, and another one for another account.
func TestUserAgent(t *testing.T) {
	draw := func() (string, string) {
		db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := Mechanism(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		first, err := UserAgent(t.Context(), db)
		again, aerr := UserAgent(t.Context(), db)
		if err != nil || aerr != nil {
			t.Fatal(err, aerr)
		}
		return first, again
	}
	first, again := draw()
	if other, _ := draw(); first != again || first == other {
		t.Errorf("%q, %q, %q", first, again, other)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(first) {
		t.Errorf("%q", first)
	}
}
