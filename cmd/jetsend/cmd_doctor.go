package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/doctor"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/session"
	"jetsend/internal/transfer"
)

func newDoctorCommand(a *app) *cobra.Command {
	report := filePath{home: a.home}
	cmd := &cobra.Command{
		Use:     "doctor [CONTACT]",
		GroupID: groupRepair,
		Short:   "Check what the account, the server and a contact can do",
		Long: `Look at everything that a send depends on, and say what is found, what is missing
and which command mends it: the server's DNS records, TLS certificate and login
methods; the account, its OMEMO devices and its proxies; the addresses at which this
machine can be reached; and, with CONTACT, whether the contact is seen online, with
which clients, with which keys, and how a file would go there.

Every finding is "ok", "warn" (a send may work all the same) or "fail". The report is
written to standard output; with --json it is one object for each finding and one for
the whole. When the login fails, what was found before it is shown.

--report writes to a new file what somebody needs who is to find the fault: version,
platform, configuration, findings, and the last lines of the log, that of --log-file
too. Addresses and places are placeholders in it; names, keys and secrets are left out.

Nothing is offered to the contact. Its clients are asked what they are; no OMEMO
session is begun, and nothing is written into the journal. Like every command that
goes online, it makes this machine's OMEMO device on first use.

The exit code is 0 when a send would work, as far as that can be known before the
contact's answer, and otherwise the one that the send would end with.

` + exitStatus(append(onlineCodes(), exitcode.Offline, exitcode.Incapable)...),
		Example: examples("jetsend doctor", "jetsend doctor romeo@montague.example", reportCommand, "jetsend --json doctor romeo |\n      jq -r 'select(.status == \"fail\").text'"),
		Args:    between(0, 1, "one CONTACT"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runDoctor(cmd, a, args, report.value) },
	}
	d := config.Default().Send
	k := keyed{cmd.Flags(), "send"}
	k.duration("wait", d.Wait, "how long the contact may take to be online")
	k.choice("encryption", d.Encryption, "how the offer would be made", encryptions()...)
	k.transport()
	k.bool("no-direct", false, "make no direct connection to the contact")
	k.portMapping()
	cmd.Flags().Var(&report, "report", "write a report without names and secrets to the new `FILE`; - is standard output")
	return cmd
}

// runDoctor looks, and with a path for a report writes that whatever was found.
func runDoctor(cmd *cobra.Command, a *app, args []string, path string) error {
	d := &diagnosis{a: a, width: outputWidth(a.Stdout)}
	if path == "" {
		return d.run(cmd, args)
	}
	r, err := a.beginReport(cmd, path, args)
	if err != nil {
		return err
	}
	d.report = r
	err = d.run(cmd, args)
	if failed := r.end(cmd.Context(), err); failed != nil {
		return failed
	}
	return err
}

// run looks at the server before it needs a password, then logs in.
func (d *diagnosis) run(cmd *cobra.Command, args []string) error {
	a, ctx := d.a, cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	d.report.configured(c)
	var to target
	if len(args) == 1 {
		if to, err = a.targetOf(c, args[0]); err != nil {
			return err
		}
	}
	o, err := a.sendOptions(c, nil)
	if err != nil {
		return err
	}
	o.To = to.jid
	account, err := c.Choose(a.selection())
	if err != nil {
		return err
	}
	d.record.Account = account.Addr.String()
	d.report.knows("account", account.Name, account.JID)
	if len(args) == 1 {
		d.report.knows("contact", args[0], to.jid.String())
		d.record.Contact = clean.Text(cmp.Or(to.jid.String(), to.name))
	}
	if err := d.server(ctx, account); err != nil {
		return d.end(ctx, err)
	}
	e, err := a.open(ctx, c, account, func(o *dialOptions) { o.ByPassword = true })
	if err != nil {
		return d.end(ctx, d.refused(ctx, err))
	}
	defer a.hangUp(ctx, e)
	if err := a.settle(ctx, c, e, &to); err != nil {
		return err
	}
	o.To = to.jid
	d.report.knows("contact", to.name, to.jid.String())
	plan, err := e.Diagnose(ctx, o, d.add)
	d.record.Plan = plan
	return d.end(ctx, err)
}

// diagnosis is a report under way.
type diagnosis struct {
	a      *app
	width  int // columns of the terminal; 0: lines as long as they are
	area   string
	first  doctor.Finding // with a code
	record diagnosisRecord
	report *reporting // nil without one
}

// show writes to standard output, unless that is for the report.
func (d *diagnosis) show(r record) {
	if d.report == nil || d.report.path != "-" {
		d.a.print.Rows([]record{r})
	}
}

// server looks at the account's server; its error ends the diagnosis.
func (d *diagnosis) server(ctx context.Context, account *config.Chosen) error {
	roots, err := rootCAs(account.TLSCAFile)
	if err != nil {
		return err
	}
	cfg := sessionConfig(account, roots, "")
	cfg.Log = d.a.log
	in := session.Inspect(ctx, cfg)
	for _, f := range doctor.ServerFindings(in, account.Addr, account.Server, d.a.now()) {
		d.add(f)
	}
	if err := errors.Join(in.Err, in.MechanismErr); err != nil {
		return d.refused(ctx, err)
	}
	return nil
}

// refused adds the finding of a login that cannot be had, unless it was cancelled.
func (d *diagnosis) refused(ctx context.Context, err error) error {
	f := d.a.explain(ctx, err)
	if bySignal(f.code) {
		return err
	}
	d.add(doctor.Finding{
		Area: doctor.AreaAccount, Check: "login", Status: doctor.StatusFail,
		Code: int(f.code), Text: f.reason, Hints: f.hints,
	})
	return err
}

// add shows a finding.
func (d *diagnosis) add(f doctor.Finding) {
	d.report.found(f)
	switch f.Status {
	case doctor.StatusFail:
		d.record.Failures++
	case doctor.StatusWarn:
		d.record.Warnings++
		if !slices.Contains(d.record.Warned, f.Check) {
			d.record.Warned = append(d.record.Warned, f.Check)
		}
	}
	if d.first.Code == 0 && f.Code != 0 {
		d.first = f
	}
	hints := slices.Clone(f.Hints)
	for i, h := range hints {
		hints[i] = d.a.pasted(h)
	}
	f.Hints = hints
	d.show(findingRecord{f, f.Area != d.area, d.width})
	d.area = f.Area
}

// end shows the summary. err is what a send would end with; a signal ends the
// diagnosis without one.
func (d *diagnosis) end(ctx context.Context, err error) error {
	r := &d.record
	if err != nil {
		f := d.a.explain(ctx, err)
		if bySignal(f.code) || r.Failures == 0 {
			return err
		}
		r.Code, r.Reason = int(f.code), f.reason
	} else if d.first.Code != 0 {
		r.Code, r.Reason = d.first.Code, d.first.Text
	}
	r.Works = r.Code == 0
	d.show(*r)
	if r.Works {
		return nil
	}
	return &fault.Failure{Code: exitCode(r.Code), Reason: r.Reason, Reported: true}
}

// bySignal reports whether a code is that of a signal.
func bySignal(code exitCode) bool { return code == exitcode.Cancelled || code == exitcode.Terminated }

// dryRun shows what a send would offer.
func dryRun(ctx context.Context, a *app, e endpoint, o transfer.SendOptions) error {
	plans, err := e.DryRun(ctx, o)
	if err != nil {
		return err
	}
	var rows []record
	for _, p := range plans {
		rows = append(rows, planRecord{p})
	}
	a.print.Rows(rows)
	return nil
}
