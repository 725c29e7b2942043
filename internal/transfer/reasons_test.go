package transfer

import (
	"fmt"
	"io"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
)

// TestCodeOfReason is the table of the design's section 3, row by row.
func TestCodeOfReason(t *testing.T) {
	for _, tt := range []struct {
		reason  jingle.Reason
		started bool
		want    exitcode.Code
	}{
		{jingle.Reason{Condition: jingle.Decline}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Cancel}, true, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Busy}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Gone}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.UnsupportedApplications}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.UnsupportedTransports}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.IncompatibleParameters}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.SecurityError}, false, exitcode.Untrusted},
		{jingle.Reason{Condition: jingle.SecurityError}, true, exitcode.Integrity},
		{jingle.Reason{Condition: jingle.ConnectivityError}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.FailedTransport}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.Timeout}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.Expired}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.FailedApplication}, true, exitcode.Unexpected},
		{jingle.Reason{Condition: jingle.MediaError}, true, exitcode.Unexpected},
		{jingle.Reason{Condition: jingle.GeneralError}, true, exitcode.Unexpected},
		{jingle.Reason{Condition: jingle.Success}, true, exitcode.Integrity},
		{declined(detailTooBig), false, exitcode.Declined},
		{declined(detailPolicy), false, exitcode.Declined},
		{declined(detailNoSpace), false, exitcode.LocalFile},
		{declined(detailExists), false, exitcode.LocalFile},
	} {
		if got := codeOfReason(tt.reason, tt.started); got != tt.want {
			t.Errorf("%v started=%v: %d, want %d", tt.reason, tt.started, got, tt.want)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   exitcode.Code
		reason string
	}{
		{ErrInterrupted, exitcode.Cancelled, jingle.Cancel},
		{ErrTerminated, exitcode.Terminated, jingle.Cancel},
		{fmt.Errorf("receive: %w", crypto.ErrAuthentication), exitcode.Integrity, jingle.SecurityError},
		{crypto.ErrTrailingData, exitcode.Integrity, jingle.SecurityError},
		{fmt.Errorf("read tag: %w", io.ErrUnexpectedEOF), exitcode.Interrupted, jingle.ConnectivityError},
		{errIdle, exitcode.Interrupted, jingle.Timeout},
		{s5b.ErrNoCandidate, exitcode.Interrupted, jingle.ConnectivityError},
		{&sourceError{errSourceChanged}, exitcode.LocalFile, jingle.FailedApplication},
		{&sinkError{inbox.ErrNoSpace}, exitcode.LocalFile, jingle.FailedApplication},
		{&sinkError{inbox.ErrExists}, exitcode.LocalFile, jingle.FailedApplication},
		{errNoAnswer, exitcode.Declined, jingle.Cancel},
		{errUnconfirmed, exitcode.Interrupted, jingle.ConnectivityError},
		{errOffer, exitcode.Integrity, jingle.SecurityError},
		{errSealed, exitcode.Integrity, jingle.SecurityError},
		{&omemo.TrustError{Kind: omemo.Changed}, exitcode.Untrusted, jingle.SecurityError},
		{omemo.ErrEnvelope, exitcode.Untrusted, jingle.SecurityError},
		{fmt.Errorf("offer: %w", stanza.NewError(stanza.NotAcceptable)), exitcode.Untrusted, jingle.SecurityError},
		{stanza.NewError(stanza.ServiceUnavailable), exitcode.Offline, jingle.GeneralError},
		{io.ErrNoProgress, exitcode.Unexpected, jingle.GeneralError},
	} {
		f := failureOf(tt.err, false)
		if f.Code != tt.code {
			t.Errorf("%v: code %d, want %d", tt.err, f.Code, tt.code)
		}
		if got := reasonFor(tt.err); got.Condition != tt.reason {
			t.Errorf("%v: reason %s, want %s", tt.err, got.Condition, tt.reason)
		}
	}
}
