package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"jetsend/internal/jid"
)

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Every connection of the pool, not only the first, has the settings.
func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a#b?c%41.db")
	db := open(t, path)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE t (x)`); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Errorf("the database is not where it was asked for: %v", err)
	}
	for range maxConns {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "secure_delete": "1",
			"busy_timeout": fmt.Sprint(busyTimeout.Milliseconds()),
		} {
			var got string
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
			}
		}
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	path := filepath.Join(dir, "x.db")
	db := open(t, path)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE t (x)`); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", filepath.Base(name), got, want)
		}
	}
	open2 := filepath.Join(dir, "open.db")
	if err := os.WriteFile(open2, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, open2)
	if info, err := os.Stat(open2); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file that others could read was left like that: %v, %v", info.Mode(), err)
	}
}

// A transaction keeps other writers out from its beginning, also those that
// have the file open on their own.
func TestImmediate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	a, b := open(t, path), open(t, path)
	tx, err := a.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.ExecContext(t.Context(), `PRAGMA busy_timeout = 0`); err != nil {
		t.Fatal(err)
	}
	if other, err := c.BeginTx(t.Context(), nil); err == nil {
		t.Error("a second transaction began")
		_ = other.Rollback()
	} else if !busy(err) {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	second, err := c.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	if err := second.Rollback(); err != nil {
		t.Error(err)
	}
}

// Opening and migrating a new file from many sides at once works, and each step
// runs once.
func TestConcurrentOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		wg.Go(func() {
			db, err := Open(t.Context(), path)
			if err == nil {
				err = Migrate(t.Context(), db, "test", []string{`CREATE TABLE n (x); INSERT INTO n VALUES (1)`})
				err = errors.Join(err, db.Close())
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	var n int
	if err := open(t, path).QueryRowContext(t.Context(), `SELECT count(*) FROM n`).Scan(&n); err != nil || n != 1 {
		t.Errorf("the step ran %d times: %v", n, err)
	}
}

func TestMigrate(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"))
	ctx := t.Context()
	one := `CREATE TABLE n (x); INSERT INTO n VALUES (1)`
	two := `UPDATE n SET x = x + 1`
	for _, steps := range [][]string{{one}, {one}, {one, two}, {one, two}} {
		if err := Migrate(ctx, db, "a", steps); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want int) {
		t.Helper()
		var x int
		if err := db.QueryRowContext(ctx, `SELECT x FROM n`).Scan(&x); err != nil || x != want {
			t.Errorf("x is %d (%v), want %d", x, err, want)
		}
	}
	check(2)
	if err := Migrate(ctx, db, "b", []string{two}); err != nil { // owners do not share versions
		t.Fatal(err)
	}
	check(3)
	if err := Migrate(ctx, db, "a", []string{one}); !errors.Is(err, ErrNewer) {
		t.Errorf("a file of a newer version: %v", err)
	}
	if err := Migrate(ctx, db, "a", []string{one, two, two, `NO SQL`}); err == nil {
		t.Error("a step that fails gave no error")
	}
	check(3) // all missing steps are one transaction
	if err := Migrate(ctx, db, "a", []string{one, two, two}); err != nil {
		t.Fatal(err)
	}
	check(4)
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.db")
	if err := os.WriteFile(bad, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(t.Context(), bad); err == nil {
		t.Error("opened what is no database", db.Close())
	}
	if db, err := Open(t.Context(), filepath.Join(bad, "x.db")); err == nil {
		t.Error("opened a file below a file", db.Close())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if db, err := Open(ctx, filepath.Join(dir, "y.db")); err == nil {
		t.Error("opened after a cancellation", db.Close())
	}
}

func TestPath(t *testing.T) {
	long := strings.Repeat("a", 60) + "@" + strings.Repeat(strings.Repeat("b", 60)+".", 4)
	for in, want := range map[string]string{
		"juliet@jet.test":         "juliet@jet.test.db",
		"Juliet@jet.test/balcony": "juliet@jet.test.db",
		"jet.test":                "jet.test.db",
		`a\b*c@jet.test`:          "a%5Cb%2Ac@jet.test.db",
		"jülia@jet.test":          "j%C3%BClia@jet.test.db",
	} {
		if got := Path("dir", jid.MustParse(in)); got != filepath.Join("dir", want) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	a, b := Path("", jid.MustParse(long+"x")), Path("", jid.MustParse(long+"y"))
	if a == b || len(a) > maxName+len(extension) || len(b) > maxName+len(extension) {
		t.Errorf("long addresses: %s (%d bytes) and %s", a, len(a), b)
	}
}

// State that cannot be written is told apart from what is broken, wherever that shows.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	open(t, path)
	db, err := sql.Open("sqlite", dsn(path)+"&mode=ro") // as a read-only file system does it, also to root
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // nothing was written
	if err := Migrate(t.Context(), db, "a", nil); !errors.Is(err, ErrUnwritable) {
		t.Errorf("migrate: %v", err)
	}
	if db, err := Open(t.Context(), dir); !errors.Is(err, ErrUnwritable) {
		t.Errorf("open: %v, %v", db, err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(t.Context(), path); err == nil || errors.Is(err, ErrUnwritable) {
		t.Errorf("open what is no database: %v, %v", db, err)
	}
}

// A full disk is said to be that.
func TestNoSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	open(t, path)
	db, err := sql.Open("sqlite", dsn(path)+"&_pragma=max_page_count(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // nothing was written
	if err := Migrate(t.Context(), db, "a", nil); !errors.Is(err, ErrNoSpace) {
		t.Errorf("migrate: %v", err)
	}
}

// restored copies an open database with what SQLite keeps beside it, as a backup is
// brought back with the usual umask.
func restored(t *testing.T) string {
	t.Helper()
	from := filepath.Join(t.TempDir(), "a.db")
	db := open(t, from)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE t (secret TEXT); INSERT INTO t VALUES ('key')`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(from + s)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "a.db"+s), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "a.db")
}

// Not only the database is closed to others, also what SQLite finds beside it, where
// what is written next goes.
func TestModesRestored(t *testing.T) {
	path := restored(t)
	link := filepath.Join(t.TempDir(), "link.db") // what is beside the database is beside the file that a link names
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	db := open(t, link)
	if _, err := db.ExecContext(t.Context(), `INSERT INTO t VALUES ('next')`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM t`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
	for _, s := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + s); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("a.db%s: %v, %v", s, info.Mode(), err)
		}
	}
}

// An entry that is no file has been put there by somebody.
func TestSidecarPlanted(t *testing.T) {
	path := restored(t)
	theirs := filepath.Join(t.TempDir(), "theirs")
	err := errors.Join(os.Remove(path+"-wal"), os.WriteFile(theirs, nil, 0o644), os.Symlink(theirs, path+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	if db, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "-wal is not a regular file") {
		t.Errorf("opened: %v", err)
		_ = db.Close()
	}
	if info, err := os.Stat(theirs); err != nil || info.Mode().Perm() != 0o644 || info.Size() != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// The directory of the state is not one where others exchange files; whether they
// can look into it is the user's choice. A directory that is ours alone is closed to all.
func TestDirectoryModes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o775); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(dir, "x.db"))
	private := filepath.Join(dir, "private")
	if err := errors.Join(os.Mkdir(private, 0o700), os.Chmod(private, 0o777), Private(private), Private(filepath.Join(private, "more"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o755, private: 0o700, filepath.Join(private, "more"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %o", path, info.Mode(), want)
		}
	}
}
