package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jetsend/internal/acquaint"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/contact"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
)

func newContactsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "contacts",
		GroupID: groupPeople,
		Short:   "Manage who sees whom online",
		Long: `Manage the presence subscriptions of the account, without which nobody sees
anybody online: "send" needs to see the contact, and "receive --accept contacts"
takes files of those who may see us. A sender adds the receiver, and the receiver
accepts; if both are to send, the sender accepts as well. Accepting somebody before
the request works where the server can keep that. Without a subcommand it lists them.

` + exitStatus(onlineCodes()...),
		Example: examples("jetsend contacts add romeo@montague.example", "jetsend contacts accept juliet@capulet.example", "jetsend --json contacts list"),
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runContactsList(cmd, a) },
	}
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the contacts and the requests to become one",
		Long: `List the contacts of the account: the address, the name on the account's list,
who sees whom, and what is still to be answered.

` + exitStatus(onlineCodes()...),
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runContactsList(cmd, a) },
	}
	cmd.AddCommand(list,
		newContactsAdd(a),
		newContactsChange(a, change{verb: "accept", short: "Let a contact see us online, and ask to see it", does: accept}),
		newContactsChange(a, change{verb: "name", short: "Give a contact a short name", names: mustName, does: name}),
		newContactsChange(a, change{verb: "remove", short: "Take a contact off the list, in both directions", does: remove}),
	)
	return cmd
}

// change is what a subcommand does to one contact.
type change struct {
	verb, short string
	names       int // how a name goes with it
	// does returns what has come of it, as a format for the contact.
	does func(context.Context, roster, jid.JID) (done string, err error)
}

// Whether a command takes a name behind the address.
const (
	noName = iota
	mayName
	mustName
)

// args are the rule and the usage of the arguments.
func (c change) args() (rule cobra.PositionalArgs, use string) {
	switch c.names {
	case mayName:
		return between(1, 2, "one JID, and a name for it"), c.verb + " JID [NAME]"
	case mustName:
		return exactly(2, "one JID and a name"), c.verb + " JID NAME"
	}
	return exactly(1, "one JID"), c.verb + " JID"
}

func newContactsChange(a *app, do change) *cobra.Command {
	long := do.short + `. JID is an address, or a name from the
contacts: section of the configuration.
`
	if do.names != noName {
		long += `
NAME is what the contact is called in commands from then on, as in "send FILE NAME". It
is put on the account's list of contacts, where other clients show it, and remembered
on this machine: no change of the list, which is the server's word, moves it.
`
	}
	rule, use := do.args()
	return &cobra.Command{
		Use: use, Short: do.short, Long: long + "\n" + exitStatus(onlineCodes()...),
		Args: rule, ValidArgsFunction: a.completeContact,
		RunE: func(cmd *cobra.Command, args []string) error { return runContactsChange(cmd, a, do, args) },
	}
}

func runContactsChange(cmd *cobra.Command, a *app, do change, args []string) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	j, err := a.changed(c, do, args)
	if err != nil {
		return err
	}
	return a.online(cmd.Context(), c, func(ctx context.Context, e endpoint) error {
		if len(args) > 1 {
			if err := errors.Join(e.Roster().Name(ctx, j.Bare(), args[1]), a.remember(ctx, c, args[1], j)); err != nil {
				return fmt.Errorf("name %s: %w", j.Bare(), err)
			}
		}
		done, err := do.does(ctx, e.Roster(), j.Bare())
		if err != nil {
			return fmt.Errorf("contacts %s %s: %w", do.verb, j.Bare(), err)
		}
		if do.verb == "remove" {
			if err := errors.Join(a.unname(ctx, c, j), a.shut(ctx, c, j)); err != nil {
				return err
			}
		}
		a.print.Note(done, clean.Text(j.Bare().String()))
		return nil
	})
}

// shut keeps somebody who was removed from coming back by an invitation, theirs or ours.
func (a *app) shut(ctx context.Context, c *config.Config, who jid.JID) error {
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	err = a.openBook(ctx, dir, account, func(b *acquaint.Book, _ invite.Names) error { return b.Shut(ctx, who) })
	if errors.Is(err, errNoDeviceHere) {
		return nil
	}
	return err
}

// changed is the contact that the arguments name, if the change can be made of it.
func (a *app) changed(c *config.Config, do change, args []string) (of jid.JID, err error) {
	if of, err = resolveContact(c, args[0]); err != nil {
		return of, err
	}
	if len(args) > 1 {
		if err := newName(c, args[1], of); err != nil {
			return of, err
		}
	}
	account, err := c.Choose(a.selection())
	if err == nil && of.Bare() == account.Addr && do.verb != "remove" {
		err = usagef("%s is your own address: your devices see each other without that", clean.Text(of.Bare().String()))
	}
	return of, err
}

func add(ctx context.Context, r roster, j jid.JID) (done string, err error) {
	return "asked %[1]s; when it asks back: jetsend contacts accept %[1]s", r.Subscribe(ctx, j)
}

func name(context.Context, roster, jid.JID) (done string, err error) {
	return "%s has its new name", nil
}

func remove(ctx context.Context, r roster, j jid.JID) (done string, err error) {
	return "%s is off the list", r.Remove(ctx, j)
}

// accept approves a request and asks back, unless we see the contact already.
func accept(ctx context.Context, r roster, j jid.JID) (done string, err error) {
	sees, err := r.Approve(ctx, j)
	if err != nil {
		return "", err
	}
	done = "%s sees us now"
	if !sees {
		done = "%s will see us as soon as it asks"
	}
	list, err := r.List(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(list, func(c contact.Entry) bool { return c.JID == j })
	if i >= 0 && (list[i].Subscription == "to" || list[i].Subscription == "both") {
		return done, nil
	}
	if i < 0 || !list[i].Asked {
		err = r.Subscribe(ctx, j)
	}
	return done + ", and is asked to let us see them", err
}

func runContactsList(cmd *cobra.Command, a *app) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.online(cmd.Context(), c, func(ctx context.Context, e endpoint) error { return listContacts(ctx, a, e.Roster()) })
}

func listContacts(ctx context.Context, a *app, r roster) error {
	list, err := r.List(ctx)
	if err != nil {
		return fmt.Errorf("list the contacts: %w", err)
	}
	slices.SortFunc(list, func(a, b contact.Entry) int { return cmp.Compare(a.JID.String(), b.JID.String()) })
	var rows []record
	for _, entry := range list {
		rows = append(rows, contactRecord{
			JID: entry.JID.String(), Name: clean.Text(entry.Name), Subscription: entry.Subscription, Asked: entry.Asked, Asks: entry.Asks,
		})
	}
	if len(rows) == 0 {
		a.print.Note("no contacts yet: run `%s`", a.again("contacts", "add", "name@domain"))
	}
	a.print.Rows(rows)
	return nil
}

// contactRecord is a row of `contacts list`.
type contactRecord struct {
	JID          string `json:"jid"`
	Name         string `json:"name"`
	Subscription string `json:"subscription"` // none, to, from, both
	Asked        bool   `json:"asked"`        // we asked to see them, no answer yet
	Asks         bool   `json:"asks"`         // they ask to see us
}

// Kind implements record.
func (contactRecord) Kind() string { return "contact" }

// Columns implements record.
func (r contactRecord) Columns() []string {
	var notes []string
	switch r.Subscription {
	case "both":
		notes = append(notes, "both see each other")
	case "to":
		notes = append(notes, "we see them")
	case "from":
		notes = append(notes, "they see us")
	}
	if r.Asked {
		notes = append(notes, "they have not answered us")
	}
	if r.Asks {
		notes = append(notes, "they ask to see us")
	}
	if len(notes) == 0 {
		notes = append(notes, "neither sees the other")
	}
	return []string{clean.Text(r.JID), strings.Join(notes, ", "), r.Name}
}
