package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

// ArgumentState says how far an argument of a set has come.
type ArgumentState string

// The states of an argument.
const (
	// ArgumentPending: it has not arrived, or not all of it.
	ArgumentPending ArgumentState = ""
	// ArgumentPlacing, when receiving: it is about to get the name Path, or has it; the
	// device and the inode of what is there tell.
	ArgumentPlacing ArgumentState = "placing"
	// ArgumentPlaced: it has arrived, and is in its place under its final name. Some of its
	// entries may have failed.
	ArgumentPlaced ArgumentState = "placed"
	// ArgumentFailed: it ended without anything in its place.
	ArgumentFailed ArgumentState = "failed"
)

// Argument is what is known of one argument of a set: a file or a folder. Name may be a
// peer's words, and so may LastError but for control characters.
type Argument struct {
	Number int
	Name   string
	// Path is absolute: of the source when sending; when receiving, of what came, from
	// ArgumentPlacing on.
	Path string
	// Exclude is that of Row, for this argument.
	Exclude string
	Folder  bool
	Size    int64 // bytes, by the newest index
	Entries int64 // with the argument itself, by the newest index

	// What follows is how far it has come: see [Handle.UpdateArguments].

	// Durable is how many bytes of it are in place; when sending, by the receiver's word.
	Durable int64
	// Done is how many entries have been released: new ones, and those counted next.
	Done    int64
	Changed int64 // took the place of what was there
	Equal   int64 // were there already
	Kept    int64 // are files that were edited here and are kept beside the new ones
	Renamed int64 // have another name here
	Failed  int64 // entries that came to nothing
	State   ArgumentState
	Device  uint64 // of what is at Path, when receiving
	Inode   uint64
	// LastError says why it failed, or why an entry of it did: one line.
	LastError string
}

// ArgumentID is the transfer id that people and programs know an argument by, of a set of
// so many. Both ends know it without being told.
func ArgumentID(set string, number, items int) string {
	id, err := uuid.Parse(set)
	if items == 1 || err != nil { // no row has an id that is none
		return set
	}
	return uuid.NewSHA1(id, []byte(strconv.Itoa(number))).String()
}

// check refuses what must not get into a row.
func (a *Argument) check(of *Row) error {
	switch {
	case of.Source != SourceSet:
		return errors.New("the transfer is no set")
	case a.Number < 0 || a.Number >= of.Items:
		return fmt.Errorf("argument %d of %d", a.Number, of.Items)
	case a.Path == "" && (of.Direction == Send || a.State == ArgumentPlacing):
		return fmt.Errorf("argument %d has no path", a.Number)
	case a.Path != "" && !filepath.IsAbs(a.Path):
		return fmt.Errorf("path %q is not absolute", a.Path)
	}
	return nil
}

// SetArguments records arguments of a set by what they are: those of a new set, or what an
// index of now says about known ones, whose path when receiving, and all that
// [Handle.UpdateArguments] changes, stay as they are. It may be called for some of them at a time.
func (h *Handle) SetArguments(ctx context.Context, arguments []Argument) error {
	const query = `INSERT INTO arguments (id, direction, number, argument, name, path, patterns, folder, size, entries,
			durable, done, changed, equal, kept, renamed, failed, state, device, inode, error)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, '', 0, 0, '')
		ON CONFLICT (id, direction, number) DO UPDATE SET name = excluded.name, path = iif(direction = 'send', excluded.path, path),
			patterns = excluded.patterns, folder = excluded.folder, size = excluded.size, entries = excluded.entries`
	return h.each(ctx, "record", query, arguments, func(r *Row, a *Argument) []any {
		path := a.Path
		if r.Direction == Receive {
			path = ""
		}
		return []any{r.ID, string(r.Direction), a.Number, ArgumentID(r.ID, a.Number, r.Items), a.Name, path, a.Exclude, a.Folder, a.Size, a.Entries}
	})
}

// UpdateArguments records how far arguments of a set have come: their members from Durable
// on, and, when receiving, Path. All of them are on the disk when it returns, or none is.
// When receiving, ArgumentPlacing comes before the name is made, and ArgumentPlaced when
// its directory is synced.
func (h *Handle) UpdateArguments(ctx context.Context, arguments []Argument) error {
	const query = `UPDATE arguments SET path = iif(direction = 'send', path, ?4), durable = ?5, done = ?6, changed = ?7, equal = ?8, kept = ?9,
			renamed = ?10, failed = ?11, state = ?12, device = ?13, inode = ?14, error = ?15
		WHERE id = ?1 AND direction = ?2 AND number = ?3`
	return h.each(ctx, "update", query, arguments, func(r *Row, a *Argument) []any {
		return []any{
			r.ID, string(r.Direction), a.Number, a.Path, a.Durable, a.Done, a.Changed, a.Equal, a.Kept,
			a.Renamed, a.Failed, string(a.State), int64(a.Device), int64(a.Inode), clean.Text(a.LastError),
		}
	})
}

// arrived reports whether the argument has come to its place, or was about to.
func (a *Argument) arrived() bool { return a.State == ArgumentPlaced || a.State == ArgumentPlacing }

// restore writes arguments of a set as they were.
func restore(ctx context.Context, tx *sql.Tx, r *Row, arguments []Argument) error {
	const query = `INSERT INTO arguments (id, direction, number, argument, name, path, patterns, folder, size, entries,
			durable, done, changed, equal, kept, renamed, failed, state, device, inode, error)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')`
	return each(ctx, tx, r, query, arguments, func(r *Row, a *Argument) []any {
		return []any{
			r.ID, string(r.Direction), a.Number, ArgumentID(r.ID, a.Number, r.Items), a.Name, a.Path, a.Exclude, a.Folder, a.Size, a.Entries,
			a.Durable, a.Done, a.Changed, a.Equal, a.Kept, a.Renamed, a.Failed, string(a.State), int64(a.Device), int64(a.Inode),
		}
	})
}

// each runs a query for each of the arguments, in one transaction. It has to change a row.
func (h *Handle) each(ctx context.Context, what, query string, arguments []Argument, values func(*Row, *Argument) []any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := ErrReleased
	if h.lock != nil {
		err = h.j.write(ctx, func(tx *sql.Tx) error { return each(ctx, tx, &h.row, query, arguments, values) })
	}
	if err != nil {
		return fmt.Errorf("%s arguments of transfer %s: %w", what, h.row.Key, err)
	}
	return nil
}

func each(ctx context.Context, tx *sql.Tx, r *Row, query string, arguments []Argument, values func(*Row, *Argument) []any) error {
	st, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }() // with the transaction at the latest
	for i := range arguments {
		if err := arguments[i].check(r); err != nil {
			return err
		}
		res, err := st.ExecContext(ctx, values(r, &arguments[i])...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("argument %d: %w", arguments[i].Number, ErrUnknown))
		}
	}
	return nil
}

// Arguments are those of the set, in their order; none of what is no set.
func (h *Handle) Arguments(ctx context.Context) ([]Argument, error) {
	return h.j.ArgumentsOf(ctx, h.Row().Key)
}

// ArgumentsOf are the arguments of a set, in their order, as far as they are known; none
// of what is no set.
func (j *Journal) ArgumentsOf(ctx context.Context, k Key) (arguments []Argument, err error) {
	err = j.look(ctx, func(tx *sql.Tx) error {
		arguments, err = argumentsOf(ctx, tx, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("arguments of transfer %s: %w", k, err)
	}
	return arguments, nil
}

func argumentsOf(ctx context.Context, tx *sql.Tx, k Key) (out []Argument, err error) {
	const query = `SELECT number, name, path, patterns, folder, size, entries, durable, done, changed, equal, kept, renamed, failed,
		state, device, inode, error FROM arguments WHERE id = ? AND direction = ? ORDER BY number`
	rows, err := tx.QueryContext(ctx, query, k.ID, string(k.Direction))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // errors show in rows.Err
	for rows.Next() {
		var a Argument
		var device, inode int64
		err := rows.Scan(&a.Number, &a.Name, &a.Path, &a.Exclude, &a.Folder, &a.Size, &a.Entries, &a.Durable, &a.Done, &a.Changed,
			&a.Equal, &a.Kept, &a.Renamed, &a.Failed, &a.State, &device, &inode, &a.LastError)
		if err != nil {
			return nil, err
		}
		a.Device, a.Inode = uint64(device), uint64(inode)
		out = append(out, a)
	}
	return out, rows.Err()
}

// Resize records how many bytes the files of a set have now. What is durable is no more.
func (h *Handle) Resize(ctx context.Context, size int64) error {
	return h.update(ctx, "resize", func(r *Row) error {
		switch {
		case r.Source != SourceSet:
			return errors.New("the transfer is no set")
		case r.State.Over():
			return fmt.Errorf("%w: %s", ErrState, r.State)
		case size < 0:
			return fmt.Errorf("size %d", size)
		}
		r.resize(size)
		r.Updated = h.j.at().time()
		return nil
	})
}

// resize is for a set, of which files may come and go between two sessions.
func (r *Row) resize(size int64) { r.Size, r.Durable = size, min(r.Durable, size) }

// FindSet returns the set that sending these arguments to a contact again would go on
// with, or that somebody is at, as Begin then tells: with exactly these paths, names and
// patterns in this order; the newest when there are several. Otherwise ErrUnknown.
func (j *Journal) FindSet(ctx context.Context, to jid.JID, arguments []Argument) (Row, error) {
	rows, err := j.List(ctx, Filter{Direction: Send, Peer: to, States: []State{Offered, Running, Interrupted}})
	if err != nil {
		return Row{}, err
	}
	for _, r := range slices.Backward(rows) {
		if r.Source != SourceSet || r.Items != len(arguments) {
			continue
		}
		known, err := j.ArgumentsOf(ctx, r.Key)
		if err != nil {
			return Row{}, err
		}
		if slices.EqualFunc(known, arguments, sameSource) {
			return r, nil
		}
	}
	return Row{}, fmt.Errorf("same send as before: %w", ErrUnknown)
}

func sameSource(a, b Argument) bool {
	return a.Path == b.Path && a.Name == b.Name && a.Exclude == b.Exclude
}
