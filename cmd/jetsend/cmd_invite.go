package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/acquaint"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
)

// invitationID is what tells invitations apart.
type invitationID = [invite.IDSize]byte

// invitationFor is how long an invitation is good, unless --for says so; invitationAtMost
// bounds that.
const (
	invitationFor    = 7 * 24 * time.Hour
	invitationAtMost = 365 * 24 * time.Hour
)

const inviteHelp = `Make a link that makes somebody a contact, with keys that are proved both ways.

Give the link to one person, by a way on which you know each other: a call, a meeting, a
chat that you trust. Who has it is taken for them, once, within seven days; --uses and --for
say otherwise. They run "jetsend contacts add" and paste it. Your end is "jetsend receive", or
this command with --wait: it lets them in, and each end verifies the key of the other. No
server can put in a key of its own, for none sees the secret that is in the link.

With JID only that address is let in: no harm comes of a link that falls into other hands.

When a key of a contact is verified, the contact's other devices are refused until they are
verified too, by "trust verify", or by another invitation that is made for their address and
used there. Where that hits a device that has sent or received files you are asked first, if
the contact is known by JID, and told later otherwise; without a terminal --only-named
says yes. A link for anybody is for new contacts: it adds no key to verified ones.

--any-client also lets in one who shows no more than the link's token, as other XMPP clients
do. The servers see that token, and it proves no key.

The link goes to standard output, and on a terminal it is drawn as a QR code as well.`

// inviteFlags are those of the command.
type inviteFlags struct {
	uses      int
	good      time.Duration
	wait      time.Duration
	anyClient bool
	onlyNamed bool
	noQR      bool
}

func newInviteCommand(a *app) *cobra.Command {
	var o inviteFlags
	cmd := &cobra.Command{
		Use:     "invite [JID]",
		GroupID: groupPeople,
		Short:   "Make a link that makes somebody a contact with a proven key",
		Long:    inviteHelp + "\n\n" + exitStatus(append(onlineCodes(), exitcode.Offline, exitcode.Declined, exitcode.Untrusted)...),
		Example: examples("jetsend invite", "jetsend invite romeo@montague.example --wait 10m", "jetsend invite --uses 5 --for 24h", "jetsend invite list"),
		Args:    between(0, 1, "one JID"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runInvite(cmd, a, args, o) },
	}
	fs := cmd.Flags()
	fs.IntVar(&o.uses, "uses", 1, "how often the link may be used")
	o.good = invitationFor
	fs.Var((*duration)(&o.good), "for", "how long the link is good")
	fs.Var((*duration)(&o.wait), "wait", "stay until it was used, at most so long; 0: do not")
	fs.BoolVar(&o.anyClient, "any-client", false, "also let in one who proves nothing: for people with another client")
	fs.BoolVar(&o.onlyNamed, onlyNamedFlag, false, "do not ask about devices of JID that will be refused")
	fs.BoolVar(&o.noQR, "no-qr", false, "draw no QR code")
	cmd.AddCommand(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the invitations", Args: exactly(0, ""),
		Long: "List the invitations of the account that were made on this machine: for whom, how often\nthey were used, until when they are good, and who has come by them. It needs no network.\n\n" + exitStatus(offlineCodes()...),
		RunE: func(cmd *cobra.Command, _ []string) error { return runInviteList(cmd, a) },
	}, &cobra.Command{
		Use: "revoke ID...", Short: "Take invitations back", Args: atLeast(1, "an ID"),
		Long: "Take invitations back: nobody gets in by them any more. Who has come in stays; see\n\"contacts remove\". ID is what \"invite list\" shows. It needs no network.\n\n" + exitStatus(offlineCodes()...),
		RunE: func(cmd *cobra.Command, args []string) error { return runInviteRevoke(cmd, a, args) },
	})
	return cmd
}

// onlyNamedFlag says yes to what verifying does to other devices.
const onlyNamedFlag = "only-named"

func runInvite(cmd *cobra.Command, a *app, args []string, o inviteFlags) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	account, err := c.Choose(a.selection())
	if err != nil {
		return err
	}
	t := acquaint.Terms{Uses: o.uses, For: o.good, AnyClient: o.anyClient}
	if t.Bound, err = a.invited(c, account, args, o); err != nil {
		return err
	}
	if !t.Bound.IsZero() {
		if err := a.minding(cmd.Context(), c, t.Bound, nil, o.onlyNamed); err != nil {
			return err
		}
	}
	var link *invite.Link
	err = a.inBook(cmd.Context(), c, func(b *acquaint.Book, names invite.Names) error {
		link = invite.NewLink(account.Addr, names)
		return b.Issue(cmd.Context(), link, t)
	})
	if errors.Is(err, acquaint.ErrTooMany) {
		err = usagef("%s", err).hint("take some back: `%s`", a.again("invite", "revoke", "ID"))
	}
	if err != nil {
		return err
	}
	a.print.Rows([]record{issued(link, t, a.now())})
	a.handOut(link, o)
	if o.wait == 0 {
		return nil
	}
	return a.awaitGuest(cmd.Context(), c, link, o.wait)
}

// invited is whom the invitation is bound to, if anybody.
func (a *app) invited(c *config.Config, account *config.Chosen, args []string, o inviteFlags) (who jid.JID, err error) {
	switch {
	case o.uses < 1 || o.uses > acquaint.MaxUses:
		return who, usagef("--uses %d: a link may be used once, or up to %d times", o.uses, acquaint.MaxUses)
	case o.good <= 0 || o.good > invitationAtMost:
		return who, usagef("--for: a link is good for up to a year")
	case o.anyClient && o.uses > 1:
		return who, usagef("--any-client lets one in, and --uses %d more", o.uses).hint("make one link for each")
	case len(args) == 0:
		return who, nil
	case invite.IsLink(args[0]):
		return who, usagef("this is an invitation already").hint("run `jetsend contacts add` and paste it")
	}
	if who, err = resolveContact(c, args[0]); err != nil {
		return who, err
	}
	if who = who.Bare(); who == account.Addr {
		return who, usagef("%s is your own address", clean.Text(who.String()))
	}
	return who, nil
}

// inBook lets do have the invitations of the account.
func (a *app) inBook(ctx context.Context, c *config.Config, do func(*acquaint.Book, invite.Names) error) error {
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	err = a.openBook(ctx, dir, account, do)
	if errors.Is(err, errNoDeviceHere) {
		return &config.Error{Msg: "this machine has no device of " + account.Addr.String() + " yet", Hints: []string{"run `" + a.again("login", account.Addr.String()) + "`"}}
	}
	return err
}

// handOut says what is to be done with a link.
func (a *app) handOut(l *invite.Link, o inviteFlags) {
	if isTerminal(a.Stdout) && !o.noQR && !a.global.json {
		a.console.line("%s", drawn(l.String()))
	}
	a.print.Note("the link is a secret: give it to the one whom you invite, and to nobody else")
	a.print.Note("they run `jetsend contacts add` and paste it")
	if o.wait == 0 {
		a.print.Note("to let them in run `%s`, unless it runs already", a.again("receive"))
	}
}

// awaitGuest stays until an invitation was used.
func (a *app) awaitGuest(ctx context.Context, c *config.Config, l *invite.Link, wait time.Duration) error {
	e, err := a.connect(ctx, c, func(o *dialOptions) { o.Acquaint = true })
	if err != nil {
		return err
	}
	defer a.hangUp(ctx, e)
	limit := duration(wait)
	a.print.Note("waiting up to %s for somebody to use it", &limit)
	late := errors.New("nobody came")
	ctx, cancel := context.WithTimeoutCause(ctx, wait, late)
	defer cancel()
	i, err := e.Await(ctx, l.ID)
	if err != nil && !errors.Is(err, late) {
		return err
	}
	if i.Used > 0 {
		a.print.Note("the invitation was used %d of %d times", i.Used, i.Uses)
		return nil
	}
	f := &fault.Failure{Code: exitcode.Offline, Reason: "nobody has used the invitation"}
	if s := i.State(a.now()); s != "open" {
		f.Code, f.Reason = exitcode.Declined, "nobody has used the invitation, and it is "+s
	} else {
		f.Hints = []string{"it stays good: run `" + a.again("receive") + "` to let them in"}
	}
	return f
}

func runInviteList(cmd *cobra.Command, a *app) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.inBook(cmd.Context(), c, func(b *acquaint.Book, _ invite.Names) error {
		all, err := b.List(cmd.Context())
		if err != nil {
			return err
		}
		var rows []record
		for i := range all {
			rows = append(rows, a.invitationRow(&all[i]))
		}
		if len(rows) == 0 {
			a.print.Note("no invitations yet: run `%s`", a.again("invite"))
		}
		a.print.Rows(rows)
		return nil
	})
}

func runInviteRevoke(cmd *cobra.Command, a *app, args []string) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.inBook(cmd.Context(), c, func(b *acquaint.Book, _ invite.Names) error {
		all, err := b.List(cmd.Context())
		if err != nil {
			return err
		}
		for _, arg := range args {
			i, err := a.chosenOf(all, arg)
			if err != nil {
				return err
			}
			if err := b.Revoke(cmd.Context(), i.ID); errors.Is(err, acquaint.ErrUnknown) {
				return usagef("the invitation %s is %s already", i.Name(), i.State(a.now()))
			} else if err != nil {
				return err
			}
			a.print.Note("the invitation %s is taken back", i.Name())
		}
		return nil
	})
}

// chosenOf finds an invitation by the first digits of its id.
func (a *app) chosenOf(all []acquaint.Invitation, arg string) (found *acquaint.Invitation, err error) {
	for i := range all {
		if arg == "" || !strings.HasPrefix(fmt.Sprintf("%x", all[i].ID[:]), strings.ToLower(arg)) {
			continue
		}
		if found != nil {
			return nil, usagef("%q is the beginning of several invitations", clean.Text(arg)).hint("give more digits of it")
		}
		found = &all[i]
	}
	if found == nil {
		return nil, usagef("there is no invitation %q", clean.Text(arg)).hint("run `%s`", a.again("invite", "list"))
	}
	return found, nil
}

// invitationRecord is an invitation, with its link when it is new.
type invitationRecord struct {
	ID      string   `json:"id"`
	Link    string   `json:"link,omitempty"`
	For     string   `json:"for,omitempty"` // the only address that may use it
	Uses    int      `json:"uses"`
	Used    int      `json:"used"`
	State   string   `json:"state"` // open, used, expired, revoked
	Created string   `json:"created"`
	Expires string   `json:"expires"`
	By      []string `json:"by,omitempty"` // who has come by it

	expires string // for people
}

// Kind implements record.
func (invitationRecord) Kind() string { return "invitation" }

// issued is the row of a new one.
func issued(l *invite.Link, t acquaint.Terms, now time.Time) invitationRecord {
	r := invitationRecord{
		ID: fmt.Sprintf("%x", l.ID[:]), Link: l.String(), Uses: t.Uses, State: "open",
		Created: now.UTC().Format(time.RFC3339), Expires: now.Add(t.For).UTC().Format(time.RFC3339),
	}
	if !t.Bound.IsZero() {
		r.For = t.Bound.String()
	}
	return r
}

func (a *app) invitationRow(i *acquaint.Invitation) invitationRecord {
	r := invitationRecord{
		ID: fmt.Sprintf("%x", i.ID[:]), Uses: i.Uses, Used: i.Used, State: i.State(a.now()),
		Created: i.Created.UTC().Format(time.RFC3339), Expires: i.Expires.UTC().Format(time.RFC3339), expires: a.local(i.Expires),
	}
	if !i.Bound.IsZero() {
		r.For = i.Bound.String()
	}
	for _, j := range i.By {
		r.By = append(r.By, j.String())
	}
	return r
}

// Columns implements record. Of a new one the link alone is shown.
func (r invitationRecord) Columns() []string {
	if r.Link != "" {
		return []string{r.Link}
	}
	who := "anybody"
	if r.For != "" {
		who = clean.Text(r.For)
	}
	by := "nobody yet"
	if len(r.By) > 0 {
		by = clean.Text(strings.Join(r.By, ", "))
	}
	return []string{r.ID[:8], r.State, "for " + who, "used " + strconv.Itoa(r.Used) + " of " + strconv.Itoa(r.Uses), "until " + r.expires, "by " + by}
}
