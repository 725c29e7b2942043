package transfer

import (
	"path/filepath"
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
			if err := rememberMechanism(t.Context(), db, want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := lastMechanism(t.Context(), db); err != nil || got != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
}
