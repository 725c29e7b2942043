package state

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamaged: whatever was done to the file, a caller that opens it, migrates it or
// works with it is told that it is damaged, and which it is.
func TestDamaged(t *testing.T) {
	steps := []string{`CREATE TABLE t (x TEXT NOT NULL)`}
	whole := filepath.Join(t.TempDir(), "whole.db")
	db := open(t, whole)
	fill := func(tx *sql.Tx) error {
		for range 100 {
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO t (x) VALUES (?)`, strings.Repeat("x", 1000)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(Migrate(t.Context(), db, "o", steps), Write(t.Context(), db, fill)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"another file":     func([]byte) []byte { return []byte(strings.Repeat("not a database\n", 1000)) },
		"header":           func(b []byte) []byte { copy(b, "nothing of the kind"); return b },
		"cut":              func(b []byte) []byte { return b[:len(b)/2] },
		"cut in a page":    func(b []byte) []byte { return b[:4096+100] },
		"schema":           func(b []byte) []byte { clear(b[100:4096]); return b },
		"pages of a table": func(b []byte) []byte { clear(b[4096:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(path, damage(append([]byte{}, data...)), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), path)
			if err == nil {
				defer func() { _ = db.Close() }()
				err = Migrate(t.Context(), db, "o", steps)
			}
			if err == nil {
				err = Write(t.Context(), db, func(tx *sql.Tx) error {
					if err := fill(tx); err != nil {
						return err
					}
					var n int
					return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM t WHERE x <> ''`).Scan(&n)
				})
			}
			if got, is := Damaged(err); !is || got != path || strings.Count(err.Error(), path) != 1 {
				t.Errorf("%q, %v: %v", got, is, err)
			}
		})
	}
	if _, is := Damaged(errors.New("boom")); is {
		t.Error("everything is damaged")
	}
}
