package state

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// TestSameStatementWithin: rows that are read while the same statement runs once more, and
// while another one fails, stay what they are.
func TestSameStatementWithin(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	ctx := t.Context()
	if _, err := db.ExecContext(ctx, `CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT; INSERT INTO t VALUES (1), (2), (3)`); err != nil {
		t.Fatal(err)
	}
	const from = `SELECT n FROM t WHERE n >= ? ORDER BY n`
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for range 3 {
		outer, err := tx.QueryContext(ctx, from, 1)
		if err != nil {
			t.Fatal(err)
		}
		for outer.Next() {
			var n, m int
			if err := errors.Join(outer.Scan(&n), tx.QueryRowContext(ctx, from, 3).Scan(&m)); err != nil {
				t.Fatal(err)
			}
			sum += 10*n + m
			if _, err := tx.ExecContext(ctx, `INSERT INTO t VALUES (?)`, n); err == nil {
				t.Fatal("twice the same key")
			}
		}
		if err := errors.Join(outer.Err(), outer.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO t VALUES (?)`, 4); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if sum != 3*(10*6+9) {
		t.Errorf("read %d", sum)
	}
}

// TestStatementsOutliveTheSchema: a statement from before a change of the tables sees it,
// and one that was cut off by the end of its context is not kept in the middle.
func TestStatementsOutliveTheSchema(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	db.SetMaxOpenConns(1)
	ctx := t.Context()
	if _, err := db.ExecContext(ctx, `CREATE TABLE t (n INTEGER) STRICT; INSERT INTO t VALUES (1), (2)`); err != nil {
		t.Fatal(err)
	}
	columns := func() int {
		rows, err := db.QueryContext(ctx, `SELECT * FROM t`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		names, err := rows.Columns()
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		return len(names)
	}
	if n := columns(); n != 1 {
		t.Fatalf("%d columns", n)
	}
	if _, err := db.ExecContext(ctx, `ALTER TABLE t ADD COLUMN m INTEGER NOT NULL DEFAULT 7`); err != nil {
		t.Fatal(err)
	}
	cut, cancel := context.WithCancel(ctx)
	rows, err := db.QueryContext(cut, `SELECT * FROM t`)
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	cancel()
	for rows.Next() {
	}
	_ = rows.Close()
	if n := columns(); n != 2 {
		t.Errorf("%d columns", n)
	}
}
