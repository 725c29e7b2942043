package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/acquaint"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// redeemWait is how long `contacts add` waits for the issuer, unless --wait says so.
const redeemWait = 30 * time.Second

// maxLink bounds the length of an invitation that is read.
const maxLink = 16 << 10

const contactsAddHelp = `Ask to see a contact online, or become contacts by an invitation.

LINK is what "jetsend invite" has printed on the other machine. Without an argument you are
asked for it on the terminal; - reads it from standard input, and --link-file from a file. As
an argument it works too, but whoever can list the processes of this machine sees it. Its
issuer has to be there: with "jetsend receive", or with "jetsend invite --wait". Then both ends
verify each other's key. Where nobody answers within --wait the link is kept, and
"jetsend receive" goes on with it.

When a key of a contact is verified, the contact's other devices are refused until they are
verified too. Where that hits a device that has sent or received files you are asked first;
without a terminal --only-named says yes.

JID is an address, or a name from the contacts: section of the configuration.

NAME is what the contact is called in commands from then on, as in "send FILE NAME". It
is put on the account's list of contacts, where other clients show it, and remembered
on this machine: no change of the list, which is the server's word, moves it.

`

// addFlags are those of `contacts add`.
type addFlags struct {
	file      filePath
	wait      time.Duration
	onlyNamed bool
}

func newContactsAdd(a *app) *cobra.Command {
	o := addFlags{wait: redeemWait}
	by := change{verb: "add", short: "Ask to see a contact online, or become contacts by an invitation", names: mayName, does: add}
	cmd := &cobra.Command{
		Use: "add [JID | LINK | -] [NAME]", Short: by.short,
		Long:              contactsAddHelp + exitStatus(append(onlineCodes(), exitcode.Declined, exitcode.Untrusted, exitcode.Offline)...),
		Example:           examples("jetsend contacts add", "jetsend contacts add romeo@montague.example romeo", "jetsend contacts add --link-file ~/invitation"),
		Args:              between(0, 2, "one JID or an invitation, and a name for it"),
		ValidArgsFunction: a.completeContact,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, name, err := a.linkOf(cmd.Context(), args, &o)
			if err != nil {
				return err
			}
			if text == "" {
				return runContactsChange(cmd, a, by, args)
			}
			return runRedeem(cmd, a, text, name, o)
		},
	}
	o.file.home = a.home
	cmd.Flags().Var(&o.file, "link-file", "read the invitation from `FILE`")
	cmd.Flags().Var((*duration)(&o.wait), "wait", "how long the issuer of an invitation may take")
	cmd.Flags().BoolVar(&o.onlyNamed, onlyNamedFlag, false, "do not ask about devices of the issuer that will be refused")
	return cmd
}

// linkOf finds the invitation: in a file, on standard input, as the argument, or typed. It is
// empty where the argument is an address.
func (a *app) linkOf(ctx context.Context, args []string, o *addFlags) (link, name string, err error) {
	if o.file.value != "" {
		if len(args) > 1 {
			return "", "", usagef("--link-file and an argument: one invitation at a time")
		}
		if invite.IsLink(o.file.value) {
			return "", "", usagef("--link-file takes the name of a file, and not the invitation itself").hint("run `jetsend contacts add` and paste it")
		}
		link, err = a.linkFrom(o.file.value)
		return link, strings.Join(args, ""), err
	}
	if len(args) == 0 {
		link, err = a.askLink(ctx)
		return link, "", err
	}
	if name = strings.Join(args[1:], ""); invite.IsLink(name) {
		return "", "", usagef("one invitation, and a name for its issuer")
	}
	switch {
	case cutOff(args[0]):
		return "", "", usagef("the invitation is cut off: the shell has taken what stands behind the semicolon").
			hint("run `jetsend contacts add` and paste it")
	case args[0] == stdinArg:
		link, err = a.linkFrom(stdinArg)
	case invite.IsLink(args[0]):
		link = args[0]
		a.print.Event(event.Warning{Text: "an invitation is a secret, and others on this machine may see arguments: paste it into `jetsend contacts add` next time"})
	}
	return link, name, err
}

// cutOff reports whether an argument is the beginning of a link that was not quoted.
func cutOff(arg string) bool {
	rest, ok := jid.CutScheme(arg)
	return ok && strings.HasSuffix(rest, "?roster")
}

// linkFrom reads an invitation from a file or standard input.
func (a *app) linkFrom(path string) (string, error) {
	in := a.Stdin
	if err := a.claim("the invitation", path); err != nil {
		return "", err
	}
	if path != stdinArg {
		f, err := os.Open(path)
		if err != nil {
			return "", &fault.Failure{Code: exitcode.LocalFile, Reason: "the invitation", Err: err}
		}
		defer func() { _ = f.Close() }() // it was read only
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxLink)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", &fault.Failure{Code: exitcode.LocalFile, Reason: "the invitation", Err: err}
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", usagef("there is no invitation in what was read")
	}
	return line, nil
}

// askLink asks on the terminal, without showing what is pasted.
func (a *app) askLink(ctx context.Context) (string, error) {
	missing := usagef("no contact and no invitation was given, and there is no terminal to ask").
		hint("run `jetsend contacts add name@domain`").hint("an invitation is read from standard input with `jetsend contacts add -`")
	link, err := a.askPerson(missing, func(t terminal) (string, error) {
		return t.Password(ctx, "paste the invitation (it is not shown): ")
	})
	if err == nil && strings.TrimSpace(link) == "" {
		err = usagef("nothing was pasted")
	}
	return link, err
}

// runRedeem becomes contacts by an invitation.
func runRedeem(cmd *cobra.Command, a *app, text, name string, o addFlags) error {
	ctx := cmd.Context()
	l, err := invite.ParseLink(text)
	if err != nil {
		return usagef("%s", err).hint("an address is added by `%s`", a.again("contacts", "add", "name@domain"))
	}
	c, err := a.guest(cmd, l)
	if err != nil {
		return err
	}
	if name != "" {
		if err := newName(c, name, l.Issuer); err != nil {
			return err
		}
	}
	if err := a.minding(ctx, c, l.Issuer, l.Names, o.onlyNamed); err != nil {
		return err
	}
	e, err := a.connect(ctx, c, func(o *dialOptions) { o.Acquaint = true })
	if err != nil {
		return err
	}
	defer a.hangUp(ctx, e)
	if name != "" { // now: the issuer may answer when this command has ended
		if err := a.remember(ctx, c, name, l.Issuer); err != nil {
			return fmt.Errorf("name %s: %w", l.Issuer, err)
		}
	}
	if err := a.redeem(ctx, e, l, o.wait); err != nil {
		return err
	}
	if name != "" {
		if err := e.Roster().Name(ctx, l.Issuer, name); err != nil {
			return fmt.Errorf("name %s: %w", l.Issuer, err)
		}
	}
	a.print.Note("to send a file run `%s`", a.again("send", "FILE", l.Issuer.String()))
	return nil
}

// guest is the configuration for whoever redeems an invitation. Who is invited may have no
// account: on a terminal one is made on the way.
func (a *app) guest(cmd *cobra.Command, l *invite.Link) (*config.Config, error) {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	account, err := c.Choose(a.selection())
	if errors.Is(err, config.ErrNoAccount) && a.interactive() {
		if c, account, err = a.firstAccount(cmd); err == nil {
			a.print.Note("and now the invitation")
		}
	}
	if err == nil && l.Issuer == account.Addr {
		err = usagef("%s", acquaint.ErrOwn).hint("give it to the one whom you want as a contact")
	}
	return c, err
}

// firstAccount logs in, or has an account made, and reads the configuration that comes of it.
func (a *app) firstAccount(cmd *cobra.Command) (c *config.Config, account *config.Chosen, err error) {
	l := login{app: a}
	if err := l.run(cmd, nil); err != nil {
		return nil, nil, err
	}
	if c, err = a.loadConfig(cmd); err == nil {
		account, err = c.Choose(a.selection())
	}
	return c, account, err
}

// redeem redeems an invitation, and says what may stand in the way.
func (a *app) redeem(ctx context.Context, e endpoint, l *invite.Link, wait time.Duration) error {
	late := errors.New("no answer")
	limit, cancel := context.WithTimeoutCause(ctx, wait, late)
	defer cancel()
	who := clean.Text(l.Issuer.String())
	a.print.Note("showing the invitation to %s", who)
	err := e.Redeem(limit, l)
	var verdict *acquaint.VerdictError
	switch {
	case errors.As(err, &verdict):
		return &fault.Failure{Code: exitcode.Declined, Reason: verdict.Error(), Hints: []string{"ask " + who + " for another one"}}
	case errors.Is(err, late):
		return &fault.Failure{Code: exitcode.Offline, Reason: who + " does not answer", Hints: []string{
			"the invitation is kept: it is shown again while `" + a.again("receive") + "` runs, and by the same command",
			"at the other end `jetsend receive` has to run, on the machine that made the invitation",
		}}
	}
	return err
}

// minding says which devices of a contact are refused once the named ones are verified, and
// asks where one of them has taken part in a transfer. No names mean that these are not known.
func (a *app) minding(ctx context.Context, c *config.Config, who jid.JID, named invite.Names, yes bool) error {
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	k, err := a.openKeys(ctx, dir, account, c.Trust)
	if err != nil || k == nil {
		return err
	}
	known, err := k.List(ctx, who)
	if err = errors.Join(err, k.Close()); err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	used := false
	for _, d := range known {
		if d.Trust != omemo.Blind.String() || !d.Active || slices.ContainsFunc(named, func(n invite.Device) bool { return fmt.Sprintf("%x", n.Key[:]) == d.Fingerprint }) {
			continue
		}
		used = used || !d.LastUsed.IsZero()
		text := fmt.Sprintf("device %d of %s, %s, will be refused", d.ID, clean.Text(who.String()), a.recordOf(d).used())
		if named == nil {
			text += " unless it is the one that uses the invitation"
		}
		a.print.Event(event.Warning{Text: text})
	}
	if !used || yes {
		return nil
	}
	return a.confirmRefusal(ctx, who)
}

// confirmRefusal asks whether devices that are in use may be refused.
func (a *app) confirmRefusal(ctx context.Context, who jid.JID) error {
	no := &fault.Failure{
		Code: exitcode.Untrusted, Reason: "devices of " + clean.Text(who.String()) + " that are in use would be refused",
		Hints: []string{"accept that with --" + onlyNamedFlag, "or verify them first: `" + a.again("trust", "verify", who.String()) + "`"},
	}
	answer, err := a.askPerson(no, func(t terminal) (string, error) {
		return t.Ask(ctx, "Refuse them until they are verified? [y/N] ")
	})
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return no
}
