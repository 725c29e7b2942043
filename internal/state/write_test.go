package state

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// held returns a database of which somebody else, with a pool of its own, holds the
// write lock, and what lets go of it. SQLite itself waits for nobody in it.
func held(t *testing.T) (db *sql.DB, release func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db = open(t, path)
	db.SetMaxOpenConns(1)
	for _, query := range []string{`CREATE TABLE t (x)`, `PRAGMA busy_timeout = 0`} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := open(t, path).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return db, func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// A writer waits for that of another process, beyond what SQLite waits: "database is
// locked" is nobody's end. It does not wait for longer than it may.
func TestWriteWaits(t *testing.T) {
	db, release := held(t)
	_, err := db.BeginTx(t.Context(), nil)
	if !busy(err) {
		t.Fatalf("it is not locked: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 3*openPause)
	defer cancel()
	if err := Exec(short, db, `INSERT INTO t VALUES (0)`); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an end: %v", err)
	}
	done := make(chan error)
	go func() { done <- Exec(t.Context(), db, `INSERT INTO t VALUES (1)`) }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(5 * openPause): // it has tried by then, or will: either way it has to wait
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The writers of a process have their turns in the order in which they came, so that
// one who writes again and again keeps nobody out. Whose context has ended waits no
// longer.
func TestWriteTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		var turns []int
		var wg sync.WaitGroup
		err = Write(t.Context(), db, func(*sql.Tx) error {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := Exec(ended, db, `CREATE TABLE t (x)`); !errors.Is(err, context.Canceled) {
				t.Errorf("whose context has ended: %v", err)
			}
			for i := range 5 {
				wg.Go(func() {
					if err := Write(t.Context(), db, func(*sql.Tx) error { turns = append(turns, i); return nil }); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait() // it waits
			}
			return nil
		})
		wg.Wait()
		if err := errors.Join(err, db.Close()); err != nil || !slices.Equal(turns, []int{0, 1, 2, 3, 4}) {
			t.Errorf("%v (%v)", turns, err)
		}
	})
}
