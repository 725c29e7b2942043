package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// owner names the table of this package in [state.Migrate].
const owner = "outbox"

// schema returns the migrations. Times are Unix milliseconds. begun is the stamp of what the
// transfer with this salt is about.
func schema() []string {
	return []string{`
CREATE TABLE outbox (
	number  INTEGER PRIMARY KEY AUTOINCREMENT,
	id      TEXT    NOT NULL UNIQUE CHECK (length(id) = 36),
	peer    TEXT    NOT NULL CHECK (peer <> ''),
	name    TEXT    NOT NULL,
	size    INTEGER NOT NULL CHECK (size >= 0),
	files   TEXT    NOT NULL,
	options TEXT    NOT NULL,
	changed TEXT    NOT NULL CHECK (changed IN ('send', 'fail')),
	stamp   BLOB    NOT NULL,
	begun   BLOB,
	salt    INTEGER NOT NULL DEFAULT 0,
	queued  INTEGER NOT NULL,
	until   INTEGER NOT NULL,
	state   TEXT    NOT NULL CHECK (state IN ('waiting', 'held', 'ended')),
	why     TEXT    NOT NULL,
	code    INTEGER NOT NULL DEFAULT 0,
	ended   INTEGER
) STRICT;
CREATE INDEX outbox_state ON outbox (state);
`}
}

var (
	// ErrUnknown means that there is no such entry.
	ErrUnknown = errors.New("not in the outbox")
	// ErrAmbiguous means that several entries begin so.
	ErrAmbiguous = errors.New("several entries begin so")
)

const (
	// keepEnded is how long an entry is known after its end, for who asks how it was.
	keepEnded = 30 * 24 * time.Hour
	// keepCopy is how long a copy is left alone that no entry has: it may be being made.
	keepCopy = 24 * time.Hour
	// MaxWaiting is how many entries may wait.
	MaxWaiting = 10_000
)

// ErrFull means that MaxWaiting entries wait already.
var ErrFull = fmt.Errorf("%d transfers wait already", MaxWaiting)

// State is where an entry is.
type State string

// The states of an entry.
const (
	Waiting State = "waiting"
	Held    State = "held" // until the user has decided about a key
	Ended   State = "ended"
)

// Changed says what becomes of an entry of which the files have changed before they went.
type Changed string

// What is done then.
const (
	SendChanged Changed = "send"
	FailChanged Changed = "fail"
)

// File is one argument of an entry.
type File struct {
	Path    string   `json:"path"`           // absolute
	Name    string   `json:"name,omitempty"` // as it is offered; empty: that of Path
	Exclude []string `json:"exclude,omitempty"`
}

// Entry is a send that is to be made.
type Entry struct {
	Number  int64 // in order
	ID      string
	Peer    jid.JID
	Name    string // of the first file, and how many more there are
	Size    int64  // bytes, of files alone
	Files   []File
	Options json.RawMessage // the caller's own
	Changed Changed
	Stamp   []byte // of the files when it was queued
	Queued  time.Time
	Until   time.Time
	State   State
	Why     string // it waits, is held, or ended so
	Code    int    // exit code, of one that has ended or is held
	Ended   time.Time

	begun []byte
	salt  int64
}

// Transfer is the id of the transfer of the entry: its own, and another one when what had been
// begun is not what is there now.
func (e *Entry) Transfer() string {
	if e.salt == 0 {
		return e.ID
	}
	of, _ := uuid.Parse(e.ID) // Put has been given one
	return uuid.NewSHA1(of, fmt.Append(nil, "again ", e.salt)).String()
}

// Box is the outbox of an account, in its state file.
type Box struct {
	db  *sql.DB
	dir string // of the copies
	now func() time.Time
}

// Open makes the table where it is missing. Copies are made in dir. The database stays the
// caller's.
func Open(ctx context.Context, db *sql.DB, dir string, now func() time.Time) (*Box, error) {
	return &Box{db, dir, now}, state.Migrate(ctx, db, owner, schema())
}

// Dir is where the copies of an account's outbox are.
func Dir(stateDir string, account jid.JID) string {
	return state.Path(stateDir, account.Bare()) + ".outbox"
}

// Put writes an entry down, as the last one. ErrFull when there are too many.
func (b *Box) Put(ctx context.Context, e *Entry) error {
	files, err := json.Marshal(e.Files)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	e.Queued, e.State = b.now(), Waiting
	err = state.Write(ctx, b.db, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE state <> 'ended'`).Scan(&n); err != nil {
			return err
		}
		if n >= MaxWaiting {
			return ErrFull
		}
		const put = `INSERT INTO outbox (id, peer, name, size, files, options, changed, stamp, queued, until, state, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '')`
		r, err := tx.ExecContext(ctx, put, e.ID, e.Peer.String(), e.Name, e.Size, string(files), string(e.Options), string(e.Changed), e.Stamp, e.Queued.UnixMilli(), e.Until.UnixMilli())
		if err != nil {
			return err
		}
		e.Number, err = r.LastInsertId()
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

const columns = `number, id, peer, name, size, files, options, changed, stamp, begun, salt, queued, until, state, why, code, ended`

// Open entries are those that have not ended, in their order. What is behind another one for the
// same contact waits for that, and is held when that is: it needs the same keys.
func (b *Box) Open(ctx context.Context) ([]Entry, error) {
	all, err := b.list(ctx, `SELECT `+columns+` FROM outbox WHERE state <> 'ended' ORDER BY number`)
	next := map[jid.JID]*Entry{}
	for i := range all {
		e := &all[i]
		switch first := next[e.Peer]; {
		case first == nil:
			next[e.Peer] = e
		case first.State == Held:
			e.State, e.Why, e.Code = Held, first.Why, first.Code
		default:
			e.State, e.Why, e.Code = Waiting, "waits behind "+first.ID[:8], 0
		}
	}
	return all, err
}

// Find returns the entry whose id begins so, or else that of its transfer; ErrUnknown, ErrAmbiguous.
func (b *Box) Find(ctx context.Context, prefix string) (Entry, error) {
	prefix = strings.ToLower(prefix)
	if prefix == "" || strings.Trim(prefix, "0123456789abcdef-") != "" {
		return Entry{}, ErrUnknown
	}
	all, err := b.list(ctx, `SELECT `+columns+` FROM outbox WHERE id >= ? AND id < ? ORDER BY number LIMIT 2`, prefix, prefix+"g")
	switch {
	case err != nil:
		return Entry{}, err
	case len(all) == 0:
		if all, err = b.again(ctx, prefix); err != nil {
			return Entry{}, err
		}
	}
	switch len(all) {
	case 0:
		return Entry{}, ErrUnknown
	case 1:
		return b.amongOpen(ctx, all[0])
	}
	return Entry{}, ErrAmbiguous
}

// amongOpen is an entry as [Box.Open] has it, if that has it.
func (b *Box) amongOpen(ctx context.Context, e Entry) (Entry, error) {
	if e.State == Ended {
		return e, nil
	}
	open, err := b.Open(ctx)
	for i := range open {
		if open[i].ID == e.ID {
			return open[i], nil
		}
	}
	return e, err
}

// again are the entries that are another transfer than at first, whose id begins so.
func (b *Box) again(ctx context.Context, prefix string) ([]Entry, error) {
	all, err := b.list(ctx, `SELECT `+columns+` FROM outbox WHERE salt > 0 ORDER BY number`)
	return slices.DeleteFunc(all, func(e Entry) bool { return !strings.HasPrefix(e.Transfer(), prefix) }), err
}

func (b *Box) list(ctx context.Context, query string, args ...any) (all []Entry, err error) {
	rows, err := b.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return all, nil
}

func scan(rows *sql.Rows) (e Entry, err error) {
	var peer, files, options string
	var queued, until int64
	var ended sql.NullInt64
	err = rows.Scan(&e.Number, &e.ID, &peer, &e.Name, &e.Size, &files, &options, &e.Changed, &e.Stamp, &e.begun, &e.salt, &queued, &until, &e.State, &e.Why, &e.Code, &ended)
	if err == nil {
		e.Peer, err = jid.Parse(peer)
	}
	if err == nil {
		err = json.Unmarshal([]byte(files), &e.Files)
	}
	e.Options, e.Queued, e.Until = json.RawMessage(options), time.UnixMilli(queued), time.UnixMilli(until)
	if ended.Valid {
		e.Ended = time.UnixMilli(ended.Int64)
	}
	return e, err
}

// Wait notes why an entry waits.
func (b *Box) Wait(ctx context.Context, e *Entry, why string) error {
	return b.note(ctx, e, Waiting, why, 0)
}

// Hold has an entry wait for the user, with the exit code that it would end with.
func (b *Box) Hold(ctx context.Context, e *Entry, why string, code int) error {
	return b.note(ctx, e, Held, why, code)
}

func (b *Box) note(ctx context.Context, e *Entry, s State, why string, code int) error {
	if e.State == s && e.Why == why && e.Code == code {
		return nil
	}
	e.State, e.Why, e.Code = s, why, code
	return b.exec(ctx, `UPDATE outbox SET state = ?, why = ?, code = ? WHERE id = ? AND state <> 'ended'`, string(s), why, code, e.ID)
}

func (b *Box) exec(ctx context.Context, query string, args ...any) error {
	if err := state.Exec(ctx, b.db, query, args...); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Begin notes what the transfer of the entry is about that is made now. When another one had
// been begun about something else, this one has another id.
func (b *Box) Begin(ctx context.Context, e *Entry, stamp []byte) error {
	if e.begun != nil && string(e.begun) == string(stamp) {
		return nil
	}
	if e.begun != nil {
		e.salt++
	}
	e.begun = stamp
	return b.exec(ctx, `UPDATE outbox SET begun = ?, salt = ? WHERE id = ?`, stamp, e.salt, e.ID)
}

// Again has the next attempt be another transfer: that of this one has ended.
func (b *Box) Again(ctx context.Context, e *Entry) error {
	e.salt++
	return b.exec(ctx, `UPDATE outbox SET salt = ? WHERE id = ?`, e.salt, e.ID)
}

// Version is a number that is another one when somebody else has changed the state.
func (b *Box) Version(ctx context.Context, on *sql.Conn) (n int64, err error) {
	if err = on.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&n); err != nil {
		return 0, fmt.Errorf("outbox: %w", err)
	}
	return n, nil
}

// End ends an entry, and removes its copy. One that has ended already stays as it is: then ended is
// false.
func (b *Box) End(ctx context.Context, e *Entry, code int, why string) (ended bool, err error) {
	err = state.Write(ctx, b.db, func(tx *sql.Tx) error {
		const end = `UPDATE outbox SET state = 'ended', why = ?, code = ?, ended = ? WHERE id = ? AND state <> 'ended'`
		r, err := tx.ExecContext(ctx, end, why, code, b.now().UnixMilli(), e.ID)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		ended = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("outbox: %w", err)
	}
	if ended {
		e.State, e.Code, e.Why = Ended, code, why
	}
	return ended, b.discard(e.ID)
}

// Discard removes the copy of an entry that was not put.
func (b *Box) Discard(e *Entry) error { return b.discard(e.ID) }

// discard removes the copy of an entry.
func (b *Box) discard(id string) error {
	if err := os.RemoveAll(filepath.Join(b.dir, id)); err != nil {
		return fmt.Errorf("remove the copy of %s: %w", id, err)
	}
	return nil
}

// Sweep removes entries that ended long ago, and copies that no entry has any more.
func (b *Box) Sweep(ctx context.Context) error {
	now := b.now()
	if err := b.exec(ctx, `DELETE FROM outbox WHERE state = 'ended' AND ended < ?`, now.Add(-keepEnded).UnixMilli()); err != nil {
		return err
	}
	copies, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(copies) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep the outbox: %w", err)
	}
	open, err := b.Open(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for i := range open {
		wanted[open[i].ID] = true
	}
	for _, c := range copies {
		info, ierr := c.Info()
		if ierr != nil || wanted[c.Name()] || now.Sub(info.ModTime()) < keepCopy && !b.known(ctx, c.Name()) {
			continue
		}
		err = errors.Join(err, b.discard(c.Name()))
	}
	return err
}

// known reports whether there was such an entry, whatever has become of it.
func (b *Box) known(ctx context.Context, id string) bool {
	_, err := b.Find(ctx, id)
	return err == nil
}
