package login

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"jetsend/internal/state"
)

const (
	// maxKnown bounds what is known, in entries, and maxKnownSize each of them, in bytes:
	// a long list of contacts.
	maxKnown     = 128
	maxKnownSize = 1 << 20
)

// schemaKnown is the table of [Known].
const schemaKnown = `CREATE TABLE known (name TEXT PRIMARY KEY, value BLOB NOT NULL, at INTEGER NOT NULL) STRICT`

// Known is what was learnt at the logins before: it is used at once, and learnt again
// beside that. None of it is needed, so that what cannot be read or written is only logged.
type Known struct {
	db  *sql.DB
	log *slog.Logger
}

// Get returns what is known by a name, if it is no older than age.
func (k Known) Get(ctx context.Context, name string, age time.Duration) (value []byte, ok bool) {
	since := time.Now().Add(-age).Unix()
	err := k.db.QueryRowContext(ctx, `SELECT value FROM known WHERE name = ? AND at > ?`, name, since).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		k.log.Debug("what is known of the server", "name", name, "error", err)
	}
	return value, err == nil
}

// Put makes value what is known by a name. The oldest of too many is forgotten.
func (k Known) Put(ctx context.Context, name string, value []byte) {
	if len(value) > maxKnownSize {
		return
	}
	err := state.Write(ctx, k.db, func(tx *sql.Tx) error {
		const put = `INSERT INTO known (name, value, at) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at`
		if _, err := tx.ExecContext(ctx, put, name, value, time.Now().Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM known WHERE name NOT IN (SELECT name FROM known ORDER BY at DESC, name LIMIT ?)`, maxKnown)
		return err
	})
	if err != nil {
		k.log.Debug("what is known of the server", "name", name, "error", err)
	}
}
