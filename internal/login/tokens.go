package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/session"
	"jetsend/internal/state"
)

// tokens keeps the token of one role.
type tokens struct {
	db   *sql.DB
	role role
}

// Take implements [session.Tokens]. Of two that take it at the same time one gets it.
func (t tokens) Take(ctx context.Context) (taken *session.Token, err error) {
	err = state.Write(ctx, t.db, func(tx *sql.Tx) error {
		var (
			k       session.Token
			expires int64
			server  []byte
		)
		taken = nil
		const read = `SELECT secret, mechanism, expires, login, server, tls FROM agent WHERE role = ? AND secret IS NOT NULL`
		err := tx.QueryRowContext(ctx, read, string(t.role)).Scan(&k.Secret, &k.Mechanism, &expires, &k.Login, &server, &k.TLS)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		k.Expires = time.Unix(expires, 0)
		copy(k.Server[:], server)
		taken = &k
		_, err = tx.ExecContext(ctx, `UPDATE agent SET secret = NULL WHERE role = ?`, string(t.role))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take token: %w", err)
	}
	return taken, nil
}

// Keep implements [session.Tokens].
func (t tokens) Keep(ctx context.Context, k *session.Token) error {
	const set = `UPDATE agent SET secret = ?, mechanism = ?, expires = ?, login = ?, server = ?, tls = ? WHERE role = ?`
	if err := state.Exec(ctx, t.db, set, k.Secret, k.Mechanism, k.Expires.Unix(), k.Login, k.Server[:], k.TLS, string(t.role)); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	return nil
}
