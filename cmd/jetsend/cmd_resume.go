package main

import (
	"context"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
	"jetsend/internal/route"
	"jetsend/internal/transfer"
)

func newResumeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "resume [TRANSFER-ID...]",
		GroupID: groupRepair,
		Short:   "Resume interrupted transfers",
		Long: `Resume interrupted transfers where they stopped, sent or received: those that are
named, or all. "jetsend transfers" lists them; an id may be shortened as long as it
is unique.

The contact must be online with "jetsend receive"; of several, the one that has the
beginning comes first. What was sent is checked against what the other end has, and
the whole file is verified before it appears. A file that has changed since is not
resumed (12). Transfers with other clients than jetsend start over: send them
again.

Without a named transfer the command ends with 0 when there is nothing to do, and
leaves out what another process is running. The flags have their defaults from the
send: section of the configuration; no_direct and limit_rate of receive: count as
well.

` + exitStatus(append(transferCodes(), exitcode.Offline, exitcode.Incapable)...),
		Example: examples(
			"jetsend resume",
			"jetsend resume 0a3c1d5e",
			"jetsend resume --wait 8h --retry-for 1d",
		),
		ValidArgsFunction: a.completeTransfers(true, resumable),
		RunE:              func(cmd *cobra.Command, args []string) error { return runResume(cmd, a, args) },
	}
	k := keyed{cmd.Flags(), "send"}
	k.duration("wait", config.Default().Send.Wait, "how long the contact may take to be online")
	k.transport()
	k.bool("no-direct", false, "make no direct connection to the contact")
	k.portMapping()
	k.rate("limit-rate", 0, "move no more than this per second, like 2MB or 500KiB")
	k.retry()
	return cmd
}

// runResume looks into the journal first, and goes online only when there is
// something to do.
func runResume(cmd *cobra.Command, a *app, args []string) error {
	ctx := cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	o := a.resumeOptions(cmd, c)
	o.Named = len(args) > 0
	err = a.withTransfers(ctx, c, func(t transfers) (err error) {
		o.Transfers, err = a.toResume(ctx, t, args)
		return err
	})
	if err != nil || len(o.Transfers) == 0 {
		return err
	}
	a.print.Expect(len(o.Transfers))
	return a.online(ctx, c, func(ctx context.Context, e endpoint) error { return e.Resume(ctx, o) })
}

// resumeOptions turns the merged configuration into what the transfer needs.
// The run may move files in both directions, so what either section forbids is
// forbidden, unless a flag says otherwise.
func (a *app) resumeOptions(cmd *cobra.Command, c *config.Config) transfer.ResumeOptions {
	s := c.Send
	if !cmd.Flags().Changed("no-direct") {
		s.NoDirect = s.NoDirect || c.Receive.NoDirect
	}
	if r := c.Receive.LimitRate; !cmd.Flags().Changed("limit-rate") && r > 0 && (s.LimitRate == 0 || r < s.LimitRate) {
		s.LimitRate = r
	}
	rule := inbox.Rename
	if how := conflict(c.Receive.OnConflict); how == inbox.Update { // a folder that is brought up to date goes on being
		rule = how
	}
	return transfer.ResumeOptions{
		OnConflict: rule, AnswerTimeout: a.answerTimeout(s), Wait: s.Wait, LimitRate: int64(s.LimitRate), Retry: transfer.RetryOptions{Retries: s.Retries, For: s.RetryFor},
		Route: route.Options{Transports: c.Transports.Order, NoDirect: s.NoDirect}, Anew: a.anew,
	}
}

// toResume finds what to go on with: all that can be, or what was named.
func (a *app) toResume(ctx context.Context, t transfers, args []string) (keys []journal.Key, err error) {
	if len(args) == 0 {
		rows, err := t.List(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if resumable(&rows[i]) {
				keys = append(keys, rows[i].Key)
			}
		}
		if len(keys) == 0 {
			a.print.Note("nothing to resume")
		}
		return keys, nil
	}
	rows, err := a.find(ctx, t, args)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case resumable(r):
			keys = append(keys, r.Key)
		case r.State == journal.Complete:
			a.print.Note("%s (%s) is already complete", short(r.ID), clean.Text(r.Name))
		default:
			return nil, a.notResumable(r)
		}
	}
	return keys, nil
}

// anew says how to begin a transfer from the beginning.
func (a *app) anew(r *journal.Row) string {
	switch {
	case r.Direction == journal.Receive:
		return "ask " + clean.Text(r.Peer.String()) + " to send it again"
	case r.Source == journal.SourceSpool: // what was read is not there to be read again
		return "send it again"
	case r.Source == journal.SourceSet: // whose paths are those of its arguments
		return "send the same again"
	case r.Insecure():
		return "send it again with `" + a.again("send", "--"+insecureFlag, r.Path, r.Peer.String()) + "`"
	}
	return "send it again with `" + a.again("send", r.Path, r.Peer.String()) + "`"
}

// notResumable says why a transfer that was named cannot be gone on with, and
// what to do instead.
func (a *app) notResumable(r *journal.Row) error {
	id, name, anew := short(r.ID), clean.Text(r.Name), a.anew(r)
	switch {
	case r.State.Live():
		return atWork(r)
	case r.State == journal.Failed:
		err := usagef("transfer %s (%s) has failed and cannot be resumed", id, name)
		if r.LastError != "" {
			err.msg += ": " + clean.Text(r.LastError)
		}
		return err.hint("%s", anew)
	}
	why := "was with a client other than jetsend, which cannot resume it"
	if r.Insecure() {
		why = "went unencrypted, and cannot be resumed"
	}
	return &fault.Failure{Code: exitcode.Incapable, Hints: []string{anew}, Reason: "transfer " + id + " (" + name + ") " + why}
}
