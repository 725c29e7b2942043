package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrNewer is returned for a file that a newer jetsend has changed already.
// Use errors.Is.
var ErrNewer = errors.New("state file was written by a newer version of jetsend")

// Migrate brings the tables of one owner up to date. Step i (from 0) takes them
// from version i to i+1; a step may hold several statements, is run once, and
// is never changed afterwards. All steps that are missing are one transaction:
// a process that finds them done by another does nothing.
func Migrate(ctx context.Context, db *sql.DB, owner string, steps []string) error {
	if err := migrate(ctx, db, owner, steps); err != nil {
		return fmt.Errorf("migrate state of %s: %w", owner, unwritable(err))
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB, owner string, steps []string) error {
	return Write(ctx, db, func(tx *sql.Tx) error { return bring(ctx, tx, owner, steps) })
}

// bring runs the steps that are missing.
func bring(ctx context.Context, tx *sql.Tx, owner string, steps []string) error {
	const table = `CREATE TABLE IF NOT EXISTS migrations (owner TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT`
	if _, err := tx.ExecContext(ctx, table); err != nil {
		return err
	}
	var version int
	err := tx.QueryRowContext(ctx, `SELECT version FROM migrations WHERE owner = ?`, owner).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("%w (version %d, known are %d)", ErrNewer, version, len(steps))
	}
	for i := version; i < len(steps); i++ {
		if _, err := tx.ExecContext(ctx, steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	const store = `INSERT INTO migrations (owner, version) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET version = excluded.version`
	_, err = tx.ExecContext(ctx, store, owner, len(steps))
	return err
}
