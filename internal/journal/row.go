package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/fileid"
	"jetsend/internal/jid"
	"jetsend/internal/set"
)

// Direction says on which end of the transfer this account is.
type Direction string

// The directions.
const (
	Send    Direction = "send"
	Receive Direction = "receive"
)

// Pause says at which end somebody has stopped an interrupted transfer by hand:
// nobody goes on with it by itself until that end does.
type Pause string

// The pauses.
const (
	NotPaused   Pause = ""
	PausedHere  Pause = "here"
	PausedThere Pause = "there" // by the contact, who said so
)

// Phase says how far a transfer has come in all of its sessions; [State], what becomes
// of it at the moment.
type Phase string

// The phases, in their order. Bytes that came are no phase: see Row.Durable.
const (
	// PhaseOffered: this is the first attempt, so that the peer may know nothing of it.
	PhaseOffered Phase = "offered"
	// PhaseKnown: there was an attempt before, so that the peer may know of the transfer.
	PhaseKnown Phase = "known"
	// PhaseVerified, of a received one: the file is whole, verified and synced, and
	// Path is the name that it has or gets. From then on the peer is not needed.
	PhaseVerified Phase = "verified"
	// PhasePoured is PhaseVerified for a file that was written to an output: all of it
	// went there, and it gets no name.
	PhasePoured Phase = "poured"
)

// Known reports whether the peer may know of the transfer from an attempt before the one
// of the moment.
func (p Phase) Known() bool { return p == PhaseKnown || p.Verified() }

// Verified reports whether all of a received file is here and right, so that nothing but
// the end of its release is missing.
func (p Phase) Verified() bool { return p == PhaseVerified || p == PhasePoured }

// Source says what is sent, or comes.
type Source string

// The sources.
const (
	SourceFile  Source = "file"
	SourceTree  Source = "tree"  // a directory, as an archive
	SourceSpool Source = "spool" // what was read from an input, kept in a file of ours; only when sending
	SourceSet   Source = "set"   // many files and directories, the arguments of one session; see [Argument]
)

// SourceOf is that of what comes with a manifest, nil for a file.
func SourceOf(manifest []byte) Source {
	if manifest == nil {
		return SourceFile
	}
	return SourceTree
}

// Key names a row.
type Key struct {
	ID        string // a UUID in its canonical form
	Direction Direction
}

func (k Key) String() string { return string(k.Direction) + " " + k.ID }

const (
	// keySize is the length of an OMEMO identity key with its type byte.
	keySize = 33
	// maxKeys bounds the keys that one call adds: the devices of one contact.
	maxKeys = 1000
)

// Row is what is known of a transfer. Name, and LastError but for control
// characters, may be a peer's words: clean them before they are shown.
type Row struct {
	Key
	Batch    string // of several files sent together, or ""
	Peer     jid.JID
	Resource string // of the peer, last used
	// Profile says that the transfer was offered under jetsend:1, so that both
	// ends know its id. No other transfer can be resumed or asked for.
	Profile bool
	Name    string
	// Description is what the sender says about the file; when receiving, cleaned.
	Description string
	// Dir is the download directory; "" when sending. Absolute.
	Dir string
	// Path is absolute: of the source when sending; of the final file when
	// receiving, in PhaseVerified and when it was released. A set has none: its
	// arguments have.
	Path   string
	Source Source
	// Items is how many arguments a set has; 0 for what is no set.
	Items int
	// Entries is how many files, directories and links a set may have that is received, by
	// the newest offer; 0: nobody has said.
	Entries int64
	Size    int64 // bytes; of a set those of all its files, by the newest offer
	// MTime is the modification time of the source; when receiving, as it was
	// announced. Zero when that is not known.
	MTime time.Time
	// Mode are the permission bits of the source; 0 when they are not known.
	Mode fs.FileMode
	// Manifest is the digest of a directory that is sent as one archive, whose
	// Size and SHA256 are those of the archive; nil for a file. Two archives of
	// the same manifest are the same bytes.
	Manifest []byte
	// Exclude is the text of the patterns of entries of a directory that are left out:
	// those of package exclude. When receiving, it is not known.
	Exclude string
	// Origin is the identity of the source for [fileid.Same]: nil when receiving,
	// and of transfers from before it was kept.
	Origin []byte
	SHA256 []byte // of the whole file; nil when that is not known
	State  State
	Phase  Phase
	// Durable is how many bytes from the start of the file are synced in the
	// partial file; when sending, how many the receiver has confirmed.
	Durable  int64
	Released bool  // the row is or was complete
	Paused   Pause // of an interrupted one: who has to say that it goes on
	Declined bool  // of a failed one: the receiver said no
	Retries  int   // attempts after the first
	Created  time.Time
	Updated  time.Time // the last change of any kind
	// Moved is when bytes last moved, or when the row was made: attempts that
	// bring nothing do not keep a transfer young.
	Moved    time.Time
	Finished time.Time // zero until complete or failed, or else forgotten
	// LastError is the reason of the last interruption or failure: one line.
	LastError string
	Keys      [][]byte // OMEMO identity keys, 33 bytes each
}

// HasKey reports whether the transfer belongs to that OMEMO identity key.
func (r *Row) HasKey(key []byte) bool {
	return slices.ContainsFunc(r.Keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// Unchanged reports whether a source of this size, modification time and identity is
// the one that was offered. Of a directory the manifest has to be the same too.
func (r *Row) Unchanged(size int64, mtime time.Time, origin []byte) bool {
	return r.Size == size && r.MTime.Equal(mtime) && fileid.Same(r.Origin, origin)
}

// differs reports whether the row is of another file or directory than to. A set is
// what its arguments are, whatever is in them now: they may change between two sessions.
func (r *Row) differs(to *Row) bool {
	if r.Source == SourceSet || to.Source == SourceSet {
		return r.Source != to.Source || r.Items != to.Items
	}
	if r.Size != to.Size || !bytes.Equal(r.Manifest, to.Manifest) {
		return true
	}
	return r.Direction == Send && (r.Path != to.Path || !r.Unchanged(to.Size, to.MTime, to.Origin))
}

// check refuses what must not get into a row, above all ids that are no UUIDs:
// they come from peers and are part of file names.
func (r *Row) check() error {
	switch {
	case !canonical(r.ID):
		return fmt.Errorf("transfer id %.40q is not a UUID", r.ID)
	case r.Direction != Send && r.Direction != Receive:
		return fmt.Errorf("direction %q", r.Direction)
	case r.Peer.IsZero():
		return errors.New("no peer")
	case r.Size < 0:
		return fmt.Errorf("size %d", r.Size)
	case r.Direction == Send && r.Source != SourceSet && !filepath.IsAbs(r.Path):
		return fmt.Errorf("path %q is not absolute", r.Path)
	case r.Direction == Receive && !filepath.IsAbs(r.Dir):
		return fmt.Errorf("directory %q is not absolute", r.Dir)
	case r.Direction == Receive && len(r.Keys) == 0:
		return errors.New("no identity key")
	}
	if err := r.checkSource(); err != nil {
		return err
	}
	if r.Mode&^fs.ModePerm != 0 {
		return fmt.Errorf("mode %v", r.Mode)
	}
	if n := len(r.Origin); n != 0 && n != fileid.Size {
		return fmt.Errorf("identity of the source of %d bytes", n)
	}
	return errors.Join(checkSum(r.SHA256), checkSum(r.Manifest), checkKeys(r.Keys))
}

func (r *Row) checkSource() error {
	if (r.Source == SourceSet) != (r.Items > 0) || r.Items < 0 || r.Items > set.MaxArguments || r.Entries < 0 || r.Entries > set.MaxEntries {
		return fmt.Errorf("%d arguments and %d entries of a %s", r.Items, r.Entries, r.Source)
	}
	switch r.Source {
	case SourceSet:
		if r.Path != "" || r.Manifest != nil || !r.Profile {
			return errors.New("a set with a path or a manifest, or without the profile")
		}
		return nil
	case SourceTree:
		if r.Manifest == nil {
			return errors.New("a tree without a manifest")
		}
		return nil
	case SourceFile, SourceSpool:
		if r.Manifest != nil {
			return fmt.Errorf("the manifest of a %s", r.Source)
		}
		return nil
	}
	return fmt.Errorf("source %q", r.Source)
}

func canonical(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

func checkSum(sum []byte) error {
	if sum != nil && len(sum) != sha256.Size {
		return fmt.Errorf("SHA-256 of %d bytes", len(sum))
	}
	return nil
}

func checkKeys(keys [][]byte) error {
	if len(keys) > maxKeys {
		return fmt.Errorf("%d identity keys", len(keys))
	}
	for _, k := range keys {
		if len(k) != keySize {
			return fmt.Errorf("identity key of %d bytes", len(k))
		}
	}
	return nil
}

// milli is a time as it is stored: Unix milliseconds.
type milli int64

func (m milli) time() time.Time { return time.UnixMilli(int64(m)).UTC() }

const columns = `id, direction, batch, peer, resource, profile, name, dir, path, size, mtime_s, mtime_ns,
	sha256, state, durable, released, retries, created, updated, finished, error, mode, manifest, moved, description, paused, declined, origin, phase, source, patterns, items, entries`

// keysOf are the identity keys of a row, in hexadecimal and one after the other:
// read with the row, since a query for each of thousands takes seconds.
const keysOf = `(SELECT group_concat(hex(k.identity_key), '' ORDER BY k.identity_key)
	FROM transfer_keys k WHERE k.id = transfers.id AND k.direction = transfers.direction)`

// find reads the rows that the condition selects, with their keys.
func find(ctx context.Context, tx *sql.Tx, where string, args ...any) ([]Row, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+columns+`, `+keysOf+` FROM transfers WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // errors show in rows.Err
	var out []Row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scan(rows *sql.Rows) (r Row, err error) {
	var peer string
	var keys sql.NullString
	var seconds, nanos, finished sql.NullInt64
	var created, updated, moved milli
	err = rows.Scan(&r.ID, &r.Direction, &r.Batch, &peer, &r.Resource, &r.Profile, &r.Name, &r.Dir, &r.Path, &r.Size, &seconds, &nanos,
		&r.SHA256, &r.State, &r.Durable, &r.Released, &r.Retries, &created, &updated, &finished, &r.LastError, &r.Mode, &r.Manifest, &moved, &r.Description, &r.Paused, &r.Declined, &r.Origin, &r.Phase, &r.Source, &r.Exclude, &r.Items, &r.Entries, &keys)
	if err != nil {
		return r, err
	}
	if r.Items > 0 {
		r.Source = SourceSet
	}
	if r.Peer, err = jid.Parse(peer); err != nil {
		return r, err
	}
	if seconds.Valid {
		r.MTime = time.Unix(seconds.Int64, nanos.Int64).UTC()
	}
	r.Created, r.Updated, r.Moved = created.time(), updated.time(), moved.time()
	if finished.Valid {
		r.Finished = milli(finished.Int64).time()
	}
	r.Keys, err = splitKeys(keys.String)
	return r, err
}

// splitKeys undoes keysOf.
func splitKeys(text string) (keys [][]byte, err error) {
	all, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	for key := range slices.Chunk(all, keySize) {
		keys = append(keys, key)
	}
	return keys, nil
}

// load reads one row; ErrUnknown when there is none.
func load(ctx context.Context, tx *sql.Tx, k Key) (*Row, error) {
	rows, err := find(ctx, tx, `id = ? AND direction = ?`, k.ID, string(k.Direction))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ErrUnknown
	}
	return &rows[0], nil
}

// stored is the source as its column has it, which knows no sets: those are the rows with
// items.
func (s Source) stored() string {
	if s == SourceSet {
		s = SourceFile
	}
	return string(s)
}

// save writes a row, be it new or not. Keys are added; none is taken away.
func save(ctx context.Context, tx *sql.Tx, r *Row) error {
	var seconds, nanos, finished sql.NullInt64
	if !r.MTime.IsZero() {
		seconds = sql.NullInt64{Int64: r.MTime.Unix(), Valid: true}
		nanos = sql.NullInt64{Int64: int64(r.MTime.Nanosecond()), Valid: true}
	}
	if !r.Finished.IsZero() {
		finished = sql.NullInt64{Int64: r.Finished.UnixMilli(), Valid: true}
	}
	const query = `INSERT INTO transfers (` + columns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id, direction) DO UPDATE SET batch = excluded.batch, resource = excluded.resource, name = excluded.name, dir = excluded.dir,
		path = excluded.path, size = excluded.size, sha256 = excluded.sha256, state = excluded.state, durable = excluded.durable,
		released = excluded.released, retries = excluded.retries, updated = excluded.updated,
		finished = excluded.finished, error = excluded.error, moved = excluded.moved, description = excluded.description, paused = excluded.paused,
		declined = excluded.declined, phase = excluded.phase, entries = excluded.entries`
	_, err := tx.ExecContext(ctx, query, r.ID, string(r.Direction), r.Batch, r.Peer.Bare().String(), r.Resource, r.Profile, r.Name, r.Dir, r.Path,
		r.Size, seconds, nanos, r.SHA256, string(r.State), r.Durable, r.Released, r.Retries, r.Created.UnixMilli(), r.Updated.UnixMilli(),
		finished, r.LastError, uint32(r.Mode), r.Manifest, r.Moved.UnixMilli(), r.Description, string(r.Paused), r.Declined, r.Origin, string(r.Phase), r.Source.stored(), r.Exclude, r.Items, r.Entries)
	if err != nil {
		return err
	}
	for _, key := range r.Keys {
		const add = `INSERT INTO transfer_keys (id, direction, identity_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
		if _, err := tx.ExecContext(ctx, add, r.ID, string(r.Direction), key); err != nil {
			return err
		}
	}
	return nil
}
