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
		GroupID: groupRepair,
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
here or by the contact: it is resumed by hand only), complete, failed; queued, held
(written down by "jetsend send --queue", and why it waits). Of a directory it says how
many of its entries are there.

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
			Long: `Show everything that is known of one transfer. The id of a set lists the
transfers that go together in it.

` + exitStatus(codes...),
			Args:              exactly(1, "one ID"),
			ValidArgsFunction: a.completeTransfers(false, func(*journal.Row) bool { return true }),
			RunE:              func(cmd *cobra.Command, args []string) error { return runTransfersShow(cmd, a, args) },
		},
		newTransfersForget(a, codes), newTransfersWait(a), newTransfersCancel(a, codes),
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

Transfers that were sent together in one session are forgotten together. One that is
running cannot be forgotten: end it first.

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
	c.state.words = append(c.state.words, wordPaused, wordDeclined, string(queuedState), wordHeld)
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

// listed are the transfers that are chosen at a time.
func (c *choosing) listed(records []transferRecord, now time.Time) []transferRecord {
	return slices.DeleteFunc(records, func(r transferRecord) bool { return !c.takes(r.row, r.State, r.word, now) })
}

// of are the transfers that are chosen at a time, a set as a whole.
func (c *choosing) of(ctx context.Context, t transfers, rows []journal.Row, now time.Time) (chosen []journal.Row, err error) {
	for i := range rows {
		r := &rows[i]
		state, word := string(r.State), stateWord(r)
		if r.Source == journal.SourceSet {
			arguments, err := t.Arguments(ctx, r.Key)
			if err != nil {
				return nil, err
			}
			if whole := wholeWord(r, arguments); whole != word {
				state, word = whole, whole
			}
		}
		if c.takes(r, state, word, now) {
			chosen = append(chosen, *r)
		}
	}
	return chosen, nil
}

// takes reports whether a transfer is chosen that is in this state, for which that is the word.
func (c *choosing) takes(r *journal.Row, state, word string, now time.Time) bool {
	is := c.state.value == "" || c.state.value == state || c.state.value == word
	return is && (c.older <= 0 || now.Sub(r.Updated) >= time.Duration(c.older))
}

func runTransfersList(cmd *cobra.Command, a *app, which *choosing) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		records, err := a.list(ctx, t)
		if err != nil {
			return err
		}
		none := "no transfers yet"
		if len(records) > 0 {
			none = "no such transfers"
		}
		if records = which.listed(records, a.now()); len(records) == 0 {
			a.print.Note("%s", none)
		}
		a.print.Rows(recordRows(records))
		return nil
	})
}

func recordRows(records []transferRecord) (rows []record) {
	for _, r := range records {
		rows = append(rows, r)
	}
	return rows
}

func runTransfersShow(cmd *cobra.Command, a *app, args []string) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		if found, err := a.showQueued(ctx, t, args[0]); found || err != nil {
			return err
		}
		row, argument, err := a.findOne(ctx, t, args[0])
		if err != nil {
			return err
		}
		records, err := a.recordsOf(ctx, t, []journal.Row{row})
		if err != nil {
			return err
		}
		if argument >= 0 {
			records = slices.DeleteFunc(records, func(r transferRecord) bool { return r.argument == nil || r.argument.Number != argument })
		}
		if len(records) == 1 {
			a.print.Rows([]record{transferSheet{records[0]}})
			return nil
		}
		a.print.Rows(recordRows(records))
		return nil
	})
}

// showQueued shows what is queued and has not begun.
func (a *app) showQueued(ctx context.Context, t transfers, prefix string) (found bool, err error) {
	if _, _, err := t.Get(ctx, prefix); !errors.Is(err, journal.ErrUnknown) {
		return false, nil //nolint:nilerr // whoever shows the transfer meets it as well
	}
	queued, err := t.Queued(ctx)
	for i := range queued {
		if e := &queued[i]; strings.HasPrefix(e.ID, strings.ToLower(prefix)) {
			a.print.Rows([]record{transferSheet{a.queuedTransfer(e)}})
			return true, nil
		}
	}
	return false, err
}

// runTransfersForget touches nothing unless all that was named can be forgotten.
func runTransfersForget(cmd *cobra.Command, a *app, args []string, which *choosing) error {
	return a.inTransfers(cmd, func(ctx context.Context, t transfers) error {
		rows, err := a.toForget(ctx, t, args, which)
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
func (a *app) toForget(ctx context.Context, t transfers, args []string, which *choosing) ([]journal.Row, error) {
	if !which.given() {
		return a.find(ctx, t, args)
	}
	rows, err := t.List(ctx)
	if err == nil {
		rows, err = which.of(ctx, t, rows, a.now())
	}
	if err != nil || journal.State(which.state.value).Live() { // then the refusal says why
		return rows, err
	}
	return slices.DeleteFunc(rows, func(r journal.Row) bool { return r.State.Live() }), nil
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
