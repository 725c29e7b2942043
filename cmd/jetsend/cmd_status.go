package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/local"
	"jetsend/internal/status"
)

const statusHelp = `Ask the running "jetsend receive" of the account what it is doing: what runs, by
which path and how fast, what waits to be sent, whether the server is reached, and
what went wrong of late. --follow says it again on each change, at most twice a
second, until the receive ends. It needs no network and no password. The question
goes over a socket beside the state, which only the same user of this machine can
reach.

A receive of the same account that is paused, or has another limit, is so until it
ends: the next one begins as its configuration says. When no receive is running, or
it ends in the middle of what it says without a word, the exit code is 5.`

func newStatusCommand(a *app) *cobra.Command {
	codes := append(offlineCodes(), exitcode.Config, exitcode.Unreachable, exitcode.Cancelled, exitcode.Terminated)
	var follow bool
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupRepair,
		Short:   "What the running receive is doing; pause it, limit it",
		Long:    statusHelp + "\n\n" + exitStatus(codes...),
		Example: examples("jetsend status", "jetsend status --follow", "jetsend status pause", "jetsend status limit-rate 500KB",
			`jetsend --json status | jq -r '.transfers[] | "\(.name) \(.bytes)/\(.size)"'`),
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd, a, requestStatus, statusRequest{Follow: follow})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "say it again on each change, until the receive ends")
	cmd.AddCommand(
		&cobra.Command{
			Use: "pause", Short: "Let no file move until `status resume`",
			Long: `Stop the bytes of all transfers of the running receive, in both directions. What
runs keeps its connections; offers that come wait for their answer, and what was
interrupted is not asked for. The other ends notice nothing for a minute at least. Then
they take the path for lost; a jetsend send offers the file again and waits for the
answer, for its --answer-timeout, and goes on where it stopped after "jetsend status resume".
Other clients than a jetsend give up. When the command ends, no byte moves but those
that are on their way. SIGTERM ends a paused receive as any other.

` + exitStatus(codes...),
			Args: exactly(0, ""), Example: examples("jetsend status pause"),
			RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd, a, requestPause, nil) },
		},
		&cobra.Command{
			Use: "resume", Short: "Let files move again",
			Long: `Let the running receive go on where "jetsend status pause" has stopped it. For
transfers that were interrupted see "jetsend resume".

` + exitStatus(codes...),
			Args: exactly(0, ""), Example: examples("jetsend status resume"),
			RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd, a, requestResume, nil) },
		},
		&cobra.Command{
			Use: "limit-rate RATE", Short: "Change the limit of the running receive",
			Long: `Change how many bytes a second the running receive moves in each direction, all
files together, such as 2MB or 500KiB; off is no limit. It holds at once, and until
the receive ends or its configuration is read again with another limit_rate than
before. When the command ends it is in force.

` + exitStatus(codes...),
			Args: exactly(1, "one RATE"), Example: examples("jetsend status limit-rate 500KB", "jetsend status limit-rate off"),
			ValidArgsFunction: cobra.FixedCompletions([]string{noLimit}, cobra.ShellCompDirectiveNoFileComp),
			RunE: func(cmd *cobra.Command, args []string) error {
				rate, err := parseLimit(args[0])
				if err != nil {
					return err
				}
				return runStatus(cmd, a, requestLimitRate, limitRequest{BytesPerSecond: rate})
			},
		},
	)
	return cmd
}

// noLimit is the word for a rate without bounds.
const noLimit = "off"

func parseLimit(text string) (int64, error) {
	if strings.EqualFold(text, noLimit) {
		return 0, nil
	}
	rate, err := config.ParseRate(text)
	if err != nil {
		return 0, usagef("%v", err).hint("name bytes a second, like 2MB or 500KiB, or off")
	}
	return int64(rate), nil
}

// runStatus asks the running receive for something, and shows what it says it is doing.
func runStatus(cmd *cobra.Command, a *app, request string, body any) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	who := account.Addr.String()
	path, _ := a.localSocket(dir, account)
	if path == "" {
		return &config.Error{Msg: "the receive of " + who + " cannot be asked", Err: errNoSocket, Hints: []string{"name another place with --state-dir"}}
	}
	told := 0
	err = local.Call(cmd.Context(), path, request, body, func(item json.RawMessage) error {
		r := statusRecord{when: a.local, resume: a.again("status", "resume"), again: told > 0}
		if err := json.Unmarshal(item, &r.Snapshot); err != nil {
			return fmt.Errorf("the answer cannot be read: %w", err)
		}
		told++
		a.print.Rows([]record{r})
		return a.print.Err()
	})
	return a.unanswered(cmd.Context(), err, who)
}

// unanswered is what the end of a question means.
func (a *app) unanswered(ctx context.Context, err error, who string) error {
	var told *local.Error
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case errors.As(err, &told):
		return &fault.Failure{Code: exitcode.Code(told.Code), Reason: clean.Text(told.Text), Hints: told.Hints}
	case errors.Is(err, local.ErrNobody):
		return &fault.Failure{Code: exitcode.Unreachable, Reason: "no receive of " + clean.Text(who) + " is running", Hints: []string{"run `" + a.again("receive") + "` to start one"}}
	case errors.Is(err, local.ErrGone):
		return &fault.Failure{Code: exitcode.Unreachable, Reason: "the receive of " + clean.Text(who) + " has ended without a word", Hints: []string{"run `" + a.again("status") + "` again"}}
	}
	return err
}

// statusRecord is what a receive is doing.
type statusRecord struct {
	status.Snapshot

	when   func(t time.Time) string // see app.local
	resume string                   // the command that ends a pause
	again  bool                     // it is not the first one
}

// Kind implements record.
func (statusRecord) Kind() string { return "status" }

// Columns implements record.
func (r statusRecord) Columns() []string { return []string{clean.Text(r.Account), r.Connection.State} }

// Sheet implements sheet.
func (r statusRecord) Sheet() [][]string {
	var lines [][]string
	if r.again {
		lines = append(lines, []string{""})
	}
	lines = append(lines,
		[]string{"account", clean.Text(r.Account)},
		[]string{"running", fmt.Sprintf("%s, process %d, since %s", clean.Text(r.Version), r.PID, r.when(r.Since))},
		[]string{"connection", r.connected()},
	)
	if r.Paused {
		lines = append(lines, []string{"paused", "no file moves until `" + r.resume + "`"})
	}
	if r.LimitRate > 0 {
		lines = append(lines, []string{"limit", bytesText(r.LimitRate) + "/s"})
	}
	if len(r.Transfers) == 0 {
		lines = append(lines, []string{"transfers", "none is under way"})
	}
	for _, t := range r.Transfers {
		lines = append(lines, []string{string(t.Direction), transferLine(t, r.when)})
	}
	if r.More > 0 {
		lines = append(lines, []string{"", fmt.Sprintf("and %d more", r.More)})
	}
	for _, q := range r.Queue {
		lines = append(lines, []string{"waits", fmt.Sprintf("%s  %s to %s: %s", clean.Text(short(q.ID)), clean.Text(q.Name), clean.Text(q.Contact), clean.Text(q.Why))})
	}
	for _, e := range r.Errors {
		text := r.when(e.Time) + "  " + clean.Text(e.Text)
		if e.Code > 0 {
			text += fmt.Sprintf(" (code %d)", e.Code)
		}
		lines = append(lines, []string{"error", text})
	}
	return lines
}

// connected says how the server is reached.
func (r statusRecord) connected() string {
	c := r.Connection
	text := fmt.Sprintf("%s since %s", clean.Text(c.State), r.when(c.Since))
	for _, part := range []string{c.JID, c.Server, c.TLS, c.Mechanism, c.Reason} {
		if part != "" {
			text += ", " + clean.Text(part)
		}
	}
	if c.NextTry != nil {
		text += ", next try " + r.when(*c.NextTry)
	}
	return text
}

// transferLine says how far a transfer is.
func transferLine(t status.Transfer, when func(time.Time) string) string {
	way := "from"
	if t.Direction == "send" {
		way = "to"
	}
	text := fmt.Sprintf("%s  %s %s %s, %s of %s (%s)", clean.Text(short(t.Transfer)), clean.Text(t.Name), way, clean.Text(bare(t.Peer)), bytesText(t.Bytes), bytesText(t.Size), percent(t.Bytes, t.Size))
	text += ", " + clean.Text(t.State) + " since " + when(t.Since)
	if t.State == status.Running {
		text += fmt.Sprintf(", %s, %s/s, mean %s/s", clean.Text(t.Path), bytesText(t.Rate), bytesText(t.MeanRate))
	}
	if t.State == status.Interrupted {
		text += ": " + clean.Text(t.Reason)
	}
	return text
}
