package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"jetsend/internal/jid"
)

// FinishedFor is how long a complete transfer is answered for: an offer of it
// gets its receipt, and no byte is sent.
const FinishedFor = 30 * 24 * time.Hour

// maxPrefix bounds what is looked up: a whole UUID.
const maxPrefix = 36

// Filter selects rows; its zero value selects all but the forgotten ones.
type Filter struct {
	Direction Direction // "" is both
	Peer      jid.JID   // zero is everybody; the resource does not matter
	States    []State   // empty is all but Forgotten
}

// List returns the rows that the filter lets through, the oldest first.
func (j *Journal) List(ctx context.Context, f Filter) (rows []Row, err error) {
	states := f.States
	if len(states) == 0 {
		states = States()
	}
	where := `state IN (?` + strings.Repeat(`, ?`, len(states)-1) + `)`
	var args []any
	for _, s := range states {
		args = append(args, string(s))
	}
	if f.Direction != "" {
		where, args = where+` AND direction = ?`, append(args, string(f.Direction))
	}
	if !f.Peer.IsZero() {
		where, args = where+` AND peer = ?`, append(args, f.Peer.Bare().String())
	}
	err = j.read(ctx, func(tx *sql.Tx) (err error) {
		rows, err = find(ctx, tx, where+` ORDER BY created, id, direction`, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list transfers: %w", err)
	}
	return rows, nil
}

// Get returns the one row, not forgotten, whose id begins with prefix, in upper
// or lower case; else ErrUnknown or ErrAmbiguous. A set is also found by the id of each of
// its arguments: see [ArgumentID].
func (j *Journal) Get(ctx context.Context, prefix string) (Row, error) {
	row, _, err := j.GetArgument(ctx, prefix)
	return row, err
}

// GetArgument is Get, and says which argument of a set it is whose id begins like that; -1
// when it is the id of the set that does, or the transfer is no set. Where more of them
// begin like that it is -1 as well, for the set that they belong to.
func (j *Journal) GetArgument(ctx context.Context, prefix string) (row Row, number int, err error) {
	row, number, err = j.get(ctx, prefix)
	if err != nil {
		return Row{}, -1, fmt.Errorf("transfer %.40q: %w", prefix, err)
	}
	return row, number, nil
}

func (j *Journal) get(ctx context.Context, prefix string) (row Row, number int, err error) {
	if prefix == "" || len(prefix) > maxPrefix {
		return row, -1, ErrUnknown
	}
	err = j.read(ctx, func(tx *sql.Tx) error {
		var k Key
		if k, number, err = lookUp(ctx, tx, strings.ToLower(prefix)); err != nil {
			return err
		}
		r, err := load(ctx, tx, k)
		if err == nil {
			row = *r
		}
		return err
	})
	return row, number, err
}

// lookUp finds the one transfer that is not forgotten and has an id like that, or an
// argument with one. The one argument of a set has the id of the set. All ids that begin
// with a prefix stand between it and itself with a letter behind it that is in none.
func lookUp(ctx context.Context, tx *sql.Tx, prefix string) (k Key, number int, err error) {
	const query = `SELECT id, direction, min(number), max(number) FROM (
			SELECT id, direction, -1 AS number FROM transfers WHERE id >= ?1 AND id < ?1 || 'g' AND state <> 'forgotten'
			UNION ALL SELECT a.id, a.direction, a.number FROM arguments a JOIN transfers t ON t.id = a.id AND t.direction = a.direction
				WHERE a.argument >= ?1 AND a.argument < ?1 || 'g' AND t.state <> 'forgotten' AND t.items > 1)
		GROUP BY id, direction LIMIT 2`
	rows, err := tx.QueryContext(ctx, query, prefix)
	if err != nil {
		return k, -1, err
	}
	defer func() { _ = rows.Close() }() // errors show in rows.Err
	found := 0
	for ; rows.Next(); found++ {
		var last int
		if err := rows.Scan(&k.ID, &k.Direction, &number, &last); err != nil {
			return k, -1, err
		}
		if number != last {
			number = -1
		}
	}
	switch {
	case rows.Err() != nil:
		return k, -1, rows.Err()
	case found == 0:
		return k, -1, ErrUnknown
	case found > 1:
		return k, -1, ErrAmbiguous
	}
	return k, number, nil
}

// Load returns the row of that key, whatever its state; else ErrUnknown.
func (j *Journal) Load(ctx context.Context, k Key) (row Row, err error) {
	err = j.read(ctx, func(tx *sql.Tx) error {
		r, err := load(ctx, tx, k)
		if err == nil {
			row = *r
		}
		return err
	})
	if err != nil {
		return Row{}, fmt.Errorf("load transfer %s: %w", k, err)
	}
	return row, nil
}

// Peek is Load for what contacts have us look for: it writes nothing, so that a transfer
// whose process has died may still be running by its row.
func (j *Journal) Peek(ctx context.Context, k Key) (row Row, err error) {
	err = j.look(ctx, func(tx *sql.Tx) error {
		r, err := load(ctx, tx, k)
		if err == nil {
			row = *r
		}
		return err
	})
	if err != nil {
		return Row{}, fmt.Errorf("look for transfer %s: %w", k, err)
	}
	return row, nil
}

// Find returns the transfer that sending like again would go on with, or that
// somebody is at, as Begin then tells: the same contact, path, name, size,
// modification time and manifest; the newest when there are several. Otherwise
// ErrUnknown. A transfer that goes out in the same batch is another file. Of a set,
// [Journal.FindSet] knows.
func (j *Journal) Find(ctx context.Context, like Row) (Row, error) {
	rows, err := j.List(ctx, Filter{Direction: Send, Peer: like.Peer, States: []State{Offered, Running, Interrupted}})
	if err != nil {
		return Row{}, err
	}
	for i := len(rows) - 1; i >= 0; i-- {
		r := &rows[i]
		if r.Profile && r.Source != SourceSet && r.Name == like.Name && !r.differs(&like) && (r.Batch == "" || r.Batch != like.Batch) {
			return *r, nil
		}
	}
	return Row{}, fmt.Errorf("same send as before: %w", ErrUnknown)
}

// Finished returns the received transfer with that id when it was released, at
// most FinishedFor ago, and from and key are those it came from; else
// ErrUnknown. Forgetting it does not change that.
func (j *Journal) Finished(ctx context.Context, id string, from jid.JID, key []byte) (Row, error) {
	return j.known(ctx, Key{id, Receive}, from, key, func(r *Row) bool {
		return r.Released && j.at().time().Sub(r.Finished) < FinishedFor
	})
}

// Offered returns the transfer with that id that we offered to from with an
// envelope for key, whatever became of it; else ErrUnknown, whatever the reason.
// It says nothing of trust, or of what became of the source.
func (j *Journal) Offered(ctx context.Context, id string, from jid.JID, key []byte) (Row, error) {
	return j.known(ctx, Key{id, Send}, from, key, func(r *Row) bool { return r.Profile })
}

// Abandoned returns the newest transfers, at most so many, that a contact may wait for and that
// we gave up: that failed, or were forgotten before they were complete. One that was declined is
// over there too, unless it was sent in part.
func (j *Journal) Abandoned(ctx context.Context, to jid.JID, most int) (rows []Row, err error) {
	const where = `direction = 'send' AND peer = ? AND profile = 1 AND released = 0 AND (moved > created OR declined = 0) AND state IN ('failed', 'forgotten')
		ORDER BY finished DESC, id LIMIT ?`
	err = j.read(ctx, func(tx *sql.Tx) (err error) {
		rows, err = find(ctx, tx, where, to.Bare().String(), most)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("abandoned transfers: %w", err)
	}
	return rows, nil
}

func (j *Journal) known(ctx context.Context, k Key, from jid.JID, key []byte, ok func(*Row) bool) (Row, error) {
	r, err := j.Load(ctx, k)
	if err == nil && (r.Peer != from.Bare() || !r.HasKey(key) || !ok(&r)) {
		err = ErrUnknown
	}
	if errors.Is(err, ErrUnknown) {
		return Row{}, ErrUnknown
	}
	return r, err
}
