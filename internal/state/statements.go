package state

import (
	"context"
	"database/sql/driver"
	"strings"
)

// maxKept bounds the statements that a connection keeps; the program has fewer.
const maxKept = 256

// plainConn is what the driver's connections can do.
type plainConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn is a connection that keeps the statements which it has prepared: to read one takes
// SQLite longer than most take to run. database/sql uses a connection, and the rows of
// it, from one goroutine at a time.
type conn struct {
	plainConn
	kept map[string]driver.Stmt // by their text; none that is in use
}

// take returns the prepared statement of a text, which is the caller's until keep.
func (c *conn) take(ctx context.Context, query string) (driver.Stmt, error) {
	if s := c.kept[query]; s != nil {
		delete(c.kept, query)
		return s, nil
	}
	return c.PrepareContext(ctx, query)
}

// keep takes a statement back, or closes it after an error or when there is one already.
func (c *conn) keep(query string, s driver.Stmt, err error) error {
	if err != nil || c.kept[query] != nil || len(c.kept) == maxKept {
		return s.Close()
	}
	c.kept[query] = s
	return nil
}

// lasting reports whether a text is worth keeping: it is no script, and no setting.
func lasting(query string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	switch word {
	case "SELECT", "INSERT", "UPDATE", "DELETE":
		return !strings.Contains(query, ";")
	}
	return false
}

// ExecContext implements [driver.ExecerContext].
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if !lasting(query) {
		return c.plainConn.ExecContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.(driver.StmtExecContext).ExecContext(ctx, args)
	if kerr := c.keep(query, s, err); err == nil {
		err = kerr
	}
	return result, err
}

// QueryContext implements [driver.QueryerContext].
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !lasting(query) {
		return c.plainConn.QueryContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		_ = c.keep(query, s, err)
		return nil, err
	}
	return &rows{Rows: r, done: func(err error) error { return c.keep(query, s, err) }}, nil
}

// Close closes the statements, too.
func (c *conn) Close() error {
	for _, s := range c.kept {
		_ = s.Close()
	}
	clear(c.kept)
	return c.plainConn.Close()
}

// rows give their statement back when they are closed, which database/sql does once.
type rows struct {
	driver.Rows
	done func(error) error
}

// Close implements [driver.Rows].
func (r *rows) Close() error {
	err := r.Rows.Close()
	if derr := r.done(err); err == nil {
		err = derr
	}
	return err
}
