package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"jetsend/internal/jid"
)

// A file that was received is not received again, even if a server that carries the
// offer plays it back when the row is long gone. That an OMEMO envelope opens only
// once is what prevents it; this holds when that should fail, and needs no more than
// a hash of the id. Forgetting a transfer or letting it expire does not change it.

const (
	// maxSpent is how many transfers of one contact are remembered when their rows are
	// gone, the newest: 4 MB. The oldest were released weeks or months before.
	maxSpent = 1 << 16
	// spentSize is the length of the hashes.
	spentSize = 16
)

// spentHash is what is kept in the place of an address or an id.
func spentHash(kind, s string) []byte {
	sum := sha256.Sum256([]byte("jetsend journal " + kind + "\x00" + s))
	return sum[:spentSize]
}

// remove deletes a row and its keys. Of a received file that was released it leaves
// the hash; see trim.
func (j *Journal) remove(ctx context.Context, tx *sql.Tx, r *Row) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM transfers WHERE id = ? AND direction = ?`, r.ID, string(r.Direction)); err != nil {
		return err
	}
	if !r.Released || r.Direction != Receive {
		return nil
	}
	peer := spentHash("peer", r.Peer.Bare().String())
	const add = `INSERT INTO spent (peer, id, at) VALUES (?, ?, ?) ON CONFLICT (peer, id) DO UPDATE SET at = excluded.at`
	_, err := tx.ExecContext(ctx, add, peer, spentHash("id", r.ID), int64(j.at()))
	return err
}

// trim forgets what is beyond maxSpent of the contacts of rows that are gone: once for
// each of them, since to count so many takes a hundred times as long as to add one.
func (j *Journal) trim(ctx context.Context, gone []Row) error {
	done := map[jid.JID]bool{}
	for i := range gone {
		peer := gone[i].Peer.Bare()
		if done[peer] || !gone[i].Released || gone[i].Direction != Receive {
			continue
		}
		done[peer] = true
		const beyond = `DELETE FROM spent WHERE peer = ?1 AND id IN
			(SELECT id FROM spent WHERE peer = ?1 ORDER BY at DESC, id LIMIT -1 OFFSET ?2)`
		err := j.write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, beyond, spentHash("peer", peer.String()), maxSpent)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// isSpent reports whether a transfer that has no row was received before.
func isSpent(ctx context.Context, tx *sql.Tx, r *Row) (spent bool, err error) {
	if r.Direction != Receive {
		return false, nil
	}
	const query = `SELECT EXISTS (SELECT 1 FROM spent WHERE peer = ? AND id = ?)`
	err = tx.QueryRowContext(ctx, query, spentHash("peer", r.Peer.Bare().String()), spentHash("id", r.ID)).Scan(&spent)
	return spent, err
}

// Spent reports whether a transfer with that id was received from that contact and
// released, as long ago as it may be: its row is there or gone. Such a transfer is
// never begun again.
func (j *Journal) Spent(ctx context.Context, id string, from jid.JID) (spent bool, err error) {
	row := Row{Key: Key{id, Receive}, Peer: from.Bare()}
	err = j.look(ctx, func(tx *sql.Tx) error {
		old, err := load(ctx, tx, row.Key)
		switch {
		case errors.Is(err, ErrUnknown):
			spent, err = isSpent(ctx, tx, &row)
		case err == nil:
			spent = old.Released && old.Peer == row.Peer
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for transfer %s: %w", row.Key, err)
	}
	return spent, nil
}
