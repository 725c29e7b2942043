package acquaint

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// owner names the tables in [state.Migrate].
const owner = "acquaint"

// schema holds the migrations. A step that was released is never changed. Times are Unix
// milliseconds; names are ids of four bytes and keys of 32.
var schema = []string{`
CREATE TABLE invitations (
	id         BLOB PRIMARY KEY CHECK (length(id) = 16),
	redeem_key BLOB    NOT NULL CHECK (length(redeem_key) = 32),
	confirm_key BLOB   NOT NULL CHECK (length(confirm_key) = 32),
	names      BLOB    NOT NULL,
	bound      TEXT    NOT NULL, -- to that address, unless empty
	any_client INTEGER NOT NULL, -- its token alone lets one in
	uses       INTEGER NOT NULL,
	used       INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	ended      INTEGER NOT NULL, -- by its last use, or revoked; 0: by its time
	revoked    INTEGER NOT NULL
) STRICT;
CREATE TABLE redemptions (
	invitation BLOB    NOT NULL,
	jid        TEXT    NOT NULL,
	names      BLOB    NOT NULL, -- their digest; empty: by the token alone
	accepted   INTEGER NOT NULL, -- the subscription is
	closed     INTEGER NOT NULL, -- the user has removed them since
	at         INTEGER NOT NULL,
	PRIMARY KEY (invitation, jid, names)
) STRICT, WITHOUT ROWID;
CREATE TABLE taken (
	id         BLOB PRIMARY KEY CHECK (length(id) = 16),
	redeem_key BLOB    NOT NULL CHECK (length(redeem_key) = 32),
	confirm_key BLOB   NOT NULL CHECK (length(confirm_key) = 32),
	issuer     TEXT    NOT NULL,
	names      BLOB    NOT NULL,
	own        BLOB    NOT NULL, -- names of ours
	nonce      BLOB    NOT NULL CHECK (length(nonce) = 16),
	made       INTEGER NOT NULL
) STRICT;
`}

// Errors of [Book]; use errors.Is.
var (
	// ErrUnknown means that there is no such invitation.
	ErrUnknown = errors.New("no such invitation")
	// ErrTooMany means that there are [MaxIssued] already.
	ErrTooMany = fmt.Errorf("%d invitations are open already", MaxIssued)
)

// Book is what an account knows of invitations.
type Book struct {
	db  *sql.DB
	now func() time.Time
}

// OpenBook brings the tables of a state file of [state.Open] up to date.
func OpenBook(ctx context.Context, db *sql.DB, now func() time.Time) (*Book, error) {
	if err := state.Migrate(ctx, db, owner, schema); err != nil {
		return nil, err
	}
	b := &Book{db, now}
	return b, b.change(ctx, "sweep the invitations", func(ctx context.Context, tx *sql.Tx) error { return sweep(ctx, tx, now()) })
}

// Terms are what an invitation is good for.
type Terms struct {
	Bound     jid.JID // the only address that may redeem it; zero: any
	Uses      int
	For       time.Duration
	AnyClient bool // its token alone lets one in, once
}

// Invitation is one that was issued.
type Invitation struct {
	ID [invite.IDSize]byte
	Terms
	Used    int
	Created time.Time
	Expires time.Time
	Revoked bool
	// By are who has redeemed it.
	By []jid.JID

	keys  invite.Keys
	names invite.Names
}

// State is open, used, expired or revoked.
func (i *Invitation) State(now time.Time) string {
	if v := i.verdict(now); v != invite.Accepted {
		return string(v)
	}
	return "open"
}

// verdict is that over somebody who comes now.
func (i *Invitation) verdict(now time.Time) invite.Verdict {
	switch {
	case i.Revoked:
		return invite.Revoked
	case i.Used >= i.Uses:
		return invite.Used
	case !now.Before(i.Expires):
		return invite.Expired
	}
	return invite.Accepted
}

// Name is what people call it.
func (i *Invitation) Name() string { return Name(i.ID) }

// letter is what its link says.
func (i *Invitation) letter(issuer jid.JID) *invite.Letter {
	return &invite.Letter{ID: i.ID, Issuer: issuer.Bare(), Names: i.names}
}

// Issue remembers an invitation.
func (b *Book) Issue(ctx context.Context, l *invite.Link, t Terms) error {
	now, k := b.now(), l.Keys()
	bound := ""
	if !t.Bound.IsZero() {
		bound = t.Bound.Bare().String()
	}
	err := state.Write(ctx, b.db, func(tx *sql.Tx) error {
		var open int
		const count = `SELECT count(*) FROM invitations WHERE ended = 0 AND expires > ?`
		if err := tx.QueryRowContext(ctx, count, now.UnixMilli()).Scan(&open); err != nil {
			return err
		}
		if open >= MaxIssued {
			return ErrTooMany
		}
		const store = `INSERT INTO invitations VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0)`
		_, err := tx.ExecContext(ctx, store, l.ID[:], k.Redeem[:], k.Confirm[:], encode(l.Names), bound, t.AnyClient, t.Uses,
			now.UnixMilli(), now.Add(t.For).UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("remember the invitation: %w", err)
	}
	return nil
}

// sweep removes what has ended long ago.
func sweep(ctx context.Context, tx *sql.Tx, now time.Time) error {
	const old = `DELETE FROM invitations WHERE expires < ?1 OR ended > 0 AND ended < ?1`
	const alone = `DELETE FROM redemptions WHERE invitation NOT IN (SELECT id FROM invitations)`
	const taken = `DELETE FROM taken WHERE made < ?`
	_, err := tx.ExecContext(ctx, old, now.Add(-keepEnded).UnixMilli())
	if err == nil {
		_, err = tx.ExecContext(ctx, alone)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, taken, now.Add(-keepTaken).UnixMilli())
	}
	return err
}

// List returns the invitations, the oldest first, those that have ended lately among them.
func (b *Book) List(ctx context.Context) (all []Invitation, err error) {
	err = b.look(ctx, func(tx *sql.Tx) error {
		if all, err = find(ctx, tx, `true ORDER BY created, id`); err != nil {
			return err
		}
		for i := range all {
			if all[i].By, err = by(ctx, tx, all[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the invitations: %w", err)
	}
	return all, nil
}

func by(ctx context.Context, tx *sql.Tx, id [invite.IDSize]byte) (all []jid.JID, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT jid FROM redemptions WHERE invitation = ? ORDER BY jid`, id[:])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		j, err := jid.Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, rows.Err()
}

// Revoke ends an invitation. [ErrUnknown]: there is none that is open by that id.
func (b *Book) Revoke(ctx context.Context, id [invite.IDSize]byte) error {
	return b.change(ctx, "revoke the invitation", func(ctx context.Context, tx *sql.Tx) error {
		const end = `UPDATE invitations SET revoked = 1, ended = ?2 WHERE id = ?1 AND ended = 0 AND expires > ?2`
		return one(tx.ExecContext(ctx, end, id[:], b.now().UnixMilli()))
	})
}

// find returns the invitations that the condition selects.
func find(ctx context.Context, tx *sql.Tx, where string, args ...any) (all []Invitation, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, redeem_key, confirm_key, names, bound, any_client, uses, used, created, expires, revoked
		FROM invitations WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var i Invitation
		var id, redeem, confirm, names []byte
		var bound string
		var created, expires int64
		if err := rows.Scan(&id, &redeem, &confirm, &names, &bound, &i.AnyClient, &i.Uses, &i.Used, &created, &expires, &i.Revoked); err != nil {
			return nil, err
		}
		copy(i.ID[:], id)
		copy(i.keys.Redeem[:], redeem)
		copy(i.keys.Confirm[:], confirm)
		i.names, i.Created, i.Expires = decode(names), time.UnixMilli(created), time.UnixMilli(expires)
		i.For = i.Expires.Sub(i.Created)
		if bound != "" {
			if i.Bound, err = jid.Parse(bound); err != nil {
				return nil, err
			}
		}
		all = append(all, i)
	}
	return all, rows.Err()
}

// get returns an invitation, or [ErrUnknown].
func get(ctx context.Context, tx *sql.Tx, id [invite.IDSize]byte) (*Invitation, error) {
	all, err := find(ctx, tx, `id = ?`, id[:])
	if err == nil && len(all) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

// Get returns an invitation, or [ErrUnknown].
func (b *Book) Get(ctx context.Context, id [invite.IDSize]byte) (i *Invitation, err error) {
	err = b.look(ctx, func(tx *sql.Tx) error {
		i, err = get(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("invitation: %w", err)
	}
	return i, nil
}

// Redemption is what has come of somebody's coming.
type Redemption struct {
	Verdict invite.Verdict
	Fresh   bool // it was counted now
	// Accept: the subscription is to be accepted, as it has not been so far.
	Accept bool
}

// Redeem counts somebody who has proved to hold the link, by their address and keys, and has
// these verified in the same transaction; or finds that they came before. A link that anybody may
// use adds no keys to those of a contact of whom some are verified: who has it may have a server that
// says that they are that contact.
func (b *Book) Redeem(ctx context.Context, r *invite.Redeem, keys Keys) (out Redemption, err error) {
	digest, who := r.Devices.Digest(), r.From.Bare()
	err = state.Write(ctx, b.db, func(tx *sql.Tx) error {
		proven, err := keys.HasVerified(ctx, tx, who)
		if err == nil {
			out, err = b.count(ctx, tx, r.ID, who, digest[:], proven)
		}
		if err == nil && out.Fresh {
			err = keys.Vouch(ctx, tx, who, devicesOf(r.Devices))
		}
		return err
	})
	if err != nil {
		return Redemption{}, fmt.Errorf("redeem: %w", err)
	}
	return out, nil
}

// LetIn counts somebody who shows the token alone, which proves nothing: the first one, of an
// invitation that allows it, unless they have proved more.
func (b *Book) LetIn(ctx context.Context, id [invite.IDSize]byte, who jid.JID) (out Redemption, err error) {
	err = state.Write(ctx, b.db, func(tx *sql.Tx) error {
		i, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		if !i.AnyClient {
			return ErrUnknown
		}
		var others int
		const in = `SELECT count(*) FROM redemptions WHERE invitation = ?1 AND (names = x'' AND jid <> ?2 OR names <> x'' AND jid = ?2)`
		if err := tx.QueryRowContext(ctx, in, id[:], who.Bare().String()).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return ErrUnknown
		}
		out, err = b.count(ctx, tx, id, who.Bare(), nil, false)
		return err
	})
	if err != nil {
		return Redemption{}, fmt.Errorf("let in: %w", err)
	}
	return out, nil
}

// before is what an address has done with an invitation so far.
type before struct{ same, accepted, closed bool }

func lookBefore(ctx context.Context, tx *sql.Tx, id [invite.IDSize]byte, who jid.JID, digest []byte) (was before, err error) {
	const query = `SELECT coalesce(max(names = ?3), 0), coalesce(max(accepted), 0), coalesce(max(closed), 0)
		FROM redemptions WHERE invitation = ?1 AND jid = ?2`
	err = tx.QueryRowContext(ctx, query, id[:], who.String(), digest).Scan(&was.same, &was.accepted, &was.closed)
	return was, err
}

// count judges somebody who comes, and counts them where they are new and let in. proven says
// that keys of theirs are verified already.
func (b *Book) count(ctx context.Context, tx *sql.Tx, id [invite.IDSize]byte, who jid.JID, digest []byte, proven bool) (out Redemption, err error) {
	digest = append([]byte{}, digest...) // not null
	i, err := get(ctx, tx, id)
	if err != nil {
		return out, err
	}
	was, err := lookBefore(ctx, tx, id, who, digest)
	if err != nil {
		return out, err
	}
	if was.same {
		return Redemption{Verdict: invite.Accepted, Accept: !was.accepted && !was.closed}, nil
	}
	now := b.now()
	switch out.Verdict = i.verdict(now); {
	case was.closed:
		out.Verdict = invite.Revoked
	case !i.Bound.IsZero() && i.Bound != who:
		out.Verdict = invite.Other
	case i.Bound.IsZero() && proven:
		out.Verdict = invite.Known
	}
	if out.Verdict != invite.Accepted {
		return out, nil
	}
	out.Fresh, out.Accept = true, !was.accepted
	const store = `INSERT INTO redemptions VALUES (?, ?, ?, ?, 0, ?)`
	if _, err = tx.ExecContext(ctx, store, id[:], who.String(), digest, was.accepted, now.UnixMilli()); err != nil {
		return out, err
	}
	const use = `UPDATE invitations SET used = used + 1, ended = iif(used + 1 >= uses, ?2, ended) WHERE id = ?1`
	return out, one(tx.ExecContext(ctx, use, id[:], now.UnixMilli()))
}

// Accepted says that somebody who has redeemed invitations is let in.
func (b *Book) Accepted(ctx context.Context, who jid.JID) error {
	return b.change(ctx, "remember who has redeemed", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE redemptions SET accepted = 1 WHERE jid = ?`, who.Bare().String())
		return err
	})
}

// Shut is for somebody whom the user removes: by what they have redeemed they do not come back,
// and a link of theirs that was taken is forgotten.
func (b *Book) Shut(ctx context.Context, who jid.JID) error {
	return b.change(ctx, "shut out who has redeemed", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE redemptions SET closed = 1 WHERE jid = ?`, who.Bare().String())
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM taken WHERE issuer = ?`, who.Bare().String())
		}
		return err
	})
}

// Taken is a link that was taken and not confirmed.
type Taken struct {
	invite.Letter
	Made time.Time

	keys  invite.Keys
	own   invite.Names // what we say of ourselves, the same again and again
	nonce [invite.NonceSize]byte
}

// errAnother means that a link differs from one of the same id that was taken.
var errAnother = errors.New("another invitation with the same id was taken before")

// Take remembers a link until it is confirmed, and the devices of ours to be named. One that is
// known stays as it is.
func (b *Book) Take(ctx context.Context, l *invite.Link, own invite.Names) (t *Taken, err error) {
	k, nonce := l.Keys(), invite.NewNonce()
	err = state.Write(ctx, b.db, func(tx *sql.Tx) error {
		const store = `INSERT INTO taken VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
		if _, err := tx.ExecContext(ctx, store, l.ID[:], k.Redeem[:], k.Confirm[:], l.Issuer.String(), encode(l.Names), encode(own), nonce[:], b.now().UnixMilli()); err != nil {
			return err
		}
		all, err := taken(ctx, tx, `id = ?`, l.ID[:])
		if err != nil {
			return err
		}
		if t = &all[0]; t.keys != k || t.Issuer != l.Issuer || t.Names.Digest() != l.Names.Digest() {
			return errAnother
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("remember the invitation: %w", err)
	}
	return t, nil
}

// Taken are the links that wait for their issuers, the oldest first.
func (b *Book) Taken(ctx context.Context) (all []Taken, err error) {
	err = b.look(ctx, func(tx *sql.Tx) error {
		all, err = taken(ctx, tx, `made >= ? ORDER BY made, id`, b.now().Add(-keepTaken).UnixMilli())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("invitations that wait: %w", err)
	}
	return all, nil
}

func taken(ctx context.Context, tx *sql.Tx, where string, args ...any) (all []Taken, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, redeem_key, confirm_key, issuer, names, own, nonce, made FROM taken WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t Taken
		var id, redeem, confirm, names, own, nonce []byte
		var issuer string
		var made int64
		if err := rows.Scan(&id, &redeem, &confirm, &issuer, &names, &own, &nonce, &made); err != nil {
			return nil, err
		}
		copy(t.ID[:], id)
		copy(t.keys.Redeem[:], redeem)
		copy(t.keys.Confirm[:], confirm)
		copy(t.nonce[:], nonce)
		t.Names, t.own, t.Made = decode(names), decode(own), time.UnixMilli(made)
		if t.Issuer, err = jid.Parse(issuer); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// Settle forgets a link that was answered, once, and runs verify in the same transaction. It
// reports false where it was settled before.
func (b *Book) Settle(ctx context.Context, t *Taken, verify func(context.Context, *sql.Tx) error) (settled bool, err error) {
	err = state.Write(ctx, b.db, func(tx *sql.Tx) error {
		err := one(tx.ExecContext(ctx, `DELETE FROM taken WHERE id = ?`, t.ID[:]))
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		if err == nil {
			settled, err = true, verify(ctx, tx)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("settle the invitation: %w", err)
	}
	return settled, nil
}

// one is [ErrUnknown] where a statement has changed nothing.
func one(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		err = ErrUnknown
	}
	return err
}

func (b *Book) change(ctx context.Context, what string, f func(context.Context, *sql.Tx) error) error {
	if err := state.Write(ctx, b.db, func(tx *sql.Tx) error { return f(ctx, tx) }); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (b *Book) look(ctx context.Context, f func(tx *sql.Tx) error) error {
	return state.Look(ctx, b.db, f)
}

// nameSize is that of a device in the book.
const nameSize = 4 + invite.KeySize

func encode(n invite.Names) []byte {
	var b bytes.Buffer
	for _, d := range n {
		_ = binary.Write(&b, binary.BigEndian, d.ID) // never fails
		_, _ = b.Write(d.Key[:])
	}
	return b.Bytes()
}

func decode(b []byte) (n invite.Names) {
	for ; len(b) >= nameSize; b = b[nameSize:] {
		d := invite.Device{ID: binary.BigEndian.Uint32(b)}
		copy(d.Key[:], b[4:])
		n = append(n, d)
	}
	return n
}
