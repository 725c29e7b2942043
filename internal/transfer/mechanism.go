package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"jetsend/internal/contact"
	"jetsend/internal/state"
)

// loginSchema holds what is remembered of the server and of contacts' clients.
var loginSchema = []string{
	`CREATE TABLE login (id INTEGER PRIMARY KEY CHECK (id = 1), mechanism TEXT NOT NULL) STRICT`,
	// Identity keys that used our profile: they never silently get less.
	contact.Schema,
	// The resource of the receiver: one for each state directory, so that a
	// restart replaces its own ghost, and drawn at random, so that nobody who
	// sees our OMEMO device can guess where to find us online.
	`CREATE TABLE resource (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL) STRICT`,
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
	if err := state.Exec(ctx, db, set, m); err != nil {
		return fmt.Errorf("remember mechanism: %w", err)
	}
	return nil
}

// ownResource returns the resource of the receiver of this state, which is
// drawn the first time.
func ownResource(ctx context.Context, db *sql.DB) (name string, err error) {
	const draw = `INSERT INTO resource (id, name) VALUES (1, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, db, draw, newResource()); err != nil {
		return "", fmt.Errorf("draw resource: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT name FROM resource`).Scan(&name); err != nil {
		return "", fmt.Errorf("read resource: %w", err)
	}
	return name, nil
}
