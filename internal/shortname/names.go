// Package shortname remembers which address a short name of a contact stands for.
//
// The account's list of contacts has names as well, and they are the server's word: a
// server could give the name of a contact whose keys were verified to somebody else. A
// name of the list is therefore kept here when it is used for the first time, and no
// change of the list moves it; only the user does.
package shortname

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/secure/precis"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// maxName bounds a name, in bytes; nobody types more.
const maxName = 128

// owner names the table of this package in [state.Migrate].
const owner = "contact" // as the files that are there have it

// schema returns the migrations.
func schema() []string {
	return []string{`CREATE TABLE names (key TEXT PRIMARY KEY, name TEXT NOT NULL, jid TEXT NOT NULL CHECK (jid <> '')) STRICT, WITHOUT ROWID`}
}

// ErrName means that a text cannot be the short name of a contact. Use errors.Is.
var ErrName = errors.New("a name is short, has no @ and no / in it, and does not begin with -")

// Key returns the form in which two names are compared (RFC 8266, section 2.4: case,
// width and spaces do not matter).
func Key(name string) (string, error) {
	if name == "" || len(name) > maxName || strings.ContainsAny(name, "@/") || strings.HasPrefix(name, "-") {
		return "", ErrName
	}
	key, err := precis.Nickname.CompareKey(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrName, err)
	}
	return key, nil
}

// Names are the short names of one account's contacts, in its state file.
type Names struct{ db *sql.DB }

// Open makes the table where it is missing. The database stays the caller's.
func Open(ctx context.Context, db *sql.DB) (*Names, error) {
	return &Names{db}, state.Migrate(ctx, db, owner, schema())
}

// Set has a name stand for a bare address, whatever it stood for.
func (n *Names) Set(ctx context.Context, name string, of jid.JID) error {
	key, err := Key(name)
	if err != nil {
		return err
	}
	const set = `INSERT INTO names (key, name, jid) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET name = excluded.name, jid = excluded.jid`
	if err := state.Exec(ctx, n.db, set, key, name, of.Bare().String()); err != nil {
		return fmt.Errorf("remember the name of %s: %w", of.Bare(), err)
	}
	return nil
}

// Forget takes the names of an address away.
func (n *Names) Forget(ctx context.Context, of jid.JID) error {
	if err := state.Exec(ctx, n.db, `DELETE FROM names WHERE jid = ?`, of.Bare().String()); err != nil {
		return fmt.Errorf("forget the names of %s: %w", of.Bare(), err)
	}
	return nil
}

// All returns the names by their [Key].
func (n *Names) All(ctx context.Context) (map[string]jid.JID, error) {
	rows, err := n.db.QueryContext(ctx, `SELECT key, jid FROM names`)
	if err != nil {
		return nil, fmt.Errorf("names of contacts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := map[string]jid.JID{}
	for rows.Next() {
		var key, text string
		if err := rows.Scan(&key, &text); err != nil {
			return nil, fmt.Errorf("names of contacts: %w", err)
		}
		j, err := jid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("names of contacts: %w", err)
		}
		all[key] = j
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("names of contacts: %w", err)
	}
	return all, nil
}
