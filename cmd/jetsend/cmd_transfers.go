package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
	"jetsend/internal/transfer"
)

func newTransfersCommand(a *app) *cobra.Command {
	codes := append(offlineCodes(), exitcode.Config)
	cmd := &cobra.Command{
		Use:     "transfers",
		GroupID: groupFiles,
		Short:   "What was sent and received, and what was interrupted",
		Long: `Show the transfers that this machine remembers. Without a subcommand it lists
them. It needs no network. An id may be shortened as long as it is unique.

` + exitStatus(codes...),
		Example: examples("jetsend transfers", "jetsend transfers show 0a3c", `jetsend --json transfers | jq -r 'select(.resumable).transfer'`),
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runTransfersList(cmd, a) },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the transfers, the newest last",
			Long: `List the transfers, the newest last: the beginning of the id, direction,
contact, name, size, how much of it is safe at the receiver (- where that is not
known here), state, and when that last changed.

States: offered (not answered yet), running, interrupted, complete, failed.

` + exitStatus(codes...),
			Args: exactly(0, ""),
			RunE: func(cmd *cobra.Command, _ []string) error { return runTransfersList(cmd, a) },
		},
		&cobra.Command{
			Use: "show ID", Short: "Show everything about a transfer",
			Long: `Show everything that is known of one transfer.

` + exitStatus(codes...),
			Args:              exactly(1, "one ID"),
			ValidArgsFunction: a.completeTransfers(false, func(*journal.Row) bool { return true }),
			RunE:              func(cmd *cobra.Command, args []string) error { return runTransfersShow(cmd, a, args) },
		},
		&cobra.Command{
			Use: "forget ID...", Short: "Forget transfers and remove their partial files",
			Long: `Take transfers off the list and remove the partial files of those that were
interrupted. Files that were sent or received whole stay. What stays known for 30
days is that a file was received, so that it is not received twice.

A transfer that is running cannot be forgotten: end it first.

` + exitStatus(codes...),
			Args:              atLeast(1, "the ID of a transfer"),
			ValidArgsFunction: a.completeTransfers(true, func(r *journal.Row) bool { return !r.State.Live() }),
			RunE:              func(cmd *cobra.Command, args []string) error { return runTransfersForget(cmd, a, args) },
		},
	)
	return cmd
}

func runTransfersList(cmd *cobra.Command, a *app) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		rows, err := t.List(ctx)
		if err != nil {
			return err
		}
		var records []record
		for i := range rows {
			records = append(records, a.transferRecord(&rows[i]))
		}
		if len(rows) == 0 {
			a.print.Note("no transfers yet")
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
func runTransfersForget(cmd *cobra.Command, a *app, args []string) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		rows, err := find(ctx, t, args)
		if err != nil {
			return err
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
				return &transfer.Failure{Code: exitcode.LocalFile, Reason: fmt.Sprintf("forget %s (%s)", short(r.ID), clean.Text(r.Name)), Err: err}
			}
			a.print.Note("%s (%s) is forgotten", short(r.ID), clean.Text(r.Name))
		}
		return nil
	})
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
