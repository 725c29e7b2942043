package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/outbox"
	"jetsend/internal/state"
)

const deliverHelp = `Send once what "jetsend send --queue" has written down, as a running "jetsend
receive" does all the time: for cron, and for machines that are not on all day. Each
contact may take --wait to be online; what goes to one contact goes in the order in
which it was queued. What cannot be sent now stays queued until its time is over.

While a receive of the account is running, or another deliver, there is nothing to do:
that one sends it.

The exit code is the gravest of what was tried, 0 when nothing is queued.`

func newDeliverCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deliver",
		GroupID: groupSend,
		Short:   "Send once what was queued",
		Long:    deliverHelp + "\n\n" + exitStatus(append(transferCodes(), exitcode.Offline, exitcode.Incapable)...),
		Example: examples("jetsend send --queue report.pdf romeo", "jetsend deliver", "jetsend deliver --wait 5m"),
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDeliver(cmd, a) },
	}
	keyed{cmd.Flags(), "send"}.duration("wait", config.Default().Send.Wait, "how long each contact may take to be online")
	return cmd
}

func runDeliver(cmd *cobra.Command, a *app) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	l, err := courierLock(dir, account)
	if errors.Is(err, state.ErrLocked) {
		a.print.Note("a running process of the account sends what is queued")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = l.Release() }() // nothing is written to it
	return a.withOutbox(cmd.Context(), c, func(box *outbox.Box, t transfers) error {
		open, err := box.Open(cmd.Context())
		if err != nil {
			return err
		}
		if len(open) == 0 {
			a.print.Note("nothing is queued")
			return nil
		}
		var ends endings
		watch := func(o *dialOptions) {
			next := o.Report
			o.Report = func(e event.Event) {
				ends.saw(e)
				next(e)
			}
		}
		return a.onlineAs(cmd.Context(), c, watch, func(ctx context.Context, e endpoint) error {
			courier := &outbox.Courier{Box: box, Port: &port{a, c, e, t, a.print.Event, &ends, func() bool { return false }}, Log: a.log}
			code, err := courier.Once(ctx, c.Send.Wait)
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case code != exitcode.OK:
				return a.stillQueued(ctx, box, code)
			}
			return nil
		})
	})
}

// stillQueued is how a delivery ends of which not all was sent: each reason is told.
func (a *app) stillQueued(ctx context.Context, box *outbox.Box, code exitCode) error {
	open, err := box.Open(ctx)
	for i := range open {
		e := &open[i]
		a.print.Note("%s (%s) stays queued: %s", short(e.ID), e.Name, e.Why)
	}
	if err != nil {
		return err
	}
	return &fault.Failure{Code: code, Reason: "not everything was sent", Reported: true}
}
