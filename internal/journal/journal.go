package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/state"
)

// What can be wrong with a transfer that was asked for. Use errors.Is.
var (
	// ErrRunning: somebody, in this process or another one, is at it.
	ErrRunning = errors.New("transfer is running already")
	// ErrUnknown: there is no such row, or none that the asker may know of.
	ErrUnknown = errors.New("no such transfer")
	// ErrAmbiguous: several ids begin like that.
	ErrAmbiguous = errors.New("transfer id is not unique")
	// ErrForeign: the id is that of a transfer with another contact or key.
	// A peer must not be able to tell this from ErrUnknown.
	ErrForeign = errors.New("transfer belongs to another contact or key")
	// ErrDiffers: the id is that of a transfer of another file.
	ErrDiffers = errors.New("transfer is of a different file")
	// ErrOver: the transfer has ended for good.
	ErrOver = errors.New("transfer has ended")
)

// locks and lockSuffix name the directory of the lock files, beside the
// database, and the files in it.
const (
	locks      = ".locks"
	lockSuffix = ".lock"
)

// crashed is the LastError of a transfer whose process left no word.
const crashed = "the process that ran it ended"

// Journal is the table of transfers of one account. It is safe for concurrent
// use, and so are several of them on one database file.
type Journal struct {
	db  *sql.DB
	dir string // of the lock files
	now func() time.Time
}

// Open brings the tables up to date and settles what crashed processes left.
// db is a database of [state.Open]; the lock files get a directory beside its
// file, named after it with ".locks" at the end, so that processes with the same
// database have the same locks. The caller closes db, after the last Release.
func Open(ctx context.Context, db *sql.DB, now func() time.Time) (*Journal, error) {
	if err := state.Migrate(ctx, db, owner, schema()); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	var file string
	if err := db.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if file == "" {
		return nil, errors.New("open journal: the database has no file")
	}
	j := &Journal{db: db, dir: file + locks, now: now}
	err := j.write(ctx, func(tx *sql.Tx) error {
		return errors.Join(j.settle(ctx, tx), j.sweep(tx))
	})
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
}

// write runs f in an immediate transaction and commits it.
func (j *Journal) write(ctx context.Context, f func(*sql.Tx) error) error {
	return state.Write(ctx, j.db, f)
}

// read runs f in a transaction that sees one state of the database, after rows
// of dead processes were settled.
func (j *Journal) read(ctx context.Context, f func(*sql.Tx) error) error {
	var live bool
	err := j.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM transfers WHERE state IN ('offered', 'running'))`).Scan(&live)
	if err == nil && live {
		err = j.write(ctx, func(tx *sql.Tx) error { return j.settle(ctx, tx) })
	}
	if err == nil {
		err = j.look(ctx, f)
	}
	return state.Named(j.db, err)
}

// look runs f in a transaction that sees one state of the database.
func (j *Journal) look(ctx context.Context, f func(*sql.Tx) error) error {
	return state.Named(j.db, state.Look(ctx, j.db, f))
}

// at is the time of now as it is stored.
func (j *Journal) at() milli { return milli(j.now().UnixMilli()) }

func (j *Journal) lockPath(k Key) string {
	return filepath.Join(j.dir, k.ID+"."+string(k.Direction)+lockSuffix)
}

// lock takes the lock of a transfer or fails with ErrRunning. The transaction
// is there as proof that the caller is in an immediate one.
func (j *Journal) lock(_ *sql.Tx, k Key) (*state.Lock, error) {
	l, err := state.LockFile(j.lockPath(k))
	if errors.Is(err, state.ErrLocked) {
		return nil, ErrRunning
	}
	return l, err
}

// unlock removes the lock file and gives the lock back. The order and the
// transaction make sure that nobody else has opened the file meanwhile.
func (j *Journal) unlock(_ *sql.Tx, k Key, l *state.Lock) error {
	err := os.Remove(j.lockPath(k))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.Release())
}

// settle makes interrupted what says that it is offered or running and is not.
// The time of its last change stays: it is the last sign of life.
func (j *Journal) settle(ctx context.Context, tx *sql.Tx) error {
	rows, err := find(ctx, tx, `state IN ('offered', 'running')`)
	if err != nil {
		return err
	}
	for i := range rows {
		l, err := j.lock(tx, rows[i].Key)
		if errors.Is(err, ErrRunning) {
			continue
		}
		if err == nil {
			err = errors.Join(rows[i].crash(), save(ctx, tx, &rows[i]), j.unlock(tx, rows[i].Key, l))
		}
		if err != nil {
			return fmt.Errorf("settle %s: %w", rows[i].Key, err)
		}
	}
	return nil
}

// crash is the change of a row whose process is gone.
func (r *Row) crash() error {
	r.LastError = crashed
	return r.change(Interrupted, milli(r.Updated.UnixMilli()))
}

// sweep removes the lock files that nobody holds.
func (j *Journal) sweep(tx *sql.Tx) error {
	entries, err := os.ReadDir(j.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, direction, ok := strings.Cut(strings.TrimSuffix(e.Name(), lockSuffix), ".")
		k := Key{ID: id, Direction: Direction(direction)}
		if !ok || j.lockPath(k) != filepath.Join(j.dir, e.Name()) {
			continue // not ours
		}
		l, err := j.lock(tx, k)
		if errors.Is(err, ErrRunning) {
			continue
		}
		if err == nil {
			err = j.unlock(tx, k, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Begin takes the lock of a transfer and its row to the state offered: the row
// is made, or an interrupted one is taken up again, counting a retry. The
// caller ends it with [Handle.Release].
//
// Of a row that exists, the contact must be the same and one of the keys known,
// else ErrForeign; a sender may come without keys, and any it has are added.
// The file must be the same (size and manifest; when sending, also path and
// modification time), else ErrDiffers. A set must have as many arguments, and takes the
// new size, whatever is in it. The other fields stay as they were, but
// for Resource, Description and, when sending, Batch, if there is a new one, and,
// when receiving, Name: it is the one of the newest offer.
// ErrRunning means that somebody else has the lock. ErrOver means that the
// transfer is complete, or was so however long ago ([Journal.Spent]), or that it is
// to be sent and has failed or was forgotten; a received one that failed or was forgotten begins anew, for whoever
// offers it. A row that has a State was read from the journal: its transfer is
// gone on with and never begun, so that what was forgotten or has expired since
// is ErrOver too.
//
// Phase, Durable, Released, Retries, LastError and the times of row are not looked at,
// nor is Path when receiving.
func (j *Journal) Begin(ctx context.Context, row Row) (*Handle, error) {
	if err := row.check(); err != nil {
		return nil, fmt.Errorf("begin transfer: %w", err)
	}
	h := &Handle{j: j}
	err := j.write(ctx, func(tx *sql.Tx) error {
		old, err := load(ctx, tx, row.Key)
		if errors.Is(err, ErrUnknown) {
			old, err = nil, nil
		}
		if err == nil && old != nil {
			err = old.belongs(&row)
		}
		if err != nil {
			return err
		}
		if h.lock, err = j.lock(tx, row.Key); err != nil {
			return err
		}
		if h.row, err = j.begin(ctx, tx, old, row); err != nil {
			return errors.Join(err, j.unlock(tx, row.Key, h.take()))
		}
		return nil
	})
	if err != nil {
		if l := h.take(); l != nil { // the commit failed
			err = errors.Join(err, l.Release())
		}
		return nil, fmt.Errorf("begin transfer %s: %w", row.Key, err)
	}
	return h, nil
}

// belongs reports whether whoever brings the new row may touch the old one.
func (r *Row) belongs(to *Row) error {
	if r.Peer != to.Peer.Bare() {
		return ErrForeign
	}
	if to.Direction == Send {
		return nil
	}
	for _, k := range to.Keys {
		if r.HasKey(k) {
			return nil
		}
	}
	return ErrForeign
}

// begin makes or takes up the row. The lock is held.
func (j *Journal) begin(ctx context.Context, tx *sql.Tx, old *Row, row Row) (Row, error) {
	if old != nil && old.State.Live() { // the lock was free
		if err := old.crash(); err != nil {
			return row, err
		}
	}
	read := row.State != "" // rather than offered
	switch {
	case old == nil && read:
		return row, ErrOver
	case old == nil:
		if spent, err := isSpent(ctx, tx, &row); err != nil || spent {
			return row, cmp.Or(err, ErrOver)
		}
		return j.create(ctx, tx, row)
	case old.Released, old.State.Over() && (read || row.Direction == Send):
		return row, ErrOver
	case old.State.Over():
		return j.anew(ctx, tx, old, row)
	case old.differs(&row):
		return row, ErrDiffers
	}
	return j.takeUp(ctx, tx, old, row)
}

// anew begins a transfer that has failed here from its beginning. What has arrived of a set is
// in its place all the same.
func (j *Journal) anew(ctx context.Context, tx *sql.Tx, old *Row, row Row) (Row, error) {
	var arguments []Argument
	var err error
	if old.State == Failed && old.Items == row.Items {
		arguments, err = argumentsOf(ctx, tx, old.Key)
	}
	for len(arguments) > 0 && !arguments[len(arguments)-1].arrived() { // only the first ones of all may be known
		arguments = arguments[:len(arguments)-1]
	}
	if err == nil {
		err = j.remove(ctx, tx, old)
	}
	if err != nil {
		return row, err
	}
	made, err := j.create(ctx, tx, row)
	if err == nil {
		err = restore(ctx, tx, &made, arguments)
	}
	return made, err
}

// takeUp begins another attempt of a transfer, for row.
func (j *Journal) takeUp(ctx context.Context, tx *sql.Tx, old *Row, row Row) (Row, error) {
	if err := old.change(Offered, j.at()); err != nil {
		return row, err
	}
	old.retry()
	old.Resource = cmp.Or(row.Resource, old.Resource)
	old.Description = cmp.Or(row.Description, old.Description)
	switch row.Direction {
	case Send:
		old.Keys = row.Keys                      // save adds them
		old.Batch = cmp.Or(row.Batch, old.Batch) // by which Find knows what goes out beside it
	case Receive:
		old.Name = row.Name
	}
	if old.Source == SourceSet {
		old.resize(row.Size)
		old.Entries = row.Entries
	}
	if err := save(ctx, tx, old); err != nil {
		return row, err
	}
	now, err := load(ctx, tx, row.Key)
	if err != nil {
		return row, err
	}
	return *now, nil
}

// create makes a new row.
func (j *Journal) create(ctx context.Context, tx *sql.Tx, row Row) (Row, error) {
	row.State, row.Durable, row.Released, row.Retries, row.LastError = "", 0, false, 0, ""
	row.Phase, row.Finished = PhaseOffered, time.Time{}
	row.Peer = row.Peer.Bare()
	if row.Direction == Receive {
		row.Path = ""
	}
	if err := row.change(Offered, j.at()); err != nil {
		return row, err
	}
	row.Created, row.Moved = row.Updated, row.Updated
	if err := save(ctx, tx, &row); err != nil {
		return row, err
	}
	now, err := load(ctx, tx, row.Key)
	if err != nil {
		return row, err
	}
	return *now, nil
}
