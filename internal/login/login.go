// Package login remembers, in the state of an account, what the logins after the first one
// go by: the SASL mechanism of the one before and what the server puts up with, our
// resource, and by what the server knows us again, with the tokens that it gave us.
package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/contact"
	"jetsend/internal/session"
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
	`ALTER TABLE login ADD COLUMN careful INTEGER NOT NULL DEFAULT 0`, // until when, in seconds of Unix
	// By what the server may know each of our agents again; it tells nobody else. With it,
	// what it takes in the place of the password: a secret.
	`CREATE TABLE agent (role TEXT PRIMARY KEY, uuid TEXT NOT NULL, secret TEXT, mechanism TEXT,
		expires INTEGER, login TEXT, server BLOB, tls INTEGER) STRICT`,
	schemaKnown,
}

// role is what an agent of ours does. Each has a user agent of its own (XEP-0388): a server
// may end the session of who came with the same one before.
type role string

const (
	receiving role = "receive"
	sending   role = "send"
)

// carefulFor is how long a server that had to be asked for one thing at a time is not
// asked for more.
const carefulFor = 7 * 24 * time.Hour

// Prepare fills in what a login goes by, of the account's receiver or of another agent,
// and returns the resource of the receiver. A server that offers less than the
// mechanism of the last login is not believed (design of the login): what is between us
// and it may want our password. Prepare is called before the other functions, and brings
// the tables up to date.
func Prepare(ctx context.Context, db *sql.DB, receiver bool, cfg *session.Config) (own string, err error) {
	if err := state.Migrate(ctx, db, "login", schema); err != nil {
		return "", err
	}
	var careful int64
	err = db.QueryRowContext(ctx, `SELECT mechanism, careful FROM login`).Scan(&cfg.BestMechanism, &careful)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read login: %w", err)
	}
	cfg.Careful = time.Now().Before(time.Unix(careful, 0))
	if own, err = ownResource(ctx, db); err != nil {
		return "", err
	}
	cfg.Known = Known{db, cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))}
	r := sending
	cfg.Resource = newResource()
	if receiver {
		r, cfg.Resource = receiving, own
	}
	return own, agent(ctx, db, r, cfg)
}

// agent fills in as whom the server knows a role.
func agent(ctx context.Context, db *sql.DB, r role, cfg *session.Config) (err error) {
	cfg.UserAgent, err = userAgent(ctx, db, r)
	cfg.Tokens = tokens{db, r}
	return err
}

// Agents calls f with the configuration of each role, as the server knows it.
func Agents(ctx context.Context, db *sql.DB, cfg session.Config, f func(session.Config) error) error {
	for _, r := range []role{receiving, sending} {
		if err := agent(ctx, db, r, &cfg); err != nil {
			return err
		}
		if err := f(cfg); err != nil {
			return err
		}
	}
	return nil
}

// Remember stores what a login showed. After a downgrade that the user allowed the
// lesser mechanism is what later logins are held to. before is what Prepare had filled in.
func Remember(ctx context.Context, db *sql.DB, mechanism string, careful bool, before *session.Config) error {
	if mechanism == before.BestMechanism && careful == before.Careful {
		return nil
	}
	until := int64(0)
	if careful {
		until = time.Now().Add(carefulFor).Unix()
	}
	const set = `INSERT INTO login (id, mechanism, careful) VALUES (1, ?, ?)
		ON CONFLICT (id) DO UPDATE SET mechanism = excluded.mechanism, careful = excluded.careful`
	if err := state.Exec(ctx, db, set, mechanism, until); err != nil {
		return fmt.Errorf("remember login: %w", err)
	}
	return nil
}

// ownResource returns the resource of the receiver of this state, which is
// drawn the first time.
func ownResource(ctx context.Context, db *sql.DB) (name string, err error) {
	if name, err = once(ctx, db, `SELECT name FROM resource`, `INSERT INTO resource (name, id) VALUES (?, 1) ON CONFLICT DO NOTHING`, newResource); err != nil {
		return "", fmt.Errorf("our resource: %w", err)
	}
	return name, nil
}

// userAgent returns the UUID by which the server may know an agent of this state again
// (XEP-0388), which is drawn the first time.
func userAgent(ctx context.Context, db *sql.DB, r role) (id string, err error) {
	const read, keep = `SELECT uuid FROM agent WHERE role = ?1`, `INSERT INTO agent (uuid, role) VALUES (?1, ?2) ON CONFLICT DO NOTHING`
	if id, err = once(ctx, db, read, keep, uuid.NewString, string(r)); err != nil {
		return "", fmt.Errorf("our user agent: %w", err)
	}
	return id, nil
}

// once returns what read finds or, where there is nothing yet, what keep has kept of what
// was drawn: of two that draw at the same time both get the one that was kept. key goes
// to read, and behind what was drawn to keep.
func once(ctx context.Context, db *sql.DB, read, keep string, draw func() string, key ...any) (value string, err error) {
	err = db.QueryRowContext(ctx, read, key...).Scan(&value)
	if !errors.Is(err, sql.ErrNoRows) {
		return value, err
	}
	if err := state.Exec(ctx, db, keep, append([]any{draw()}, key...)...); err != nil {
		return "", err
	}
	err = db.QueryRowContext(ctx, read, key...).Scan(&value)
	return value, err
}

// newResource draws a resource that tells nothing about us.
func newResource() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "jetsend." + hex.EncodeToString(b[:])
}
