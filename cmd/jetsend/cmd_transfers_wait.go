package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/outbox"
	"jetsend/internal/rows"
)

// waitPoll is how often the state is looked at for an end.
const waitPoll = 300 * time.Millisecond

func newTransfersWait(a *app) *cobra.Command {
	var timeout duration
	cmd := &cobra.Command{
		Use: "wait ID...", Short: "Wait until transfers have ended",
		Long: `Wait until the transfers have ended, and end with the exit code of that: what
"jetsend send" would have ended with. Of several, with the gravest one. It needs no
network. A queued transfer that is held since a key of the contact has changed ends
it with 9; an interrupted one, that nobody goes on with by itself, with 11. One that was cancelled has
130. After --timeout it ends with 6.

` + exitStatus(append(transferCodes(), exitcode.Offline, exitcode.Incapable)...),
		Example:           examples("jetsend transfers wait 0a3c", "jetsend transfers wait --timeout 1h 0a3c 77f0"),
		Args:              atLeast(1, "the ID of a transfer"),
		ValidArgsFunction: a.completeTransfers(true, func(r *journal.Row) bool { return !r.State.Over() }),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inBox(cmd, func(c *config.Config, box *outbox.Box, t transfers) error {
				account, dir, err := a.place(c)
				if err != nil {
					return err
				}
				w := waiter{a, t, box, func() bool { return delivering(dir, account) }}
				return w.waitFor(cmd.Context(), args, time.Duration(timeout))
			})
		},
	}
	cmd.Flags().Var(&timeout, "timeout", "how long to wait; 0: for ever")
	return cmd
}

func newTransfersCancel(a *app, codes []exitCode) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID...", Short: "Take queued transfers back",
		Long: `Take back what "jetsend send --queue" has queued: it is not sent any more, and its
private copy is removed. One that is being sent by a running receive is stopped within
a few seconds, and the contact is told. What has arrived has arrived. Other transfers
are ended by Ctrl-C, and forgotten by "jetsend transfers forget".

` + exitStatus(codes...),
		Args:              atLeast(1, "the ID of a transfer"),
		ValidArgsFunction: a.completeTransfers(true, func(r *journal.Row) bool { return r.State == queuedState }),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inBox(cmd, func(_ *config.Config, box *outbox.Box, t transfers) error {
				return a.cancel(cmd.Context(), t, box, args)
			})
		},
	}
}

// inBox opens the outbox of a command's account, and its journal, for do.
func (a *app) inBox(cmd *cobra.Command, do func(*config.Config, *outbox.Box, transfers) error) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.withOutbox(cmd.Context(), c, func(box *outbox.Box, t transfers) error { return do(c, box, t) })
}

// entry finds an entry of the outbox; nil when what is named is none.
func entry(ctx context.Context, box *outbox.Box, prefix string) (*outbox.Entry, error) {
	e, err := box.Find(ctx, prefix)
	switch {
	case errors.Is(err, outbox.ErrUnknown):
		return nil, nil
	case errors.Is(err, outbox.ErrAmbiguous):
		return nil, usagef("several transfers begin with %s", clean.Text(prefix)).hint("write more of the id")
	case err != nil:
		return nil, err
	}
	return &e, nil
}

func (a *app) cancel(ctx context.Context, t transfers, box *outbox.Box, prefixes []string) error {
	var all []*outbox.Entry
	for _, p := range prefixes {
		e, err := entry(ctx, box, p)
		if err != nil {
			return err
		}
		if e == nil || e.State == outbox.Ended {
			return notQueued(p)
		}
		all = append(all, e)
	}
	for _, e := range all {
		ended, err := box.End(ctx, e, int(exitcode.Cancelled), "cancelled")
		if err != nil {
			return err
		}
		if !ended { // somebody was quicker: it has arrived, or failed
			return notQueued(e.ID)
		}
		// Whoever is at it gives it up by itself.
		if err := giveUp(ctx, t, e.Transfer()); err != nil && !errors.Is(err, journal.ErrRunning) {
			return err
		}
		a.print.Note("%s (%s) is cancelled", short(e.ID), e.Name)
	}
	return nil
}

func notQueued(id string) error {
	return usagef("there is no queued transfer %s", clean.Text(id)).hint("see `jetsend transfers --state queued`")
}

// waiter waits for the ends of transfers.
type waiter struct {
	a      *app
	t      transfers
	box    *outbox.Box
	served func() bool // somebody delivers what is queued
}

// waitFor waits for the ends of all that is named.
func (w *waiter) waitFor(ctx context.Context, prefixes []string, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errWaited)
		defer cancel()
	}
	var codes []exitCode
	for _, p := range prefixes {
		f, err := w.untilEnded(ctx, p)
		if err != nil {
			return err
		}
		if f.Code != exitcode.OK {
			w.a.print.Event(event.FailedEarly{Direction: event.Send, Code: int(f.Code), Reason: f.Reason})
		}
		codes = append(codes, f.Code)
	}
	if code := exitcode.Combine(codes...); code != exitcode.OK {
		return &fault.Failure{Code: code, Reason: "not everything was sent", Reported: true}
	}
	return nil
}

// untilEnded waits for the end of one.
func (w *waiter) untilEnded(ctx context.Context, prefix string) (*fault.Failure, error) {
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		if f, err := w.ended(ctx, prefix); f != nil || err != nil {
			return f, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// errWaited is the end of a wait that had a timeout.
var errWaited = &fault.Failure{Code: exitcode.Offline, Reason: "it has not ended in that time"}

// ended is how a transfer has ended; nil when it has not.
func (w *waiter) ended(ctx context.Context, prefix string) (*fault.Failure, error) {
	e, err := entry(ctx, w.box, prefix)
	if err != nil {
		return nil, err
	}
	if e != nil {
		text := fmt.Sprintf("%s (%s): ", short(e.ID), e.Name)
		switch {
		case e.State != outbox.Waiting:
			return &fault.Failure{Code: exitCode(e.Code), Reason: text + e.Why}, nil
		case w.a.now().After(e.Until) && !w.served(): // nobody is there to give it up
			return &fault.Failure{Code: exitcode.Offline, Reason: text + outbox.ErrLate.Error()}, nil
		}
		return nil, nil
	}
	row, _, err := w.a.findOne(ctx, w.t, prefix)
	if err != nil || row.State.Live() {
		return nil, err
	}
	text := fmt.Sprintf("%s (%s): ", short(row.ID), clean.Text(row.Name))
	switch over := rows.OverSince(row); {
	case row.State == journal.Interrupted:
		return &fault.Failure{Code: exitcode.Interrupted, Reason: text + "interrupted"}, nil
	case row.Declined:
		return &fault.Failure{Code: exitcode.Declined, Reason: text + "declined"}, nil
	case over != nil:
		return &fault.Failure{Code: exitcode.LocalFile, Reason: text + clean.Error(over)}, nil
	}
	return &fault.Failure{Code: exitcode.OK}, nil
}
