// Package login remembers, in the state of an account, what the logins after the first one
// go by: the SASL mechanism of the one before, and the resource and the user agent of the
// receiver.
package login

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"jetsend/internal/contact"
	"jetsend/internal/state"
)

// schema holds what is remembered of the server and of contacts' clients.
var schema = []string{
	`CREATE TABLE login (id INTEGER PRIMARY KEY CHECK (id = 1), mechanism TEXT NOT NULL) STRICT`,
	// Identity keys that used our profile: they never silently get less.
	contact.Schema,
	// The resource of the receiver: one for each state directory, so that a
	// restart replaces its own ghost, and drawn at random, so that nobody who
	// sees our OMEMO device can guess where to find us online.
	`CREATE TABLE resource (id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL) STRICT`,
	contact.SchemaSets,
	// By what the server may know the receiver again. It tells nobody else.
	`CREATE TABLE agent (id INTEGER PRIMARY KEY CHECK (id = 1), uuid TEXT NOT NULL) STRICT`,
}

// Mechanism returns the SASL mechanism of the last login, or "". It is called before the
// other functions, and brings the tables up to date. A server
// that offers less the next time is not believed (design of the login): what
// is between us and it may want our password.
func Mechanism(ctx context.Context, db *sql.DB) (m string, err error) {
	if err := state.Migrate(ctx, db, "login", schema); err != nil {
		return "", err
	}
	err = db.QueryRowContext(ctx, `SELECT mechanism FROM login`).Scan(&m)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return m, err
}

// Remember stores the mechanism of a login. After a downgrade that the user allowed the
// lesser one is what later logins are held to.
func Remember(ctx context.Context, db *sql.DB, m string) error {
	const set = `INSERT INTO login (id, mechanism) VALUES (1, ?)
		ON CONFLICT (id) DO UPDATE SET mechanism = excluded.mechanism`
	if err := state.Exec(ctx, db, set, m); err != nil {
		return fmt.Errorf("remember mechanism: %w", err)
	}
	return nil
}

// OwnResource returns the resource of the receiver of this state, which is
// drawn the first time.
func OwnResource(ctx context.Context, db *sql.DB) (name string, err error) {
	const draw = `INSERT INTO resource (id, name) VALUES (1, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, db, draw, NewResource()); err != nil {
		return "", fmt.Errorf("draw resource: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT name FROM resource`).Scan(&name); err != nil {
		return "", fmt.Errorf("read resource: %w", err)
	}
	return name, nil
}

// UserAgent returns the UUID by which the server may know the receiver of this state again
// (XEP-0388), which is drawn the first time. It is none of a `send`: a server may end the
// session of who came with the same one before.
func UserAgent(ctx context.Context, db *sql.DB) (uuid string, err error) {
	const draw = `INSERT INTO agent (id, uuid) VALUES (1, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, db, draw, newUUID()); err != nil {
		return "", fmt.Errorf("draw user agent: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT uuid FROM agent`).Scan(&uuid); err != nil {
		return "", fmt.Errorf("read user agent: %w", err)
	}
	return uuid, nil
}

// newUUID draws a UUID of version 4 (RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// NewResource draws a resource that tells nothing about us.
func NewResource() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "jetsend." + hex.EncodeToString(b[:])
}
