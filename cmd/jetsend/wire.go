package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"jetsend/internal/acquaint"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/contact"
	"jetsend/internal/doctor"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	logins "jetsend/internal/login"
	"jetsend/internal/omemo"
	"jetsend/internal/outbox"
	"jetsend/internal/route"
	"jetsend/internal/rows"
	"jetsend/internal/session"
	"jetsend/internal/shortname"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

// wire gives a run the real doors to the network and the state.
func wire(a *app) {
	a.dial, a.openKeys, a.openTransfers, a.openNames, a.openBook, a.register = dial, openKeys, openTransfers, openNames, openBook, register
}

// quick is [transfer.Config.Quick]. Only the scripts of the tests set it.
var quick bool

// dial puts the account online.
func dial(ctx context.Context, o dialOptions) (endpoint, error) {
	var party *acquaint.Party
	how := sessionConfig(o.Account, o.RootCAs, o.Password)
	how.ByPassword = o.ByPassword
	e, err := transfer.Connect(ctx, transfer.Config{
		Prepare: func(e *transfer.Endpoint) (err error) {
			if o.Receiver || o.Acquaint {
				party, err = newParty(ctx, e, o)
			}
			return err
		},
		Session:  how,
		StateDir: o.StateDir, Trust: trustMode(o.Trust), Receiver: o.Receiver, Priority: o.Priority,
		S5B:          route.S5BConfig{ListenPorts: o.Transports.S5B.ListenPorts, Advertise: o.Transports.S5B.Advertise, Interfaces: o.Transports.S5B.Interfaces, Proxies: o.Transports.S5B.Proxies, STUN: o.Transports.STUN, PortMapping: o.Transports.S5B.PortMapping},
		IBBBlockSize: o.Transports.IBB.BlockSize, Transports: o.Transports.Order, NoSets: o.Output,
		ManyDevices: o.Login, KeepFor: o.KeepFor, Report: o.Report, Connection: o.Connection, Gather: o.Gather, Log: o.Log, Quick: quick,
	})
	if err != nil {
		return nil, err
	}
	return online{e, party, how}, nil
}

// newParty is for who comes by invitations, and with one.
func newParty(ctx context.Context, e *transfer.Endpoint, o dialOptions) (*acquaint.Party, error) {
	book, err := acquaint.OpenBook(ctx, e.State(), time.Now)
	if err != nil {
		return nil, &config.Error{Msg: "open the invitations", Err: err}
	}
	return acquaint.New(acquaint.Config{Account: e.Session(), Keys: e.OMEMO(), Book: book, Report: o.Report, Log: o.Log}), nil
}

// register makes the account at its server.
func register(ctx context.Context, o dialOptions, token string, fill func(context.Context, *session.Form) error) error {
	return session.Register(ctx, sessionConfig(o.Account, o.RootCAs, o.Password), token, fill)
}

// sessionConfig says how the account goes online.
func sessionConfig(a *config.Chosen, roots *x509.CertPool, password string) session.Config {
	return session.Config{
		JID: a.Addr, Password: func(context.Context) (string, error) { return password, nil },
		Server: a.Server, RootCAs: roots, SOCKS5: a.SOCKS5,
		AllowPlain: a.AllowPlain, AllowSASLDowngrade: a.AllowSASLDowngrade,
	}
}

func trustMode(text string) omemo.TrustMode {
	if text == "verified" {
		return omemo.VerifiedMode
	}
	return omemo.BlindMode
}

// online is the real endpoint.
type online struct {
	*transfer.Endpoint
	party *acquaint.Party // nil unless dialOptions say so
	login session.Config
}

// Withdraw implements endpoint. What the server takes in the place of the password ends, too.
func (o online) Withdraw(ctx context.Context) error {
	if err := o.OMEMO().Withdraw(ctx, o.Session()); err != nil {
		return err
	}
	return logins.Agents(ctx, o.State(), o.login, func(cfg session.Config) error { return session.Revoke(ctx, cfg) })
}

// Meet implements endpoint.
func (o online) Meet(ctx context.Context) { o.party.Run(ctx) }

// Await implements endpoint.
func (o online) Await(ctx context.Context, id invitationID) (*acquaint.Invitation, error) {
	return o.party.Await(ctx, id)
}

// Redeem implements endpoint.
func (o online) Redeem(ctx context.Context, l *invite.Link) error {
	own, err := acquaint.Names(ctx, o.OMEMO())
	if err != nil {
		return err
	}
	t, err := o.party.Book.Take(ctx, l, own)
	if err != nil {
		return err
	}
	return o.party.Redeem(ctx, t)
}

// Reach implements endpoint.
func (o online) Reach(ctx context.Context, opt transfer.SendOptions) error {
	_, err := o.Choose(ctx, opt)
	return o.Ended(ctx, err)
}

// Link implements endpoint.
func (o online) Link() (*session.Link, string) { return o.Session().Link(), o.Session().Mechanism() }

// DryRun implements endpoint.
func (o online) DryRun(ctx context.Context, opt transfer.SendOptions) ([]doctor.Plan, error) {
	return doctor.DryRun(ctx, o.Endpoint, opt)
}

// Diagnose implements endpoint.
func (o online) Diagnose(ctx context.Context, opt transfer.SendOptions, found func(doctor.Finding)) (*doctor.Plan, error) {
	return doctor.Diagnose(ctx, o.Endpoint, opt, found)
}

// Device implements endpoint.
func (o online) Device() (uint32, string) { return o.OMEMO().DeviceID(), o.OMEMO().Fingerprint() }

// ChangePassword implements endpoint.
func (o online) ChangePassword(ctx context.Context, password string) error {
	return o.Session().ChangePassword(ctx, password)
}

// LearnKeys implements endpoint.
func (o online) LearnKeys(ctx context.Context, of jid.JID) (changed []device, err error) {
	if err := o.OMEMO().Refresh(ctx, o.Session(), of); err != nil {
		return nil, err
	}
	keys, err := o.OMEMO().ChangedKeys(ctx, o.Session(), of)
	for _, k := range keys {
		changed = append(changed, device{JID: k.JID, ID: k.Device, Fingerprint: k.Fingerprint, Known: k.Known, Trust: k.Kind.String(), Active: true})
	}
	return changed, err
}

// OwnDevices implements endpoint.
func (o online) OwnDevices(ctx context.Context) ([]device, error) {
	list, err := o.OMEMO().OwnDevices(ctx, o.Session())
	return devicesOf(list), err
}

// RemoveOwnDevice implements endpoint.
func (o online) RemoveOwnDevice(ctx context.Context, id uint32) error {
	return o.OMEMO().RemoveOwnDevice(ctx, o.Session(), id)
}

// Roster implements endpoint.
func (o online) Roster() roster { return contactList{contact.Roster{Account: o.Session()}} }

// contactList is the roster of a session, with what to do about its errors.
type contactList struct{ contact.Roster }

// Approve implements roster.
func (c contactList) Approve(ctx context.Context, j jid.JID) (sees bool, err error) {
	sees, err = c.Roster.Approve(ctx, j)
	if errors.Is(err, contact.ErrNotAsked) {
		err = usagef("%s", err).hint("accept it when it has; to ask on your part run `jetsend contacts add %s`", clean.Argument(clean.Text(j.String())))
	}
	return sees, err
}

// Remove implements roster.
func (c contactList) Remove(ctx context.Context, j jid.JID) error {
	err := c.Roster.Remove(ctx, j)
	if errors.Is(err, contact.ErrNotListed) {
		err = usagef("%s", err).hint("run `jetsend contacts list`")
	}
	return err
}

// openTransfers opens the journal in the state of an account. Looking at
// transfers makes no state.
func openTransfers(ctx context.Context, dir string, a *config.Chosen) (transfers, error) {
	path := state.Path(dir, a.Addr)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return noTransfers{}, nil
	}
	db, err := state.Open(ctx, path)
	if err != nil {
		return nil, &config.Error{Msg: "open the state", Err: err}
	}
	j, err := journal.Open(ctx, db, time.Now)
	if err != nil {
		return nil, errors.Join(&config.Error{Msg: "open the journal", Err: err}, db.Close())
	}
	box, err := outbox.Open(ctx, db, outbox.Dir(dir, a.Addr), time.Now)
	if err != nil {
		return nil, errors.Join(&config.Error{Msg: "open the outbox", Err: err}, db.Close())
	}
	return transferTable{j, db, rows.Discard(dir, a.Addr), box, func() bool { return delivering(dir, a) }}, nil
}

// transferTable is the journal in the state file.
type transferTable struct {
	journal *journal.Journal
	db      *sql.DB
	discard journal.Discard
	box     *outbox.Box
	served  func() bool // somebody delivers
}

// Queued implements transfers.
func (t transferTable) Queued(ctx context.Context) ([]outbox.Entry, error) {
	open, err := t.box.Open(ctx)
	if len(open) == 0 || t.served() {
		return open, err
	}
	for i := range open {
		if open[i].State == outbox.Waiting {
			open[i].Why = "no receive is running"
		}
	}
	return open, err
}

// List implements transfers.
func (t transferTable) List(ctx context.Context) ([]journal.Row, error) {
	return t.journal.List(ctx, journal.Filter{})
}

// Get implements transfers.
func (t transferTable) Get(ctx context.Context, prefix string) (row journal.Row, argument int, err error) {
	return t.journal.GetArgument(ctx, prefix)
}

// Arguments implements transfers.
func (t transferTable) Arguments(ctx context.Context, k journal.Key) ([]journal.Argument, error) {
	return t.journal.ArgumentsOf(ctx, k)
}

// Forget implements transfers.
func (t transferTable) Forget(ctx context.Context, k journal.Key) error {
	return t.journal.Forget(ctx, k, t.discard)
}

// Close implements transfers.
func (t transferTable) Close() error { return t.db.Close() }

// openNames lets do have the short names in the state of an account. Where there is no
// state there are none, and none is made for them.
func openNames(ctx context.Context, dir string, a *config.Chosen, do func(*shortname.Names) error) (err error) {
	path := state.Path(dir, a.Addr)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := state.Open(ctx, path)
	if err != nil {
		return &config.Error{Msg: "open the state", Err: err}
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	names, err := shortname.Open(ctx, db)
	if err != nil {
		return &config.Error{Msg: "open the names of contacts", Err: err}
	}
	return do(names)
}

// openKeys opens the state of an account, or returns nil when there is none:
// looking at keys makes none.
func openKeys(ctx context.Context, dir string, a *config.Chosen, trust string) (keys, error) {
	path := state.Path(dir, a.Addr)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	db, err := state.Open(ctx, path)
	if err != nil {
		return nil, &config.Error{Msg: "open the state", Err: err}
	}
	account, err := omemo.Open(ctx, db, a.Addr, omemo.Config{Trust: trustMode(trust)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the keys of %s: %w", a.Addr, err), db.Close())
	}
	return keyTable{account, db}, nil
}

// keyTable is the trust table in the state file.
type keyTable struct {
	account *omemo.Account
	db      *sql.DB
}

// Device implements keys.
func (k keyTable) Device() (uint32, string) { return k.account.DeviceID(), k.account.Fingerprint() }

// List implements keys.
func (k keyTable) List(ctx context.Context, of jid.JID) ([]device, error) {
	var known []omemo.Device
	var err error
	if of.IsZero() {
		known, err = k.account.AllDevices(ctx)
	} else {
		known, err = k.account.Devices(ctx, of)
	}
	return devicesOf(known), err
}

// Verify implements keys.
func (k keyTable) Verify(ctx context.Context, of jid.JID, fingerprint string) error {
	return k.account.Verify(ctx, of, fingerprint)
}

// Distrust implements keys.
func (k keyTable) Distrust(ctx context.Context, of jid.JID, fingerprint string) error {
	return k.account.Distrust(ctx, of, fingerprint)
}

// Reset implements keys.
func (k keyTable) Reset(ctx context.Context, of jid.JID, device uint32) ([]uint32, error) {
	return k.account.Reset(ctx, of, device)
}

// Replace implements keys.
func (k keyTable) Replace(ctx context.Context, of jid.JID, device uint32, fingerprint string) error {
	return k.account.Replace(ctx, of, device, fingerprint)
}

// openBook opens the invitations in the state of an account, with its device.
func openBook(ctx context.Context, dir string, a *config.Chosen, do func(*acquaint.Book, invite.Names) error) (err error) {
	path := state.Path(dir, a.Addr)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return errNoDeviceHere
	}
	db, err := state.Open(ctx, path)
	if err != nil {
		return &config.Error{Msg: "open the state", Err: err}
	}
	defer func() { err = cmp.Or(err, db.Close()) }()
	account, err := omemo.Open(ctx, db, a.Addr, omemo.Config{})
	if err != nil {
		return fmt.Errorf("open the keys of %s: %w", a.Addr, err)
	}
	names, err := acquaint.Names(ctx, account)
	if err != nil {
		return err
	}
	book, err := acquaint.OpenBook(ctx, db, time.Now)
	if err != nil {
		return &config.Error{Msg: "open the invitations", Err: err}
	}
	return do(book, names)
}

// errNoDeviceHere: nobody has logged in to the account on this machine.
var errNoDeviceHere = errors.New("this machine has no device of the account yet")

func devicesOf(known []omemo.Device) []device {
	var out []device
	for _, d := range known {
		out = append(out, device{
			JID: d.JID, ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), Active: d.Active, LastUsed: d.LastUsed,
			Decided: d.Decided, Invited: d.Invited,
		})
	}
	return out
}

// Close implements keys.
func (k keyTable) Close() error { return k.db.Close() }
