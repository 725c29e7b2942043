package state

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// DamagedError means that what is in the state file cannot be read any more: a disk that
// lost something, or another program that wrote to it.
type DamagedError struct {
	Path string // of the state file
	Err  error  // in the words of SQLite
}

// Error implements error.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("the state file %s is damaged: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Damaged reports whether err, of whatever was done with the state, came of a file that
// is damaged, and which, where that is known.
func Damaged(err error) (path string, is bool) {
	var named *DamagedError
	if errors.As(err, &named) {
		return named.Path, true
	}
	return "", damaged(err)
}

// damaged reports whether SQLite says so. A file that was cut short shows as a page that
// cannot be read, or as one that makes no sense.
func damaged(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return true
	}
	return e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ || e.Code() == sqlite3.SQLITE_IOERR_CORRUPTFS
}

// Named makes err a [DamagedError] where it came of a damaged file. db is a database of
// [Open].
func Named(db *sql.DB, err error) error {
	file, ours := db.Driver().(*file)
	if !ours {
		return err
	}
	return named(file.path, err)
}

func named(path string, err error) error {
	var already *DamagedError
	if damaged(err) && !errors.As(err, &already) {
		return &DamagedError{path, err}
	}
	return err
}
