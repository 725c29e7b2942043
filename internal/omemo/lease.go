package omemo

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// leased runs f while this Account, and no other one on the same database, may
// publish. Publishing reads, asks the server and writes there, which must not
// happen inside a transaction; so it is kept apart by a row with a holder and
// an end, which the holder renews before each call to the server.
func (a *Account) leased(ctx context.Context, f func(renew func(context.Context) error) error) error {
	select {
	case a.announcing <- struct{}{}:
		defer func() { <-a.announcing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		ok, err := a.takeLease(ctx, true)
		if err != nil {
			return err
		}
		if ok {
			break
		}
		pause := time.NewTimer(leasePoll)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
	err := f(func(ctx context.Context) error {
		ok, err := a.takeLease(ctx, false)
		if err == nil && !ok {
			err = errLeaseLost
		}
		return err
	})
	// Also after a cancellation: the others should not have to wait for the end.
	const release = `UPDATE publication SET holder = '', held_until = 0 WHERE holder = ?`
	return errors.Join(err, a.update(context.WithoutCancel(ctx), release, a.holder))
}

// takeLease takes or renews the lease. With anew it may be taken when nobody
// holds it or its end has passed, or lies so far ahead that the clock must have
// been changed.
func (a *Account) takeLease(ctx context.Context, anew bool) (ok bool, err error) {
	err = a.step(ctx, func(tx *sql.Tx) error {
		var holder string
		var until int64
		if err := tx.QueryRowContext(ctx, `SELECT holder, held_until FROM publication`).Scan(&holder, &until); err != nil {
			return err
		}
		now, end := a.now(), a.cfg.Now().Add(leaseTime).UnixMilli()
		if holder != a.holder && (!anew || holder != "" && until > now && until <= end) {
			return nil
		}
		ok = true
		_, err := tx.ExecContext(ctx, `UPDATE publication SET holder = ?, held_until = ?`, a.holder, end)
		return err
	})
	return ok, err
}

// call renews the lease and then makes one call to the server, which gets half
// the time of the lease.
func (a *Account) call(ctx context.Context, renew func(context.Context) error, f func(context.Context) error) error {
	if err := renew(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTime/2)
	defer cancel()
	return f(ctx)
}
