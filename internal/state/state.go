// Package state opens the one SQLite file in which jetsend keeps what has to
// survive for an account, and brings its tables up to date.
//
// The file belongs to one bare JID. Several processes have it open at once (a
// receive and several sends), so it runs in WAL mode, every transaction is an
// immediate one unless asked to be read-only, and a commit is on the disk when
// it returns (synchronous=FULL): a ratchet step that power loss could undo
// would use a message key twice. The packages that keep something in it own
// their tables and migrate them on their own; see [Migrate] and [Write].
package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"jetsend/internal/fsys"
	"jetsend/internal/private"
)

// busyTimeout is how long SQLite itself waits for another process's transaction,
// without looking at a context; [Write] waits on.
const busyTimeout = 2 * time.Second

// ErrUnwritable is returned when the user who runs this may not write the state:
// it belongs to somebody else, or stands on a file system that is read-only.
// Looking at the state writes too, since it settles what crashed processes left.
// Use errors.Is.
var ErrUnwritable = errors.New("the state cannot be written")

// ErrNoSpace is returned when the file system of the state is full, or the quota of
// its user is used up. Use errors.Is.
var ErrNoSpace = errors.New("no space left for the state")

// maxConns bounds the connections of one process: one that writes, and some
// that read meanwhile. More would only queue at SQLite's single write lock.
const maxConns = 4

// openAttempts and openPause bound the attempts to set up a file that other
// processes set up at the same moment: SQLite does not use the busy timeout
// for the switch to WAL mode.
const (
	openAttempts = 50
	openPause    = 20 * time.Millisecond
)

// Open opens the database at path, making it (mode 0600) and its directory
// (mode 0700) where they do not exist. A file that others could read is closed
// to them first, and so are those that SQLite keeps beside it. The caller closes the database.
func Open(ctx context.Context, path string) (*sql.DB, error) {
	if err := prepare(path); err != nil {
		return nil, fmt.Errorf("open state file %s: %w", path, unwritable(err))
	}
	db, err := openPool(path)
	if err != nil {
		return nil, fmt.Errorf("open state file %s: %w", path, err)
	}
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	if err := ping(ctx, db); err != nil {
		if err = named(path, err); !damaged(err) { // else it says all of this
			err = fmt.Errorf("open state file %s: %w", path, unwritable(err))
		}
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// prepare makes the directory and the file with modes that keep others out.
// SQLite gives its -wal and -shm files the mode of the database file when it makes
// them. A file that exists is not opened here: closing it would drop the POSIX locks of
// every connection that this process already has to it.
func prepare(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := private.CloseToWriters(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		syncDir(filepath.Dir(path))
		return errors.Join(f.Close(), private.CloseMade(path))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return closeAll(path)
}

// sidecars are what SQLite appends to the name of a database for the files that
// hold a part of it: what was written last, and where to find that.
var sidecars = []string{"-wal", "-shm"}

// closeAll closes a state file to others, and what SQLite finds beside it: files
// that a backup has brought back would keep their modes, and get what is secret.
func closeAll(path string) error {
	real, err := filepath.EvalSymlinks(path) // as SQLite does
	if err != nil {
		return err
	}
	if err := private.Close(real); err != nil {
		return err
	}
	for _, s := range sidecars {
		info, err := os.Lstat(real + s)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is not a regular file", real+s)
		}
		if err := private.Close(real + s); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process has just closed the database
			return err
		}
	}
	return nil
}

// Private makes a directory (mode 0700) for what is ours alone, with its parents.
// One that is there is closed to others.
func Private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unwritable(err)
	}
	return unwritable(private.Close(dir))
}

// syncDir makes a new file's name durable, on systems that have such a thing.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// dsn is the data source name: what every connection of the pool is set to.
func dsn(path string) string {
	q := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), // the driver runs this one first
			"journal_mode(WAL)",
			"synchronous(FULL)",
			"foreign_keys(ON)",
			"trusted_schema(OFF)",
			"secure_delete(ON)", // used keys are overwritten, not only unlinked
		},
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: uriPath(path), RawQuery: q.Encode()}).String()
}

// uriPath is path as it stands in a file: URI, absolute if it can be made so.
func uriPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	return abs
}

// ping makes the first connection, which is what sets the journal mode.
func ping(ctx context.Context, db *sql.DB) error {
	for attempt := 1; ; attempt++ {
		err := db.PingContext(ctx)
		if err == nil || attempt == openAttempts || !busy(err) {
			return err
		}
		if err := sleep(ctx, openPause); err != nil {
			return err
		}
	}
}

// busy reports whether err says that another connection held the lock.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// Full reports whether err, of whatever was done with an open database, came of a
// file system that is full or a quota that is used up.
func Full(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL ||
		e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE) // the -shm file, the first that is made, cannot grow
}

// unwritable makes err ErrUnwritable where it says, in the words of the system or
// of SQLite, that writing is not allowed, and ErrNoSpace where there is no space.
func unwritable(err error) error {
	var e *sqlite.Error
	code := 0
	if errors.As(err, &e) {
		code = e.Code() & 0xff
	}
	switch {
	case fsys.Full(err), Full(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, fs.ErrPermission), fsys.ReadOnly(err),
		code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	return err
}
