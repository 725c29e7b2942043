// Package doctor finds out, without an offer, whether files can be sent: what is wrong
// with the server, the account, this machine and a contact, and what a send would come to.
// To the contact's clients nothing goes but questions what they are. No OMEMO session is
// begun, no prekey used, and nothing written into the journal.
package doctor

import (
	"context"
	"errors"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/omemo"
	"jetsend/internal/transfer"
)

// Status says how a finding is to be taken.
type Status string

// The statuses.
const (
	StatusOK Status = "ok"
	// StatusWarn: a send may work all the same.
	StatusWarn Status = "warn"
	// StatusFail: a send would not work.
	StatusFail Status = "fail"
)

// The areas of findings, in the order in which they come.
const (
	AreaServer  = "server"  // found without a login
	AreaAccount = "account" // found by logging in
	AreaMachine = "machine" // this one
	AreaContact = "contact"
	AreaSend    = "send" // what a send would come to
)

// Finding is one thing that a diagnosis has found. Its JSON form is an outside
// contract (docs/doctor.md). All text of others in it has been cleaned.
type Finding struct {
	Area   string `json:"area"`
	Check  string `json:"check"` // what was looked at; several findings may share one
	Status Status `json:"status"`
	Text   string `json:"text"` // one sentence for people, without a full stop
	// Code is the exit code that a send would end with because of this.
	Code  int      `json:"code,omitempty"`
	Hints []string `json:"hints,omitempty"` // exact next commands, or the one thing to change
	// Details are the facts, a struct of this package; nil: none.
	Details any `json:"details,omitempty"`
}

// doctor gathers findings about an account online.
type doctor struct {
	e        *transfer.Endpoint
	config   transfer.Config
	account  transfer.Account
	keys     *omemo.Account
	contacts *contact.Finder
	opt      transfer.SendOptions
	found    func(Finding)
}

func newDoctor(e *transfer.Endpoint, opt transfer.SendOptions, found func(Finding)) *doctor {
	return &doctor{e: e, config: e.Config(), account: e.Account(), keys: e.OMEMO(), contacts: e.Contacts(), opt: opt, found: found}
}

// add reports a finding without a code.
func (d *doctor) add(area, check string, status Status, text string, details any, hints ...string) {
	d.found(Finding{Area: area, Check: check, Status: status, Text: text, Details: details, Hints: hints})
}

// Diagnose looks at the account, at this machine, and, unless opt.To is zero, at
// the contact and what a send with opt would come to. Findings are told in order
// from one goroutine. It returns what such a send would do; when it would end
// before any answer of the contact, the error is the *[fault.Failure] it would end
// with.
func Diagnose(ctx context.Context, e *transfer.Endpoint, opt transfer.SendOptions, found func(Finding)) (*Plan, error) {
	d := newDoctor(e, opt, found)
	if err := d.lookAtAccount(ctx); err != nil {
		return nil, e.Ended(ctx, err)
	}
	d.machine(ctx)
	if opt.To.IsZero() {
		return nil, e.Ended(ctx, context.Cause(ctx))
	}
	if bare := opt.To.Bare(); opt.To.IsBare() && !d.contacts.Own(bare) && !d.subscription(ctx, bare) {
		d.opt.Wait = 0 // nobody will appear
	}
	plan, err := d.plan(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return nil, e.Ended(ctx, cause)
	}
	d.clients(ctx)
	d.devices(ctx)
	d.interrupted(ctx)
	if err = e.Ended(ctx, err); err != nil {
		d.found(failed(AreaSend, "send", err))
		return nil, err
	}
	d.add(AreaSend, "send", StatusOK, "a send would go to "+plan.To+": "+plan.how(), plan)
	return plan, nil
}

// failed is the finding of an error that would end a send.
func failed(area, check string, err error) Finding {
	f := Finding{Area: area, Check: check, Status: StatusFail, Text: clean.Error(err), Code: int(exitcode.Unexpected)}
	var known *fault.Failure
	if errors.As(err, &known) {
		f.Code, f.Hints = int(known.Code), known.Hints
	}
	return f
}
