package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

func TestCodeOf(t *testing.T) {
	ended := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		return ctx
	}
	live := t.Context()
	unreachable := &session.UnreachableError{Domain: "capulet.example", Errs: []error{errors.New("refused")}}
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		err   error
		want  exitCode
		hints bool
	}{
		{"nothing", live, nil, exitcode.OK, false},
		{"unknown", live, errors.New("boom"), exitcode.Unexpected, false},
		{"failure", live, &fault.Failure{Code: exitcode.Declined, Hints: []string{"ask again"}}, exitcode.Declined, true},
		{"failure around a login error", live, &fault.Failure{Code: exitcode.Interrupted, Err: &session.AuthError{}}, exitcode.Interrupted, false},
		{"failure at a later login", live, &fault.Failure{Code: exitcode.Login, Err: &session.AuthError{Condition: "not-authorized"}}, exitcode.Login, true},
		{"failure of a diagnosis", live, &fault.Failure{Code: exitcode.Login, Reported: true}, exitcode.Login, false},
		{"failure after SIGINT keeps its code", ended(fault.ErrInterrupted), &fault.Failure{Code: exitcode.Integrity}, exitcode.Integrity, false},
		{"usage", live, usagef("no").hint("do"), exitcode.Usage, true},
		{"config", live, &config.Error{Msg: "no", Hints: []string{"do"}}, exitcode.Config, true},
		{"interrupted", live, fmt.Errorf("ask: %w", fault.ErrInterrupted), exitcode.Cancelled, false},
		{"SIGINT", ended(fault.ErrInterrupted), context.Canceled, exitcode.Cancelled, false},
		{"SIGINT while dialling", ended(fault.ErrInterrupted), unreachable, exitcode.Cancelled, false},
		{"SIGTERM", ended(fault.ErrTerminated), context.Canceled, exitcode.Terminated, false},
		{"SIGTERM while the password command runs", ended(fault.ErrTerminated), &config.Error{Msg: "no"}, exitcode.Terminated, false},
		{"wrong password", live, fmt.Errorf("login: %w", &session.AuthError{Condition: "not-authorized"}), exitcode.Login, true},
		{"server busy", live, &session.AuthError{Condition: "temporary-auth-failure"}, exitcode.Unreachable, true},
		{"disabled", live, &session.AuthError{Condition: "account-disabled"}, exitcode.Login, false},
		{"only PLAIN", live, &session.AuthError{Err: session.ErrPlainOnly}, exitcode.Login, true},
		{"downgrade", live, &session.AuthError{Err: session.ErrDowngrade}, exitcode.Login, true},
		{"no mechanism", live, &session.AuthError{Err: session.ErrNoMechanism}, exitcode.Login, false},
		{"server proof", live, session.ErrServerProof, exitcode.Login, false},
		{"challenge", live, session.ErrChallenge, exitcode.Login, false},
		{"plaintext", live, session.ErrPlaintext, exitcode.Login, false},
		{"certificate", live, &session.CertificateError{Domain: "d.example", Err: x509.UnknownAuthorityError{}}, exitcode.Login, true},
		{"unreachable", live, unreachable, exitcode.Unreachable, true},
		{"stream error", live, &session.StreamError{Condition: "system-shutdown"}, exitcode.Unreachable, true},
		{"lost", live, fmt.Errorf("roster: %w", session.ErrSessionLost), exitcode.Unreachable, true},
		{"closed", live, session.ErrClosed, exitcode.Unreachable, true},
		{"stream end", live, session.ErrStreamEnd, exitcode.Unreachable, true},
		{"silent", live, session.ErrSilent, exitcode.Unreachable, true},
		{"timeout", live, context.DeadlineExceeded, exitcode.Unreachable, true},
		{"too many devices", live, fmt.Errorf("announce: %w", omemo.ErrTooManyDevices), exitcode.Untrusted, true},
		{"trust", live, &omemo.TrustError{JID: jid.MustParse("a@b.example"), Kind: omemo.Changed}, exitcode.Untrusted, true},
		{"no device", live, omemo.ErrNoDevice, exitcode.Untrusted, false},
		{"refused by the server", live, fmt.Errorf("bind resource: %w", &stanza.Error{Condition: "resource-constraint"}), exitcode.Unreachable, false},
		{"too long an answer", live, fmt.Errorf("roster: %w", session.ErrStanzaTooBig), exitcode.Unreachable, false},
		{"damaged", live, fmt.Errorf("open: %w", &state.DamagedError{Path: "/x", Err: errors.New("malformed")}), exitcode.Config, true},
		{"damaged, in a run", live, &fault.Failure{Code: exitcode.Interrupted, Err: &state.DamagedError{Path: "/x", Err: errors.New("malformed")}}, exitcode.Config, true},
		{"joined", live, errors.Join(nil, &session.AuthError{Condition: "not-authorized"}, errors.New("close")), exitcode.Login, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, hints := codeOf(tt.ctx, tt.err)
			if got != tt.want || (len(hints) > 0) != tt.hints {
				t.Errorf("got %d and hints %q; want %d, hints %v", got, hints, tt.want, tt.hints)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	f := explain(t.Context(), errors.New("b\x1b[31moom\nsecond line"))
	if f.reason != "b\ufffd[31moom; second line" || len(f.hints) != 1 {
		t.Errorf("reason %q, hints %q", f.reason, f.hints)
	}
	if f := explain(t.Context(), &fault.Failure{Code: exitcode.Declined, Reported: true}); !f.reported {
		t.Error("what was reported would be reported again")
	}
	if f := explain(t.Context(), fmt.Errorf("wait: %w", fault.ErrInterrupted)); f.reason != "interrupted" {
		t.Errorf("reason %q", f.reason)
	}
}

// TestMeanings holds the table of the help text and package exitcode together.
func TestMeanings(t *testing.T) {
	seen := make(map[exitCode]bool)
	last := exitCode(-1)
	for _, m := range meanings() {
		if m.code <= last || m.text == "" {
			t.Errorf("code %d is out of order or without text", m.code)
		}
		last, seen[m.code] = m.code, true
	}
	for c := exitcode.OK; c <= exitcode.LocalFile; c++ {
		if !seen[c] {
			t.Errorf("code %d has no meaning", c)
		}
	}
	if !seen[exitcode.Cancelled] || !seen[exitcode.Terminated] {
		t.Error("the codes of signals have no meaning")
	}
}

// TestHintsArePasted: the commands of hints have the global flags of the run that
// they are of, in one argument each; those that somebody else is to run do not.
func TestHintsArePasted(t *testing.T) {
	a := &app{}
	const plain = "run `jetsend login`"
	if got := a.pasted(plain); got != plain {
		t.Errorf("without flags: %q", got)
	}
	a.global.account, a.global.stateDir.value = "my work", "/srv/state"
	for hint, want := range map[string]string{
		plain: "run `jetsend '--account=my work' --state-dir=/srv/state login`",
		"compare it; if it is the same, run `jetsend trust verify a@b.example 0123`": "compare it; if it is the same, run `jetsend '--account=my work' --state-dir=/srv/state trust verify a@b.example 0123`",
		"see `jetsend devices list`, and run `jetsend devices remove ID` for others": "see `jetsend '--account=my work' --state-dir=/srv/state devices list`, and run `jetsend '--account=my work' --state-dir=/srv/state devices remove ID` for others",
		"run `jetsend login --account=home`":                                         "run `jetsend --state-dir=/srv/state login --account=home`",
		"run `" + a.again("resume", "0a3c") + "` to go on":                           "run `jetsend '--account=my work' --state-dir=/srv/state resume 0a3c` to go on",
		"run `jetsend send --help`":                                                  "run `jetsend send --help`",
		"run `chmod 600 file`":                                                       "run `chmod 600 file`",
		"ask the contact to run `jetsend receive`":                                   "ask the contact to run `jetsend receive`",
		"on your other device run `jetsend receive`":                                 "on your other device run `jetsend receive`",
		"usage: jetsend resume ID":                                                   "usage: jetsend resume ID",
	} {
		if got := a.pasted(hint); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestHintsName: what hints name can be pasted and mends what went wrong.
func TestHintsName(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example, password_command: echo x}}\n")
	f.dialErr = &session.AuthError{Condition: "not-authorized"}
	f.wants(4, []string{"hint: correct the password that JETSEND_PASSWORD gives\n"}, "contacts")
	f.wants(4, []string{"hint: correct the password that JETSEND_PASSWORD gives\n"}, "login")
	delete(f.env, "JETSEND_PASSWORD")
	f.wants(4, []string{"hint: correct the password that password_command gives\n"}, "contacts")
	f.ring.m["juliet@capulet.example"] = "old"
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example, keyring: true}, work: {jid: a@b.example}}\n")
	f.wants(4, []string{"hint: run `jetsend --account=home login` to enter the password again\n"}, "--account", "home", "contacts")

	delete(f.env, "JETSEND_JID")
	f.wants(3, []string{"hint: run `jetsend login --account='my home'` to add it\n"}, "--account", "my home", "contacts")
	f.dialErr, f.endpoint.result = nil, &omemo.TrustError{JID: jid.MustParse("romeo@montague.example"), Device: 1, Fingerprint: keyOne}
	f.wants(9, []string{"run `jetsend --account=home trust verify romeo@montague.example " + keyOne + "`\n"},
		"--account=home", "contacts")
}
