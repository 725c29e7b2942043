package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
)

func newTransfersCommand(a *app) *cobra.Command {
	codes := append(offlineCodes(), exitcode.Config)
	var listed choosing
	cmd := &cobra.Command{
		Use:     "transfers",
		Aliases: []string{"ls"},
		GroupID: groupFiles,
		Short:   "List sent, received and interrupted transfers",
		Long: `Show the transfers that this machine remembers. Without a subcommand it lists
them. It needs no network. An id may be shortened as long as it is unique.

` + exitStatus(codes...),
		Example: examples("jetsend transfers", "jetsend transfers show 0a3c", "jetsend transfers forget --state failed --older 7d",
			`jetsend --json transfers | jq -r 'select(.resumable).transfer'`),
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTransfersList(cmd, a, &listed) },
	}
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the transfers, the newest last",
		Long: `List the transfers, the newest last: the beginning of the id, direction,
contact, name, size, how much of it is safe at the receiver (- where that is not
known here), state, and when that last changed. On a terminal the columns have a
heading, and long names are shortened.

States: offered (not answered yet), running, interrupted, paused (stopped by hand,
here or by the contact: it is resumed by hand only), complete, failed.

` + exitStatus(codes...),
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runTransfersList(cmd, a, &listed) },
	}
	listed.flags(cmd)
	listed.flags(list)
	cmd.AddCommand(
		list,
		&cobra.Command{
			Use: "show ID", Short: "Show everything about a transfer",
			Long: `Show everything that is known of one transfer.

` + exitStatus(codes...),
			Args:              exactly(1, "one ID"),
			ValidArgsFunction: a.completeTransfers(false, func(*journal.Row) bool { return true }),
			RunE:              func(cmd *cobra.Command, args []string) error { return runTransfersShow(cmd, a, args) },
		},
		newTransfersForget(a, codes),
	)
	return cmd
}

func newTransfersForget(a *app, codes []exitCode) *cobra.Command {
	var which choosing
	cmd := &cobra.Command{
		Use: "forget ID...", Short: "Forget transfers and remove their partial files",
		Long: `Take transfers off the list and remove the partial files of those that were
interrupted. Files that were sent or received whole stay. What stays known for 30
days is that a file was received, so that it is not received twice; and that one was
given up which the contact may have a part of: the contact's jetsend is told when it
asks for the rest, or with the next file for it, and removes that part. --all, --state
and --older choose transfers in the place of IDs.

A transfer that is running cannot be forgotten: end it first.

` + exitStatus(codes...),
		Args:              which.ids,
		ValidArgsFunction: a.completeTransfers(true, func(r *journal.Row) bool { return !r.State.Live() }),
		RunE:              func(cmd *cobra.Command, args []string) error { return runTransfersForget(cmd, a, args, &which) },
	}
	which.flags(cmd)
	cmd.Flags().BoolVar(&which.all, "all", false, "all that are not running")
	return cmd
}

// choosing is a choice of transfers by what they are.
type choosing struct {
	all   bool
	state choice
	older duration
}

// flags adds those that choose.
func (c *choosing) flags(cmd *cobra.Command) {
	c.state.words = nil
	for _, s := range journal.States() {
		c.state.words = append(c.state.words, string(s))
	}
	c.state.words = append(c.state.words, wordPaused, wordDeclined)
	cmd.Flags().Var(&c.state, "state", "those in this state: "+strings.Join(c.state.words, ", "))
	cmd.Flags().Var(&c.older, "older", "those whose last change is longer ago, like 7d")
}

// given reports whether anything was chosen.
func (c *choosing) given() bool { return c.all || c.state.value != "" || c.older > 0 }

// ids is the argument rule of a command that takes IDs or a choice.
func (c *choosing) ids(cmd *cobra.Command, args []string) error {
	if !c.given() {
		return atLeast(1, "the ID of a transfer")(cmd, args)
	}
	if len(args) > 0 {
		return usagef("name transfers, or choose them with --all, --state and --older").hint("leave one of them out")
	}
	return nil
}

// of are the transfers that are chosen at a time.
func (c *choosing) of(rows []journal.Row, now time.Time) []journal.Row {
	return slices.DeleteFunc(rows, func(r journal.Row) bool {
		is := c.state.value == "" || c.state.value == string(r.State) || c.state.value == stateWord(&r)
		return !is || c.older > 0 && now.Sub(r.Updated) < time.Duration(c.older)
	})
}

func runTransfersList(cmd *cobra.Command, a *app, which *choosing) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		rows, err := t.List(ctx)
		if err != nil {
			return err
		}
		none := "no transfers yet"
		if len(rows) > 0 {
			none = "no such transfers"
		}
		rows = which.of(rows, a.now())
		var records []record
		for i := range rows {
			records = append(records, a.transferRecord(&rows[i]))
		}
		if len(rows) == 0 {
			a.print.Note("%s", none)
		}
		a.print.Rows(records)
		return nil
	})
}

func runTransfersShow(cmd *cobra.Command, a *app, args []string) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		rows, err := find(ctx, t, args)
		if err != nil {
			return err
		}
		a.print.Rows([]record{transferSheet{a.transferRecord(&rows[0])}})
		return nil
	})
}

// runTransfersForget touches nothing unless all that was named can be forgotten.
func runTransfersForget(cmd *cobra.Command, a *app, args []string, which *choosing) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		rows, err := which.toForget(ctx, t, args, a.now())
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			a.print.Note("no such transfers")
		}
		for i := range rows {
			if rows[i].State.Live() {
				return atWork(&rows[i])
			}
		}
		for i := range rows {
			r := &rows[i]
			switch err := t.Forget(ctx, r.Key); {
			case errors.Is(err, journal.ErrRunning):
				return atWork(r)
			case errors.Is(err, journal.ErrUnknown): // by another process, just now
			case err != nil:
				return &fault.Failure{Code: exitcode.LocalFile, Reason: fmt.Sprintf("forget %s (%s)", short(r.ID), clean.Text(r.Name)), Err: err}
			}
			a.print.Note("%s (%s) is forgotten", short(r.ID), clean.Text(r.Name))
		}
		return nil
	})
}

// toForget are the transfers that were named, or that were chosen and are not running.
func (c *choosing) toForget(ctx context.Context, t transfers, args []string, now time.Time) ([]journal.Row, error) {
	if !c.given() {
		return find(ctx, t, args)
	}
	rows, err := t.List(ctx)
	if journal.State(c.state.value).Live() { // then the refusal says why
		return c.of(rows, now), err
	}
	return slices.DeleteFunc(c.of(rows, now), func(r journal.Row) bool { return r.State.Live() }), err
}

// inTransfers opens the journal of a command's account for do.
func (a *app) inTransfers(cmd *cobra.Command, do func(context.Context, transfers) error) error {
	ctx := cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.withTransfers(ctx, c, func(t transfers) error { return do(ctx, t) })
}
