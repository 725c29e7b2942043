package omemo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// Config is how an [Account] behaves. The zero value is usable.
type Config struct {
	Log   *slog.Logger     // nil: nothing is logged
	Trust TrustMode        // what is done with keys that nobody decided on
	Now   func() time.Time // nil: time.Now
	// ManyDevices lets [Account.Announce] add a new device to an account that
	// has ten already: for when the user asked for the device himself.
	ManyDevices bool
	// NewDevices, when not nil, is told of devices that have come into the list
	// of a contact or of our own account, pushed or fetched: they may have to be
	// primed. Of a contact that we never had to do with, nothing is stored; then
	// every device in a pushed list is told. It is called on the goroutine that
	// has learnt of it, and must neither block nor call the Account.
	NewDevices func(of jid.JID, devices []Device)
}

// Account is this device's OMEMO state for one account. Its methods may be
// called from several goroutines, and several accounts, also of different
// processes, may have the same database.
type Account struct {
	db       *sql.DB
	self     jid.JID
	cfg      Config
	log      *slog.Logger
	id       *identityKeys
	deviceID uint32
	holder   string // names this Account in the publication lease

	// announcing serialises Announce and Withdraw of this Account; those of
	// others are kept out by the lease.
	announcing chan struct{} // holds a token meanwhile

	work     work                     // what is done for contacts
	messages quota                    // what HandleMessage has opened lately
	draw     func(n int) (int, error) // of n prekeys of a contact; in tests no two senders the same

	seenMu sync.Mutex
	lists  map[jid.JID]time.Time // device lists fetched or pushed lately
	bad    map[address]time.Time // devices whose bundle was of no use lately
	// renewed: the sessions that this process has begun anew lately.
	renewed map[address]begunSession
}

// address names a ratchet session: the device of a bare JID. libsignal joins
// the two with a colon, which a JID may hold; here they stay apart.
type address struct {
	jid    jid.JID
	device uint32
}

// Open returns the OMEMO device of the account self (a bare JID), whose state
// is in db; see package state. On first use it makes the device: identity key,
// device id, signed prekey and one-time prekeys. The identity is written once
// and never changes. ErrOtherAccount: the state is of another account.
func Open(ctx context.Context, db *sql.DB, self jid.JID, cfg Config) (*Account, error) {
	silenceLibrary()
	a := &Account{
		announcing: make(chan struct{}, 1),
		db:         db, self: self.Bare(), cfg: cfg, log: cfg.Log, draw: drawn,
		lists: make(map[jid.JID]time.Time), bad: make(map[address]time.Time), renewed: make(map[address]begunSession),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.cfg.Now == nil {
		a.cfg.Now = time.Now
	}
	var token [16]byte
	if _, err := io.ReadFull(rand.Reader, token[:]); err != nil {
		return nil, fmt.Errorf("open omemo state: %w", err)
	}
	a.holder = hex.EncodeToString(token[:])
	if err := state.Migrate(ctx, db, owner, schema); err != nil {
		return nil, fmt.Errorf("open omemo state: %w", err)
	}
	if err := a.step(ctx, func(tx *sql.Tx) error { return a.loadOrCreate(ctx, tx) }); err != nil {
		return nil, fmt.Errorf("open omemo state of %s: %w", self.Bare(), err)
	}
	return a, nil
}

// DeviceID returns our device id, 1..2^31-1.
func (a *Account) DeviceID() uint32 { return a.deviceID }

// Fingerprint returns our identity key as 64 lower-case hex digits.
func (a *Account) Fingerprint() string { return fingerprint(a.id.public) }

// IdentityKey returns our public identity key, 33 bytes.
func (a *Account) IdentityKey() []byte { return append([]byte(nil), a.id.public...) }

// now returns the time as it is stored.
func (a *Account) now() int64 { return a.cfg.Now().UnixMilli() }

// step runs f as one immediate transaction: alone among all who write this
// database, of this process and of others. It is committed, and on the disk, when
// step returns nil, and has left nothing behind otherwise. f must not wait for
// anything but the database, and does nothing there of which somebody else
// chooses how much it is.
func (a *Account) step(ctx context.Context, f func(tx *sql.Tx) error) error {
	return state.Write(ctx, a.db, f)
}

// look runs f as a transaction that sees one state of the database, and writes
// nothing: it holds up nobody who does.
func (a *Account) look(ctx context.Context, f func(tx *sql.Tx) error) error {
	return state.Look(ctx, a.db, f)
}

// loadOrCreate reads our identity, making it on first use.
func (a *Account) loadOrCreate(ctx context.Context, tx *sql.Tx) error {
	var self string
	var private, public []byte
	const load = `SELECT jid, device, private_key, public_key FROM identity`
	err := tx.QueryRowContext(ctx, load).Scan(&self, &a.deviceID, &private, &public)
	if errors.Is(err, sql.ErrNoRows) {
		return a.create(ctx, tx)
	}
	if err != nil {
		return err
	}
	if self != a.self.String() {
		return fmt.Errorf("%w: %s", ErrOtherAccount, self)
	}
	a.id, err = loadIdentity(private, public)
	return err
}

// create makes the device: everything that [Open] promises, in one transaction.
func (a *Account) create(ctx context.Context, tx *sql.Tx) error {
	id, err := newIdentity()
	if err != nil {
		return err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(maxDeviceID))
	if err != nil {
		return err
	}
	a.id, a.deviceID = id, uint32(n.Int64())+1
	const store = `INSERT INTO identity (id, jid, device, private_key, public_key, created) VALUES (1, ?, ?, ?, ?, ?)`
	if _, err := tx.ExecContext(ctx, store, a.self.String(), a.deviceID, id.private, id.public, a.now()); err != nil {
		return err
	}
	const publication = `INSERT INTO publication (id, next_prekey, generation, published, announced, listed, holder, held_until)
		VALUES (1, 1, 1, 0, 0, 0, '', 0)`
	if _, err := tx.ExecContext(ctx, publication); err != nil {
		return err
	}
	if err := a.newSignedPrekey(ctx, tx); err != nil {
		return err
	}
	return a.refill(ctx, tx)
}
