package main

import (
	"cmp"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/omemo"
)

func newTrustResetCommand(a *app) *cobra.Command {
	codes := append(offlineCodes(), exitcode.Config, exitcode.Untrusted)
	return &cobra.Command{
		Use:   "reset CONTACT [DEVICE]",
		Short: "Begin new OMEMO sessions with a contact's devices",
		Long: `Forget the OMEMO sessions with the devices of CONTACT, or with the one device whose
number is DEVICE ("trust list" shows the numbers). The next file to the contact
begins new ones. It is for a contact's client that has lost its side of a session,
as after a backup was restored, and refuses every file for the sake of security.

Nothing else changes: not the keys, and not what you decided about them. It needs no
network, and the contact has nothing to do.

` + exitStatus(codes...),
		Example:           examples("jetsend trust reset romeo@montague.example", "jetsend trust reset romeo@montague.example 27183"),
		Args:              between(1, 2, "one CONTACT, and one DEVICE of theirs at most"),
		ValidArgsFunction: a.completeContactDevice,
		RunE:              func(cmd *cobra.Command, args []string) error { return runTrustReset(cmd, a, args) },
	}
}

func runTrustReset(cmd *cobra.Command, a *app, args []string) (err error) {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	of, err := resolveContact(c, args[0])
	if err != nil {
		return err
	}
	list := a.again("trust", "list", of.Bare().String())
	id := uint64(0) // all
	if len(args) == 2 {
		if id, err = strconv.ParseUint(args[1], 10, 31); err != nil || id == 0 {
			return usagef("%q is not the number of a device", clean.Text(args[1])).hint("see `%s`", list)
		}
	}
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	k, err := a.openKeys(cmd.Context(), dir, account, c.Trust)
	if err != nil {
		return err
	}
	who := clean.Text(of.Bare().String())
	unknown := &fault.Failure{Code: exitcode.Untrusted, Reason: "no device of " + who + " is known yet"}
	if k == nil {
		return unknown
	}
	defer func() { err = cmp.Or(err, k.Close()) }()
	ids, err := k.Reset(cmd.Context(), of.Bare(), uint32(id))
	switch {
	case errors.Is(err, omemo.ErrUnknownDevice) && id != 0:
		unknown.Reason = who + " has no device " + strconv.FormatUint(id, 10) + " that is known here"
		unknown.Hints = []string{"see `" + list + "`"}
		return unknown
	case errors.Is(err, omemo.ErrUnknownDevice):
		return unknown
	case err != nil:
		return err
	}
	for _, id := range ids {
		a.print.Note("the next file begins a new session with device %d of %s", id, who)
	}
	return nil
}

// completeContactDevice offers contacts, and then the devices of the one that was named.
func (a *app) completeContactDevice(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeContact(cmd, args, toComplete)
	}
	c, err := a.loadConfig(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	of, err := resolveContact(c, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, d := range a.knownDevices(cmd, c) {
		if d.JID == of.Bare() {
			words = append(words, cobra.CompletionWithDesc(strconv.FormatUint(uint64(d.ID), 10), groups(d.Fingerprint)))
		}
	}
	return offer(words, toComplete)
}
