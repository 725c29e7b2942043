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
	if _, err := Prepare(ctx, db, false, &cfg); err != nil {
		return err
	}
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
	const draw = `INSERT INTO resource (id, name) VALUES (1, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, db, draw, newResource()); err != nil {
		return "", fmt.Errorf("draw resource: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT name FROM resource`).Scan(&name); err != nil {
		return "", fmt.Errorf("read resource: %w", err)
	}
	return name, nil
}

// userAgent returns the UUID by which the server may know an agent of this state again
// (XEP-0388), which is drawn the first time.
func userAgent(ctx context.Context, db *sql.DB, r role) (uuid string, err error) {
	const draw = `INSERT INTO agent (role, uuid) VALUES (?, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, db, draw, string(r), newUUID()); err != nil {
		return "", fmt.Errorf("draw user agent: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT uuid FROM agent WHERE role = ?`, string(r)).Scan(&uuid); err != nil {
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

// newResource draws a resource that tells nothing about us.
func newResource() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "jetsend." + hex.EncodeToString(b[:])
}
