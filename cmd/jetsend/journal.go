package main

import (
	"context"
	"errors"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/outbox"
)

// transfers is the journal of an account, readable without a network.
type transfers interface {
	// List returns the transfers that are not forgotten, the oldest first.
	List(context.Context) ([]journal.Row, error)
	// Get returns the one whose id begins so, or the set and which of its arguments it is; see
	// [journal.Journal.GetArgument].
	Get(ctx context.Context, prefix string) (row journal.Row, argument int, err error)
	// Queued returns what is queued and has not ended, in order.
	Queued(context.Context) ([]outbox.Entry, error)
	// Arguments are those of a set; see [journal.Journal.ArgumentsOf].
	Arguments(context.Context, journal.Key) ([]journal.Argument, error)
	// Forget takes a transfer out of sight and removes its partial file.
	Forget(context.Context, journal.Key) error
	Close() error
}

// noTransfers is the journal of an account that has no state on this machine.
type noTransfers struct{}

// List implements transfers.
func (noTransfers) List(context.Context) ([]journal.Row, error) { return nil, nil }

// Get implements transfers.
func (noTransfers) Get(context.Context, string) (journal.Row, int, error) {
	return journal.Row{}, -1, journal.ErrUnknown
}

// Queued implements transfers.
func (noTransfers) Queued(context.Context) ([]outbox.Entry, error) { return nil, nil }

// Arguments implements transfers.
func (noTransfers) Arguments(context.Context, journal.Key) ([]journal.Argument, error) {
	return nil, nil
}

// Forget implements transfers.
func (noTransfers) Forget(context.Context, journal.Key) error { return journal.ErrUnknown }

// Close implements transfers.
func (noTransfers) Close() error { return nil }

// place finds the account of a command and the directory of its state.
func (a *app) place(c *config.Config) (account *config.Chosen, dir string, err error) {
	if account, err = c.Choose(a.selection()); err != nil {
		return nil, "", err
	}
	dir, err = a.stateDir()
	return account, dir, err
}

// withTransfers opens the journal of the account for do.
func (a *app) withTransfers(ctx context.Context, c *config.Config, do func(transfers) error) error {
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	t, err := a.openTransfers(ctx, dir, account)
	if err != nil {
		return err
	}
	err = do(t)
	if cerr := t.Close(); err == nil {
		err = cerr
	}
	return err
}

// shortLen is how much of a transfer id people see: enough to be unique among
// the transfers of one account.
const shortLen = 8

func short(id string) string { return id[:min(shortLen, len(id))] }

// maxCandidates bounds how many ids a hint names.
const maxCandidates = 5

// findOne returns the transfer that the user named by its id, or that of the set and which
// argument of it was named; see [journal.Journal.GetArgument].
func (a *app) findOne(ctx context.Context, t transfers, prefix string) (row journal.Row, argument int, err error) {
	row, argument, err = t.Get(ctx, prefix)
	switch {
	case errors.Is(err, journal.ErrUnknown):
		err = usagef("there is no transfer %s", clean.Text(prefix)).hint("see `jetsend transfers list`")
	case errors.Is(err, journal.ErrAmbiguous):
		err = a.ambiguous(ctx, t, prefix)
	}
	return row, argument, err
}

// find returns the transfers that the user named, each once.
func (a *app) find(ctx context.Context, t transfers, prefixes []string) ([]journal.Row, error) {
	var rows []journal.Row
	seen := make(map[journal.Key]bool)
	for _, p := range prefixes {
		row, _, err := a.findOne(ctx, t, p)
		if err != nil {
			return nil, err
		}
		if !seen[row.Key] {
			seen[row.Key] = true
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// ambiguous names the transfers among which the user has to choose.
func (a *app) ambiguous(ctx context.Context, t transfers, prefix string) error {
	records, err := a.list(ctx, t)
	if err != nil {
		return err
	}
	var ids []string
	for i := range records {
		if id := records[i].Transfer; strings.HasPrefix(id, strings.ToLower(prefix)) {
			ids = append(ids, id)
		}
	}
	if len(ids) > maxCandidates {
		ids = append(ids[:maxCandidates], "…")
	}
	return usagef("several transfers begin with %s", clean.Text(prefix)).
		hint("write more of the id: %s", strings.Join(ids, ", "))
}

// atWork is the failure of touching a transfer that somebody is running.
func atWork(r *journal.Row) error {
	return &fault.Failure{
		Code: exitcode.LocalFile, Reason: "transfer " + short(r.ID) + " (" + clean.Text(r.Name) + ") is running in another process",
		Hints: []string{"wait until it ends, or end that `jetsend` with Ctrl-C or SIGTERM first"},
	}
}

// resumable reports whether an interrupted transfer can be gone on with.
func resumable(r *journal.Row) bool {
	return r.State == journal.Interrupted && (r.Profile || r.Direction == journal.Send) && !r.Insecure()
}

// again writes a command of jetsend as it can be typed after this one: with the
// global flags that say whose state is meant.
func (a *app) again(args ...string) string {
	line := append([]string{"jetsend"}, a.whose("")...)
	for _, arg := range args {
		line = append(line, clean.Argument(arg))
	}
	return clean.Text(strings.Join(line, " "))
}

// whose are the global flags of this run that say whose state is meant, but for
// those that a command has already.
func (a *app) whose(command string) []string {
	var flags []string
	for _, f := range []struct{ name, value string }{
		{"config", a.global.config.value}, {"account", a.global.account}, {"state-dir", a.global.stateDir.value},
	} {
		if f.value != "" && !strings.Contains(command, "--"+f.name+"=") {
			flags = append(flags, clean.Argument("--"+f.name+"="+f.value))
		}
	}
	return flags
}

// pasted writes a hint so that the command that it says to run can be pasted: like
// again, it has the global flags. A command that somebody else or another device is
// asked to run stays as it is, and so does the way to a help text.
func (a *app) pasted(hint string) string {
	if strings.HasPrefix(hint, "ask ") || strings.HasPrefix(hint, "on ") || strings.HasSuffix(hint, "help`") {
		return hint
	}
	for _, before := range []string{"run `", "see `"} {
		head, rest, found := strings.Cut(hint, before+"jetsend ")
		command, _, closed := strings.Cut(rest, "`")
		if flags := a.whose(command); found && closed && len(flags) > 0 {
			hint = head + before + clean.Text(strings.Join(append([]string{"jetsend"}, flags...), " ")) + " " + rest
		}
	}
	return hint
}
