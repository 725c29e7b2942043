package main

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// exitCode is short for exitcode.Code.
type exitCode = exitcode.Code

// usageError is wrong usage: exit code 2.
type usageError struct {
	msg   string
	hints []string
}

// Error implements error.
func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) *usageError {
	return &usageError{msg: fmt.Sprintf(format, args...)}
}

func (e *usageError) hint(format string, args ...any) *usageError {
	e.hints = append(e.hints, fmt.Sprintf(format, args...))
	return e
}

// explain turns the error of a run into what is shown.
func explain(ctx context.Context, err error) *failure {
	code, hints := codeOf(ctx, err)
	f := &failure{code: code, reason: clean.Error(err), hints: hints}
	var known *fault.Failure
	if errors.As(err, &known) {
		f.reported = known.Reported
	}
	switch code {
	case exitcode.Cancelled:
		f.reason = fault.ErrInterrupted.Error()
	case exitcode.Terminated:
		f.reason = fault.ErrTerminated.Error()
	case exitcode.Unexpected:
		if len(hints) == 0 && !f.reported {
			f.hints = []string{"this is not expected: please report it; run `" + reportCommand + "` and attach what it writes"}
		}
	}
	return f
}

// explain is explain for the errors of this run: a wrong password that no login of
// ours replaces has to be corrected where it is kept.
func (a *app) explain(ctx context.Context, err error) *failure {
	f := explain(ctx, err)
	var auth *session.AuthError
	if a.outside != "" && f.code == exitcode.Login && errors.As(err, &auth) && auth.Condition == wrongPassword {
		f.hints = []string{"correct the password that " + a.outside + " gives"}
	}
	return f
}

// wrongPassword is the condition of a login that the server refuses for its
// password (RFC 6120, section 6.5.10).
const wrongPassword = "not-authorized"

// codeOf is the one place that gives an error its exit code and hints. ctx is
// the context of the run; its cause decides for errors that came of its end.
func codeOf(ctx context.Context, err error) (exitCode, []string) {
	var (
		failed *fault.Failure
		usage  *usageError
		conf   *config.Error
	)
	starting := !errors.As(err, &failed) || failed.Code == exitcode.Config
	path, broken := state.Damaged(err)
	switch {
	case err == nil:
		return exitcode.OK, nil
	case broken:
		return exitcode.Config, fault.DamagedHints(path)
	case starting && errors.Is(err, state.ErrNoSpace):
		return exitcode.LocalFile, []string{"free space in the state directory, or name another one with --state-dir"}
	case starting && errors.Is(err, state.ErrUnwritable):
		return exitcode.Config, []string{"run jetsend as the user who owns the state directory and may write all that is in it; --state-dir names another one"}
	case errors.As(err, &failed):
		if code, hints := codeOfLogin(err); code == failed.Code { // of a run that had been online
			return code, hints
		}
		return failed.Code, failed.Hints
	case errors.As(err, &usage):
		return exitcode.Usage, usage.hints
	case cancelled(ctx, err, fault.ErrInterrupted):
		return exitcode.Cancelled, nil
	case cancelled(ctx, err, fault.ErrTerminated):
		return exitcode.Terminated, nil
	case errors.As(err, &conf):
		return exitcode.Config, conf.Hints
	}
	if code, hints := codeOfLogin(err); code != exitcode.OK {
		return code, hints
	}
	if code, hints := codeOfTrust(err); code != exitcode.OK {
		return code, hints
	}
	var answer *stanza.Error
	if errors.As(err, &answer) { // what the server, or whoever was asked, says no to
		return exitcode.Unreachable, nil
	}
	if errors.Is(err, session.ErrStanzaTooBig) || errors.Is(err, session.ErrBusy) {
		return exitcode.Unreachable, nil
	}
	if unreachable(err) {
		return exitcode.Unreachable, []string{"check the network; JETSEND_SERVER=host:port names a server that DNS does not"}
	}
	return exitcode.Unexpected, nil
}

// cancelled reports whether err is cause, or came of the end of ctx with that
// cause.
func cancelled(ctx context.Context, err, cause error) bool {
	return errors.Is(err, cause) || ctx.Err() != nil && errors.Is(context.Cause(ctx), cause)
}

// codeOfLogin is about refusals at the door: by the server or by us.
func codeOfLogin(err error) (exitCode, []string) {
	var (
		auth *session.AuthError
		cert *session.CertificateError
	)
	switch {
	case errors.Is(err, session.ErrPlainOnly):
		return exitcode.Login, []string{"set `allow_plain: true` for this account if its server may see the password"}
	case errors.Is(err, session.ErrDowngrade):
		return exitcode.Login, []string{
			"somebody between you and the server may be hiding its better login methods: ask its operator",
			"set `allow_sasl_downgrade: true` for this account if the server really changed",
		}
	case errors.As(err, &auth):
		switch {
		case auth.Condition == wrongPassword:
			return exitcode.Login, []string{"run `jetsend login` to enter the password again"}
		case auth.Temporary():
			// Nothing is wrong with the login: what would help is what helps with
			// a server that is away, and a service is to be started again.
			return exitcode.Unreachable, []string{"try again later"}
		}
		return exitcode.Login, nil
	case errors.As(err, &cert):
		return exitcode.Login, []string{"if the server has a certificate authority of its own, name its file with `tls_ca_file` or JETSEND_TLS_CA_FILE"}
	case errors.Is(err, session.ErrNoMechanism), errors.Is(err, session.ErrServerProof),
		errors.Is(err, session.ErrChallenge), errors.Is(err, session.ErrPlaintext):
		return exitcode.Login, nil
	}
	return exitcode.OK, nil
}

// codeOfTrust is about OMEMO keys.
func codeOfTrust(err error) (exitCode, []string) {
	var trust *omemo.TrustError
	switch {
	case errors.Is(err, omemo.ErrTooManyDevices):
		return exitcode.Untrusted, []string{
			"keep and reuse one state directory (--state-dir) instead of making a device for every run",
			"run `jetsend login` to add this device all the same",
		}
	case errors.As(err, &trust):
		return exitcode.Untrusted, fault.TrustHints(trust)
	case errors.Is(err, omemo.ErrNoDevice):
		return exitcode.Untrusted, nil
	}
	return exitcode.OK, nil
}

// unreachable reports whether the server could not be reached, or was lost.
func unreachable(err error) bool {
	var (
		dial   *session.UnreachableError
		stream *session.StreamError
	)
	if errors.As(err, &dial) || errors.As(err, &stream) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for _, lost := range []error{session.ErrSessionLost, session.ErrClosed, session.ErrStreamEnd, session.ErrSilent} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}
