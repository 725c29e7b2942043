package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// trustOwn is the "trust" of this device itself.
const trustOwn = "own"

func newTrustCommand(a *app) *cobra.Command {
	codes := append(offlineCodes(), exitcode.Config)
	cmd := &cobra.Command{
		Use:     "trust",
		GroupID: groupPeople,
		Short:   "Keys of contacts and of this device",
		Long: `Show the OMEMO keys that this machine knows, and say which of them are right.
Without a subcommand it lists them.

A key is "blind" when it is used without anybody having compared it, "verified"
when you compared it, "distrusted" when you refused it, and "undecided" when it
is not used because another key of that contact was verified, or because the
configuration says "trust: verified".

Compare keys by a way that the server does not control: a call, a meeting.
"reset" is for sessions that do not fit any more, and decides about no key.

` + exitStatus(codes...),
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTrustList(cmd, a, nil, false) },
	}
	cmd.AddCommand(newTrustDecideCommand(a, verified(), "Say that a key is the contact's",
		`Say that a key is the contact's, after comparing it. From then on only verified
keys of that contact are used.`),
		newTrustDecideCommand(a, distrusted(), "Never use a key again",
			`Refuse a key: nothing is encrypted for it and nothing accepted from it any more.
"trust verify" takes that back.`))
	var qr bool
	list := &cobra.Command{
		Use: "list [CONTACT]", Aliases: []string{"ls"}, Short: "List this device and the devices of contacts",
		Long: `List this device and the devices of all contacts, or of CONTACT: its device id,
trust, when it last took part in a transfer, and its key's fingerprint in groups
of eight. It needs no network and shows what was learnt so far. With this device
comes the address by which other clients verify it; --qr draws it, to be scanned
from the terminal.

` + exitStatus(codes...),
		Args:              between(0, 1, "one CONTACT"),
		ValidArgsFunction: a.completeContact,
		RunE:              func(cmd *cobra.Command, args []string) error { return runTrustList(cmd, a, args, qr) },
	}
	list.Flags().BoolVar(&qr, "qr", false, "also draw this device's address as a QR code")
	cmd.AddCommand(list, newTrustResetCommand(a))
	return cmd
}

func runTrustList(cmd *cobra.Command, a *app, args []string, qr bool) (err error) {
	ctx := cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	var of jid.JID
	if len(args) == 1 {
		if of, err = resolveContact(c, args[0]); err != nil {
			return err
		}
	}
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	k, err := a.openKeys(ctx, dir, account, c.Trust)
	if err != nil {
		return err
	}
	if k == nil {
		a.print.Note("this machine has no device of %s yet: run `%s`", account.Addr, a.again("login", account.Addr.String()))
		return nil
	}
	defer func() { err = cmp.Or(err, k.Close()) }()
	list, err := k.List(ctx, of.Bare())
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	if len(list) == 0 && !of.IsZero() {
		a.print.Note("no device of %s is known yet", of.Bare())
	}
	rows := a.deviceRows(account.Addr, k, list, of)
	a.print.Rows(rows)
	a.showAddress(rows, qr)
	return nil
}

// showAddress shows the address of this device for others to verify it, if it is among
// the rows: it is the first of them.
func (a *app) showAddress(rows []record, qr bool) {
	if len(rows) == 0 {
		return
	}
	own, ok := rows[0].(deviceRecord)
	if !ok || own.URI == "" {
		return
	}
	a.print.Note("to verify this device elsewhere: %s", own.URI)
	if qr {
		a.console.line("%s", drawn(own.URI))
	}
}

// drawn is a text as a QR code, in half blocks: a fingerprint's address takes 49 by 25
// characters.
func drawn(text string) string {
	var b strings.Builder
	qrterminal.GenerateHalfBlock(text, qrterminal.L, &b)
	return strings.TrimSuffix(b.String(), "\n")
}

// ownRecord is the row of this device.
func ownRecord(self jid.JID, id uint32, fingerprint string) deviceRecord {
	return deviceRecord{
		JID: self.String(), ID: id, Fingerprint: fingerprint, Trust: trustOwn, Active: true, URI: identityURI(self, id, fingerprint),
	}
}

// recordOf is the row of another device.
func (a *app) recordOf(d device) deviceRecord {
	r := deviceRecord{JID: d.JID.String(), ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust, Active: d.Active}
	if !d.LastUsed.IsZero() {
		r.LastUsed, r.lastUsed = d.LastUsed.UTC().Format(time.RFC3339), a.local(d.LastUsed)
	}
	if d.Trust == omemo.Verified.String() && !d.Decided.IsZero() {
		r.VerifiedBy, r.VerifiedAt, r.verifiedAt = byHand, d.Decided.UTC().Format(time.RFC3339), a.local(d.Decided)
		if d.Invited {
			r.VerifiedBy = byInvitation
		}
	}
	return r
}

// local writes a time for people, in their zone.
func (a *app) local(t time.Time) string {
	return t.In(a.now().Location()).Format("2006-01-02 15:04:05")
}

// deviceRows lists this device first, unless a contact was named, then the
// contacts' by address and id.
func (a *app) deviceRows(self jid.JID, k keys, list []device, of jid.JID) []record {
	var rows []record
	if of.IsZero() || of.Bare() == self {
		id, fingerprint := k.Device()
		rows = append(rows, ownRecord(self, id, fingerprint))
	}
	slices.SortFunc(list, func(a, b device) int {
		return cmp.Or(cmp.Compare(a.JID.String(), b.JID.String()), cmp.Compare(a.ID, b.ID))
	})
	for _, d := range list {
		rows = append(rows, a.recordOf(d))
	}
	return rows
}

// deviceRecord is a row of `trust list`, and what login tells about this device.
type deviceRecord struct {
	JID         string `json:"jid"`
	ID          uint32 `json:"id"`
	Fingerprint string `json:"fingerprint"` // "" while its key was never fetched
	Trust       string `json:"trust"`       // own, blind, verified, distrusted, undecided
	Active      bool   `json:"active"`      // on the contact's device list
	LastUsed    string `json:"last_used,omitempty"`
	VerifiedBy  string `json:"verified_by,omitempty"` // hand or invitation
	VerifiedAt  string `json:"verified_at,omitempty"`
	URI         string `json:"uri,omitempty"` // of this device: for other clients to verify it

	lastUsed, verifiedAt string // for people
}

// How a key was verified: compared by the user, or proved by an invitation.
const (
	byHand       = "hand"
	byInvitation = "invitation"
)

// Kind implements record.
func (deviceRecord) Kind() string { return "device" }

// used tells when the device last took part in a transfer.
func (r deviceRecord) used() string {
	used := "never used"
	switch {
	case r.Trust == trustOwn:
		used = "this device"
	case r.lastUsed != "":
		used = "used " + r.lastUsed
	}
	if !r.Active {
		used += ", gone from the list"
	}
	switch r.VerifiedBy {
	case byHand:
		used += ", compared " + r.verifiedAt
	case byInvitation:
		used += ", by the invitation used " + r.verifiedAt
	}
	return used
}

// Columns implements record.
func (r deviceRecord) Columns() []string {
	fingerprint := groups(r.Fingerprint)
	if fingerprint == "" {
		fingerprint = "(key not known yet)"
	}
	return []string{clean.Text(r.JID), fmt.Sprint(r.ID), clean.Text(r.Trust), r.used(), fingerprint}
}
