package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"jetsend/internal/state"
)

// loginSchema holds what is remembered of the server and of contacts' clients.
var loginSchema = []string{
	`CREATE TABLE login (id INTEGER PRIMARY KEY CHECK (id = 1), mechanism TEXT NOT NULL) STRICT`,
	// Identity keys that used our profile: they never silently get less.
	`CREATE TABLE jetsends (jid TEXT NOT NULL, identity_key BLOB NOT NULL, PRIMARY KEY (jid, identity_key)) STRICT`,
}

// lastMechanism returns the SASL mechanism of the last login, or "". A server
// that offers less the next time is not believed (design of the login): what
// is between us and it may want our password.
func lastMechanism(ctx context.Context, db *sql.DB) (m string, err error) {
	if err := state.Migrate(ctx, db, "login", loginSchema); err != nil {
		return "", err
	}
	err = db.QueryRowContext(ctx, `SELECT mechanism FROM login`).Scan(&m)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return m, err
}

// rememberMechanism stores it. After a downgrade that the user allowed the
// lesser one is what later logins are held to.
func rememberMechanism(ctx context.Context, db *sql.DB, m string) error {
	const set = `INSERT INTO login (id, mechanism) VALUES (1, ?)
		ON CONFLICT (id) DO UPDATE SET mechanism = excluded.mechanism`
	if _, err := db.ExecContext(ctx, set, m); err != nil {
		return fmt.Errorf("remember mechanism: %w", err)
	}
	return nil
}
