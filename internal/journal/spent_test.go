package journal

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"jetsend/internal/jid"
)

// TestSpent: a received file is not received again when its row has expired, forgotten
// or not, however long ago. Files that failed or were sent, and those that another
// contact calls by the same id, are other transfers.
func TestSpent(t *testing.T) {
	k, dir := newKit(t), t.TempDir()
	none := func(Row) error { return nil }
	done := k.drive(received(newID(), dir), Complete)
	forgotten := k.drive(received(newID(), dir), Complete)
	failed := k.drive(received(newID(), dir), Failed)
	out := k.drive(sent(newID()), Complete)
	if err := k.Forget(t.Context(), forgotten.Key, none); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at once", "when the rows are gone"} {
		for name, tt := range map[string]struct {
			id   string
			from jid.JID
			want bool
		}{
			"complete": {done.ID, romeo, true}, "forgotten": {forgotten.ID, romeo, true}, "failed": {failed.ID, romeo, false},
			"sent": {out.ID, romeo, false}, "unknown": {newID(), romeo, false}, "another contact's": {done.ID, juliet, false},
		} {
			if got, err := k.Spent(t.Context(), tt.id, tt.from); got != tt.want || err != nil {
				t.Errorf("%s, %s: %t, %v", when, name, got, err)
			}
		}
		for range 2 {
			k.clock.add(400 * day)
			k.expire(0, none)
		}
	}
	if n := k.count(`transfers`); n != 0 {
		t.Fatalf("%d rows are left", n)
	}
	for _, r := range []Row{done, forgotten} {
		if _, err := k.Begin(t.Context(), received(r.ID, dir)); !errors.Is(err, ErrOver) {
			t.Errorf("begun again: %v", err)
		}
	}
	k.begin(received(failed.ID, dir))
	other := received(done.ID, dir)
	other.Peer = juliet
	k.begin(other)
	k.begin(sent(forgotten.ID))
}

// TestSpentIsBounded: of one contact only the newest are remembered.
func TestSpentIsBounded(t *testing.T) {
	k, dir := newKit(t), t.TempDir()
	first, last := k.drive(received(newID(), dir), Complete), k.drive(received(newID(), dir), Complete)
	peer := spentHash("peer", romeo.Bare().String())
	const fill = `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		INSERT INTO spent SELECT ?1, randomblob(16), i FROM n`
	if _, err := k.db.ExecContext(t.Context(), fill, peer, maxSpent-1); err != nil {
		t.Fatal(err)
	}
	if _, err := k.db.ExecContext(t.Context(), `INSERT INTO spent VALUES (zeroblob(16), zeroblob(16), 0)`); err != nil {
		t.Fatal(err) // another contact's
	}
	k.clock.add(FinishedFor + time.Second)
	k.expire(0, func(Row) error { return nil })
	if n := k.count(`spent`); n != maxSpent+1 {
		t.Errorf("%d remembered", n)
	}
	for _, r := range []Row{first, last} {
		if spent, err := k.Spent(t.Context(), r.ID, romeo); !spent || err != nil {
			t.Errorf("the newest are forgotten: %v", err)
		}
	}
}

// TestSpentIsQuick: to remember one more of a contact of whom there are as many as can be
// takes no look at all of them. The bound is many times what it needs, and a seventh of
// what such looks take.
func TestSpentIsQuick(t *testing.T) {
	k, dir := newKit(t), t.TempDir()
	peer := spentHash("peer", romeo.Bare().String())
	const fill = `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		INSERT INTO spent SELECT ?1, randomblob(16), i FROM n`
	if _, err := k.db.ExecContext(t.Context(), fill, peer, maxSpent); err != nil {
		t.Fatal(err)
	}
	row := k.drive(received(newID(), dir), Complete)
	err := k.write(t.Context(), func(tx *sql.Tx) error {
		for range 10 * removeAtOnce {
			row.ID = newID()
			if err := k.remove(t.Context(), tx, &row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // a look through all of them each time would be more than a test has
		t.Error(err)
	}
}

// count returns how many rows a table has.
func (k *kit) count(table string) (n int) {
	k.t.Helper()
	if err := k.db.QueryRowContext(k.t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}
