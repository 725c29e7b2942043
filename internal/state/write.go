package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/machine"
)

// patience is how long a transaction waits for those of other processes. Theirs
// take milliseconds; a machine that sleeps and a disk that hangs still fit. A
// process that was stopped in the middle of one does not hang us for ever.
const patience = 2 * time.Minute

// LastWord bounds what has to be written although nobody waits for it any more:
// a little longer than a transaction waits for others.
const LastWord = patience + 10*time.Second

// ErrBusy is returned when another process did not let go of the state in time.
// Use errors.Is.
var ErrBusy = errors.New("the state is held by another process")

// Write runs f in a transaction that keeps other writers out from its beginning,
// and commits it: it is on the disk when Write returns nil, and has left nothing
// behind otherwise. f must not wait for anything but the database, and does no
// work there that can be done before. db is a database of [Open].
//
// The writers of one process have their turns in the order in which they came.
// SQLite's own wait is none: it looks again after ever longer pauses, so that a
// process that writes again and again would keep everybody else out.
func Write(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	return Named(db, write(ctx, db, f))
}

func write(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	path := ""
	if file, ok := db.Driver().(*file); ok {
		path = file.path
		select {
		case file.writing <- struct{}{}:
			defer func() { <-file.writing }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tx, err := begin(ctx, db)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if err := f(tx); err != nil {
		return err
	}
	if err := commit(tx, path); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// commit commits the transaction of the file at path.
func commit(tx *sql.Tx, path string) error {
	if err := machine.Before(machine.Commit, path, "", 0); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return machine.Before(machine.Committed, path, "", 0)
}

// Look runs f as a transaction that sees one state of the database, and writes nothing: it
// holds up nobody who does.
func Look(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	return f(tx)
}

// Exec runs one statement as [Write] does.
func Exec(ctx context.Context, db *sql.DB, query string, args ...any) error {
	return Write(ctx, db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

// begin begins a transaction as soon as no other process has one.
func begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	for began := time.Now(); ; {
		tx, err := db.BeginTx(ctx, nil)
		switch {
		case err == nil || !busy(err):
			return tx, err
		case time.Since(began) > patience:
			return nil, fmt.Errorf("%w: %w", ErrBusy, err)
		}
		if err := sleep(ctx, openPause); err != nil {
			return nil, err
		}
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// file is the state file that a pool of connections belongs to, and the queue of
// those who write to it: the pool's driver, in the words of database/sql.
type file struct {
	sqlite  driver.Driver
	path    string
	dsn     string
	writing chan struct{} // holds a token while somebody writes
}

// openPool returns a pool of connections to a file.
func openPool(path string) (*sql.DB, error) {
	plain, err := sql.Open("sqlite", "") // only for its driver
	if err != nil {
		return nil, err
	}
	f := &file{sqlite: plain.Driver(), path: path, dsn: dsn(path), writing: make(chan struct{}, 1)}
	return sql.OpenDB(f), plain.Close()
}

// Connect opens a connection.
func (f *file) Connect(context.Context) (driver.Conn, error) {
	c, err := f.sqlite.Open(f.dsn)
	if err != nil {
		return nil, err
	}
	return &conn{c.(plainConn), map[string]driver.Stmt{}}, nil
}

// Driver returns the file.
func (f *file) Driver() driver.Driver { return f }

// Open opens a connection to another file, which database/sql does not ask for.
func (f *file) Open(name string) (driver.Conn, error) { return f.sqlite.Open(name) }
