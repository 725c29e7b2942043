package contact

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// Schema is the table of the keys that have used our profile: their owners never silently
// get less. Package login puts it into the state.
const Schema = `CREATE TABLE jetsends (jid TEXT NOT NULL, identity_key BLOB NOT NULL, PRIMARY KEY (jid, identity_key)) STRICT`

// SchemaSets adds to the table of [Schema] which of the keys have used sets.
const SchemaSets = `ALTER TABLE jetsends ADD COLUMN sets INTEGER NOT NULL DEFAULT 0`

// GuardForm refuses, as a *[fault.Failure], the lesser form towards a contact one of whose keys once
// used our profile: a server that hides the feature would gain by it.
func (f *Finder) GuardForm(ctx context.Context, p *Peer, opt Options) error {
	if p.Form == dialect.FormJetsend || opt.Encryption != dialect.ChooseBest { // asked for, it is not silent
		return nil
	}
	devices, err := f.Keys.Devices(ctx, p.JID.Bare())
	if err != nil {
		return err
	}
	return f.GuardKeys(ctx, p.JID.Bare(), devices, p.Form)
}

// GuardKeys refuses a lesser form when one of the devices has used our profile,
// whether or not it is on the contact's list at the moment.
func (f *Finder) GuardKeys(ctx context.Context, bare jid.JID, devices []omemo.Device, form dialect.Form) error {
	known, err := f.knownJetsend(ctx, bare, devices)
	if err != nil || !known {
		return err
	}
	who := clean.Text(bare.String())
	return &fault.Failure{
		Code: exitcode.Untrusted, Reason: "a device of " + who + " has used jetsend before, and no client that is online offers it now",
		Hints: []string{
			"ask the contact to run `jetsend receive`",
			"to send all the same, with the name visible to the servers: `--encryption " + form.Word() + "`",
		},
	}
}

// RememberJetsend takes note of a key that used our profile.
func (f *Finder) RememberJetsend(ctx context.Context, d omemo.Device) {
	const add = `INSERT INTO jetsends (jid, identity_key) VALUES (?, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, f.DB, add, d.JID.Bare().String(), d.IdentityKey); err != nil {
		f.Log.Warn("remember jetsend", "jid", d.JID, "error", err)
	}
}

// RememberSets takes note of a key that used a set, and so our profile.
func (f *Finder) RememberSets(ctx context.Context, d omemo.Device) {
	const add = `INSERT INTO jetsends (jid, identity_key, sets) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET sets = 1`
	if err := state.Exec(ctx, f.DB, add, d.JID.Bare().String(), d.IdentityKey); err != nil {
		f.Log.Warn("remember sets", "jid", d.JID, "error", err)
	}
}

// KnownSets reports whether one of the devices used a set. A contact of whom that is so gets
// less only with a warning, [WithoutSets]: a server that hides the feature would bring the
// old names back.
func (f *Finder) KnownSets(ctx context.Context, bare jid.JID, devices []omemo.Device) bool {
	const count = `SELECT count(*) FROM jetsends WHERE jid = ? AND identity_key = ? AND sets = 1`
	known, err := f.known(ctx, count, bare, devices)
	if err != nil {
		f.Log.Warn("look for sets", "jid", bare, "error", err)
	}
	return known
}

// knownJetsend reports whether one of the devices used our profile.
func (f *Finder) knownJetsend(ctx context.Context, bare jid.JID, devices []omemo.Device) (bool, error) {
	return f.known(ctx, `SELECT count(*) FROM jetsends WHERE jid = ? AND identity_key = ?`, bare, devices)
}

// known reports whether the query counts one of the devices.
func (f *Finder) known(ctx context.Context, count string, bare jid.JID, devices []omemo.Device) (bool, error) {
	for _, d := range devices {
		var n int
		if err := f.DB.QueryRowContext(ctx, count, bare.String(), d.IdentityKey).Scan(&n); err != nil {
			return false, fmt.Errorf("look for jetsends of %s: %w", bare, err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}

// NoKeys is the error of having no key to encrypt to a contact with: a contact whose server
// or account refuses to hand out the devices has none for us.
func NoKeys(of jid.JID, err error) error {
	var refused *stanza.Error
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", omemo.ErrNoDevice, err)
	}
	return fmt.Errorf("encrypt for %s: %w", of.Bare(), err)
}
